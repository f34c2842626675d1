"""TLDR-v1: one post, a brief summary and a detailed one, rewarded for what they hold of the post."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from statistics import fmean
from typing import Any, Literal, get_args

from collm_envs.datasets import BUILTIN, Slice, Source, load
from collm_envs.keywords import choice, truth
from collm_envs.task import Item, Rejected, Scene, Score, agent_names
from collm_envs.writing.facts import CORE, Fact, TextReading, read_post, read_text
from collm_envs.writing.fluency import FUNCTION_WORDS, body, ramp, sentences, words
from collm_envs.writing.score import DELIMITER, SHOWN_CHARS, split_paragraphs
from collm_envs.writing.state import head, owners, title_of
from collm_envs.writing.tldr_v1_players import PLAYERS, VOICES

Prompts = Literal["full", "terse"]
View = Literal["all", "split"]
BRIEF_WORDS = (4, 8, 35, 90)
"""of a brief text: worth 0, 1, 1 and 0 at these lengths, straight lines between"""
MOST_FACTS = 40


def check_facts(value: Any, where: str) -> list[list[list[str]]]:
    """Facts as they stand in a row of data, or a ValueError that names `where` they are."""
    good = isinstance(value, Sequence) and not isinstance(value, str) and 0 < len(value) <= MOST_FACTS
    if not good or not all(map(_is_fact, value)):
        raise ValueError(
            f"{where} must hold 1 to {MOST_FACTS} facts, each a list of groups of single words, such as "
            f'[["plumber", "gerd"], ["love"], ["!hate"]], got {value!r:.200}'
        )
    return [[list(group) for group in fact] for fact in value]


def _is_fact(fact: Any) -> bool:
    def is_list(some: Any) -> bool:
        return isinstance(some, Sequence) and not isinstance(some, str) and len(some) > 0

    if not is_list(fact) or not all(map(is_list, fact)):
        return False
    named = [word for group in fact for word in group]
    return all(isinstance(word, str) and len(words(word)) == 1 for word in named) and any(
        not word.startswith("!") for word in named
    )


SOURCE = Source(
    task="TLDR-v1",
    columns={"prompt": ()},
    extra=("completion", "brief", "detailed"),
    nested={"facts": check_facts},
    builtin={"train": "tldr_train.jsonl", "eval": "tldr_eval.jsonl"},
    hub=("trl-lib/tldr",),
    revision="21233da376667088e6eb1ce4ce19ed832c2935d3",
    slices={"train": Slice(("train",), 0, 1100), "eval": Slice(("test",), 0, 1100)},
)
BRIEF = (
    "Read the forum post and sum it up briefly in your own words: one sentence or two, at most 35 words, "
    "with the three things that matter most.{others}\n\n{source}\n\nBrief summary:"
)
DETAILED = (
    "Read the forum post and write a detailed summary of it in your own words: all that matters, in whole "
    "sentences, in at most half as many words as the post.{others}\n\n{source}\n\nDetailed summary:"
)
ALONE = (
    f"Read the forum post and sum it up twice in your own words, with a line {DELIMITER} between, written "
    "exactly so. First briefly: one sentence or two, at most 35 words, with the three things that matter "
    "most. Then in detail: all that matters, in whole sentences, in at most half as many words as the post."
    "\n\n{source}\n\nTwo summaries:"
)
SPLIT = " You see only some of its sentences; the others are read by those who write with you."


@dataclass(frozen=True)
class State:
    """A post and the texts written about it."""

    item: Item
    facts: tuple[Fact, ...] = field(repr=False)
    texts: tuple[str, ...] = ()
    """empty before the turn; a lone agent's text is two"""


class FactualTLDR:
    """Agents sum up one forum post, one briefly, the others in detail; what they hold of the post is paid.

    **What each agent sees.**  One message with the post: `agent_0` is asked for a brief summary, every other
    agent for a detailed one, in own words, with the lengths wanted.  `view="split"`: of n agents, agent k
    reads only the sentences j (from 0) with j mod n = k, so that the facts of the others must be told
    (`talk=R`).  `prompts="terse"`: a word for the role and the first 12 words of the post (of its own
    sentences).  `num_agents=1`: one agent is asked for both and is told the delimiter.

    **What each agent writes.**  Free text.  A lone agent's text is split in two as in v0.

    **Facts.**  What a careful reader would keep of a post is written down once, in order of weight.  A fact
    is a list of groups of words; a sentence of a summary hits it if it holds a word of every group, compared
    by stems, and none of the words marked with `!`: `[["cat"], ["glass"], ["!bowl"]]`.  What hits nothing: a
    sentence of more than 45 words, one with nine words in a row of the post, and a list of key words (less
    than .3 function words, more than five other words in a row, or in an order unlike any English).

    **Reward**, shared, 0 to 3: B + D + T, of the brief text and (the mean over) the detailed ones.

        B = min(1, facts hit / 3) x length x gates    length: 1 for 8 to 35 words, 0 below 4 and from 90
        D = facts hit / facts x length x gates        length: 1 from 25 words to half of the post's (at
                                                      least 70), 0 to 10 and from .8 of it (at least 112)
        T = a x b x both lengths x both gates         a: share of the brief text's facts that D's has too
                                                      b: share of the facts missing there that it adds
        gates = grounded x own words x fluent, each a straight line from 0 to 1:
        grounded    share of content words that the post or common speech has: .5 to .85
        own words   share of runs of three words that stand in the post: .6 down to .35; times that of
                    neighbours that stand there with at most one word between: .85 down to .65
        fluent      shares of function words, commonest word, different pairs; a model of word classes
                    (collm_envs/writing/fluency.py)

    Worked example: a post with 6 facts and 200 words.  The brief text (20 words, gates 1) hits 2, the other
    (70 words; own words .5, other gates 1) hits 4, both of the brief one's among them: B = 2/3, D =
    4/6 x .5 = 1/3, T = 1 x 2/4 x .5 = 1/4; together 1.25.

    **Metrics.**  brief, detailed, together (B, D, T), `score` = reward / 3, facts hit and each gate of both
    kinds of text, words, and `contradicted`: facts that some text names with a word that must not stand
    beside it.  Reported, not paid.

    **Players.**  expert (writes the references; in a split view says which facts it sees), mute (writes what
    its own sentences bear out), solo, noisy, random; see `studies/results/v1_players.md`, also for what
    cheats earn (copies, key words, shuffled text, other posts' summaries).

    **Keywords.**
    - `view`: "all": everybody reads the whole post; "split": sentences are divided among the agents

    **End.**  After one turn.  `self_contained` changes nothing.

    **Data and licence.**  `data="builtin"`: the 96 + 32 posts of v0 with 5 to 9 facts and two reference
    summaries each, CC0.  `data="hub"`: as v0; facts are then pairs of content words of one sentence of the
    `completion`.  Your own: `items=[{"prompt": ..., "facts": [...], "brief": ..., "detailed": ...}]`, where
    facts may be missing if there is a "completion", and the references (which only players read) too.

    **Source and where we differ.**  Nenkova and Passonneau 2004 (pyramid method) for the facts; TLDR-v0
    (arXiv:2601.21972), whose reward never reads the post.

    **Versions.**  v1: this task.
    """

    revision = 1
    players = PLAYERS
    voices = VOICES
    max_turns = 1
    reward_range = (0.0, 3.0)

    def __init__(
        self,
        *,
        items: Any = None,
        data: str = "builtin",
        hub_revision: str | None = None,
        limit: int | None = None,
        num_agents: int = 2,
        view: View = "all",
        prompts: Prompts = "full",
        self_contained: bool = False,
    ):
        self.agents = agent_names(num_agents)
        truth("self_contained", self_contained)  # of one turn, every prompt is
        self.view: View = choice("view", view, get_args(View))
        self.prompts: Prompts = choice("prompts", prompts, get_args(Prompts))
        found = load(SOURCE, items=items, data=data, hub_revision=hub_revision, limit=limit)
        if items is None and data == "builtin":
            found = {split: tuple(map(_with_references, some)) for split, some in found.items()}
        self._items = {split: tuple(map(_with_facts, some)) for split, some in found.items()}

    def items(self, split: str) -> Sequence[Item]:
        """The posts of a split: {"prompt": ..., "facts": ..., "brief": ..., "detailed": ...}."""
        return self._items[split]

    def start(self, item: Item, seed: int) -> State:
        """The post, nothing written; nothing in this task is random."""
        return State(item, tuple(tuple(tuple(group) for group in fact) for fact in item.data["facts"]))

    def source(self, state: State, k: int) -> str:
        """What agent k reads of the post."""
        prompt = state.item.data["prompt"]
        n = len(self.agents)
        if self.view == "all" or n == 1:
            return prompt
        return "\n".join(part for j, part in enumerate(sentences(body(prompt))) if j % n == k)

    def prompt(self, state: State, agent: str) -> str:
        """Role and post; "" after the turn."""
        if state.texts:
            return ""
        k, lone = self.agents.index(agent), len(self.agents) == 1
        source = self.source(state, k)
        if self.prompts == "terse":
            return f"{'both' if lone else 'detailed' if k else 'brief'}: {head(source)}"
        others = SPLIT if self.view == "split" and not lone else ""
        return (ALONE if lone else DETAILED if k else BRIEF).format(source=source, others=others)

    def play(self, state: State, texts: Mapping[str, str]) -> State:
        """The texts as written."""
        if len(self.agents) == 1:
            return replace(state, texts=split_paragraphs(texts[self.agents[0]]))
        return replace(state, texts=tuple(texts[agent] for agent in self.agents))

    def score(self, state: State) -> Score:
        """Reward and metrics of the texts."""
        return summary_score(state.item.data["prompt"], state.facts, state.texts, owners(self.agents))

    def done(self, state: State) -> bool:
        """After the only turn."""
        return bool(state.texts)

    def scene(self, state: State) -> Scene:
        """The post and the texts."""
        titled = {"post": state.item.data["prompt"]}
        for k, (agent, text) in enumerate(zip(owners(self.agents), state.texts, strict=False), start=1):
            titled[f"summary {k}, {agent}"] = text
        return Scene(texts=titled, title=title_of(state.item.data["prompt"]))


def summary_score(
    prompt: str, facts: tuple[Fact, ...], texts: Sequence[str], writers: Sequence[str]
) -> Score:
    """Reward and metrics of a brief text and one or more detailed ones, the k-th written by `writers[k]`."""
    post = read_post(prompt)
    brief, *later = [read_text(text, post, facts) for text in texts]
    lengths = [_brief_length(brief.length), *(_detailed_length(one.length, post.length) for one in later)]
    full = [length * one.gate for length, one in zip(lengths, [brief, *later], strict=True)]
    most = min(CORE, len(facts))
    parts = {
        "brief": min(1.0, sum(brief.hit) / most) * full[0],
        "detailed": fmean(
            sum(one.hit) / len(facts) * value for one, value in zip(later, full[1:], strict=True)
        ),
        "together": fmean(
            _together(brief, one) * full[0] * value for one, value in zip(later, full[1:], strict=True)
        ),
    }
    reward = sum(parts.values())
    metrics = {
        "score": reward / 3.0,
        "contradicted": float(sum(one.wrong for one in [brief, *later])),
        **_metrics("brief", [brief]),
        **_metrics("detailed", later),
    }
    accepted: dict[str, list[str]] = {agent: [] for agent in writers}
    rejected: dict[str, list[Rejected]] = {agent: [] for agent in writers}
    for text, agent, one, value, length in zip(texts, writers, [brief, *later], full, lengths, strict=True):
        if value > 0:
            accepted[agent].append(text)
        else:
            names = {"length": length, **one.gates}
            why = ", ".join(name.replace("_", " ") for name, gate in names.items() if not gate)
            rejected[agent].append(
                Rejected(text[:SHOWN_CHARS], f"earns nothing: {why or 'too little of all'}")
            )
    return Score(reward, parts, metrics, accepted, rejected)


def _brief_length(n: int) -> float:
    zero, low, high, end = BRIEF_WORDS
    return ramp(n, zero, low) * ramp(n, end, high)


def _detailed_length(n: int, post: int) -> float:
    return ramp(n, 10, 25) * ramp(n, max(112.0, 0.8 * post), max(70.0, 0.5 * post))


def _together(brief: TextReading, detailed: TextReading) -> float:
    """Share of the brief text's facts that the detailed one has, times that of the others that it adds."""
    pairs = list(zip(brief.hit, detailed.hit, strict=True))
    if not any(brief.hit):
        return 0.0
    agree = sum(b and d for b, d in pairs) / sum(brief.hit)
    missing = len(pairs) - sum(brief.hit)
    return agree * sum(d and not b for b, d in pairs) / max(1, missing)


def _metrics(kind: str, readings: Sequence[TextReading]) -> dict[str, float]:
    """Means over the texts of a kind."""
    found = {
        f"{kind}_facts": fmean(sum(one.hit) for one in readings),
        f"{kind}_words": fmean(one.length for one in readings),
    }
    return found | {
        f"{kind}_{name}": fmean(one.gates[name] for one in readings) for name in readings[0].gates
    }


@cache
def references() -> Mapping[str, Mapping[str, Any]]:
    """item -> facts and reference summaries of the built-in posts."""
    lines = (BUILTIN / "tldr_facts.jsonl").read_text(encoding="utf-8").splitlines()
    return {row.pop("id"): row for row in map(json.loads, lines)}


def _with_references(item: Item) -> Item:
    return Item(item.id, {**item.data, **references()[item.id]})


def _with_facts(item: Item) -> Item:
    """The item, with facts from its completion where it has none; ValueError without either."""
    if "facts" in item.data:
        return item
    facts = facts_of(item.data.get("completion", ""))
    if not facts:
        raise ValueError(f"TLDR-v1: item {item.id!r} needs facts, or a completion with two content words")
    return Item(item.id, {**item.data, "facts": facts})


def facts_of(completion: str) -> list[list[list[str]]]:
    """Pairs of neighbouring content words of one sentence."""
    facts = []
    for sentence in sentences(completion):
        content = [word for word in words(sentence) if word not in FUNCTION_WORDS]
        facts += [[[one], [other]] for one, other in zip(content[::2], content[1::2], strict=False)]
    return facts[:MOST_FACTS]
