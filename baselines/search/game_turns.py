"""Recorded states of discrete games with each agent's influence on the return, to score a mixer's weights.

A game is played at random to a random turn t, and from that state with GROUP random joint actions at t, which
form a group: gradient noise is compared within groups only.  From the same seed it is then replayed with one
agent's action at t changed and all other actions of the episode unchanged.  The truth of agent i at turn t is
the size of what that changes in the episode's return from t on, as a mean over the agent's first ACTIONS
actions, the one it played (which changes nothing) among them; where the episode ends
after the change, the return up to there counts.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

import numpy as np

from baselines import games
from baselines.credit.features import TurnRow, frozen
from baselines.games.game import Game
from baselines.search.turns import GROUP, Contexts

MOST_TURNS = 25
"""turns of an episode that are replayed at most"""
ACTIONS = 6
"""actions of an agent that are tried at most"""


class GameTurns(NamedTuple):
    """A game's states, its page and the shapes of its fields."""

    contexts: Contexts
    page: str
    shapes: Mapping[str, Sequence[int]]


def play_game(name: str, states: int, seed: int) -> GameTurns:
    """At least `states` turns of the game `name`, GROUP from each state, with each agent's influence."""
    game, rng = games.make(name), Random(f"games/{seed}")
    fields, n = game.layout.fields, len(game.layout.agents)
    rows, rewards, truth, ends = [], [], [], []
    while len(rows) < states:
        number = rng.getrandbits(31)
        plan = [_joint(game, rng) for _ in range(MOST_TURNS)]
        states_seen, step_rewards = episode(game, number, plan)
        ends.append(_row(game, states_seen[-1]))
        t = rng.randrange(len(step_rewards))
        for _ in range(GROUP):
            plan[t] = _joint(game, rng)
            earned = sum(episode(game, number, plan)[1][t:])
            rows.append(_row(game, states_seen[t]))
            rewards.append(earned)
            truth.append([influence(game, number, plan, t, i, earned) for i in range(n)])
    span = (min(rewards), max(rewards))
    group = np.arange(len(rows)) // GROUP
    contexts = Contexts(n, rows, group, np.array(rewards), np.array(truth), span, ends=ends)
    return GameTurns(contexts, _page(name, game), {k: index.shape for k, index in fields.items()})


def _joint(game: Game, rng: Random) -> list[int]:
    return [rng.randrange(actions) for actions in game.layout.n_actions]


def _row(game: Game, state: np.ndarray) -> TurnRow:
    return TurnRow({k: frozen(state[index].tolist()) for k, index in game.layout.fields.items()}, {}, {}, {})


def influence(game: Game, number: int, plan: Sequence[Sequence[int]], t: int, i: int, earned: float) -> float:
    """Mean |change| in an episode's return from t on when agent i takes other actions at turn t.

    `number` is the seed of the episode, `plan` the joint actions of its turns, `earned` its return from t on.
    """
    changed = []
    for other in range(min(game.layout.n_actions[i], ACTIONS)):
        again = [list(joint) for joint in plan]
        again[t][i] = other
        changed.append(abs(sum(episode(game, number, again)[1][t:]) - earned))
    return float(np.mean(changed))


def episode(game: Game, seed: int, plan: Sequence[Sequence[int]]) -> tuple[list[np.ndarray], list[float]]:
    """The states before each turn and after the last, and the rewards, as far as the plan and the game go."""
    states_seen, step_rewards = [game.reset(seed).state], []
    for joint in plan:
        outcome = game.step(np.array(joint))
        states_seen.append(outcome.view.state)
        step_rewards.append(outcome.reward)
        if outcome.terminated or outcome.truncated:
            break
    return states_seen, step_rewards


def _page(name: str, game: Game) -> str:
    about = inspect.getdoc(inspect.getmodule(type(game.env))) or ""
    layout = game.layout
    return (
        f"{name}\n\n{about}\n\nagents: {', '.join(layout.agents)}\nactions of each: {list(layout.n_actions)}"
    )
