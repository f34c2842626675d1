"""Every writer of records counts tokens under the same names: else tables lose them without a word."""

import pytest
from chat_stub import serve

import collm_envs
from baselines.cli import main
from baselines.lm import hf
from baselines.lm.saving import save
from baselines.lm.tiny import model as tiny
from baselines.play.episode import episodes
from baselines.play.records import to_record
from baselines.play.rollout import eval_starts, play
from collm_envs.evaluation.episodes import evaluate, jobs
from collm_envs.evaluation.measures import measures
from collm_envs.policies.protocols import seated
from collm_envs.policies.seat import TOKENS
from collm_envs.policies.specs import KINDS, seat_all
from collm_envs.record import read


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A policy's name: the embedded model with random weights."""
    folder = tmp_path_factory.mktemp("model")
    save(*(lambda network, tokenizer: (network, None, tokenizer))(*tiny.fresh(0)), folder)
    return f"hf:{folder}?max_new_tokens=8&device=cpu"


@pytest.fixture
def env():
    return collm_envs.make("StrBuild-v0", prompts="terse", max_turns=1)


def by_rollout(env, model, tmp_path):
    """As training samples and as the demo keeps."""
    lm = hf.parse(model.removeprefix("hf:")).lm
    nodes = play(env.task, eval_starts(env.task, 2), dict.fromkeys(env.task.agents, lm), "usage")
    return [to_record(env, path, dict.fromkeys(env.task.agents, "model")) for path in episodes(nodes)]


def by_evaluation(env, model, tmp_path, protocol="parallel"):
    policies = seat_all(env.task, model, {}, {**KINDS, "hf": hf.parse})
    with seated(protocol, policies, tmp_path) as policies:
        return evaluate(env, policies, jobs(env, episodes=2)).records


def by_pipeline(env, model, tmp_path):
    return by_evaluation(env, model, tmp_path, "pipeline")


def by_discussion(env, model, tmp_path):
    return by_evaluation(env, model, tmp_path, "discussion")


def by_endpoint(env, model, tmp_path):
    with serve(lambda body, n: "good") as stub:
        return by_evaluation(env, f"openai:{stub.url}#m", tmp_path)


def by_hand(env, model, tmp_path):
    """`collm play`."""
    players = [flag for agent in env.possible_agents for flag in ("--agent", f"{agent}={model}")]
    file = tmp_path / "one.jsonl"
    kwargs = '{"prompts": "terse", "max_turns": 1}'
    assert main.main(["play", "StrBuild-v0", *players, "--env-kwargs", kwargs, "--out", str(file)]) == 0
    return list(read(file))


WRITERS = (by_rollout, by_evaluation, by_pipeline, by_discussion, by_endpoint, by_hand)


@pytest.mark.parametrize("written", WRITERS)
def test_what_models_read_and_wrote_can_be_counted(written, env, model, tmp_path):
    records = written(env, model, tmp_path)
    assert records
    for record in records:
        assert all(measures(record)[name] > 0 for name in TOKENS)
