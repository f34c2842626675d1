"""TLDR-v1: one post, a brief summary and a detailed one, rewarded for what they hold of the post."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from collm_envs.keywords import choice, truth
from collm_envs.task import Item, Scene, Score, agent_names
from collm_envs.writing.facts import Fact
from collm_envs.writing.fluency import body, sentences
from collm_envs.writing.score import DELIMITER, split_paragraphs
from collm_envs.writing.state import head, owners, title_of
from collm_envs.writing.tldr_v1_items import read_items
from collm_envs.writing.tldr_v1_players import PLAYERS, VOICES
from collm_envs.writing.tldr_v1_score import summary_score

Prompts = Literal["full", "terse"]
View = Literal["all", "split"]
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
    sentences), which bear out a sixth of the facts: the references' sentences on these alone earn 0.13.
    `num_agents=1`: one agent is asked for both and is told the delimiter.

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
        each the lower of that of the text and that of its sentences that hold facts

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

    revision = 3
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
        self._items = read_items(items, data, hub_revision, limit)

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
