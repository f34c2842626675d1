"""Texts from a vLLM server, against a server on loopback that writes by our own models (tests/support)."""

import threading

import pytest
import torch
from lm_fixtures import save, words_tokenizer
from safetensors.torch import load_file
from toy_games import Answer, any_text_game
from vllm_stub import VLLM, serving

from baselines import magrpo
from baselines.cli.main import main
from baselines.lm import vllm_http
from baselines.lm.learning import Lesson
from baselines.lm.scoring import token_logp
from baselines.runs import run
from baselines.runs import texts as run_texts
from baselines.train.team import build_team
from collm_envs import record

CHAT = "{% for m in messages %}{{ m['content'] }} <end> {% endfor %}"
ENV = {"env": "Answer-v0"}
TASK = any_text_game(turns=1)
AGENTS = ("agent_0", "agent_1")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    words = words_tokenizer(Answer.vocabulary(), chat=CHAT)
    return save(tmp_path_factory.mktemp("vllm") / "base", "llama", words, scale=3.0)


@pytest.fixture
def server(base):
    return VLLM(base)


@pytest.fixture
def url(server, monkeypatch):
    monkeypatch.setattr(vllm_http, "PAUSES_S", (0.0, 0.0))
    with serving(server) as address:
        yield f"vllm:{address}"


def settings(base, out, *sampler, **more):
    small = {"lora_rank": 2, "lr": 0.05, "steps": 2, "episodes": 4, "group": 4, "max_new_tokens": 3}
    often = {"eval_every": 0, "eval_episodes": 2, "save_every": 1, "temperature": 0.9, "top_p": 0.95}
    return magrpo.Config(
        **{**ENV, "model": base, **small, **often, "out": str(out), "sampler": sampler, **more}
    )


def texts(policy, seed, prompts=("q0 t0 p0", "q1 t0 p0 p1")):
    talk = policy.converse(len(prompts), seed)
    talk.read(prompts)
    return talk.write()


def test_a_run_reads_and_learns_from_the_texts_of_a_server(base, url, server, tmp_path):
    steps = list(magrpo_steps(settings(base, tmp_path / "run", url)))
    assert [step["token_gap"] for step in steps] == [pytest.approx(0, abs=1e-5)] * 2
    assert all(step["grad_norm"] > 0 for step in steps)
    loads = [body for path, body in server.requests if path == "/v1/load_lora_adapter"]
    assert [body["lora_name"] for body in loads] == ["run-agent_0", "run-agent_1"] * 2
    assert len({body["lora_path"] for body in loads}) == 4  # vLLM's prefix cache knows adapters by their path
    assert {path.name.partition("-")[0] for path in (tmp_path / "run/published").iterdir()} == {*AGENTS}


def magrpo_steps(config):
    return magrpo.train(config, TASK, magrpo.team(config, TASK))


def test_log_probabilities_are_those_that_a_trainer_computes(base, url, tmp_path):
    team = build_team(settings(base, tmp_path / "run", url), AGENTS)
    for policy in team.policies.values():
        moves = texts(policy, seed=1)
        for move, scored in zip(moves, token_logp(policy, moves), strict=True):
            assert torch.allclose(torch.tensor(move.logp), scored, atol=1e-5)


def test_the_same_seed_writes_the_same_texts_until_weights_are_published(base, url, server, tmp_path):
    policy = build_team(settings(base, tmp_path / "run", url, lr=1.0), AGENTS).policies["agent_0"]
    before, again = (texts(policy, seed=5) for _ in range(2))
    assert [move.ids for move in before] == [move.ids for move in again]
    assert [move.ids for move in before] != [move.ids for move in texts(policy, seed=6)]
    policy.learn(Lesson([*before], [1.0, -1.0], [0.5, 0.5]), settings(base, "").objective)
    assert [move.ids for move in texts(policy, seed=5)] != [move.ids for move in before]
    salts = {body["cache_salt"] for path, body in server.requests if path == "/v1/completions"}
    assert len(salts) == 2


def test_both_agents_are_asked_before_either_has_answered(base, url, server, tmp_path):
    team = build_team(settings(base, tmp_path / "run", url), AGENTS)
    talks = [policy.converse(2, 0) for policy in team.policies.values()]
    for talk in talks:
        talk.read(["q0 t0 p0", "q1 t0 p0"])
    gate = threading.Barrier(4, timeout=600)
    complete = server.complete
    server.complete, server.lock = lambda body: (gate.wait(), complete(body))[1], threading.Semaphore(4)
    written = [talk.write() for talk in talks]  # four requests meet at the gate, or nobody passes it
    assert all(move.ids for moves in written for move in moves)


def test_branches_go_on_from_one_history_and_alternatives_leave_its_dice_alone(base, url, tmp_path):
    policy = build_team(settings(base, tmp_path / "run", url), AGENTS).policies["agent_0"]

    def turns(aside):
        talk = policy.converse(1, 3)
        talk.read(["q0 t0 p0"])
        if aside:
            talk.pick([0, 0, 0], 99).write()[:]
        talk = talk.pick([0, 0])
        first = [*talk.write()]
        talk.read(["q0 t1 p0", "q1 t1 p0"])
        return first, [*talk.write()]

    (first, second), (same, too) = turns(aside=False), turns(aside=True)
    assert first[0].parent is first[1].parent
    assert second[1].chain()[:2] == first[1].chain()
    assert [move.ids for move in (*first, *second)] == [move.ids for move in (*same, *too)]


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(base, url, tmp_path, monkeypatch):
    straight = run.train("magrpo", settings(base, tmp_path / "a/run", url), quiet=True)
    watched = run_texts.watched

    def stopped(steps, *args):
        yield next(watched(steps, *args))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run_texts, "watched", stopped)
        run.train("magrpo", settings(base, tmp_path / "b/run", url), quiet=True)
    resumed = run.resume(tmp_path / "b/run", quiet=True)
    for agent in AGENTS:
        file = f"{agent}/adapter_model.safetensors"
        assert (straight / file).read_bytes() == (resumed / file).read_bytes()


def test_all_weights_are_reloaded_by_a_server_for_each_agent(base, server, url, tmp_path):
    other = VLLM(base)
    with serving(other) as address:
        config = settings(base, tmp_path / "run", url, f"vllm:{address}", lora_rank=0)
        assert [step["token_gap"] for step in magrpo_steps(config)] == [pytest.approx(0, abs=1e-5)] * 2
    for each in (server, other):
        assert [path for path, _ in each.requests].count("/collective_rpc") == 2


def test_a_tied_output_layer_is_published_too(tmp_path):
    """`save_pretrained` leaves it out; a server that finds none in the files keeps the old one."""
    base = save(tmp_path / "tied", "qwen3", words_tokenizer(Answer.vocabulary(), chat=CHAT))
    with serving(VLLM(base)) as address:
        config = settings(base, tmp_path / "run", f"vllm:{address}", lora_rank=0, shared=True)
        policy = build_team(config, AGENTS).policies["agent_0"]
        texts(policy, seed=1)
    (folder,) = (tmp_path / "run/published").iterdir()
    stored = {k: v for file in folder.glob("*.safetensors") for k, v in load_file(file).items()}
    assert torch.equal(stored["lm_head.weight"], stored["model.embed_tokens.weight"])


def test_a_critic_is_trained_beside_texts_of_a_server(base, url, tmp_path):
    from baselines import maac

    small = {"lora_rank": 2, "steps": 1, "episodes": 2, "max_new_tokens": 8, "eval_every": 0}
    config = maac.Config(**ENV, model=base, **small, out=str(tmp_path / "run"), sampler=(url,))
    (step,) = maac.train(config, TASK, maac.team(config, TASK))
    assert step["token_gap"] < 1e-5
    assert step["value_loss"] > 0


@pytest.mark.parametrize(
    ("fault", "more", "message"),
    [
        ({"deaf": True}, {"lr": 5.0}, "wrote without this policy's adapter"),
        ({"raw": True}, {}, "--logprobs-mode processed_logprobs"),
        ({"adapters": False}, {}, "loads no adapters; `collm serve vllm MODEL --adapters N`"),
        (
            {"reloads": False},
            {"lora_rank": 0, "shared": True},
            "reloads no weights; `collm serve vllm MODEL`",
        ),
        ({"failures": 9}, {}, "/v1/load_lora_adapter: HTTP 500: the engine is busy"),
        ({"max_model_len": 5}, {}, "exceed the server's --max-model-len=5"),
    ],
)
def test_a_server_that_does_not_fit_is_named_with_what_is_wrong(
    base, url, server, tmp_path, fault, more, message
):
    for name, value in fault.items():
        setattr(server, name, value)
    with pytest.raises((ValueError, ConnectionError), match=message):
        list(magrpo_steps(settings(base, tmp_path / "run", url, **more)))


def test_a_request_that_failed_in_passing_is_made_again(base, url, server, tmp_path):
    policy = build_team(settings(base, tmp_path / "run", url), AGENTS).policies["agent_0"]
    texts(policy, seed=1)
    server.failures = 2
    assert all(move.ids for move in texts(policy, seed=1))


@pytest.mark.parametrize(
    ("sampler", "more", "message"),
    [
        (("http://localhost:1",), {}, "sampler must be vllm:http://host:port, got 'http://localhost:1'"),
        (("vllm:localhost",), {}, "need an address as vllm:http://localhost:8000"),
        (("vllm:http://127.0.0.1:9",), {}, "127.0.0.1:9/v1/models: ConnectionRefusedError"),
        (
            ("vllm:http://a", "vllm:http://b", "vllm:http://c"),
            {},
            "one for each of .'agent_0', 'agent_1'., got 3",
        ),
        (("vllm:http://a",), {"lora_rank": 0}, "a server holds one set of all weights"),
        (("vllm:http://a",), {"sampler_ratio": 0.5}, "need sampler_ratio >= 1 and sampler_gap > 0"),
        (("vllm:http://a",), {"placement": "ray", "replicas": 2}, "sampler and replicas exclude each other"),
    ],
)
def test_addresses_that_cannot_be_are_refused(base, tmp_path, monkeypatch, sampler, more, message):
    monkeypatch.setattr(vllm_http, "PAUSES_S", ())
    with pytest.raises((ValueError, OSError), match=message):
        build_team(settings(base, tmp_path / "run", *sampler, **more), AGENTS)


def test_collm_eval_plays_what_a_server_serves(base, url, server, tmp_path, capsys):
    words = ["eval", "Answer-v0", "--episodes", "2"]
    policy = f"{url}#{base}?max_new_tokens=6"
    assert main([*words, "--policy", policy, "--out", str(tmp_path / "eval")]) == 0
    records = list(record.read(tmp_path / "eval/records.jsonl"))
    assert len(records) == 2
    assert all(body["max_tokens"] == 6 for path, body in server.requests if path == "/v1/completions")
    assert main([*words, "--policy", f"{url}#nobody", "--out", str(tmp_path / "other")]) == 2
    assert "serves no 'nobody'; it serves" in capsys.readouterr().err


def test_the_command_of_a_server_has_the_flags_that_training_needs(capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["serve", "vllm", "Qwen/Qwen3-1.7B", "--adapters", "2", "--lora-rank", "12", "--cpu"]) == 0
    shown = capsys.readouterr().out
    for part in (
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1",
        "--model Qwen/Qwen3-1.7B",
        "--max-loras 2 --max-lora-rank 16",
        "--logprobs-mode processed_logprobs",
        "--no-enable-chunked-prefill",
        "this Python has no vllm",
    ):
        assert part in shown
    assert main(["serve", "vllm", "Qwen/Qwen3-1.7B", "--adapters", "-1"]) == 2
