"""ArXiv-v0 through the public environment: published numbers, prompts, players, the older band."""

import json
from random import Random

import folders
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import collm_envs
from collm_envs.testing import check_env
from collm_envs.writing.arxiv import LENGTH_BANDS, RULES
from collm_envs.writing.score import REACHABLE, Comparison, levels, measure

GOLDEN = json.loads((folders.GOLDEN / "arxiv.json").read_text())
ABSTRACT = "We study {folded} sheets. Thin sheets buckle under load, and nobody knows how soon or how often."
ENV = collm_envs.make("ArXiv-v0", items=[{"abstract_text": ABSTRACT}])
OLDER = collm_envs.make("ArXiv-v0", items=[{"abstract_text": ABSTRACT}], length_band="older")


def play_once(env, texts):
    env.reset(seed=0)
    return env.step(dict(zip(env.possible_agents, texts, strict=True)))


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_golden_case_holds_through_the_public_environment(case):
    want = case["output"]
    _, rewards, *_, infos = play_once(ENV, list(case["input"].values()))
    got = infos["agent_1"]["metrics"]
    assert rewards["agent_1"] == pytest.approx(want["reward"], abs=1e-9)
    assert got["score"] == pytest.approx(want["reward"] / 3.0, abs=1e-9)
    assert got["jaccard"] == pytest.approx(want["logger_metrics"]["jaccard_score"], abs=1e-9)
    assert got["transition_kinds"] == want["logger_metrics"]["num_transition_categories"]


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_the_older_band_gives_the_length_level_of_the_published_log(case):
    first, second = case["input"].values()
    ratio = len(second) / len(first)
    assert LENGTH_BANDS["older"].worth(ratio) == pytest.approx(
        case["output"]["logger_metrics"]["level2_reward"]
    )
    *_, infos = play_once(OLDER, [first, second])
    if "length" in infos["agent_0"]["reward_parts"]:
        want = case["output"]["logger_metrics"]["level2_reward"]
        assert infos["agent_0"]["reward_parts"]["length"] == pytest.approx(want, abs=1e-9)


@pytest.mark.parametrize(
    ("ratio", "current", "older"),
    [
        (0.79, None, None),
        (0.8, 0.0, 0.0),
        (1.0, 0.4, 1.0),
        (1.3, 1.0, 1.0),
        (1.4, 1.0, 0.5),
        (1.51, 1.0, None),
        (1.8, 0.5, None),
        (2.0, 0.0, None),
        (2.01, None, None),
    ],
)
def test_the_two_length_bands_by_hand(ratio, current, older):
    for name, worth in (("current", current), ("older", older)):
        band = LENGTH_BANDS[name]
        assert (ratio in band) == (worth is not None)
        assert band.worth(ratio) == pytest.approx(worth or 0.0)


def test_the_worked_example_of_the_docstring():
    texts = [measure("w " * 150), measure("w " * 170)]
    parts, _ = levels(texts, [Comparison(1.2, 0.9, 0.115, 7)], RULES)
    assert sum(parts.values()) == pytest.approx(2.38, abs=1e-12)


def test_transitions_are_found_across_the_seam_of_the_two_texts():
    *_, infos = play_once(ENV, ["pith", "enrich"])  # "then" in "pithenrich"
    assert infos["agent_0"]["metrics"]["transition_kinds"] == 2


def test_each_role_is_told_of_the_other_half_and_not_of_the_reward():
    observations, _ = ENV.reset(seed=0)
    background, method = (text.replace(ABSTRACT, "") for text in observations.values())
    assert all(ABSTRACT in text for text in observations.values())
    assert "You write its background and motivation. Another agent writes the method" in background
    assert "You write its method and implications. Another agent writes the background" in method
    assert not any(character.isdigit() for character in background + method)


def test_more_agents_share_the_second_half_in_numbered_parts():
    env = collm_envs.make("ArXiv-v0", items=[{"abstract_text": ABSTRACT}], num_agents=3)
    observations, _ = env.reset(seed=0)
    assert "2 other agents write the method" in observations["agent_0"]
    assert "part 1 of 2" in observations["agent_1"]
    assert "part 2 of 2" in observations["agent_2"]


def test_terse_and_lone_prompts():
    row = [{"abstract_text": ABSTRACT}]
    head = "We study {folded} sheets. Thin sheets buckle under load, and nobody knows"
    terse, _ = collm_envs.make("ArXiv-v0", items=row, prompts="terse").reset(seed=0)
    assert list(terse.values()) == [f"background: {head}", f"method: {head}"]
    alone, _ = collm_envs.make("ArXiv-v0", items=row, num_agents=1).reset(seed=0)
    assert "[PARAGRAPH_SPLIT]" in alone["agent_0"]
    assert ABSTRACT in alone["agent_0"]


@pytest.mark.parametrize(
    "kwargs", [{}, {"num_agents": 1}, {"num_agents": 4}, {"length_band": "older"}], ids=str
)
def test_the_expert_reaches_the_maximum_on_every_built_in_abstract(kwargs):
    env = collm_envs.make("ArXiv-v0", **kwargs)
    for split in ("train", "eval"):
        for item in env.items(split):
            env.reset(seed=0, options={"item": item.id, "split": split})
            texts = {a: env.task.players["expert"](env.task, env.snapshot, a, Random(0)) for a in env.agents}
            _, rewards, *_ = env.step(texts)
            assert rewards["agent_0"] == pytest.approx(REACHABLE, abs=1e-9)


@given(st.text(min_size=1).filter(str.strip))
@settings(max_examples=100, deadline=None)
def test_the_expert_reaches_the_maximum_on_any_abstract(abstract):
    task = collm_envs.make_task("ArXiv-v0", items=[{"abstract": abstract}])
    state = task.start(task.items("train")[0], 0)
    texts = {agent: task.players["expert"](task, state, agent, Random(0)) for agent in task.agents}
    assert task.score(task.play(state, texts)).reward == pytest.approx(REACHABLE, abs=1e-9)


def test_noisy_play_is_of_mixed_quality():
    task = collm_envs.make_task("ArXiv-v0")
    state, rng, rewards = task.start(task.items("train")[0], 0), Random(0), []
    for _ in range(200):
        texts = {agent: task.players["noisy"](task, state, agent, rng) for agent in task.agents}
        rewards.append(task.score(task.play(state, texts)).reward)
    assert 1.0 < sum(rewards) / len(rewards) < 2.2
    assert min(rewards) == 0.0
    assert max(rewards) > 2.8


def test_check_env_passes_for_one_two_and_three_agents():
    rows = [{"abstract_text": ABSTRACT}]
    for n in (1, 2, 3):
        check_env(lambda n=n: collm_envs.make("ArXiv-v0", items=rows, num_agents=n), seeds=(0,))


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"length_band": "old"}, "length_band"),
        ({"items": [{"text": "x"}]}, "missing column 'abstract_text'"),
        ({"items": [{"abstract_text": "x", "token_count": [1]}]}, "token_count"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_with_their_name(kwargs, error):
    with pytest.raises(ValueError, match=error):
        collm_envs.make("ArXiv-v0", **kwargs)


@given(st.text(max_size=2000), st.text(max_size=2000))
@settings(max_examples=200, deadline=None)
def test_any_two_texts_earn_a_reward_in_range(first, second):
    _, rewards, *_ = play_once(ENV, [first, second])
    assert 0.0 <= rewards["agent_0"] <= REACHABLE
