"""The anchor of studies/claim.py: a game of one-word texts whose answers are known, and tables for models.

*Relay*: two agents, H turns. At turn t each reads the number of the turn and writes one of three words; the
turn is right where both wrote word t mod 3. The reward is the share of right turns: dense, each turn what it
earned, or final, all of it at the end. Uniform play returns 1/9 and the best 1, whatever H is. With dense
rewards the turns are H games beside each other; with final ones a turn's reward comes with the noise of all.
"final, each" pays every right word by itself: uniform play returns 1/3, and the other agent's words are noise
that a replay of the turn without one's own can take out.

What each critic knows: a central one the turn and how many were right so far, which is all there is to know;
a decentral one the turn and how many of its agent's own words were right; "of texts" is a central one that
keeps every joint history apart, as a critic does that generalises nothing.

A run is 60 steps of 64 joint turns (a tree's steps are larger and fewer: 7 at 8 turns); seeds 0 to 9. The
rate of every method is chosen in each cell by whole runs on seeds 100, 101 and 102, which are not reported:
the largest mean area under their curves, of five rates, and of a third of the smallest or three times the
largest as long as that is the best.

Trainers, rollout and losses are the package's own; a softmax over three words for each turn stands where a
language model stands, with plain gradient steps (tests/support/tabular.py).
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from baselines import maac, magrpo, reinforce, ridge
from baselines.credit import rules
from baselines.lm.history import Move, Segment
from baselines.runs.budget import Budget, append_rows, read_results
from baselines.train.team import Team
from collm_envs import Item, Scene, Score

sys.path.append(str(Path(__file__).parents[1] / "tests/support"))
from tabular import SGD, Tabular, TabularCritic

FOLDER = Path(__file__).parent / "results/claim"
ROWS, TRIALS = FOLDER / "games.csv", FOLDER / "games-trials.csv"
WORDS = ("0", "1", "2")
K = len(WORDS)
AGENTS = ("agent_0", "agent_1")
EACH = "each"


@dataclass(frozen=True)
class State:
    right: float = 0.0
    """right turns so far; where each word is paid by itself, half the right words"""
    turn: int = 0
    now: float = 0.0
    """how much of the last turn was right"""


class Relay:
    """The game: `turns` of two agents, rewards "dense", "final" or "final, each"."""

    agents = AGENTS
    words = WORDS
    revision = 1
    reward_range = (0.0, 1.0)
    players: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, turns: int, reward: str):
        self.max_turns, self.reward = turns, reward
        self.rows = (Item("0", {}),)

    def items(self, split: str) -> Sequence[Item]:
        return self.rows

    def start(self, item: Item, seed: int) -> State:
        return State()

    def prompt(self, state: State, agent: str) -> str:
        return str(state.turn)

    def play(self, state: State, texts: Any) -> State:
        words = [texts[agent] == WORDS[state.turn % K] for agent in AGENTS]
        now = sum(words) / 2 if self.reward.endswith(EACH) else float(all(words))
        return State(state.right + now, state.turn + 1, now)

    def score(self, state: State) -> Score:
        paid = state.now if self.reward == "dense" else state.right * self.done(state)
        return Score(paid / self.max_turns, metrics={"right": float(state.right)})

    def done(self, state: State) -> bool:
        return state.turn >= self.max_turns

    def scene(self, state: State) -> Scene:
        return Scene()


class Averages(TabularCritic):
    """A value for every key of a history: halfway from what it was to the mean target, at each fit."""

    def __init__(self, key: Callable[[Averages, Segment], Any]):
        super().__init__()
        self.key = key
        self.table = torch.nn.Parameter(torch.zeros(100_000))

    def rows_of(self, segments: Sequence[Segment]) -> torch.Tensor:
        keys = [self.key(self, segment) for segment in segments]
        return torch.tensor([self.rows.setdefault(key, len(self.rows)) for key in keys])

    def fit(self, segments: Sequence[Segment], targets: torch.Tensor, **_: Any) -> dict[str, float]:
        rows = self.rows_of(segments)
        visits = torch.bincount(rows).clamp(min=1)
        means = torch.zeros(len(visits)).index_add(0, rows, targets.float()) / visits
        gap = means - self.table.detach()[: len(means)]
        with torch.no_grad():
            self.table[rows.unique()] += gap[rows.unique()] / 2
        return {"value_loss": float(gap[rows].square().mean())}


def text_of_all(critic: Averages, history: Segment) -> Any:
    """Every joint history by itself."""
    return tuple(part.ids[0] for part in history.chain())


def words_so_far(critic: Averages, history: Segment) -> list[list[str]]:
    """Both words of every turn so far, read off a joint history."""
    names = {number: text for text, number in critic.texts.items()}
    return [names[part.ids[0]].split("\n")[1:4:2] for part in history.chain()[1:]]


def state(critic: Averages, history: Segment) -> Any:
    """(turn, right turns so far), read off a joint history."""
    pairs = words_so_far(critic, history)
    return 1 + len(pairs), sum(set(pair) == {WORDS[t % K]} for t, pair in enumerate(pairs))


def state_of_each(critic: Averages, history: Segment) -> Any:
    """(turn, right words so far), read off a joint history."""
    pairs = words_so_far(critic, history)
    return 1 + len(pairs), sum(word == WORDS[t % K] for t, pair in enumerate(pairs) for word in pair)


def own_words(critic: Averages, history: Segment) -> Any:
    """(turn, words of its own that were the right ones), read off an agent's history."""
    moves = [part for part in history.chain() if isinstance(part, Move)]
    return len(moves), sum(move.text == WORDS[t % K] for t, move in enumerate(moves))


def central(reward: str) -> dict[str, Averages]:
    return {"central": Averages(state_of_each if reward.endswith(EACH) else state)}


def central_of_texts(reward: str) -> dict[str, Averages]:
    return {"central": Averages(text_of_all)}


def decentral(reward: str) -> dict[str, Averages]:
    return {agent: Averages(own_words) for agent in AGENTS}


def no_critics(reward: str) -> dict[str, Averages]:
    return {}


LEAVE_ONE_OUT = {"baseline": "leave-one-out", "group": 8}
OURS, C3, SILENT = "ridge, alternatives", "counterfactual credit", "ridge, replayed"
ALTERNATIVES = {"lam": 0.9, "counterfactual": True, "alternatives": 4}
METHODS: dict[str, tuple[Any, dict[str, Any], Callable[[str], dict[str, Averages]]]] = {
    "CC, TD(0)": (maac, {"lam": 0.0}, central),
    "CC, GAE 0.9": (maac, {"lam": 0.9}, central),
    "DC, GAE 0.9": (maac, {"lam": 0.9, "critic": "decentral"}, decentral),
    "MAGRPO": (magrpo, {}, no_critics),
    "leave-one-out": (reinforce, LEAVE_ONE_OUT, no_critics),
    C3: (reinforce, {**LEAVE_ONE_OUT, "credit": "counterfactual"}, no_critics),
    SILENT: (ridge, {"lam": 0.9, "counterfactual": True}, no_critics),
    OURS: (ridge, ALTERNATIVES, no_critics),
    "CC, GAE 0.9, normalised": (maac, {"lam": 0.9, "normalize": True}, central),
    "CC, Monte Carlo": (maac, {"lam": 1.0}, central),
    "CC of texts, TD(0)": (maac, {"lam": 0.0}, central_of_texts),
    "ridge": (ridge, {"lam": 0.9, "counterfactual": False}, no_critics),
    "DC, TD(0)": (maac, {"lam": 0.0, "critic": "decentral"}, decentral),
}
"""name -> algorithm, settings, what makes its critics"""
CELLS = (("final", 8), ("final, each", 8), ("final", 1), ("dense", 8), ("final", 4), ("final", 2))
"""reward and horizon, in order of weight"""
TEXTS, STEPS = 64, 60
"""joint turns of a step, and steps of that size in a run; a tree's steps are larger and fewer"""
MEASURES, SEEDS, TUNING = 12, range(10), (100, 101, 102)
RATES = (0.5, 1.5, 4.5, 13.5, 40.5)
"""of plain gradient steps: times the horizon, over which a turn's reward is divided, and a tenth of it where
advantages are normalised, which makes them about ten times as large"""
WIDER = 3.0
"""how much larger or smaller the next rate is where the best is at the edge"""
FIELDS = ("reward", "turns", "method", "seed", "rate", "step", "joint_turns", "cpu_s", "return")


def one_run(reward: str, turns: int, method: str, seed: int, rate: float) -> list[dict[str, Any]]:
    """The expected returns of a run's policies, at equal shares of its steps."""
    algorithm, own, critics = METHODS[method]
    size = joint_turns(sizes(algorithm, turns), turns)
    steps = max(1, TEXTS * STEPS // size)
    task: Any = Relay(turns, reward)
    team = tabular(algorithm, critics(reward), rate * turns * (0.1 if "normalize" in own else 1.0))
    config = algorithm.Config(steps=steps, seed=seed, **own, **sizes(algorithm, turns))
    rows: list[dict[str, Any]] = []
    team.credit = rules.make(config.credit, config.credit_samples, task, checked=0)
    stream, budget = algorithm.train(config, task, team), Budget(float("inf"))

    def measure() -> None:
        at = (team.step, team.step * size, round(budget.spent, 3))
        values = (reward, turns, method, seed, rate, *at, round(expected(team, task), 5))
        rows.append(dict(zip(FIELDS, values, strict=True)))

    measure()
    for _ in budget.within(stream):
        if team.step % max(1, steps // MEASURES) == 0:
            measure()
    return rows


def sizes(algorithm: Any, turns: int) -> dict[str, Any]:
    """Episodes of a step, and the branching of a tree: the same number of joint turns for all."""
    if algorithm is not magrpo:
        return {"episodes": TEXTS // turns, "gamma": 1.0}
    return {**tree_sizes(turns, TEXTS), "gamma": 1.0}


def tree_sizes(turns: int, texts: int) -> dict[str, int]:
    """MAGRPO's branching, and the episodes of a step of about so many joint turns."""
    group = 8 if turns == 1 else 2
    roots = max(1, round(texts / nodes(group, turns)))
    return {"group": group, "episodes": roots * group**turns}


def nodes(group: int, turns: int) -> int:
    """Joint turns of a tree."""
    return sum(group**t for t in range(1, turns + 1))


def joint_turns(size: Mapping[str, Any], turns: int) -> int:
    """Joint turns of a step of this size: with a group, of trees."""
    if "group" not in size:
        return size["episodes"] * turns
    return size["episodes"] // size["group"] ** turns * nodes(size["group"], turns)


def tabular(algorithm: Any, critics: Mapping[str, Averages], rate: float) -> Any:
    """A team of tables in the shape that the algorithm expects."""
    policies: Any = {agent: Tabular(agent, WORDS) for agent in AGENTS}
    for policy in policies.values():
        policy.optimizer = SGD(policy.parameters(), rate)
    kind = ridge.Ridged if algorithm is ridge else Team
    return kind(policies, critics)


def expected(team: Any, task: Any) -> float:
    """The exact expected return: the mean over turns of the chance that both are right, or of each one's."""
    chances = []
    for turn in range(task.max_turns):
        rows = [policy.rows.get((str(turn),)) for policy in team.policies.values()]
        probs = [
            1 / K if row is None else float(policy.table[row].detach().softmax(-1)[turn % K])
            for row, policy in zip(rows, team.policies.values(), strict=True)
        ]
        chances.append(fmean(probs) if task.reward.endswith(EACH) else probs[0] * probs[1])
    return fmean(chances)


def area(rows: Sequence[Mapping[str, Any]]) -> float:
    """The mean return over a run's joint turns: the area under its curve, by trapezoids."""
    at, earned = ([float(row[name]) for row in rows] for name in ("joint_turns", "return"))
    pieces = zip(itertools.pairwise(at), itertools.pairwise(earned), strict=True)
    return sum((b - a) * (y + z) / 2 for (a, b), (y, z) in pieces) / (at[-1] - at[0])


def cells() -> Iterator[tuple[str, int, str]]:
    """Reward, horizon and method, in order of weight."""
    yield from ((reward, turns, method) for reward, turns in CELLS for method in METHODS)


def chosen_rate(reward: str, turns: int, method: str) -> float:
    """The rate with the largest mean area over the tuning seeds; makes the trials that are missing."""
    while missing := missing_trials(trials(reward, turns, method)):
        for rate, seed in missing:
            measured = round(area(one_run(reward, turns, method, seed, rate)), 5)
            line = {"reward": reward, "turns": turns, "method": method, "rate": rate, "seed": seed}
            append_rows(TRIALS, [{**line, "area": measured}])
    return best_rate(trials(reward, turns, method))


def missing_trials(areas: Mapping[tuple[float, int], float]) -> list[tuple[float, int]]:
    """(rate, seed) of the trials to make next: those of `RATES`, then of a further rate while the best is at
    the edge."""
    grid = sorted({*RATES, *(rate for rate, _ in areas)})
    if missing := [(rate, seed) for rate in grid for seed in TUNING if (rate, seed) not in areas]:
        return missing
    further = wider(best_rate(areas), grid, WIDER)
    return [(further, seed) for seed in TUNING] if further else []


def best_rate(areas: Mapping[tuple[float, int], float]) -> float:
    """The rate with the largest mean area of those that were tried on all tuning seeds; the smallest such."""
    rates = sorted({rate for rate, _ in areas if all((rate, seed) in areas for seed in TUNING)})
    return max(rates, key=lambda rate: fmean(areas[rate, seed] for seed in TUNING))


def wider(rate: float, rates: Sequence[float], factor: float) -> float | None:
    """The next rate beyond one that is the smallest or the largest of these; None for others."""
    return {min(rates): rate / factor, max(rates): rate * factor}.get(rate)


def trials(reward: str, turns: int, method: str) -> dict[tuple[float, int], float]:
    """(rate, seed) -> the area of its trial, of those that were made for a cell's method."""
    return {
        (float(row["rate"]), int(row["seed"])): float(row["area"])
        for row in read_results(TRIALS)
        if (row["reward"], row["turns"], row["method"]) == (reward, str(turns), method)
    }


def make() -> None:
    """All runs that are missing."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    key = ("reward", "turns", "method", "seed", "rate")
    done = {tuple(row[name] for name in key) for row in read_results(ROWS)}
    for reward, turns, method in cells():
        rate = chosen_rate(reward, turns, method)
        for seed in SEEDS:
            if (reward, str(turns), method, str(seed), str(rate)) not in done:
                append_rows(ROWS, one_run(reward, turns, method, seed, rate))
        print(reward, turns, method, flush=True)
