"""Replicas of a policy: a part of the episodes each, and one step together."""

import multiprocessing

import pytest
import torch
import torch.distributed as dist
from apart import Loopback
from lm_fixtures import save, words_tokenizer
from replica import learn_part
from toy_games import Answer, any_text_game

from baselines.lm.history import Move
from baselines.lm.learning import Lesson
from baselines.lm.policy import Sizes
from baselines.play.episode import episodes, walk
from baselines.play.rollout import play, starts
from baselines.train.critic import NO_CRITICS
from baselines.train.placement.calls import LostProcess, Process
from baselines.train.placement.proxies import FarPolicy
from baselines.train.placement.replicas import Replicas, all_of, joined
from baselines.train.settings import Settings

TASK = any_text_game(turns=2)
LONG_S = 300.0


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save(tmp_path_factory.mktemp("models"), "qwen3", words_tokenizer(Answer.vocabulary()))


def settings(model, **changes):
    return {"model": model, "max_new_tokens": 3, "lr": 0.01, "device": "cpu", **changes}


def replicas_of(model, name, R):
    parts = []
    for _ in range(R):
        process = Process(Loopback(name))
        process.ask("host", "open", Settings(**settings(model)), TASK.agents, NO_CRITICS, [name])()
        parts.append(FarPolicy(process, name, Sizes(1, 1)))
    return Replicas(parts)


@pytest.mark.parametrize("n", [1, 5])
def test_every_episode_is_written_once_and_each_by_one_replica(model, n):
    policies = {agent: replicas_of(model, agent, 3) for agent in TASK.agents}
    roots = play(TASK, starts(TASK, 0, 0, n), policies, "s", copies=[2, 2], alternatives=2)
    assert len(roots) == 2 * n
    assert len(episodes(roots)) == 4 * n
    for agent, policy in policies.items():
        homes = {policy._home(node.moves[agent]) for node in walk(roots)}
        assert len(homes) == min(n, 3)
        for path in episodes(roots):  # a history stays where it began
            assert len({policy._home(node.moves[agent]) for node in path}) == 1
            assert all(len(node.alternatives[agent]) == 2 for node in path)
    again = play(TASK, starts(TASK, 0, 0, n), policies, "s", copies=[2, 2], alternatives=0)
    assert [node.prompts for node in walk(again)] == [node.prompts for node in walk(roots)]
    for mine, theirs in zip(walk(again), walk(roots), strict=True):
        assert {a: m.text for a, m in mine.moves.items()} == {a: m.text for a, m in theirs.moves.items()}


def test_log_ratios_come_back_in_the_order_of_the_moves(model):
    policy = replicas_of(model, "agent_0", 2)
    histories = policy.converse(4, 0)
    histories.read(["q0", "q1", "q0", "q1"])
    moves = histories.pick([3, 0, 2, 1]).write()
    assert [len(ratio) for ratio in policy.log_ratios(moves)] == [len(move.ids) for move in moves]
    gains = policy.prompt_gains(moves, ["q1", "q1", "q0", "q0"])  # histories 3 and 0, 2 and 1
    assert [gain == 0 for gain in gains] == [True, False, True, False]


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"lora_rank": 2, "kl": 0.1, "epochs": 2, "clip": 0.2}])
def test_two_processes_step_like_one(model, tmp_path, changes):
    context = multiprocessing.get_context("spawn")
    store = dist.TCPStore("0.0.0.0", 0, is_master=True, wait_for_workers=False)
    config = settings(model, **changes)
    learn_part(config, 0, 1, 0, str(tmp_path / "one"))
    started = [
        context.Process(target=learn_part, args=(config, rank, 2, store.port, str(tmp_path / f"{rank}")))
        for rank in range(2)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(LONG_S)
        assert process.exitcode == 0
    weights, logs, _ = torch.load(tmp_path / "one")
    parts = [torch.load(tmp_path / f"{rank}") for rank in range(2)]
    for name, wanted in weights.items():
        assert torch.equal(parts[0][0][name], parts[1][0][name])
        assert (parts[0][0][name] - wanted).abs().max() < 1e-5
    for step, log in enumerate(logs):
        both = joined(
            [part[1][step] for part in parts], [Lesson([Move(None, [])] * part[2]) for part in parts]
        )
        assert both == pytest.approx(log, rel=1e-3, abs=1e-4)


def test_of_several_errors_the_one_that_began_it_is_raised():
    def fail(error):
        def wait():
            raise error

        return wait

    torn, cause = RuntimeError("Connection closed by peer"), FloatingPointError("the loss is nan")
    assert all_of([lambda: 1, lambda: 2]) == [1, 2]
    with pytest.raises(FloatingPointError, match="the loss is nan"):
        all_of([fail(torn), fail(cause)])
    with pytest.raises(LostProcess, match="agent_0#1"):
        all_of([fail(torn), fail(LostProcess("the actor of agent_0#1 was lost"))])
