"""The credit functions we ship: their gates on fresh turns, turns worked by hand, and who wrote them."""

import json
from dataclasses import replace

import pytest
import torch
from credit_games import played

from baselines.credit import language, pinned
from baselines.credit.coalitions import difference_rewards
from baselines.credit.features import extract
from baselines.credit.pinned import FOLDER, Refused, check_reads
from baselines.credit.written import load_written
from baselines.lm.history import Move
from baselines.play.episode import Node
from baselines.play.replays import Replays
from baselines.search.gates import admit
from baselines.search.ranking import equals, measure, shared_numbers
from baselines.search.turns import gather, scripted
from collm_envs.registry import make_task
from collm_envs.sandbox import Sandbox

SHIPPED = {
    "str_build": ("StrBuild-v0",),
    "house_build": ("HouseBuild-v0",),
    "tldr": ("TLDR-v0",),
    "arxiv": ("ArXiv-v0",),
    "coop_he": ("CoopHE-v0", "CoopHE-v1"),
}
COPY = """
def baseline(ctx, feat, me):
    return ctx["silent"] + sum(alone - ctx["silent"] for alone in feat["reward"])
"""
PAIRS = [(name, env) for name, envs in SHIPPED.items() for env in envs]


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as made:
        yield made


@pytest.mark.parametrize(("name", "env"), PAIRS)
def test_every_shipped_function_passes_its_gates_again_on_fresh_turns(sandbox, name, env):
    task, source = make_task(env), (FOLDER / f"{name}.py").read_text()
    contexts = gather(task, scripted(task, 2 if env.startswith("Coop") else 25, seed=101))
    mode = load_written(name).mode
    found = admit(sandbox, source, mode, replace(contexts, exchange=True), seed=101)  # demand equivariance
    assert found.checks["equivariant"] == "yes (demanded)"
    ours, nobody = measure(found, contexts, 0.5), shared_numbers(contexts, mode)
    assert ours.fidelity > max(0.75, nobody.fidelity)
    if not env.startswith("Coop"):  # the few turns of these that a test can grade say little
        assert ours.variance < 0.9


@pytest.mark.parametrize(("name", "env"), [("tldr", "TLDR-v0"), ("arxiv", "ArXiv-v0")])
def test_between_copying_the_other_ones_reward_and_the_shipped_half_of_it_the_loop_takes_the_latter(
    sandbox, name, env
):
    task = make_task(env)
    contexts = gather(task, scripted(task, 25, seed=0))
    sources = [COPY, (FOLDER / f"{name}.py").read_text()]
    copy, ours = (measure(admit(sandbox, source, "baseline", contexts), contexts, 0.5) for source in sources)
    assert copy.fidelity > 0.99 > ours.fidelity
    assert equals([copy, ours], "baseline") == [1]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_function_comes_with_its_report_and_its_author(name):
    facts = json.loads((FOLDER / f"{name}.json").read_text())
    assert set(facts["report"]["gates"]) == {
        *("static", "runs", "finite", "bounds", "steady", "blind", "equivariant"),
    }
    assert (
        set(facts["report"]["numbers"]) == set(facts["report"]["shared_reward"]) == {"fidelity", "variance"}
    )
    assert facts["env"] == SHIPPED[name][0]
    assert facts["env_kwargs"] == {}
    assert "language model" in facts["written_by"]
    assert facts["reviewed_by"]
    assert load_written(name).sha256 == facts["sha256"]
    read = language.reads((FOLDER / f"{name}.py").read_text(), facts["mode"])
    assert set(facts["reads"]) == {f"{place}.{n}" for place, names in read.items() for n in names}


def test_no_environment_is_without_a_function_and_no_function_is_unknown():
    forms = {path.stem: json.loads(path.read_text())["form"] for path in FOLDER.glob("*.json")}
    assert {name for name, form in forms.items() if form == "turn"} == set(SHIPPED)


def test_on_a_word_worked_by_hand_the_baseline_is_what_the_other_agents_blocks_earn():
    task = make_task("StrBuild-v0", items=[{"string": "I", "difficulty": 1}])
    texts = {
        "agent_0": "/setblock 2 2 0 stone",
        "agent_1": "/setblock 2 3 0 obsidian\n/setblock 2 4 0 obsidian",
    }
    nodes = played(task, [texts])
    b = load_written("str_build").credit(extract(Replays(task), nodes), torch.zeros(1).double())
    assert b[0].tolist() == pytest.approx([2 * 2 / 13 - 1 / 1 - 0.5, 2 * 1 / 13 - 0.5], abs=1e-9)


@pytest.mark.parametrize(
    ("mode", "lines", "reason"),
    [
        ("baseline", "return 1 / me", "baseline of turn 0, agent 0: ZeroDivisionError: division by zero"),
        ("baseline", "return 10 ** 400", "agent 0: OverflowError"),
        ("baseline", "return feat['reward']", "agent 0: TypeError"),
        ("baseline", "return exp(1000)", "agent 0: OverflowError: math range error"),
        ("weights", "return 0.5", "weights of turn 0: TypeError"),
        ("weights", "return [1]", "weights of turn 0: 2 numbers wanted, one for each agent, got 1"),
        ("mix", "return [reward, feat['reward'][9]]", "mix of turn 0: IndexError"),
    ],
)
def test_a_function_that_fails_in_training_is_refused_with_name_mode_turn_and_agent(
    tmp_path, mode, lines, reason
):
    path = tmp_path / "fails.py"
    path.write_text(
        f"from math import exp\n\n\ndef {mode}({', '.join(language.MODES[mode])}):\n    {lines}\n"
    )
    pinned.pin(path, written_by="the test", reads={}, form="turn", mode=mode, alpha=0.5)
    task = make_task("StrBuild-v0")
    features = extract(Replays(task), as_nodes(task, scripted(task, 1, seed=0)[0][0]), pairs=True)
    with pytest.raises(Refused, match=f"fails: .*{reason}"):
        load_written(path).credit(features, torch.zeros(1).double())


@pytest.mark.parametrize(("name", "env"), PAIRS[:2])
def test_with_two_builders_a_shipped_baseline_is_the_reward_without_the_agent(name, env):
    task = make_task(env)
    nodes = [node for turn in scripted(task, 3, seed=7) for one in turn for node in as_nodes(task, one)]
    replays = Replays(task)
    rewards = torch.tensor([node.reward for node in nodes]).double()
    b = load_written(name).credit(extract(replays, nodes), rewards)
    assert torch.allclose(rewards[:, None] - b, difference_rewards(replays, nodes), atol=1e-9)


def test_with_two_summaries_half_of_what_the_other_one_adds_is_expected():
    task = make_task("TLDR-v0")
    nodes = [node for turn in scripted(task, 3, seed=7) for one in turn for node in as_nodes(task, one)]
    features = extract(Replays(task), nodes)
    b = load_written("tldr").credit(features, torch.zeros(len(nodes)).double())
    silent = features.ctx["silent"][:, None]
    assert torch.allclose(b, silent + 0.5 * (features.feat["reward"].flip(1) - silent), atol=1e-9)


def as_nodes(task, one):
    moves = {agent: Move(None, [0], [0.0], text) for agent, text in one.texts.items()}
    after = task.play(one.before, one.texts)
    return [Node(task.items("train")[0], 0, one.before, {}, moves, after, task.score(after))]


def test_a_function_for_a_mixer_is_no_credit_for_text_agents_and_the_other_way_round():
    with pytest.raises(Refused, match="for a mixer, not for the credit of text agents"):
        load_written("two_step")
    with pytest.raises(Refused, match=r"str_build: reads 'ctx.best', the environment has \['table'\]"):
        check_reads(pinned.load_pinned("str_build"), {"table": torch.zeros(3)})


def test_a_function_for_another_environment_is_refused_with_what_it_misses():
    task = make_task("StrBuild-v0")
    features = extract(Replays(task), as_nodes(task, scripted(task, 1, seed=0)[0][0]))
    with pytest.raises(Refused, match=r"house_build is for another environment: feat\['match'\] is unknown"):
        load_written("house_build").credit(features, torch.zeros(1))
