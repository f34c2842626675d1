"""States of the discrete games, for judging the weights of a mixer: how much hangs on each agent there.

A game is played at random and, from the same seed, again with one agent's action changed and all other
actions of the episode as they were.  The truth of agent i at turn t is the mean size of what that changes
in the episode's return from t on; what cannot be played on after the change (the episode ended) counts as
it stands.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

import numpy as np

from baselines import games
from baselines.core.contexts import Contexts
from baselines.core.discrete import Game
from baselines.core.features import Row, frozen

MOST_TURNS = 25
"""of an episode that is played again"""


class Played(NamedTuple):
    """A game's states, its page and the shapes of its fields."""

    contexts: Contexts
    page: str
    shapes: Mapping[str, Sequence[int]]


def play_game(name: str, states: int, seed: int) -> Played:
    """At least `states` states of the game `name`, with what hangs on each agent."""
    game, rng = games.make(name), Random(f"games/{seed}")
    fields, n = game.layout.fields, len(game.layout.agents)
    rows, rewards, truth, group = [], [], [], []
    while len(rows) < states:
        number = rng.getrandbits(31)
        plan = [[rng.randrange(a) for a in game.layout.n_actions] for _ in range(MOST_TURNS)]
        seen, got = episode(game, number, plan)
        t = rng.randrange(len(got))
        hangs = []
        for i, actions in enumerate(game.layout.n_actions):
            changed = []
            for other in range(min(actions, 6)):
                again = [list(joint) for joint in plan]
                again[t][i] = other
                changed.append(abs(sum(episode(game, number, again)[1][t:]) - sum(got[t:])))
            hangs.append(float(np.mean(changed)))
        state = seen[t]
        rows.append(Row({name: frozen(state[index].tolist()) for name, index in fields.items()}, {}, {}, {}))
        rewards.append(sum(got[t:]))
        truth.append(hangs)
        group.append(len(group) // 4)
    span = (min(rewards), max(rewards))
    contexts = Contexts(n, rows, np.array(group), np.array(rewards), np.array(truth), span)
    return Played(contexts, _page(name, game), {k: index.shape for k, index in fields.items()})


def episode(game: Game, seed: int, plan: Sequence[Sequence[int]]) -> tuple[list[np.ndarray], list[float]]:
    """The states before each turn and the rewards, as far as the plan and the game go."""
    view, seen, got = game.reset(seed), [], []
    for joint in plan:
        seen.append(view.state)
        outcome = game.step(np.array(joint))
        got.append(outcome.reward)
        view = outcome.view
        if outcome.terminated or outcome.truncated:
            break
    return seen, got


def _page(name: str, game: Game) -> str:
    about = inspect.getdoc(inspect.getmodule(type(game.env))) or ""
    layout = game.layout
    return (
        f"{name}\n\n{about}\n\nagents: {', '.join(layout.agents)}\nactions of each: {list(layout.n_actions)}"
    )
