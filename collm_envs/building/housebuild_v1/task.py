"""HouseBuild-v1: a house of which each agent sees some layers, and spiders of which one agent knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

from collm_envs.building.commands import CommandRules, parse, unfold_rectangle
from collm_envs.building.difficulty import check_builders, check_difficulty, check_slack
from collm_envs.building.housebuild_v1 import prompts as say
from collm_envs.building.housebuild_v1.commands import Guard, placement, read_command
from collm_envs.building.housebuild_v1.houses import (
    KINDS,
    KINDS_EACH,
    LETTER_OF,
    generate,
    house_of,
    most_needed,
    ration,
    read_items,
)
from collm_envs.building.housebuild_v1.players import PLAYERS, VOICES
from collm_envs.building.housebuild_v1.scene import scene_of
from collm_envs.building.housebuild_v1.score import BEST, DEATH, LOST, house_score
from collm_envs.building.housebuild_v1.spiders import after_night, draw, in_sight
from collm_envs.building.housebuild_v1.state import State
from collm_envs.building.seats import Builder
from collm_envs.building.stacks import carry_out, standing
from collm_envs.keywords import Frame, choice, whole_number
from collm_envs.task import Cell, Item, Rejected, Scene, Score, agent_names

Reward = Literal["dense", "final"]
View = Literal["split", "all"]
Prompts = Literal["full", "terse"]
SIDES = (3, 4, 5, 5, 6, 7)
TURNS = (4, 6, 8, 8, 10, 12)
SPIDERS = (1, 1, 2, 3, 3, 4)
"""each by difficulty"""


class SplitHouseBuild:
    """Several agents build a house; each sees some layers, has some of the blocks, and may have to guard.

    **What each agent sees.**  Turn 1: its place in the team, the size, its blocks and stock, and of n agents
    agent k the layers y with y mod n = k (`view="all"`: every layer), a letter for each kind of block.  Kind
    i of the 2 n kinds belongs to agent i mod n.  Later turns: the turn, the health points, its own blocks
    that stand; never what the others have built, which would be a way of telling each other things without
    words.  `talk=R` gives them words.  One agent (`num_agents=1`) is the *solo* team: it sees everything and
    has the blocks, the command limits and the strength of all `builders`.

    **The house.**  Floor and roof are rings around each other, the layers between them four walls and four
    corners.  The kind of each part is drawn for each layer anew, so that every layer needs blocks of two
    agents at least and a layer tells nothing of the next.

    **Spiders.**  From the episode's seed, each in a turn of its own from turn 2, at a border cell (x, z), of
    strength 1 or 2.  One agent, its watch, reads of it, from the turn before it comes until it leaves.  It
    leaves when as many agents as its strength write `/guard x z` of its cell in one turn; until then it takes
    2 health points a turn of `player_hp`.  At 0 the episode ends.

    **What each agent writes.**  Lines `/fill x1 y1 z1 x2 y2 z2 block` (corners in any order; a block of its
    own or air), at most `max_commands` a turn, or one `/guard x z`: an agent that guards builds nothing that
    turn, its other lines are refused ("on guard").  Of each kind there are `slack` times the house's cells
    over n blocks (or what the house needs, where that is more); a fill beyond the stock is refused whole.
    What is built stays.  Where another agent's block stands, one's own waits behind it and counts for nothing
    (listed as refused, "held by agent_1", though not to the agent).  Lines that cannot be used cost nothing.

    **Terse prompts.**  `prompts="terse"`: a line `1/2 8 A=oak_planks:19 C=white_concrete:19` (agent 1 of 2, 8
    commands, letter, block, stock), the size, a line `y0 AAB/AAB/CCB` for each layer seen (rows from z = 0),
    `spider 3 2,0 2` (turn, cell, strength) for each spider known.  Later: `2 hp=5` and own blocks by layer.
    `yxzxzA` means a /fill of one layer, with blanks between where a number has two digits, `-` for air.

    **Reward**, shared.  The worth of what stands:

        S = 2 right/target - wrong/target

    right: cells that hold a block of the texture that belongs there; wrong: all other blocks, in or outside
    the house.  `reward="dense"`: S less S before the turn, less 0.05 for each health point lost in it;
    `reward="final"`: S at the last turn less 0.05 for each point lost since the start, 0 before.  On the turn
    that takes the last health point the reward is -1 in both.  Example: of 26 cells one agent fills 4 right
    and the other 2 wrong while a spider that nobody meets takes 2 points: 2 * 4/26 - 2/26 - 0.1 = 0.1308.

    **Metrics.**  `score` (S / 2, at least 0; 0 without health points), iou (of right textures), iou_blind (of
    any blocks, as in v0), `worth` (S), hp, spiders_met, guards_wasted (guards of this turn where no spider
    left), survived, wasted (lines refused), stock_left.

    **Difficulty** 1 to 6: houses of 3x3x3, 4, 5, 5, 6 and 7x7x7; 1, 1, 2, 3, 3 and 4 spiders; 4, 6, 8, 8, 10
    and 12 turns; slack 1.5 down to 1.05.

    **Players.**  expert (says its layers and spiders, builds what it knows), mute (the same without a word;
    to guess a kind loses), solo (knows everything), noisy, random; see `studies/results/v1_players.md`.

    **Keywords.**
    - `builders`: number of shares of blocks and of views; None: one for each agent
    - `difficulty`: 1 to 6, see above
    - `max_turns`: turns of an episode; None: those of the difficulty
    - `reward`: "dense": what a turn adds; "final": all of it at the end
    - `view`: "split": layers are divided among the agents; "all": everybody sees all
    - `slack`: stock over what an equal share needs, 1 to 100; None: that of the difficulty
    - `spiders`: number of spiders; None: that of the difficulty
    - `player_hp`: health points
    - `max_commands`: commands of one agent in a turn
    - `houses_seed`: fixes the houses

    **End.**  After `max_turns` turns, or without health points.

    **Data and licence.**  Generated: `n` houses to train on and `n_eval` others, from `houses_seed`.
    `items=[{"layers": [["AB", "BA"], ["..", "A."]]}]` takes your own (layers from the ground up).

    **Source and where we differ.**  HouseBuild-v0 (arXiv:2601.21972), where all agents see the whole house
    and may place every block, the world is empty again at every turn, and one `/kill` of anybody ends all
    danger.

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
        max_turns: int | None = None,
        spiders: int | None = None,
        player_hp: int = 5,
        max_commands: int = 8,
        reward: Reward = "dense",
        view: View = "split",
        slack: float | None = None,
        n: int = 128,
        n_eval: int = 32,
        houses_seed: int = 0,
        prompts: Prompts = "full",
        self_contained: bool = False,
    ):
        self.agents = agent_names(num_agents)
        self.builders = check_builders(builders, num_agents, len(KINDS) // KINDS_EACH)
        self.difficulty = check_difficulty(difficulty)
        self.reward: Reward = choice("reward", reward, get_args(Reward))
        self.view: View = choice("view", view, get_args(View))
        self.prompts: Prompts = choice("prompts", prompts, get_args(Prompts))
        self.player_hp = whole_number("player_hp", player_hp, least=1)
        self.spiders = (
            SPIDERS[difficulty - 1] if spiders is None else whole_number("spiders", spiders, least=0)
        )
        self.slack = check_slack(slack, difficulty)
        self.frame = Frame(
            max_turns=TURNS[difficulty - 1] if max_turns is None else max_turns,
            self_contained=self_contained,
        )
        self.max_turns = self.frame.max_turns
        kinds = KINDS[: KINDS_EACH * self.builders]
        self.blocks = tuple(kinds[k::num_agents] for k in range(num_agents))
        hands = self.builders if num_agents == 1 else 1
        self.limit = whole_number("max_commands", max_commands, least=1) * hands
        self.seats = tuple(Builder(k + 1, num_agents, self.blocks[k], self.limit) for k in range(num_agents))
        for name, value in (("n", n), ("n_eval", n_eval)):
            whole_number(name, value, least=1)
        whole_number("houses_seed", houses_seed)
        if items is None:
            self._items = generate(n, n_eval, SIDES[difficulty - 1], self.builders, self.slack, houses_seed)
        else:
            self._items = read_items(items, self.builders)
        self._houses = {item.id: house_of(item) for split in ("train", "eval") for item in self._items[split]}
        self._rules: dict[tuple[Cell, int], CommandRules] = {}
        self.reward_range = self._range()

    def items(self, split: str) -> Sequence[Item]:
        """The houses of a split: {"layers": [[row, ...], ...]}."""
        return self._items[split]

    def start(self, item: Item, seed: int) -> State:
        """An empty site; the spiders are drawn from `seed`."""
        house = self._houses.get(item.id)
        if house is None or list(map(list, house.layers)) != [list(rows) for rows in item.data["layers"]]:
            house = house_of(item)
        width, _, depth = house.size
        spiders = draw(seed, self.spiders, self.max_turns, width, depth, self.builders, len(self.agents))
        stock = max(most_needed(house), ration(house, self.builders, self.slack))
        return State(item, house, stock, spiders, self.player_hp, own=({},) * len(self.agents))

    def seen_layers(self, state: State, k: int) -> frozenset[int]:
        """The layers that agent k sees."""
        heights = range(state.house.size[1])
        if self.view == "all":
            return frozenset(heights)
        return frozenset(y for y in heights if y % len(self.agents) == k)

    def prompt(self, state: State, agent: str) -> str:
        """The task at turn 1, then health and own blocks; and the spiders this agent watches for."""
        k = self.agents.index(agent)
        terse, turn = self.prompts == "terse", state.turn + 1
        opening = self._opening(state, k) if state.turn == 0 or self.frame.repeats_prompt else ""
        if state.turn == 0:
            message = opening
        else:
            own = state.own[k]
            if terse:
                message = say.terse_turn(state.house, own, turn, state.hp)
            else:
                message = say.full_turn(state.house, own, turn, self.max_turns, state.hp)
        spiders = in_sight(state.spiders, state.met, turn, k)
        if spiders:
            message += "\n" + (say.terse_spiders(spiders) if terse else say.full_spiders(spiders, turn))
        if state.turn == 0:
            return message
        return self.frame.follow_up(message, opening, state.texts.get(agent, ""))

    def play(self, state: State, texts: Mapping[str, str]) -> State:
        """Every agent's commands, agent by agent on what stands; then the spiders."""
        stacks, own = dict(state.stacks), tuple(map(dict, state.own))
        accepted: dict[str, list[str]] = {}
        rejected: dict[str, list[Rejected]] = {}
        guards: Counter[tuple[int, int]] = Counter()
        for k, agent in enumerate(self.agents):
            commands, unread = parse(texts[agent], self._rules_of(state.house.size, k))
            guard = next((command for command in commands if isinstance(command, Guard)), None)
            if guard is None:
                stock = dict.fromkeys(self.blocks[k], state.stock)
                placements = map(placement, commands)
                accepted[agent], refused = carry_out(stacks, own[k], stock, self.agents, k, placements)
            else:
                accepted[agent] = [guard.line]
                guards[guard.x, guard.z] += self.builders if len(self.agents) == 1 else 1
                refused = [Rejected(command.line, "on guard") for command in commands if command is not guard]
            rejected[agent] = unread + refused
        turn = state.turn + 1
        met, hp, metrics = after_night(state.spiders, state.met, state.hp, turn, guards)
        after = replace(state, turn=turn, stacks=stacks, own=own, hp=hp, met=met, texts=dict(texts))
        return self._scored(state, after, metrics, accepted, rejected)

    def score(self, state: State) -> Score:
        """What the last turn earned."""
        return state.score

    def done(self, state: State) -> bool:
        """After the last turn, or without health points."""
        return state.turn >= self.max_turns or state.hp <= 0

    def scene(self, state: State) -> Scene:
        """The site and the house, the spiders that are here or known of, and who stood guard."""
        layers = {agent: self.seen_layers(state, k) for k, agent in enumerate(self.agents)}
        return scene_of(state, layers)

    def _scored(
        self,
        before: State,
        state: State,
        night: Mapping[str, float],
        accepted: Mapping[str, list[str]],
        rejected: Mapping[str, list[Rejected]],
    ) -> State:
        """`state` with what its last turn earned; `before` is a turn earlier."""
        parts, metrics = house_score(state.house.cells, standing(state.stacks))
        worth = sum(parts.values())
        if state.hp == 0:
            parts = {"death": DEATH}
        elif self.reward == "dense":
            parts = {"change": worth - before.worth, "health": 0.0 - LOST * (before.hp - state.hp)}
        elif state.turn < self.max_turns:
            parts = {}
        else:
            parts = {**parts, "health": 0.0 - LOST * (self.player_hp - state.hp)}
        score = max(0.0, worth / BEST) if state.hp else 0.0
        metrics |= {"score": score, "worth": worth, **night}
        metrics["wasted"] = float(sum(map(len, rejected.values())))
        placed = sum(map(len, state.own))
        metrics["stock_left"] = float(state.stock * KINDS_EACH * self.builders - placed)
        earned = Score(float(sum(parts.values())), parts, metrics, accepted, rejected)
        return replace(state, worth=worth, score=earned)

    def _opening(self, state: State, k: int) -> str:
        seat, seen = self.seats[k], self.seen_layers(state, k)
        if self.prompts == "terse":
            return say.terse_opening(state.house, seat, state.stock, seen)
        return say.full_opening(state.house, seat, state.stock, seen, self.max_turns, self.player_hp)

    def _rules_of(self, size: Cell, k: int) -> CommandRules:
        if (size, k) not in self._rules:
            width, height, depth = size
            marks = {LETTER_OF[block]: block for block in self.blocks[k]} | {"-": "air"}
            self._rules[size, k] = CommandRules(
                limit=self.limit,
                blocks=frozenset(self.blocks[k]) | {"air"},
                low=(0, 0, 0),
                high=(width - 1, height - 1, depth - 1),
                read=read_command,
                unfold=unfold_rectangle if self.prompts == "terse" else None,
                marks=marks,
            )
        return self._rules[size, k]

    def _range(self) -> tuple[float, float]:
        """Smallest and largest reward of a turn over all items."""
        worst = 0.0
        for house in self._houses.values():
            width, height, depth = house.size
            worst = min(worst, -width * height * depth / len(house.cells))
        bitten = LOST * self.player_hp
        if self.reward == "dense":
            return min(DEATH, worst - BEST - bitten), BEST - worst
        return min(DEATH, worst - bitten), BEST
