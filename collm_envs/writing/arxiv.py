"""ArXiv: agents expand one abstract, each a different half, without reading each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

from collm_envs.datasets import Slice, Source, load
from collm_envs.keywords import choice, truth
from collm_envs.task import Item, Scene, Score, agent_names
from collm_envs.writing.players import PLAYERS
from collm_envs.writing.score import DELIMITER, REACHABLE, Band, Rules, score
from collm_envs.writing.state import State, head, owners, scene, stand_in, written

Prompts = Literal["full", "terse"]
LengthBand = Literal["current", "older"]

SOURCE = Source(
    task="ArXiv-v0",
    columns={"abstract_text": ("abstract", "prompt")},
    extra=("article_id", "token_count"),
    builtin={"train": "arxiv_train.jsonl", "eval": "arxiv_eval.jsonl"},
    hub=("OpenMLRL/arXiv_abstract",),
    revision="eac142a6550fff91bb1fb717c43ad3af3253ff48",
    slices={"train": Slice(("train",), 0, 1100), "eval": Slice(("val", "validation"), 0, 1100)},
)
RULES = Rules((128, 256), Band(0.8, 1.3, 1.6, 2.0), Band(0.5, 0.7, 1.3, 1.7), 0.23, "both")
LENGTH_BANDS: dict[str, Band] = {"current": RULES.length, "older": Band(0.8, 1.0, 1.3, 1.5)}

BACKGROUND = (
    "Below stands the abstract of a research paper that is to become a longer introduction. You write its "
    "background and motivation. {others} the method and the implications, so leave those out and repeat "
    "nothing.\n\nAbstract:\n{source}\n\nBackground and motivation:"
)
METHOD = (
    "Below stands the abstract of a research paper that is to become a longer introduction. You write its "
    "method and implications{part}. Another agent writes the background and the motivation, so leave those "
    "out and repeat nothing.\n\nAbstract:\n{source}\n\nMethod and implications:"
)
ALONE = (
    f"Expand the abstract of a research paper into two paragraphs with a line {DELIMITER} between them, "
    "written exactly so. The first gives the background and the motivation, the second the method and the "
    "implications. Make both about equally long, do not repeat yourself, and connect your sentences with "
    "transitions of many kinds: contrast, cause, order in time, example, condition, summary and others.\n\n"
    "Abstract:\n{source}\n\nTwo paragraphs:"
)


class ArXiv:
    """Agents expand one abstract without reading each other: one the background, the others the method.

    **What each agent sees.**  One message with the whole abstract.  `agent_0` is asked for background and
    motivation, every other agent for method and implications; each is told that the other half is being
    written by others and not to repeat it.  With more than two agents those after the first are told which
    part of the second half to write.  Prompts do not mention the reward.  `prompts="terse"`: a word for the
    role and the first 12 words of the abstract, for models with a short context.  `num_agents=1`: one agent
    is asked for both paragraphs, of about equal length and with many kinds of transition.

    **What each agent writes.**  Free text, taken as it is.  A lone agent's text is split into two
    paragraphs: at the first `[PARAGRAPH_SPLIT]`, else at "Paragraph 2:", else after a third of its
    characters.

    **Reward.**  Shared, 0 to 2.98.  Every later text c_k is paired with the first one c_1; a level's value is
    the mean over the pairs; its gate must hold for every pair, or the levels after it earn nothing.  Two
    texts are one pair.

        1  128 <= tokens <= 256 for every text (split at blanks)           0.5        else stop
        2  r = characters(c_k) / characters(c_1), 0.8 <= r <= 2.0           0 to 1     else stop
           1 from 1.3 to 1.6, straight lines to 0 at 0.8 and 2.0
        3  q = different words(c_k) / different words(c_1), 0.5 to 1.7      0 to 0.5   else stop
           0.5 from 0.7 to 1.3, straight lines to 0 at 0.5 and 1.7
        4  0.4 t + 0.6 j                                                   0 to 0.98
           t = 0.4 + 0.05 (K - 1) for K > 0 of 12 kinds of transition in c_1 c_k joined without a blank,
           inside longer words too ("so" in "also"); j = min(J, 0.23) / 0.23 for the Jaccard index J of the
           words but stopwords

    Worked example: 150 and 170 tokens; r = 1.2 gives 0.8; q = 0.9 gives 0.5; K = 7 gives t = 0.7; J = 0.115
    gives j = 0.5; together 0.5 + 0.8 + 0.5 + 0.4 * 0.7 + 0.6 * 0.5 = 2.38.

    `length_band="older"` is the band published before 2025-12-31, which the published evaluation log still
    uses: 1 from 1.0 to 1.3, straight lines to 0 at 0.8 and 1.5, stop outside.

    Metrics: `score` = reward / 3, as published; `score_reachable` = reward / 2.98; every measured quantity,
    whether gates are open or not.  Not part of the reward, which never reads the abstract: `source_covered`,
    the share of the abstract's words (but stopwords) that the texts use, and `source_copied`, the share of
    the texts' runs of four words that stand in the abstract.

    **Keywords.**
    - `length_band`: allowed ratio of lengths: "current", or "older", see above

    **End.**  After one turn.  `self_contained` changes nothing.

    **Data and licence.**  `data="builtin"`: 96 + 32 abstracts of invented studies written for this project,
    CC0.  `data="hub"`: `OpenMLRL/arXiv_abstract`, the published slices train[:1100] and val[:1100] at a
    pinned commit (`hub_revision` picks another, `limit=1000` gives the slices of the published single-agent
    and IAC runs).  `data="abstracts.jsonl"` or `items=[{"abstract_text": ...}]`: your own; "abstract" and
    "prompt" are understood as names of that column, "article_id" and "token_count" are kept and never read.

    **Source and where we differ.**  arXiv:2601.21972 and OpenMLRL/LLM_Collab_Writing, commit 7e59995 (its
    training reward; its evaluation log computes other numbers).  Prompts are in our own words.  One
    definition serves reward and metrics.  Agents beyond the second are ours.  An abstract must not be
    blank.

    **Versions.**  v0: the published reward, equal to it within 1e-9.
    """

    revision = 1
    players = PLAYERS
    max_turns = 1
    reward_range = (0.0, REACHABLE)
    practice_tokens = ((116, 160), (120, 220))
    """tokens of the `noisy` player's first and later paragraphs"""
    silent_tokens = (150, 190)
    """tokens of a silent agent's first and later texts: lengths that keep the gates open"""

    def __init__(
        self,
        *,
        items: Any = None,
        data: str = "builtin",
        hub_revision: str | None = None,
        limit: int | None = None,
        num_agents: int = 2,
        length_band: LengthBand = "current",
        prompts: Prompts = "full",
        self_contained: bool = False,
    ):
        self.agents = agent_names(num_agents)
        choice("length_band", length_band, get_args(LengthBand))
        truth("self_contained", self_contained)  # has no effect: every prompt of one turn is self-contained
        self.rules = replace(RULES, length=LENGTH_BANDS[length_band])
        self.prompts: Prompts = choice("prompts", prompts, get_args(Prompts))
        self._items = load(SOURCE, items=items, data=data, hub_revision=hub_revision, limit=limit)

    def items(self, split: str) -> Sequence[Item]:
        """The abstracts of a split: {"abstract_text": ..., "article_id": ..., "token_count": ...}."""
        return self._items[split]

    def start(self, item: Item, seed: int) -> State:
        """The abstract before the turn; nothing in this task is random."""
        return State(item.data["abstract_text"])

    def prompt(self, state: State, agent: str) -> str:
        """The agent's role and the abstract; "" after the turn."""
        if state.paragraphs:
            return ""
        k, n = self.agents.index(agent), len(self.agents)
        if self.prompts == "terse":
            role = "both" if n == 1 else "method" if k else "background"
            return f"{role}: {head(state.source)}"
        if n == 1:
            return ALONE.format(source=state.source)
        if k == 0:
            others = "Another agent writes" if n == 2 else f"{n - 1} other agents write"
            return BACKGROUND.format(others=others, source=state.source)
        part = "" if n == 2 else f", part {k} of {n - 1} (other agents write the other parts)"
        return METHOD.format(part=part, source=state.source)

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
        """Text of a silent agent: the first words of the abstract."""
        return stand_in(state, self.agents, agent, self.silent_tokens)

    def scene(self, state: State) -> Scene:
        """The abstract and the paragraphs."""
        return scene(state, self.agents, "abstract")
