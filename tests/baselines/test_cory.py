"""CORY as a run: what is trained and kept, what goes on after a stop, what plays afterwards."""

import shutil
from functools import cache

import pytest
import torch
from lm_fixtures import save, words_tokenizer
from run_folders import leaves, lines
from toy_games import Answer

from baselines import cory
from baselines.lm import hf
from baselines.play.episode import episodes
from baselines.play.rollout import eval_starts
from baselines.runs import run
from baselines.runs.checkpoint import load_last
from baselines.runs.texts import measure_lineups
from baselines.tasks.observed import Observed, observed
from baselines.train.pair import payments
from collm_envs import in_parallel, make, silence
from collm_envs.policies.seat import Seat

WORDS = [*Answer.vocabulary(), "read"]
LONG = {"steps": 100, "entropy": 0.1}  # why the entropy, and wide weights: see test_learning.py
LEARNING = {
    "ppo": {},
    "group": {"estimator": "group"},
    "alone": {"observer": "none"},
    "adapters, group": {"estimator": "group", "model": "wide", "lora_rank": 8, "lr": 5e-3},
}


@pytest.fixture(scope="module")
def folders_of_seed(tmp_path_factory):
    @cache
    def of_seed(seed):
        root, tokenizer = tmp_path_factory.mktemp("cory"), words_tokenizer(WORDS)
        return {
            "one": save(root / "one", "qwen3", tokenizer, seed, scale=4.0),
            "wide": save(root / "wide", "qwen3", tokenizer, seed, scale=12.0),
        }

    return of_seed


@pytest.fixture(scope="module")
def folders(folders_of_seed):
    return folders_of_seed(0)


def config(folders, **settings):
    plain = {
        "model": "one",
        "episodes": 48,
        "lr": 1e-2,
        "critic_lr": 1e-2,
        "max_new_tokens": 1,
        "device": "cpu",
    }
    plain |= {"kl": 0.01, "epochs": 2, "observer_prompt": "{query} read {text}", "steps": 40, **settings}
    return cory.Config(**{**plain, "model": folders[plain["model"]]})


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if "adapters" in name else ()) for name in LEARNING]
)
def test_it_learns_and_each_model_plays_the_bare_query_alone(folders_of_seed, name, training_seed):
    task = Answer(num_agents=1)
    how = config(folders_of_seed(training_seed), seed=training_seed, **{**LONG, **LEARNING[name]})
    team = cory.team(how, task)
    alone = measure_lineups(task, eval_starts(task, 64), team.lineups(task.agents), "eval")["return"]
    assert alone < 0.3
    returns = []
    for metrics in cory.train(how, task, team):
        returns.append(metrics["return"])
        if sum(returns[-3:]) > 3 * 0.93 and least(task, team) > 0.9:  # the newest step may have spoiled it
            break
    assert least(task, team) > 0.85, [round(value, 2) for value in returns]


def least(task, team):
    """What the pair earns at the bare query, or the worse of its models alone."""
    earned = measure_lineups(task, eval_starts(task, 64), team.lineups(task.agents), "eval")
    per_model = [earned[f"{name}/return"] for name in team.policies] if len(team.policies) > 1 else []
    return min([earned["return"], *per_model])


def settings(folders, out, **more):
    return config(
        folders,
        env="toy_games:Answer-v0",
        env_kwargs={"turns": 2},
        out=str(out),
        steps=6,
        episodes=8,
        max_new_tokens=3,
        eval_every=3,
        eval_episodes=4,
        save_every=3,
        exchange_every=2,
        kl_target=0.5,
        kl_horizon=20,
        scale_rewards=True,
        **more,
    )


@pytest.mark.parametrize("more", [{}, {"lora_rank": 4, "estimator": "group"}])
def test_a_run_stopped_between_two_exchanges_goes_on_bit_for_bit_and_leaves_two_models(
    folders, tmp_path, more
):
    whole = run.train("cory", settings(folders, tmp_path / "whole", **more), quiet=True)
    again = tmp_path / "again"
    shutil.copytree(whole, again)
    shutil.rmtree(again / "checkpoints" / "step-00000006")  # killed in step 4, 5 or 6
    run.resume(again, quiet=True)
    for name in ("metrics.jsonl", "eval.jsonl"):
        assert lines(whole / name) == lines(again / name)
    states = [leaves(load_last(folder / "checkpoints")) for folder in (whole, again)]
    assert len(states[0]) == len(states[1]) > 50
    for a, b in zip(*states, strict=True):
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
    told = lines(whole / "eval.jsonl")[-1]
    assert told["return"] == pytest.approx((told["llm_0/return"] + told["llm_1/return"]) / 2)
    for name in cory.LLMS:
        policy = hf.parse(f"{whole / name}?temperature=0&max_new_tokens=3&device=cpu")
        (reply,) = policy.act([Seat("agent_0", ("q0 t0 p0",), 0, None, None)])
        assert reply.usage["tokens_written"] > 0


def test_an_adapter_learns_by_itself_and_the_reference_is_the_bare_base(folders):
    task = Answer(num_agents=1)
    how = config(folders, model="wide", lora_rank=4, estimator="group", steps=2, exchange_every=1, kl=0.1)
    team = cory.team(how, task)
    before = {name: [p.detach().clone() for p in lm.parameters()] for name, lm in team.policies.items()}
    first = next(cory.train(how, task, team))
    assert first["llm_0/kl"] == pytest.approx(0.0, abs=1e-5)
    assert first["llm_1/kl"] == pytest.approx(0.0, abs=1e-5)
    for name, lm in team.policies.items():
        assert not all(torch.equal(a, b) for a, b in zip(before[name], lm.parameters(), strict=True))
    base = [p for key, p in team.policies["llm_0"].model.named_parameters() if ".lora_" not in key]
    assert all(p.grad is None for p in base)
    assert not {id(p) for p in team.policies["llm_0"].parameters()} & {
        id(p) for p in team.policies["llm_1"].parameters()
    }


def test_two_copies_have_one_frozen_reference(folders):
    team = cory.team(config(folders), Answer(num_agents=1))
    assert team.policies["llm_0"].reference is team.policies["llm_1"].reference
    assert team.policies["llm_0"].model is not team.policies["llm_1"].model


def test_roles_are_a_function_of_the_step(folders):
    how = config(folders, exchange_every=5)
    assert [cory.roles(how, step)[0] for step in (0, 4, 5, 9, 10)] == [
        "llm_0",
        "llm_0",
        "llm_1",
        "llm_1",
        "llm_0",
    ]
    assert {cory.roles(config(folders, exchange_every=0), step) for step in range(50)} == {cory.LLMS}
    assert cory.roles(config(folders, observer="none"), 7) == ("llm_0",)


def test_the_observer_reads_turn_by_turn_what_the_pioneer_wrote_and_both_are_paid_for_both(folders):
    task, how = Answer(num_agents=1, turns=2), config(folders, episodes=6, max_new_tokens=2)
    team = cory.team(how, task)
    played = cory.answer(how, task, team)
    assert list(played) == ["llm_0", "llm_1"]
    paths = {name: episodes(roots) for name, roots in played.items()}
    for first, second in zip(paths["llm_0"], paths["llm_1"], strict=True):
        for one, other in zip(first, second, strict=True):
            (query,), (shown,), (wrote,) = one.prompts.values(), other.prompts.values(), one.moves.values()
            assert shown == f"{query} read {wrote.text}"
    paid = payments(paths)
    for k, (first, second) in enumerate(zip(paths["llm_0"], paths["llm_1"], strict=True)):
        sums = [one.reward + other.reward for one, other in zip(first, second, strict=True)]
        assert paid["llm_0"][k] == paid["llm_1"][k] == pytest.approx(sums)


def test_a_blind_observer_reads_what_the_pioneer_reads_and_one_model_alone_is_paid_for_itself(folders):
    task = Answer(num_agents=1)
    how = config(folders, observer="blind", observer_prompt="", episodes=6)
    played = cory.answer(how, task, cory.team(how, task))
    first, second = ([path[0].prompts for path in episodes(roots)] for roots in played.values())
    assert first == second
    how = config(folders, observer="none", episodes=6)
    played = cory.answer(how, task, cory.team(how, task))
    paths = {name: episodes(roots) for name, roots in played.items()}
    assert payments(paths) == {"llm_0": [[path[0].reward] for path in paths["llm_0"]]}


def test_what_one_earns_after_the_other_has_ended_is_paid_at_the_others_end():
    task = Answer(num_agents=1, turns=3)

    class Node:
        def __init__(self, reward):
            self.reward = reward

    short, long = [Node(1.0)], [Node(10.0), Node(100.0), Node(1000.0)]
    assert payments({"a": [short], "b": [long]}) == {"a": [[1111.0]], "b": [[11.0, 100.0, 1000.0]]}
    shown = Observed(task, "{query}: {text}")
    state = shown.start(observed(task.items("train")[0], ["{query}"]), 0)
    query = task.prompt(state.inner, "agent_0")
    assert shown.prompt(state, "agent_0") == f"{query}: {{query}}"  # texts are never templates
    state = shown.play(state, {"agent_0": "a0"})
    assert shown.prompt(state, "agent_0") == task.prompt(state.inner, "agent_0")


def test_rewards_are_scaled_by_their_running_deviation_only_on_request(folders):
    team = cory.team(config(folders), Answer(num_agents=1))
    paid = {"llm_0": [[1.0], [3.0]], "llm_1": [[1.0], [3.0]]}
    assert team.scaled(paid) == {"llm_0": [[1.0], [3.0]], "llm_1": [[1.0], [3.0]]}  # deviation 1
    assert team.scaled({"llm_0": [[6.0], [6.0]]})["llm_0"][0][0] == pytest.approx(6 / 4.5**0.5)
    assert not cory.Config().scale_rewards


ENVS = {
    "StrBuild-v0": {"prompts": "terse", "max_turns": 2},
    "HouseBuild-v0": {"prompts": "terse", "max_turns": 1},
    "TLDR-v0": {"prompts": "terse"},
    "ArXiv-v0": {"prompts": "terse"},
    "CoopHE-v0": {},
}


@pytest.mark.parametrize("env", ENVS)
def test_every_environment_has_a_form_for_one_agent_that_it_trains_on(folders, env):
    how = config(
        folders, env=env, env_kwargs=ENVS[env], observer_prompt="", episodes=2, steps=1, epochs=1, kl=0.1
    )
    how.max_new_tokens = 4
    made = make(how.env, **how.env_kwargs)
    assert made.task.agents == ("agent_0",)
    metrics = next(cory.train(how, made.task, cory.team(how, made.task)))
    assert metrics["tokens"] > 0
    assert all(value == value for value in metrics.values())


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"shared": True}, "CORY duplicates one `model`"),
        ({"credit": "difference"}, "credit must be shared, got 'difference'"),
        ({"env_kwargs": {"num_agents": 2}}, "num_agents must be 1, got 2"),
        ({"length": "mean"}, "length is for estimator='group'"),
        ({"exchange_every": -1}, "exchange_every must be at least 0"),
        ({"estimator": "group", "group": 1}, "group must be at least 2, got 1"),
        ({"kl": 0.0, "kl_target": 1.0}, "kl_target and kl must be above 0, got 1.0 and 0.0"),
        ({"observer_prompt": "{query}"}, r"observer_prompt needs {query} and {text}, got '{query}'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, reason):
    with pytest.raises(ValueError, match=reason):
        cory.Config(**wrong)


def test_an_environment_of_several_agents_is_refused_with_the_way_out(folders):
    how = config(folders)
    with pytest.raises(ValueError, match="has 2 agents: set num_agents to 1"):
        cory.team(how, Answer(num_agents=2))


def test_the_observers_turns_are_graded_side_by_side_where_the_tasks_are():
    assert Observed(make("CoopHE-v0", num_agents=1).task, "{query}{text}").parallel_play
    assert not Observed(Answer(num_agents=1), "{query}{text}").parallel_play


def test_whatever_a_task_may_have_is_passed_on_to_who_observes_it():
    task = make("CoopHE-v0", num_agents=1).task
    seen = Observed(task, "{query}{text}")
    item = task.items("eval")[0]
    state = seen.start(observed(item, ["a text"]), 0)
    assert silence(seen, state, "agent_0") == silence(task, task.start(item, 0), "agent_0") != ""
    assert silence(Observed(Answer(num_agents=1), "{query}{text}"), state, "agent_0") == ""
    assert in_parallel(seen)


def test_dice_of_the_pioneer_are_those_of_one_model_alone(folders):
    task = Answer(num_agents=1)
    texts = []
    for observer in ("reads", "none"):
        how = config(folders, observer=observer, episodes=8)
        roots = cory.answer(how, task, cory.team(how, task))["llm_0"]
        texts.append([path[0].moves["agent_0"].text for path in episodes(roots)])
    assert texts[0] == texts[1]
