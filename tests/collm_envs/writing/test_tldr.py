"""TLDR-v0 through the public environment: published numbers, prompts, players, settings, any text at all."""

import json
from random import Random

import folders
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import collm_envs
from collm_envs.testing import check_env
from collm_envs.writing.players import LINKS, PLAIN
from collm_envs.writing.score import REACHABLE, transitions

GOLDEN = json.loads((folders.GOLDEN / "tldr.json").read_text())
POST = (
    "SUBREDDIT: r/pets\n\nTITLE: Cat on a shelf\n\nPOST: My {cat} sits where the books should be.\n\nTL;DR:"
)
PIECES = [
    "so",
    "As ",
    "x",
    "\u00e9",
    " ",
    "\n",
    "7",
    "\u3042",
    "\U0001f600",
    "\x00",
    "[PARAGRAPH_SPLIT]",
    "Paragraph 2:",
]
ENV = collm_envs.make("TLDR-v0", items=[{"prompt": POST}])
ALONE = collm_envs.make("TLDR-v0", items=[{"prompt": POST}], num_agents=1)


def play_once(env, texts):
    env.reset(seed=0)
    return env.step(dict(zip(env.possible_agents, texts, strict=True)))


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_golden_case_holds_through_the_public_environment(case):
    want = case["output"]
    _, rewards, terminations, truncations, infos = play_once(ENV, list(case["input"].values()))
    got, parts = infos["agent_0"]["metrics"], infos["agent_0"]["reward_parts"]
    assert rewards == dict.fromkeys(("agent_0", "agent_1"), pytest.approx(want["reward"], abs=1e-9))
    assert all(terminations.values())
    assert not any(truncations.values())
    assert sum(parts.values()) == pytest.approx(want["reward"], abs=1e-9)
    assert got["score"] == pytest.approx(want["reward"] / 3.0, abs=1e-9)
    assert got["score_reachable"] == pytest.approx(want["reward"] / 2.98, abs=1e-9)
    names = {
        "tokens_1": "token_count1",
        "tokens_2": "token_count2",
        "words_1": "unique_words1",
        "words_2": "unique_words2",
        "length_ratio": "length_ratio",
        "vocabulary_ratio": "unique_words_ratio",
        "transition_kinds": "num_categories",
        "jaccard": "jaccard_score_raw",
    }
    for ours, theirs in names.items():
        if theirs in want["components"]:
            assert got[ours] == pytest.approx(want["components"][theirs], abs=1e-9), ours
    assert (got["chars_1"], got["chars_2"]) == (want["len1_chars"], want["len2_chars"])


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_one_agent_writing_both_paragraphs_earns_what_two_agents_earn(case):
    first, second = case["input"].values()
    _, rewards, *_ = play_once(ALONE, [f"Paragraph 1: {first}\n[PARAGRAPH_SPLIT]\nParagraph 2: {second}"])
    assert rewards["agent_0"] == pytest.approx(case["output"]["reward"], abs=1e-9)


def test_roles_see_the_whole_post_and_nothing_of_the_rules_or_of_each_other():
    observations, _ = ENV.reset(seed=0)
    assert all(POST in text for text in observations.values())
    brief, detailed = (text.replace(POST, "").lower() for text in observations.values())
    assert "brief" in brief
    assert "detailed" in detailed
    assert "transition" in detailed
    assert "transition" not in brief
    for text in (brief, detailed):
        assert not any(character.isdigit() for character in text)
        assert "agent" not in text
    alone, _ = ALONE.reset(seed=0)
    assert "[PARAGRAPH_SPLIT]" in alone["agent_0"]
    assert "10 to 200" in alone["agent_0"]


def test_terse_prompts_name_the_role_and_the_head_of_the_post():
    env = collm_envs.make("TLDR-v0", items=[{"prompt": POST}], prompts="terse", num_agents=3)
    observations, _ = env.reset(seed=0)
    head = "SUBREDDIT: r/pets TITLE: Cat on a shelf POST: My {cat} sits where"
    assert list(observations.values()) == [f"brief: {head}", f"detailed: {head}", f"detailed: {head}"]


def test_a_text_that_closes_a_gate_is_rejected_with_the_reason():
    *_, infos = play_once(ENV, ["too short", "one two three four five six seven eight nine"])
    assert infos["agent_0"]["rejected"] == [{"line": "too short", "why": "2 tokens; need 8 to 256"}]
    assert infos["agent_1"]["rejected"] == []


@pytest.mark.parametrize("num_agents", [1, 2, 3, 6])
def test_the_expert_reaches_the_maximum_on_every_built_in_post(num_agents):
    env = collm_envs.make("TLDR-v0", num_agents=num_agents)
    for split in ("train", "eval"):
        for item in env.items(split):
            env.reset(seed=0, options={"item": item.id, "split": split})
            texts = {a: env.task.players["expert"](env.task, env.snapshot, a, Random(0)) for a in env.agents}
            _, rewards, *_ = env.step(texts)
            assert rewards["agent_0"] == pytest.approx(REACHABLE, abs=1e-9)


@given(st.text(min_size=1).filter(str.strip))
@settings(max_examples=200, deadline=None)
def test_the_expert_reaches_the_maximum_on_any_post(post):
    task = collm_envs.make_task("TLDR-v0", items=[{"prompt": post}])
    state = task.start(task.items("train")[0], 0)
    texts = {agent: task.players["expert"](task, state, agent, Random(0)) for agent in task.agents}
    assert task.score(task.play(state, texts)).reward == pytest.approx(REACHABLE, abs=1e-9)


def test_the_expert_is_not_misled_by_a_delimiter_in_the_post():
    task = collm_envs.make_task("TLDR-v0", items=[{"prompt": "cut [PARAGRAPH_SPLIT] here"}], num_agents=1)
    state = task.start(task.items("train")[0], 0)
    text = task.players["expert"](task, state, "agent_0", Random(0))
    assert task.score(task.play(state, {"agent_0": text})).reward == pytest.approx(REACHABLE, abs=1e-9)


def test_noisy_play_is_short_of_mixed_quality_and_from_few_words():
    task = collm_envs.make_task("TLDR-v0")
    state, rng, rewards, used = task.start(task.items("train")[0], 0), Random(0), [], set()
    for _ in range(300):
        texts = {agent: task.players["noisy"](task, state, agent, rng) for agent in task.agents}
        assert all(6 <= len(text.split()) <= 34 for text in texts.values())
        used |= {word for text in texts.values() for word in text.split()}
        rewards.append(task.score(task.play(state, texts)).reward)
    assert len(used) <= 50
    assert 1.0 < sum(rewards) / len(rewards) < 2.2
    assert min(rewards) == 0.0
    assert max(rewards) > 2.9


def test_plain_words_hold_no_transition_and_links_hold_all():
    assert transitions(" ".join(PLAIN)) == ()
    assert len(transitions(" ".join(LINKS))) == 12


def test_check_env_passes_for_one_two_and_three_agents():
    for n in (1, 2, 3):
        check_env(lambda n=n: collm_envs.make("TLDR-v0", items=[{"prompt": POST}], num_agents=n), seeds=(0,))


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"num_agents": 0}, "num_agents"),
        ({"prompts": "short"}, "prompts"),
        ({"self_contained": "yes"}, "self_contained"),
        ({"limit": 0}, "limit"),
        ({"items": []}, "empty"),
        ({"items": [{"post": "x"}]}, r"items\[0\]: missing column 'prompt'"),
        ({"items": [{"prompt": "  "}]}, "blank"),
        ({"items": [{"prompt": 3}]}, "must hold str, got int"),
        ({"items": ["x"]}, "need an object, got str"),
        ({"items": [{"prompt": "a", "id": "k"}, {"prompt": "b", "id": "k"}]}, "'k'"),
        ({"items": [{"prompt": "\ud800"}]}, "surrogate"),
        ({"hub_revision": "main"}, "hub_revision"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_with_their_name(kwargs, error):
    with pytest.raises(ValueError, match=error):
        collm_envs.make("TLDR-v0", **kwargs)


@given(st.text(max_size=400), st.text(max_size=400))
@settings(max_examples=400, deadline=None)
def test_any_two_texts_earn_a_reward_in_range(first, second):
    _, rewards, *_, infos = play_once(ENV, [first, second])
    assert 0.0 <= rewards["agent_0"] <= REACHABLE
    assert sum(infos["agent_0"]["reward_parts"].values()) == pytest.approx(rewards["agent_0"], abs=1e-9)


@given(st.lists(st.sampled_from(PIECES), max_size=30), st.integers(1, 4000))
@settings(max_examples=60, deadline=None)
def test_texts_of_any_size_are_played(pieces, times):
    text = "".join(pieces) * times
    for env in (ENV, ALONE):
        _, rewards, terminations, *_ = play_once(env, [text] * len(env.possible_agents))
        assert 0.0 <= rewards["agent_0"] <= REACHABLE
        assert all(terminations.values())
