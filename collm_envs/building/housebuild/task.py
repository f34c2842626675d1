"""HouseBuild: several agents build a house from a layered blueprint while spiders attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Literal, get_args

from collm_envs.building.commands import Kill, parse
from collm_envs.building.housebuild.blueprints import generate, published
from collm_envs.building.housebuild.feedback import MESSAGES
from collm_envs.building.housebuild.plan import read_plan
from collm_envs.building.housebuild.players import PLAYERS
from collm_envs.building.housebuild.prompts import full_opening, terse_opening
from collm_envs.building.housebuild.score import house_score
from collm_envs.building.housebuild.site import (
    Site,
    State,
    check_allowed,
    check_threat,
    raised,
    read_site,
    standing,
    world_of,
)
from collm_envs.building.rows import read_rows
from collm_envs.building.seats import turn_sentence
from collm_envs.building.world import budgets
from collm_envs.keywords import Frame, choice, truth, whole_number
from collm_envs.task import Item, Rejected, Scene, Score, agent_names

Feedback = Literal[
    "score",
    "perfect",
    "position",
    "position_modification",
    "rect_modification",
    "resource_schedule",
    "none",
]
Reward = Literal["published", "appendix"]
Houses = Literal["published", "generated"]
Prompts = Literal["full", "terse"]
KEPT_SITES = 512
"""sites that a task caches"""


class HouseBuild:
    """Several agents build a house from a blueprint with limited blocks; somebody must stop the spiders.

    **What each agent sees.**  Turn 1: its place in the team, the box, the blueprint as boxes of equal
    blocks layer by layer, the blocks it may use and how many of each, its command limit, and the spiders'
    attacks.  Everyone reads the same.  Later turns: the turn's number and `feedback`: "score" (the last
    raw reward), "perfect" (wrong cells, dealt out among the agents), "position" (all cells of the house),
    "position_modification" (the first `lim` wrong cells, 0 for all), "rect_modification" (own commands
    that counted, and the first `lim` wrong boxes of the blueprint: up to y=2 for the first agent, from
    y=2 for the others), "resource_schedule" (own commands, what they left of the stock, and what could be
    built with that), or "none".  `original_prompt` and `previous_response` repeat the first prompt and the
    agent's last text; `self_contained=True` turns both on.

    **What each agent writes.**  Lines `/fill x1 y1 z1 x2 y2 z2 block` (corners in any order, both in the box,
    no mode) and `/kill`.  Each agent may use the blocks of the blueprint (or `allowed_blocks`) and air.  With
    `limited_resource` each of n agents may fill ceil(c/n) + floor(c/2n) cells with a block of which the house
    has c; a fill beyond that is rejected as a whole, and filling a cell again costs again.  Each has an equal
    share of `max_commands` (the remainder goes to the first).  All write at the same time; commands are
    carried out agent by agent in a box of air, and the later block stays.  Lines that cannot be used cost
    nothing.

    **Terse prompts.**  `prompts="terse"`: a line `1/2 300 hp=5 spiders=2,1,3` (agent 1 of 2, 300
    commands), the size of the box (`from x,y,z` where that is not 0,0,0), a letter for each block with
    the stock (`A=white_concrete:51`), then a line `yxzxzA` for each box of the blueprint, with blanks
    between where a number has two digits.  Such lines (`-` for air) may be written instead of /fill; they
    are checked and counted like it.  Feedback is the turn's number and such lines, or numbers.

    **Reward**, shared, each turn; range -0.1 (0 for one agent) to 1:

        R = match - 0.1 min(1, damage / player_hp)

    match: share of all cells of the box, air included, that hold the right block; damage: the sum of the
    spiders' attacks, 0 if any agent's /kill counted or if there is one agent.  Example: 122 of 294 cells
    are air, nothing is built, attacks 2 + 1 + 3 on 5 health points: 122/294 - 0.1 = 0.3150.
    `reward="appendix"`: 2 coverage - 1.5 redundancy - 0.2 min(1, damage / player_hp), where coverage and
    redundancy are the built cells inside and outside the house over the cells of the house, of any block.
    `reward_scale` and `reward_shift` change what is handed out; feedback always shows R itself.

    **Metrics.**  iou (of any blocks), match, coverage, redundancy, and hp: player_hp less the damage of
    unstopped spiders, at least 0 (hp_share over player_hp; one agent is attacked too).

    **Threat.**  `threat="episode"`: each of `spiders` attacks takes 1 to 3, drawn from the episode's seed;
    `threat="run"`: drawn once from `threat_seed`; a list fixes the attacks.

    **Keywords.**
    - `allowed_blocks`: blocks that the agents may use, for all or a list for each; None: those of the
      blueprint
    - `limited_resource`: whether each agent has a limited number of each block
    - `max_commands`: commands of all agents together in a turn, divided equally
    - `threat`: attacks drawn for every "episode", once for a "run", or a list of their damages
    - `threat_seed`: fixes the attacks of threat="run"
    - `spiders`: number of attacks
    - `player_hp`: health points
    - `reward`: "published", or "appendix", see above
    - `houses`: "published" ones, or "generated" from `houses_seed`
    - `size`: width, height and depth of generated houses, each a number or a range
    - `houses_seed`: fixes the generated houses
    - `feedback`: what later prompts say: one of seven kinds, see above
    - `lim`: most wrong cells or boxes that feedback names; 0: all

    **End.**  After `max_turns` turns, or after a turn with a reward above `stop_above` (off by default).

    **Data and licence.**  Ten published rows of five houses (8 to train on; 2, of one unseen roof, to
    evaluate on), remade by our own generator; `houses="generated"` makes `n` and `n_eval` others, all
    different, of `size` (width, height, depth; each a number or a range); `items=[...]` takes your own
    in the published schema.  Data: OpenMLRL/LLM_Collab_Minecraft (MIT); prompts and generator are ours.

    **Source and where we differ.**  arXiv:2601.21972 and OpenMLRL/LLM_Collab_Minecraft at 9c2e006.  There
    the attacks are drawn once per run (`threat="run"`), rewards are shifted by -1 (`reward_shift=-1.0`),
    episodes of MAGRPO stop above -0.1 (`stop_above=-0.1`), later prompts repeat the first one and the
    last text (`self_contained=True`), there are one or two agents and no health points, and feedback to
    one agent subtracts a penalty that its reward does not have.  Feedback says that the world is empty
    again; what is named as left of the stock is what was left before, not after, the suggestions.
    `reward="appendix"` is a third party's reading of the paper's appendix (rrui05's fork).

    **Versions.**  v0: the published task.
    """

    revision = 1
    players = PLAYERS

    def __init__(
        self,
        *,
        items: Any = None,
        num_agents: int = 2,
        allowed_blocks: Sequence[Any] | None = None,
        limited_resource: bool = True,
        max_commands: int = 600,
        threat: Literal["episode", "run"] | Sequence[int] = "episode",
        threat_seed: int = 0,
        spiders: int = 3,
        player_hp: int = 5,
        reward: Reward = "published",
        houses: Houses = "published",
        n: int = 64,
        n_eval: int = 16,
        size: Any = (6, 7, 7),
        houses_seed: int = 0,
        feedback: Feedback = "score",
        lim: int = 20,
        prompts: Prompts = "full",
        frame: Frame = Frame(max_turns=4),
    ):
        self.agents = agent_names(num_agents)
        self.allowed_blocks = check_allowed(allowed_blocks, len(self.agents))
        self.limited_resource = truth("limited_resource", limited_resource)
        self.limits = budgets(whole_number("max_commands", max_commands, least=1), len(self.agents))
        self.attacks = check_threat(threat, whole_number("spiders", spiders, least=0), threat_seed)
        self.spiders = spiders
        self.player_hp = whole_number("player_hp", player_hp, least=1)
        self.kind: Reward = choice("reward", reward, get_args(Reward))
        self.feedback: Feedback = choice("feedback", feedback, get_args(Feedback))
        self.lim = whole_number("lim", lim, least=0)
        self.prompts: Prompts = choice("prompts", prompts, get_args(Prompts))
        if self.feedback == "resource_schedule" and not self.limited_resource:
            raise ValueError("feedback: 'resource_schedule' needs limited_resource=True, got False")
        self.frame, self.max_turns = frame, frame.max_turns
        if choice("houses", houses, get_args(Houses)) == "published":
            self._items = read_rows(published() if items is None else items, "house_build_", self._check_row)
        elif items is None:
            self._items = generate(n, n_eval, size, whole_number("houses_seed", houses_seed))
        else:
            raise ValueError("items, houses: give items of your own or houses='generated', not both")
        self._sites: dict[str, Site] = {}
        self.reward_range = self._range()

    def items(self, split: str) -> Sequence[Item]:
        """The houses of a split, in the published schema."""
        return self._items[split]

    def start(self, item: Item, seed: int) -> State:
        """An empty site; each spider's attack is drawn from `seed` unless the task fixes it."""
        site = self._site(item)
        if self.attacks is not None:
            return State(item, site, self.attacks)
        rng = Random(f"collm/HouseBuild/threat/{seed}")
        return State(item, site, tuple(rng.randint(1, 3) for _ in range(self.spiders)))

    def prompt(self, state: State, agent: str) -> str:
        """The task at turn 1, the feedback at later turns."""
        k = self.agents.index(agent)
        if state.turn == 0:
            return self._opening(state, k)
        terse = self.prompts == "terse"
        head = str(state.turn + 1) if terse else turn_sentence(state.turn + 1, self.max_turns)
        message = f"{head}\n{MESSAGES[self.feedback](state, k, self.lim, terse)}".rstrip()
        opening = self._opening(state, k) if self.frame.repeats_prompt else ""
        return self.frame.follow_up(message, opening, state.texts.get(agent, ""))

    def play(self, state: State, texts: Mapping[str, str]) -> State:
        """The state after all commands are carried out, agent by agent, in a box of air."""
        plan, commands = state.site.plan, []
        rejected: dict[str, list[Rejected]] = {}
        for agent, rules in zip(self.agents, state.site.rules, strict=True):
            counted, rejected[agent] = parse(texts[agent], rules)
            commands.append(tuple(counted))
        world = raised(plan, commands)
        metrics = house_score(plan, world)
        killed = any(isinstance(command, Kill) for agent_commands in commands for command in agent_commands)
        damage = 0 if killed else sum(state.attacks)
        health = max(0, self.player_hp - damage)
        parts = self._parts(metrics, damage)
        reward, entered = self.frame.reward(parts)
        metrics |= {"hp": health, "hp_share": health / self.player_hp, "damage": damage}
        metrics["raw_reward"] = sum(parts.values())
        accepted = {
            a: [c.line for c in agent_commands]
            for a, agent_commands in zip(self.agents, commands, strict=True)
        }
        return replace(
            state,
            turn=state.turn + 1,
            world=world.tobytes(),
            commands=tuple(commands),
            score=Score(reward, entered, metrics, accepted, rejected),
            texts=dict(texts),
        )

    def score(self, state: State) -> Score:
        """The score of the last turn."""
        return state.score

    def done(self, state: State) -> bool:
        """True after the last turn, or after a reward above `stop_above`."""
        return state.turn > 0 and self.frame.over(state.turn, state.score.reward)

    def scene(self, state: State) -> Scene:
        """The world after the last turn and the finished house as its target."""
        site = state.site
        blocks = standing(site.plan, world_of(state)) if state.turn else {}
        title = f"a house of {'x'.join(map(str, site.plan.size))}"
        return Scene(size=site.plan.size, blocks=blocks, target=site.target, title=title)

    def _read(self, item: Item) -> Site:
        terse = self.prompts == "terse"
        return read_site(item, self.allowed_blocks, self.limits, self.limited_resource, terse)

    def _check_row(self, name: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row as an item's data.  Raises ValueError for a malformed blueprint."""
        self._read(Item(name, row))
        return dict(row)

    def _site(self, item: Item) -> Site:
        """The site of an item, from a cache of KEPT_SITES."""
        site = self._sites.get(item.id)
        if site is None or site.item != item:
            if len(self._sites) >= KEPT_SITES:
                del self._sites[next(iter(self._sites))]
            site = self._sites[item.id] = self._read(item)
        return site

    def _opening(self, state: State, k: int) -> str:
        site = state.site
        write = terse_opening if self.prompts == "terse" else full_opening
        return write(site.plan, site.blueprint, site.seats[k], site.stock, state.attacks, self.player_hp)

    def _parts(self, metrics: Mapping[str, float], damage: int) -> dict[str, float]:
        """{name: summand} of the raw reward."""
        share = min(1.0, damage / self.player_hp) if len(self.agents) > 1 else 0.0
        if self.kind == "published":
            return {"match": metrics["match"], "threat": 0.0 - 0.1 * share}
        return {
            "coverage": 2.0 * metrics["coverage"],
            "redundancy": 0.0 - 1.5 * metrics["redundancy"],
            "threat": 0.0 - 0.2 * share,
        }

    def _range(self) -> tuple[float, float]:
        """(smallest, largest) reward of a turn over all items."""
        threat = 1.0 if len(self.agents) > 1 else 0.0
        if self.kind == "published":
            raw = (-0.1 * threat, 1.0)
        else:
            plans = [
                read_plan(item.id, item.data) for split_items in self._items.values() for item in split_items
            ]
            air = max(plan.cells.size / sum(plan.counts.values()) - 1 for plan in plans)
            raw = (-1.5 * air - 0.2 * threat, 2.0)
        return self.frame.reward_range(*raw)
