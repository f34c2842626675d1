"""What the tests of credit share: a two-turn game, scripted teams, and what a step would teach them."""

from __future__ import annotations

from random import Random
from typing import Any

from tabular import TabularCritic, tabular_team
from toy_games import Game

from baselines import maac, magrpo, reinforce
from baselines.lm.history import Move
from baselines.play.episode import Node

WORDS = ("0", "1", "2")
ALGORITHMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "reinforce": (reinforce, {"episodes": 8, "group": 4, "baseline": "leave-one-out", "gamma": 0.5}),
    "reinforce, no baseline": (reinforce, {"episodes": 8, "group": 1}),
    "magrpo": (magrpo, {"episodes": 8, "group": 2, "gamma": 0.5}),
    "magrpo, cross": (magrpo, {"episodes": 16, "group": 2, "joint": "cross", "divide_by_std": True}),
    "maac, central": (maac, {"lam": 0.0, "episodes": 8, "gamma": 0.5}),
    "maac, decentral": (maac, {"episodes": 8, "gamma": 0.5, "lam": 1.0, "critic": "decentral"}),
}
"""name -> algorithm and settings of a small step"""
TEXTS = {"magrpo": (4, 8), "magrpo, cross": (2, 8)}
"""texts of each turn of such a step, where they are not 8"""


def fractions_game() -> Game:
    """Two turns of two agents; all sums of its rewards are exact in binary."""

    def pay(state: Any) -> float:
        first, second = (int(word or 0) for word in state.said[-1])
        return (first + 2 * second + first * second * len(state.said)) / 8

    return Game(2, 2, WORDS, lambda state, k: f"turn {len(state.said)}", pay)


def scripted_team(name: str, task: Game, **policy: Any) -> Any:
    """Tabular policies that write fixed words, whatever their tables say, and critics where there are any."""
    kind = ALGORITHMS[name][1].get("critic", "central")
    critics = {"central": TabularCritic()} if kind == "central" else {a: TabularCritic() for a in task.agents}
    rng = Random(name)
    scripts = {
        a: [[rng.randrange(3) for _ in range(n)] for n in TEXTS.get(name, (8, 8))] for a in task.agents
    }
    used = critics if name.startswith("maac") else {}
    return tabular_team(task, critics=used, scripts=scripts, **policy)


def taught(name: str, monkeypatch: Any, task: Game, team: Any, **settings: Any) -> dict[str, list[Any]]:
    """agent -> [word, advantage, weight] of every move of one step of an algorithm."""
    algorithm, own = ALGORITHMS[name]
    seen: dict[str, list[Any]] = {}

    def note(lessons: Any, config: Any, *beside: Any) -> dict[str, float]:
        for agent, some in lessons.items():
            rows = zip(some.moves, some.advantages, some.weights, strict=True)
            seen[agent] = [[move.text, advantage, weight] for move, advantage, weight in rows]
        return {}

    monkeypatch.setattr(team, "learn", note)
    config = algorithm.Config(steps=team.step + 1, **own, **settings)
    next(algorithm.train(config, task, team))
    return seen


def played(task: Any, texts: list[dict[str, str]], item: Any = None, seed: int = 0) -> list[Node]:
    """The turns of one episode with given texts, as a rollout would leave them."""
    item = task.items("train")[0] if item is None else item
    nodes: list[Node] = []
    state = task.start(item, seed)
    for some in texts:
        after = task.play(state, some)
        moves = {agent: Move(None, [0], [0.0], text) for agent, text in some.items()}
        node = Node(item, seed, state, {}, moves, after, task.score(after), nodes[-1] if nodes else None)
        nodes.append(node)
        state = after
    return nodes
