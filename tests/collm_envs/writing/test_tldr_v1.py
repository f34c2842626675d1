"""TLDR-v1: what earns reward is what the texts hold of the post."""

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_returns import returned
from tldr_cheats import ITEMS, TASK, cheats, score

import collm_envs
from collm_envs.record import record
from collm_envs.replay import replay
from collm_envs.writing.facts import read_post, read_text
from collm_envs.writing.fluency import FUNCTION_WORDS, body, sentences, words_and_numbers
from collm_envs.writing.lexicon import TRANSITIONS
from collm_envs.writing.tldr_v1_items import check_facts, references

SISTER = TASK.items("eval")[1]
BRIEF, DETAILED = SISTER.data["brief"], SISTER.data["detailed"]
REFERENCE = 2.96
"""mean reward of the reference pairs"""


def test_every_reference_hits_the_core_and_all_facts_and_passes_the_gates():
    rewards = []
    for item in ITEMS:
        facts = TASK.start(item, 0).facts
        assert 5 <= len(facts) <= 9, item.id
        post = read_post(item.data["prompt"])
        brief, detailed = (read_text(item.data[name], post, facts) for name in ("brief", "detailed"))
        assert all(brief.hit[:3]), item.id
        assert all(detailed.hit), item.id
        assert brief.wrong == detailed.wrong == 0
        assert min(brief.gate, detailed.gate) > 0.6, item.id
        rewards.append(score(item, item.data["brief"], item.data["detailed"]).reward)
    assert min(rewards) > 2.3
    assert sum(rewards) / len(rewards) == pytest.approx(REFERENCE, abs=0.01)


def test_every_post_states_the_facts_that_are_asked_for():
    for item in ITEMS:
        stems = read_post(item.data["prompt"]).stems
        named = {word for fact in item.data["facts"] for group in fact for word in group}
        stated = [word for word in named if read_post(word.lstrip("!")).stems <= stems]
        assert len(stated) >= 0.5 * len(named), item.id


def test_every_word_of_a_built_in_fact_can_be_matched():
    """`can't` and `3rd` are two words to the reward; in revision 2 sixteen such words never matched."""
    for id, row in references().items():
        check_facts(row["facts"], id)


WORDINGS = {  # item -> (sentence, facts from 0 that it holds); the second reading proposed the wordings
    "train/4": ("Since a wedding my left ear has had a tinnitus, three weeks now.", {0, 1}),
    "train/31": ("About forty uninvited guests have said that they come.", {0}),
    "train/36": ("The company asked me in the interview to fix a real bug of theirs.", {0}),
    "train/40": ("My caramel turns gold at its edge.", set()),
    "eval/20": ("He plagiarized me, and there is nothing that I could do.", {0}),
    "eval/21": ("How much weight can it bear, and is there a gym for me?", set()),
    "eval/24": ("My wife is against it, as she has seen what comes in.", {1}),
}


@pytest.mark.parametrize("id", WORDINGS)
def test_a_fact_is_held_by_other_words_that_say_it_and_by_no_other(id):
    sentence, held = WORDINGS[id]
    (item,) = (item for item in ITEMS if item.id == id)
    reading = read_text(sentence, read_post(item.data["prompt"]), TASK.start(item, 0).facts)
    assert {k for k, hit in enumerate(reading.hit) if hit} == held


FIRST = BRIEF.split(". ")[0] + "."
SECOND = BRIEF.split(". ")[1]
TWO = " ".join(sentences(DETAILED)[:2])
GOLDEN = {
    "the references": (BRIEF, DETAILED, 1.0, 1.0, 1.0),
    "nothing": ("", "", 0.0, 0.0, 0.0),
    "brief alone": (BRIEF, "", 1.0, 0.0, 0.0),
    "detailed alone": ("", DETAILED, 0.0, 1.0, 0.0),
    # three of seven facts twice: nothing is added
    "the brief text twice": (BRIEF, BRIEF, 1.0, 3 / 7, 0.0),
    # 104 words are no brief text any more
    "the detailed text twice": (DETAILED, DETAILED, 0.0, 1.0, 0.0),
    # two facts of the core; the detailed text has both and all five others
    "one sentence of the brief text": (FIRST, DETAILED, 2 / 3, 1.0, 1.0),
    # one fact of the core
    "the other sentence": (SECOND, DETAILED, 1 / 3, 1.0, 1.0),
    # 1 and 4, then 2: it adds one of the four that are missing and has two of the brief text's three
    "two sentences of the detailed text": (BRIEF, TWO, 1.0, 3 / 7, 2 / 3 * 1 / 4),
    # 67 words: (90 - 67) / 55 of the length
    "brief text too long": (f"{BRIEF} {BRIEF}", DETAILED, 23 / 55, 1.0, 23 / 55),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_case_worked_by_hand(name):
    brief, detailed, *want = GOLDEN[name]
    got = score(SISTER, brief, detailed)
    if name == "brief text too long":  # its pairs of words come twice: that gate is for another test
        want[0] *= got.metrics["brief_fluent"]
        want[2] *= got.metrics["brief_fluent"]
    assert list(got.parts.values()) == pytest.approx(want, abs=1e-9)
    assert got.reward == pytest.approx(sum(want))
    assert got.metrics["score"] == pytest.approx(got.reward / 3)


CATS = {
    "prompt": "POST: My old cat drinks from my glass and never from the bowl. I go away for a week in May, "
    "and my brother will feed her. She is fourteen.\n\nTL;DR:",
    "facts": [[["cat"], ["glass"], ["!bowl"]], [["brother"], ["feed"]], [["fourteen"]]],
}


def test_a_fact_told_wrongly_is_reported_and_earns_nothing():
    task = collm_envs.make_task("TLDR-v1", items=[CATS])
    item = task.items("train")[0]
    right = "The cat of mine wants to drink from a glass that is mine."
    wrong = "The cat of mine wants to drink from a bowl and not from a glass."
    readings = [
        read_text(text, read_post(CATS["prompt"]), task.start(item, 0).facts) for text in (right, wrong)
    ]
    assert [(reading.hit, reading.wrong) for reading in readings] == [
        ((True, False, False), 0),
        ((False, False, False), 1),
    ]
    played = task.play(task.start(item, 0), {"agent_0": wrong, "agent_1": right})
    assert task.score(played).metrics["contradicted"] == 1.0


def test_every_cheat_is_well_below_the_references_on_every_item():
    rng = Random(0)
    for k, item in enumerate(ITEMS):
        best = score(item, item.data["brief"], item.data["detailed"]).reward
        for name, brief, detailed in cheats(item, ITEMS[k - 1], rng):
            assert score(item, brief, detailed).reward <= best - 0.6, (item.id, name)


PHRASES = [phrase for phrases in TRANSITIONS.values() for phrase in phrases]


def invented(item, rng, n):
    """A mixture of `n` pieces: sentences of the post whole, with words lost or shuffled, key words, phrases,
    sentences of other posts' references, also with key words in them."""
    post = sentences(body(item.data["prompt"]).split("POST:")[1])
    keys = [rng.choice(group).lstrip("!") for fact in item.data["facts"] for group in fact]
    other = rng.choice(ITEMS).data
    pieces = []
    for _ in range(n):
        own, foreign = rng.choice(post), rng.choice(sentences(f"{other['brief']} {other['detailed']}"))
        chosen = rng.sample(keys, rng.randint(1, min(8, len(keys))))
        pieces.append(
            rng.choice(
                (
                    own,
                    " ".join(word for word in own.split() if rng.random() > 0.25),
                    " ".join(rng.sample(own.split(), len(own.split()))),
                    " ".join(chosen),
                    rng.choice(PHRASES),
                    foreign,
                    " ".join(f"{rng.choice(sorted(FUNCTION_WORDS))} {key}" for key in chosen),
                )
            )
        )
    return "".join(piece + rng.choice((". ", " ", ", ", " and ", "\n")) for piece in pieces)


def test_copied_sentences_do_not_excuse_a_list_of_key_words():
    """Found by ten thousand invented cheats, at 2.69 of 3, when gates read a text as one."""
    (item,) = (item for item in ITEMS if item.id == "train/93")
    brief = (
        "carpet days nine do home hire It's waiting in. and Then you take another day off for the part.\n"
        "The paint is fine and it rides straight., "
    )
    detailed = (
        "days 23 part have waiting chair off carpet It's taking a day off see a look at the boiler, suck his "
        "say that it wants a part, and go.\nis 23 and a Do system? you have "
    )
    assert score(item, brief, detailed).reward < 1.0


CHEATS = {"seed": st.integers(0, 10**9), "first": st.integers(1, 4), "later": st.integers(2, 9)}


def check_invented_cheat(seed, first, later):
    rng = Random(seed)
    item = rng.choice(ITEMS)
    got = score(item, invented(item, rng, first), invented(item, rng, later))
    assert got.reward <= REFERENCE - 0.3


@settings(max_examples=150, deadline=None)
@given(**CHEATS)
def test_no_invented_cheat_comes_near_the_references(seed, first, later):
    check_invented_cheat(seed, first, later)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(**CHEATS)
def test_none_of_ten_thousand_invented_cheats_comes_near_the_references(seed, first, later):
    check_invented_cheat(seed, first, later)


def test_a_split_view_deals_the_sentences_out():
    env = collm_envs.make("TLDR-v1", view="split", num_agents=3)
    prompts, _ = env.reset(seed=0, options={"item": "eval/1"})
    parts = sentences(body(SISTER.data["prompt"]))
    for k, agent in enumerate(env.agents):
        for j, part in enumerate(parts):
            assert (part in prompts[agent].split("\n")) == (j % 3 == k)
    assert "the others are read by those who write with you" in prompts["agent_0"]


def test_more_detailed_texts_count_by_their_mean():
    three = collm_envs.make_task("TLDR-v1", num_agents=3)
    texts = dict(zip(three.agents, (BRIEF, DETAILED, ""), strict=True))
    got = three.score(three.play(three.start(SISTER, 0), texts))
    assert got.parts == pytest.approx({"brief": 1.0, "detailed": 0.5, "together": 0.5})
    assert got.rejected["agent_2"][0].why.startswith("earns nothing: length")


@pytest.mark.parametrize("num_agents", [2, 3, 4])
def test_in_a_split_view_talk_reaches_the_maximum_and_silence_does_not(num_agents):
    kwargs = {"view": "split", "num_agents": num_agents, "seeds": range(8)}
    best = returned("TLDR-v1", "solo", **kwargs)
    assert best > 2.6
    assert returned("TLDR-v1", "expert", talk=1, **kwargs) == pytest.approx(best)
    assert returned("TLDR-v1", "mute", talk=1, **kwargs) < 0.7 * best
    assert returned("TLDR-v1", "solo", num_agents=1, seeds=range(8)) == pytest.approx(2.9, abs=0.15)


def test_own_posts_bring_facts_or_a_completion():
    post = "POST: My cat sat on the mat.\n\nTL;DR:"
    task = collm_envs.make_task(
        "TLDR-v1", items=[{"prompt": post, "completion": "Old cat sat. On her mat, happy."}]
    )
    assert task.items("train")[0].data["facts"] == [[["old"], ["cat"]], [["mat"], ["happy"]]]
    assert task.players["expert"](task, task.start(task.items("train")[0], 0), "agent_0", Random(0)) != ""
    with pytest.raises(ValueError, match="needs facts, or a completion"):
        collm_envs.make_task("TLDR-v1", items=[{"prompt": post}])
    for wrong in ([], "cat", [["cat"]], [[["two words"]]], [[["!cat"]]], [[[3]]]):
        with pytest.raises(ValueError, match=r"items\[0\]: column 'facts' must hold 1 to 40 facts"):
            collm_envs.make_task("TLDR-v1", items=[{"prompt": post, "facts": wrong}])


TEXTS = st.text(max_size=200) | st.lists(
    st.sampled_from([*words_and_numbers(BRIEF), ".", "\n", "9,9", "\x00", "é", "[PARAGRAPH_SPLIT]"]),
    max_size=120,
).map(" ".join)


@pytest.mark.parametrize("num_agents", [1, 2])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_text_is_read_and_earns_a_reward_in_range(num_agents, data):
    env = collm_envs.make("TLDR-v1", num_agents=num_agents, limit=2)
    env.reset(seed=0)
    rewards = env.step({agent: data.draw(TEXTS) for agent in env.agents})[1]
    assert 0.0 <= rewards["agent_0"] <= 3.0
    assert replay(record(env)).status == "equal"


def test_prompts_are_terse_or_full_and_tell_the_lone_agent_its_delimiter():
    terse = collm_envs.make("TLDR-v1", prompts="terse").reset(seed=0)[0]
    assert re.match(r"brief: SUBREDDIT: \S+ TITLE:", terse["agent_0"])
    assert terse["agent_1"].startswith("detailed: ")
    assert "[PARAGRAPH_SPLIT]" in collm_envs.make("TLDR-v1", num_agents=1).reset(seed=0)[0]["agent_0"]
