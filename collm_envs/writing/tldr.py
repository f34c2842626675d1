"""TLDR: agents write a brief and a detailed summary of one post without reading each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, Literal, get_args

from collm_envs.datasets import Slice, Source, load
from collm_envs.keywords import choice, truth
from collm_envs.task import Item, Scene, Score, agent_names
from collm_envs.writing.players import PLAYERS
from collm_envs.writing.score import DELIMITER, REACHABLE, Band, Rules, score
from collm_envs.writing.state import State, head, owners, scene, stand_in, written

Prompts = Literal["full", "terse"]

SOURCE = Source(
    task="TLDR-v0",
    columns={"prompt": ()},
    extra=("completion",),
    builtin={"train": "tldr_train.jsonl", "eval": "tldr_eval.jsonl"},
    hub=("trl-lib/tldr",),
    revision="21233da376667088e6eb1ce4ce19ed832c2935d3",
    slices={"train": Slice(("train",), 0, 1100), "eval": Slice(("test",), 0, 1100)},
)

BRIEF = (
    "Read the forum post and sum it up briefly: one sentence or a few, only facts that the post states.\n\n"
    "{source}\n\nBrief summary:"
)
DETAILED = (
    "Read the forum post and write a detailed summary of it. Use a rich vocabulary with many different "
    "words, and lead from one point to the next with some transition words.\n\n"
    "{source}\n\nDetailed summary:"
)
ALONE = (
    f"Read the forum post and sum it up in two paragraphs with a line {DELIMITER} between them, written "
    "exactly so. The first paragraph is brief and factual; the second is detailed, with more different "
    "words and some transition words. Each has 10 to 200 tokens, and the second is two to three times as "
    "long as the first, counted in characters.\n\n{source}\n\nTwo paragraphs:"
)


class TLDR:
    """Agents sum up the same forum post without reading each other: one briefly, the others in detail.

    **What each agent sees.**  One message with the whole post.  `agent_0` is asked for a brief factual
    summary, every other agent for a detailed one with a rich vocabulary and some transition words.  Prompts
    mention neither the other agents nor the required lengths nor the reward.  `prompts="terse"`: a word for
    the role and the first 12 words of the post, for models with a short context.  `num_agents=1`: one agent
    is asked for both paragraphs and is told the delimiter and the lengths.

    **What each agent writes.**  Free text, taken as it is.  A lone agent's text is split into two
    paragraphs: at the first `[PARAGRAPH_SPLIT]`, else at "Paragraph 2:", else after a third of its
    characters.

    **Reward.**  Shared, 0 to 2.98.  Every later text c_k is paired with the first one c_1; a level's value is
    the mean over the pairs; its gate must hold for every pair, or the levels after it earn nothing.  Two
    texts are one pair.

        1  8 <= tokens <= 256 for every text (split at blanks)             0.5        else stop
        2  r = characters(c_k) / characters(c_1), 1.1 <= r <= 5.0           0 to 1     else stop
           1 from 1.6 to 3.2, straight lines to 0 at 1.1 and 5.0
        3  q = different words(c_k) / different words(c_1), q >= 1.3        0 to 0.5   else stop
           straight line from 0 at 1.3 to 0.5 at 2.0 and beyond
        4  0.4 t + 0.6 j                                                   0 to 0.98
           t = 0.4 + 0.05 (K - 1) for K > 0 of 12 kinds of transition in c_k, inside longer words
           too ("so" in "also"); j = min(J, 0.03) / 0.03 for the Jaccard index J of the words but stopwords

    Worked example: 12 and 40 tokens; r = 3 gives 1; q = 1.65 gives 0.25; K = 5 gives t = 0.6; J = 0.015
    gives j = 0.5; together 0.5 + 1 + 0.25 + 0.4 * 0.6 + 0.6 * 0.5 = 2.29.

    Metrics: `score` = reward / 3, as published; `score_reachable` = reward / 2.98; every measured quantity,
    whether gates are open or not.  Not part of the reward, which never reads the post: `source_covered`, the
    share of the post's words (but stopwords) that the texts use, and `source_copied`, the share of the texts'
    runs of four words that stand in the post.

    **End.**  After one turn.  `self_contained` changes nothing.

    **Data and licence.**  `data="builtin"`: 96 + 32 posts written for this project, CC0.  `data="hub"`:
    `trl-lib/tldr`, the published slices train[:1100] and test[:1100] at a pinned commit (`hub_revision`
    picks another, `limit=1000` gives the slices of the published single-agent and IAC runs).
    `data="posts.jsonl"` or `items=[{"prompt": ...}]`: your own; "completion" is kept and never read.

    **Source and where we differ.**  arXiv:2601.21972 and OpenMLRL/LLM_Collab_Writing, commit 7e59995 (its
    training reward; its evaluation log computes other numbers).  Prompts are in our own words.  One
    definition serves reward and metrics.  Agents beyond the second are ours.  A post must not be blank.

    **Versions.**  v0: the published reward, equal to it within 1e-9.
    """

    revision = 1
    players = PLAYERS
    max_turns = 1
    reward_range = (0.0, REACHABLE)
    rules = Rules((8, 256), Band(1.1, 1.6, 3.2, 5.0), Band(1.3, 2.0, inf, inf), 0.03, "later")
    practice_tokens = ((6, 16), (8, 34))
    """tokens of the `noisy` player's first and later paragraphs"""
    silent_tokens = (16, 40)
    """tokens of a silent agent's first and later texts: lengths that keep the gates open"""

    def __init__(
        self,
        *,
        items: Any = None,
        data: str = "builtin",
        hub_revision: str | None = None,
        limit: int | None = None,
        num_agents: int = 2,
        prompts: Prompts = "full",
        self_contained: bool = False,
    ):
        self.agents = agent_names(num_agents)
        truth("self_contained", self_contained)  # has no effect: every prompt of one turn is self-contained
        self.prompts: Prompts = choice("prompts", prompts, get_args(Prompts))
        self._items = load(SOURCE, items=items, data=data, hub_revision=hub_revision, limit=limit)

    def items(self, split: str) -> Sequence[Item]:
        """The posts of a split: {"prompt": ..., "completion": ...}."""
        return self._items[split]

    def start(self, item: Item, seed: int) -> State:
        """The post before the turn; nothing in this task is random."""
        return State(item.data["prompt"])

    def prompt(self, state: State, agent: str) -> str:
        """The agent's role and the post; "" after the turn."""
        if state.paragraphs:
            return ""
        first = agent == self.agents[0]
        if self.prompts == "terse":
            role = "both" if len(self.agents) == 1 else "brief" if first else "detailed"
            return f"{role}: {head(state.source)}"
        template = ALONE if len(self.agents) == 1 else BRIEF if first else DETAILED
        return template.format(source=state.source)

    def play(self, state: State, texts: Mapping[str, str]) -> State:
        """The state with the paragraphs as written."""
        return written(state, texts, self.agents)

    def score(self, state: State) -> Score:
        """Reward and metrics of the paragraphs."""
        return score(state.source, state.paragraphs, owners(self.agents), self.rules)

    def done(self, state: State) -> bool:
        """True after the only turn."""
        return bool(state.paragraphs)

    def default_text(self, state: State, agent: str) -> str:
        """Text of a silent agent: the first words of the post."""
        return stand_in(state, self.agents, agent, self.silent_tokens)

    def scene(self, state: State) -> Scene:
        """The post and the paragraphs."""
        return scene(state, self.agents, "post")
