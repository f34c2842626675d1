"""StrBuild: several agents build a word out of blocks, each with blocks of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from collm_envs.building.commands import CommandRules, SetBlock, parse, read_setblock, unfold_row
from collm_envs.building.seats import Builder, turn_sentence
from collm_envs.building.strbuild import prompts as say
from collm_envs.building.strbuild.corrections import reference_blocks, word_corrections
from collm_envs.building.strbuild.players import PLAYERS
from collm_envs.building.strbuild.score import word_score
from collm_envs.building.strbuild.words import HEIGHT, LETTERS, PUBLISHED, Word, generate, lay_out, read_items
from collm_envs.building.world import AIR, budgets, check_blocks
from collm_envs.keywords import Frame, choice, truth, whole_number
from collm_envs.task import Cell, Item, Rejected, Scene, Score, agent_names

Feedback = Literal["position", "perfect", "score", "none"]
Words = Literal["published", "generated"]
Prompts = Literal["full", "terse"]
PALETTES = (("oak_planks", "stone", "air"), ("white_concrete", "obsidian", "air"))
"""the published blocks; agent k has PALETTES[k mod 2]"""


@dataclass(frozen=True)
class State:
    """A word under construction."""

    item: Item
    word: Word
    turn: int = 0
    """turns played"""
    blocks: Mapping[Cell, str] = field(default_factory=dict)
    """non-air cells after the last turn"""
    score: Score = field(default_factory=lambda: Score(0.0))
    """of the last turn"""
    texts: Mapping[str, str] = field(default_factory=dict)
    """what the agents wrote last"""


class StrBuild:
    """Several agents build a word out of blocks: they must fill its letters and keep equal blocks apart.

    **What each agent sees.**  Turn 1: its place in the team, the box, the word as rows of `#` and `.`
    (`show_target=False` hides it), its own blocks and its command limit.  Later turns: the turn's number
    and `feedback`: "position" (all cells of the word), "perfect" (its own cells that differ from a
    reference plan; the last agent also reads which cells should be empty), "score" (the last raw reward),
    or "none".  `original_prompt` and `previous_response` repeat the first prompt and the agent's last
    text; `self_contained=True` turns both on.

    **What each agent writes.**  Lines `/setblock x y z block`: whole numbers, a block of its own palette
    or air.  Agents hold blocks of their own, an equal share of `max_commands` each (the remainder goes to
    the first), and write at the same time; commands are carried out agent by agent in a world that is
    empty at the start of every turn, and the later block stays.  Lines that cannot be used cost nothing.

    **Terse prompts.**  `prompts="terse"` says the same in few characters, for small models: a line
    `1/2 150 1=oak_planks 2=stone` (agent 1 of 2, 150 commands, a mark for each block, `z=` where that is
    not 0), then the wall, a line for each row from the top: y, a blank, `#` or `.` for each column.
    Feedback is the turn's number and the wall ("position"), the wall with `#` at own cells to mend and `-`
    at cells to leave empty ("perfect"), or the reward ("score").  Answers may be drawn in the same way:
    `4 1.2` means `/setblock 0 4 0 oak_planks` and `/setblock 2 4 0 stone` (`-` places air), and each of
    these is checked and counted as if it had been written; a row longer than the wall is no row.

    **Reward**, shared, each turn; range -2.5 - 0.25 n to 2 for n agents:

        R = 2 covered/target - 1.5 extra/background - same/pairs - 0.25 missing

    covered: cells of the word that hold a block (any block); extra: other cells that do; pairs: blocks
    that share a side, same: those of equal texture (wood, stone, concrete, or the id); missing: agents
    whose palette is not all to be seen.  Example: on `I` (13 cells, 12 others) one agent places
    `/setblock 2 2 0 stone`, the other `/setblock 2 3 0 obsidian`: 2 * 2/13 - 0 - 0/1 - 0.25 * 2 = -0.1923.
    `reward_scale` and `reward_shift` change what is handed out; feedback always shows R itself.

    **Keywords.**
    - `palettes`: one list of blocks for each agent, in place of the published two in turn
    - `max_commands`: commands of all agents together in a turn, divided equally
    - `spacing`: empty columns between two letters
    - `local_z`: z coordinate of the wall
    - `words`: "published" ones, or "generated" from `words_seed`
    - `length`: fewest and most letters of a generated word
    - `letters`: letters that generated words are made of
    - `words_seed`: fixes the generated words
    - `feedback`: what later prompts say: "position", "perfect", "score" or "none", see above
    - `show_target`: whether the first prompt shows the word

    **End.**  After `max_turns` turns, or after a turn with a reward above `stop_above` (off by default).

    **Data and licence.**  Ten published words (8 to train on, 2 to evaluate on); `words="generated"`
    makes `n` and `n_eval` others of `length` letters; `items=[{"string": "ICML", "difficulty": 3}]` takes
    your own.  The words and the font are facts of OpenMLRL/LLM_Collab_Minecraft (MIT); prompts are ours.

    **Source and where we differ.**  arXiv:2601.21972 and OpenMLRL/LLM_Collab_Minecraft at 9c2e006.  There
    the word is hidden at turn 1 (`show_target=False`), the reward may be that of another word of equal
    width (never here), rewards are shifted by -2 (`reward_shift=-2.0`), episodes stop above -0.1
    (`stop_above=-0.1`), later prompts repeat the first one and the last text (`self_contained=True`), and
    there are one or two agents; here any number, agent k with published palette k mod 2, or one agent for
    each of your `palettes`.  Feedback says that the world is empty again.  Words with characters outside
    the font are refused, not left blank.

    **Versions.**  v0: the published task.
    """

    revision = 1
    players = PLAYERS

    def __init__(
        self,
        *,
        items: Any = None,
        num_agents: int | None = None,
        palettes: Sequence[Sequence[str]] | None = None,
        max_commands: int = 300,
        spacing: int = 2,
        local_z: int = 0,
        words: Words = "published",
        n: int = 256,
        n_eval: int = 64,
        length: tuple[int, int] = (1, 4),
        letters: str = LETTERS,
        words_seed: int = 0,
        feedback: Feedback = "position",
        show_target: bool = True,
        prompts: Prompts = "full",
        frame: Frame = Frame(max_turns=4),
    ):
        self.palettes = _check_palettes(palettes, num_agents)
        self.agents = agent_names(len(self.palettes))
        self.feedback: Feedback = choice("feedback", feedback, get_args(Feedback))
        self.prompts: Prompts = choice("prompts", prompts, get_args(Prompts))
        self.show_target = truth("show_target", show_target)
        self.frame, self.max_turns = frame, frame.max_turns
        self.spacing = whole_number("spacing", spacing, least=0)
        self.local_z = whole_number("local_z", local_z)
        limits = budgets(whole_number("max_commands", max_commands, least=1), len(self.agents))
        self.blocks = tuple(
            tuple(block for block in palette if block not in AIR) for palette in self.palettes
        )
        self.seats = tuple(
            Builder(k + 1, len(self.agents), self.blocks[k], limit) for k, limit in enumerate(limits)
        )
        self.wanted = tuple(frozenset(blocks) for blocks in self.blocks)
        self.reward_range = frame.reward_range(-2.5 - 0.25 * len(self.agents), 2.0)
        if choice("words", words, get_args(Words)) == "published":
            self._items = read_items(PUBLISHED if items is None else items)
        elif items is None:
            self._items = generate(n, n_eval, length, letters, words_seed)
        else:
            raise ValueError("items, words: give items of your own or words='generated', not both")
        self._rules: dict[tuple[int, int], CommandRules] = {}

    def items(self, split: str) -> Sequence[Item]:
        """The words of a split: {"string": ..., "difficulty": ...}."""
        return self._items[split]

    def start(self, item: Item, seed: int) -> State:
        """An empty world; nothing in this task is random."""
        return State(item, lay_out(item.data["string"], self.spacing, self.local_z))

    def prompt(self, state: State, agent: str) -> str:
        """The task at turn 1, then the feedback."""
        k = self.agents.index(agent)
        terse = self.prompts == "terse"
        write = say.terse_opening if terse else say.full_opening
        opening = write(state.word, self.seats[k], self.show_target)
        if state.turn == 0:
            return opening
        message = self._terse_feedback(state, k) if terse else self._full_feedback(state, k)
        return self.frame.follow_up(message, opening, state.texts.get(agent, ""))

    def play(self, state: State, texts: Mapping[str, str]) -> State:
        """Every agent's commands, carried out agent by agent in an empty world, and what they earned."""
        blocks: dict[Cell, str] = {}
        accepted: dict[str, list[str]] = {}
        rejected: dict[str, list[Rejected]] = {}
        for k, agent in enumerate(self.agents):
            commands, rejected[agent] = parse(texts[agent], self._rules_of(state.word, k))
            accepted[agent] = [command.line for command in commands]
            _build(blocks, commands)
        parts, metrics = word_score(state.word, blocks, self.wanted)
        reward, entered = self.frame.reward(parts)
        metrics["raw_reward"] = sum(parts.values())
        score = Score(reward, entered, metrics, accepted, rejected)
        return replace(state, turn=state.turn + 1, blocks=blocks, score=score, texts=dict(texts))

    def score(self, state: State) -> Score:
        """What the last turn earned."""
        return state.score

    def done(self, state: State) -> bool:
        """After the last turn, or above the threshold where one is set."""
        return state.turn > 0 and self.frame.over(state.turn, state.score.reward)

    def scene(self, state: State) -> Scene:
        """The wall and the word; any block will do for the word."""
        return Scene(
            size=(state.word.width, HEIGHT, 1),
            blocks={(x, y, 0): block for (x, y, _), block in state.blocks.items()},
            target={(x, y, 0): "" for x, y, _ in state.word.cells},
            title=state.word.text,
        )

    def _rules_of(self, word: Word, k: int) -> CommandRules:
        if (word.width, k) not in self._rules:
            marks = dict(zip(say.MARKS, self.blocks[k], strict=False)) | {"-": "air"}
            self._rules[word.width, k] = CommandRules(
                limit=self.seats[k].limit,
                blocks=frozenset(self.palettes[k]) | {"air"},
                low=(0, 0, word.z),
                high=(word.width - 1, HEIGHT - 1, word.z),
                read=read_setblock,
                unfold=unfold_row if self.prompts == "terse" else None,
                marks=marks,
            )
        return self._rules[word.width, k]

    def _corrections(self, state: State, k: int) -> tuple[list[Cell], list[Cell] | None]:
        plan = reference_blocks(state.word, self.blocks)
        wrong, extra = word_corrections(state.word, plan, state.blocks, k)
        return wrong, extra if k == len(self.agents) - 1 else None

    def _full_feedback(self, state: State, k: int) -> str:
        lines = [turn_sentence(state.turn + 1, self.max_turns)]
        if self.feedback == "position":
            lines.append(say.full_position(state.word, self.seats[k]))
        elif self.feedback == "perfect":
            lines.append(say.full_perfect(*self._corrections(state, k)))
        elif self.feedback == "score":
            lines.append(say.full_score(state.score.metrics["raw_reward"]))
        return "\n".join(lines)

    def _terse_feedback(self, state: State, k: int) -> str:
        lines = [str(state.turn + 1)]
        if self.feedback == "position":
            lines.append(say.terse_wall(state.word, state.word.cells))
        elif self.feedback == "perfect":
            wrong, extra = self._corrections(state, k)
            lines.append(say.terse_wall(state.word, wrong, extra or ()))
        elif self.feedback == "score":
            lines.append(f"{state.score.metrics['raw_reward']:.4f}")
        return "\n".join(lines)


def _build(blocks: dict[Cell, str], commands: Sequence[SetBlock]) -> None:
    for _, cell, block in commands:
        if block in AIR:
            blocks.pop(cell, None)
        else:
            blocks[cell] = block


def _check_palettes(palettes: Any, num_agents: int | None) -> tuple[tuple[str, ...], ...]:
    """One palette an agent: the given ones, or the published ones in turn."""
    if palettes is None:
        n = len(agent_names(2 if num_agents is None else num_agents))
        return tuple(PALETTES[k % len(PALETTES)] for k in range(n))
    if not isinstance(palettes, Sequence) or isinstance(palettes, str) or not palettes:
        raise ValueError(f"palettes: need one list of block ids for each agent, got {palettes!r}")
    if num_agents is not None and num_agents != len(palettes):
        raise ValueError(f"palettes: need one for each of {num_agents} agents, got {len(palettes)}")
    return tuple(check_blocks(f"palettes[{k}]", blocks) for k, blocks in enumerate(palettes))
