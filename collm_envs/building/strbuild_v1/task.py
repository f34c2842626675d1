"""StrBuild-v1: a word is built over several turns; each agent sees some letters and has one kind of block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Literal, get_args

from collm_envs.building.commands import CommandRules, parse, read_setblock, unfold_row
from collm_envs.building.difficulty import check_builders, check_difficulty, check_slack
from collm_envs.building.seats import Builder
from collm_envs.building.stacks import Placement, carry_out, standing
from collm_envs.building.strbuild.prompts import MARKS
from collm_envs.building.strbuild.words import HEIGHT, Word
from collm_envs.building.strbuild_v1 import prompts as say
from collm_envs.building.strbuild_v1.players import PLAYERS, VOICES
from collm_envs.building.strbuild_v1.score import BEST, EXTRA, wall_score
from collm_envs.building.strbuild_v1.state import State
from collm_envs.building.strbuild_v1.words import (
    generate,
    lay_out,
    letter_at,
    needs,
    patterns_of,
    ration,
    read_items,
)
from collm_envs.keywords import Frame, choice, whole_number
from collm_envs.task import AgentView, Cell, Item, Rejected, Scene, Score, agent_names

Reward = Literal["dense", "final"]
View = Literal["split", "all"]
Feedback = Literal["own", "letters"]
Prompts = Literal["full", "terse"]
KINDS = ("oak_planks", "stone", "white_concrete", "obsidian", "bricks", "glass", "sandstone", "gold_block")
"""builder k's block; every texture is another one"""


class SplitStrBuild:
    """Several agents build a word out of blocks; each sees some of its letters and must fill cells of all.

    **What each agent sees.**  Turn 1: its place in the team, the box, the wall as rows of `#`, `.` and `?`,
    its block and its stock.  Of n agents, agent k sees letter j (from 0, from the left) where j mod n = k;
    of the others it sees where they stand (`view="all"`: everything).  Later turns: the turn's number and its
    own blocks as rows of the wall; `feedback="letters"` also shows in the letters it sees what others have
    placed (`+`).  By default it does not, since agents could then tell each other anything with blocks in
    place of words.  `talk=R` gives them words.  One agent (`num_agents=1`) is the *solo* team: it sees
    everything and has the blocks of all `builders`.

    **What each agent writes.**  Lines `/setblock x y z block`: whole numbers, its own block or air.  Agent k
    has one kind of block, each of a texture of its own.  Its stock: `slack` times 14 for each letter, over n,
    rounded down, or what its cells with (x + y) mod n = k need where that is more (in your own words alone):
    a stock cut to fit would tell how many cells the unseen letters have.  The world lasts: a block stays
    until the agent that placed it takes it away (air) or replaces it, which gives it back.  A block in a cell
    where another agent's stands waits behind it: it counts for nothing until that one goes (and is listed as
    refused, "held by agent_1", though not to the agent).  Lines that cannot be used cost nothing.

    **Terse prompts.**  `prompts="terse"`: a line `1/2 1=oak_planks:9` (agent 1 of 2, mark, block, stock),
    then the wall, a line for each row from the top: y, a blank, a mark for each column.  Answers may be drawn
    in the same way: `4 1.1` means `/setblock 0 4 0 oak_planks` and `/setblock 2 4 0 oak_planks`, `-` is air.

    **Reward**, shared.  The worth of what stands:

        S = 2 covered/target - 4 extra/background - same/pairs

    covered: cells of the word that hold a block; extra: other cells that do; pairs: blocks that share a
    side, same: those of one texture.  `reward="dense"`: S less S before the turn, so that an episode earns S
    at its end; range -7 to 7 (S lies within -5 and 2).  `reward="final"`: S at the last turn, 0 before.
    Example: on `LI` (9 + 13 cells, 38 others) the agents place `/setblock 0 0 0 oak_planks` and
    `/setblock 1 0 0 stone` at turn 1: 2 * 2/22 - 0 - 0/1 = 0.1818.  At turn 2 the first adds
    `/setblock 6 0 0 oak_planks`, where nothing belongs: S = 0.1818 - 4 * 1/38 = 0.0766, reward -0.1053.

    **Metrics.**  `score` (S / 2, at least 0), those of v0 (iou, adj, coverage, ...), `worth` (S), `wasted`:
    lines of this turn that were refused or came to nothing, `stock_left`: blocks not placed, over all.

    **Difficulty** 1 to 6: n, n, n + 1, n + 1, n + 2, n + 2 letters for n builders; slack 1.5 down to 1.05.
    Training words are spelled with every second letter (A, C, E, ...), evaluation words at 1 to 3 too, at 4
    and 5 with the whole alphabet and always a letter not met in training.  At 6 there are no letters but
    random signs of 5x5 cells: nothing to guess from a font, and no name to say.

    **Players.**  expert (says what it sees, builds what it knows), mute (the same without a word: it fills
    of unseen letters the cells that most letters have, where that pays), solo (knows everything), noisy,
    random.  Return of the expert over the best mute player's at difficulty 1 to 6: see
    `studies/results/v1_players.md`.

    **Keywords.**
    - `builders`: number of kinds of blocks and of views; None: one for each agent
    - `difficulty`: 1 to 6, see above
    - `max_turns`: turns of an episode
    - `reward`: "dense": what a turn adds; "final": all of it at the end
    - `view`: "split": letters are divided among the agents; "all": everybody sees all
    - `feedback`: "own": later prompts show one's own blocks; "letters": also what stands in the letters
      one sees
    - `slack`: stock over what an equal share needs, 1 to 100; None: that of the difficulty
    - `words_seed`: fixes the words

    **End.**  After `max_turns` turns.

    **Data and licence.**  Generated: `n` words to train on and `n_eval` others, from `words_seed`.
    `items=[{"string": "ICML"}]` or `items=[{"signs": ["#...#/..#../.###./..#../#...#"]}]` takes your own.
    The font is that of OpenMLRL/LLM_Collab_Minecraft (MIT); all else is ours.

    **Source and where we differ.**  StrBuild-v0 (arXiv:2601.21972), where both agents see the whole word,
    each holds two textures, and the world is empty again at every turn.

    **Versions.**  v1: this task.
    """

    revision = 2
    players = PLAYERS
    voices = VOICES

    def __init__(
        self,
        *,
        items: Any = None,
        num_agents: int = 2,
        builders: int | None = None,
        difficulty: int = 1,
        max_turns: int = 6,
        reward: Reward = "dense",
        view: View = "split",
        feedback: Feedback = "own",
        slack: float | None = None,
        n: int = 128,
        n_eval: int = 32,
        words_seed: int = 0,
        prompts: Prompts = "full",
        self_contained: bool = False,
    ):
        self.agents = agent_names(num_agents)
        self.builders = check_builders(builders, num_agents, len(KINDS))
        self.difficulty = check_difficulty(difficulty)
        self.reward: Reward = choice("reward", reward, get_args(Reward))
        self.view: View = choice("view", view, get_args(View))
        self.feedback: Feedback = choice("feedback", feedback, get_args(Feedback))
        self.prompts: Prompts = choice("prompts", prompts, get_args(Prompts))
        self.slack = check_slack(slack, difficulty)
        self.frame = Frame(max_turns=max_turns, self_contained=self_contained)
        self.max_turns = self.frame.max_turns
        worst = -EXTRA - 1.0
        self.reward_range = (worst - BEST, BEST - worst) if reward == "dense" else (worst, BEST)
        kinds = KINDS[: self.builders]
        self.blocks = (kinds,) if num_agents == 1 else tuple((kind,) for kind in kinds)
        self.seats = tuple(Builder(k + 1, num_agents, self.blocks[k], 0) for k in range(num_agents))
        for name, value in (("n", n), ("n_eval", n_eval)):
            whole_number(name, value, least=1)
        whole_number("words_seed", words_seed)
        if items is None:
            self._items = generate(n, n_eval, self.builders, difficulty, self.slack, words_seed)
        else:
            self._items = read_items(items)
        self._rules: dict[tuple[int, int], CommandRules] = {}

    def items(self, split: str) -> Sequence[Item]:
        """The words of a split: {"string": ...} or {"signs": [...]}."""
        return self._items[split]

    def start(self, item: Item, seed: int) -> State:
        """An empty wall; nothing in this task is random."""
        word = lay_out(patterns_of(item))
        least = ration(len(patterns_of(item)), self.builders, self.slack)
        stock = tuple(max(least, cells) for cells in needs(word, self.builders))
        held = (stock,) if len(self.agents) == 1 else tuple((many,) for many in stock)
        return State(item, word, held, own=({},) * len(self.agents))

    def seen_letters(self, state: State, k: int) -> frozenset[int]:
        """The numbers (from 0) of the letters that agent k sees."""
        letters = range(len(patterns_of(state.item)))
        if self.view == "all":
            return frozenset(letters)
        return frozenset(j for j in letters if j % len(self.agents) == k)

    def prompt(self, state: State, agent: str) -> str:
        """The task at turn 1, then the agent's own blocks."""
        k = self.agents.index(agent)
        if state.turn == 0:
            return self._opening(state, k)
        opening = self._opening(state, k) if self.frame.repeats_prompt else ""
        return self.frame.follow_up(self._message(state, k), opening, state.texts.get(agent, ""))

    def play(self, state: State, texts: Mapping[str, str]) -> State:
        """Every agent's commands, carried out agent by agent on what stands, and what that is worth."""
        stacks, own = dict(state.stacks), tuple(map(dict, state.own))
        accepted: dict[str, list[str]] = {}
        rejected: dict[str, list[Rejected]] = {}
        for k, agent in enumerate(self.agents):
            commands, unread = parse(texts[agent], self._rules_of(state.word, k))
            stock = dict(zip(self.blocks[k], state.stock[k], strict=True))
            placements = (Placement(line, (cell,), block) for line, cell, block in commands)
            accepted[agent], refused = carry_out(stacks, own[k], stock, self.agents, k, placements)
            rejected[agent] = unread + refused
        state = replace(state, turn=state.turn + 1, stacks=stacks, own=own, texts=dict(texts))
        return self._scored(state, accepted, rejected)

    def score(self, state: State) -> Score:
        """What the last turn earned."""
        return state.score

    def done(self, state: State) -> bool:
        """After the last turn."""
        return state.turn >= self.max_turns

    def scene(self, state: State) -> Scene:
        """The wall and the word; any block will do for the word."""
        return Scene(
            size=(state.word.width, HEIGHT, 1),
            blocks=standing(state.stacks),
            target=dict.fromkeys(state.word.cells, ""),
            title=state.item.data.get("string", "signs"),
            sights={agent: self._sight(state, k) for k, agent in enumerate(self.agents)},
        )

    def _sight(self, state: State, k: int) -> AgentView:
        """The letters that agent k sees, its own blocks, and what feedback="letters" shows of others'."""
        columns = {*self.seen_letters(state, k), None}
        blocks = frozenset(state.own[k])
        if self.feedback == "letters":
            blocks |= {cell for cell in state.stacks if letter_at(cell[0]) in columns}
        wall = product(range(state.word.width), range(HEIGHT), (0,))
        return AgentView(frozenset(cell for cell in wall if letter_at(cell[0]) in columns), blocks)

    def _scored(
        self,
        state: State,
        accepted: Mapping[str, list[str]],
        rejected: Mapping[str, list[Rejected]],
    ) -> State:
        """The state with what its last turn earned; `state.worth` is that of the turn before."""
        parts, metrics = wall_score(state.word, standing(state.stacks))
        worth = sum(parts.values())
        if self.reward == "dense":
            parts = {"change": worth - state.worth}
        elif state.turn < self.max_turns:
            parts = {}
        metrics |= {"score": max(0.0, worth / BEST), "worth": worth}
        metrics["wasted"] = float(sum(map(len, rejected.values())))
        metrics["stock_left"] = float(sum(map(sum, state.stock)) - sum(map(len, state.own)))
        score = Score(float(sum(parts.values())), parts, metrics, accepted, rejected)
        return replace(state, worth=worth, score=score)

    def _opening(self, state: State, k: int) -> str:
        seat, stock, seen = self.seats[k], state.stock[k], self.seen_letters(state, k)
        if self.prompts == "terse":
            return say.terse_opening(state.word, seat, stock, seen)
        return say.full_opening(state.word, seat, stock, seen, self.max_turns)

    def _message(self, state: State, k: int) -> str:
        own = state.own[k]
        others: set[Cell] = set()
        unseen: frozenset[int] = frozenset()
        if self.feedback == "letters":
            seen = self.seen_letters(state, k)
            unseen = frozenset(range(len(patterns_of(state.item)))) - seen
            others = {cell for cell in state.stacks if cell not in own and letter_at(cell[0]) not in unseen}
        rows = say.wall_rows(state.word.width, self.seats[k], own, others, unseen)
        if self.prompts == "terse":
            return "\n".join([str(state.turn + 1), *rows])
        legend = " ".join(f"{mark} {block}," for mark, block in zip(MARKS, self.blocks[k], strict=False))
        note = " + a block of another builder, ? not seen," if self.feedback == "letters" else ""
        head = f"Turn {state.turn + 1} of {self.max_turns}. Your blocks ({legend}{note} . none of yours):"
        return "\n".join([head, *rows])

    def _rules_of(self, word: Word, k: int) -> CommandRules:
        if (word.width, k) not in self._rules:
            self._rules[word.width, k] = CommandRules(
                limit=4 * word.width * HEIGHT,
                blocks=frozenset(self.blocks[k]) | {"air"},
                low=(0, 0, 0),
                high=(word.width - 1, HEIGHT - 1, 0),
                read=read_setblock,
                unfold=unfold_row if self.prompts == "terse" else None,
                marks=dict(zip(MARKS, self.blocks[k], strict=False)) | {"-": "air"},
            )
        return self._rules[word.width, k]
