"""Gates that a credit function must pass before it is used: first its language, then its behaviour.

static       the language and the names of credit/language.py
runs         in the sandbox (no files, network, processes, environment; limits on time and memory), with a
             number for each agent
finite       no NaN, no infinity
bounds       baseline, mix: within N times the range of rewards; weights: N w_i >= 0.1, sum 1
steady       the same numbers in another process, in another order, with other turns missing
blind        baseline and weights of agent i stay the same when i writes another text, features extracted anew
equivariant  exchanged agents have exchanged credit; demanded where the environment's agents are exchangeable
aligned      mix: when a text changes, its author's credit moves with the team's reward nearly always

Functions are tried on recorded turns, random ones and a game's final states; those of text environments also
on turns of silent, garbling, hostile and learning teams, and at the ends of the range of each feature they
read: the last turn, rejected lines, rewards below zero, no text at all.  Each refusal says which turn, agent
and value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from baselines.credit import language
from baselines.credit.features import TurnRow
from baselines.credit.language import Refused
from baselines.credit.pinned import FLOOR
from baselines.search.sandboxed import Sandboxed, edge_rows, only, permuted, random_rows, where
from baselines.search.turns import Contexts
from collm_envs.sandbox import Sandbox

SUM = 1e-6
"""tolerance of the weights' sum around 1"""
ALIGNED = 0.9
"""smallest share of own-text changes in which `mix` must move with the reward"""


class Admitted(NamedTuple):
    """A function that passed, and its values."""

    source: str
    mode: str
    reads: Mapping[str, tuple[str, ...]]
    checks: Mapping[str, str]
    """gate -> its finding, for the report"""
    values: np.ndarray
    """(B, N) on the recorded turns"""
    changed: np.ndarray
    """(changes, N)"""


def admit(sandbox: Sandbox, source: str, mode: str, contexts: Contexts, seed: int = 0) -> Admitted:
    """Try a function on these turns and on random ones.  Raises Refused with gate and reason."""
    try:
        read = language.reads(source, mode)
        language.check_names(read, contexts.names)
    except Refused as why:
        raise Refused(f"static: {why}") from None
    trial, random = Sandboxed(sandbox, source, mode, contexts.agents), random_rows(contexts, seed)
    edges = edge_rows(contexts, read, seed)
    drawn = [*random, *edges, *contexts.ends]
    recorded, changes = contexts.rewards.tolist(), contexts.changes
    rows = [*contexts.rows, *(row for row, _ in contexts.others), *drawn, *(change.row for change in changes)]
    rows = [only(row, read) for row in rows]
    anything = [*recorded, *contexts.reward_range]
    rewards = [*recorded, *(reward for _, reward in contexts.others)]
    rewards += [anything[k % len(anything)] for k in range(len(drawn))]
    rewards += [change.reward for change in changes]
    values = trial.numbers(rows, rewards)
    n, m = len(recorded), len(rows) - len(changes)
    checks = {
        "static": "reads " + (named(read) or "nothing"),
        "runs": f"{n} recorded and {len(random)} random turns"
        + f", {len(contexts.ends)} final states" * bool(contexts.ends)
        + f", {len(contexts.others)} of other teams" * bool(contexts.others)
        + f", {len(edges)} at the ends of what features can be" * bool(edges),
        "finite": "all",
        "bounds": bounds(mode, rows, values, contexts),
        "steady": steady(trial, rows, rewards, values),
    }
    if mode != "mix":
        checks["blind"] = blind(mode, values[:n], values[m:], contexts)
    checks["equivariant"] = equivariant(trial, rows[:m], rewards[:m], values[:m], contexts)
    if mode == "mix":
        checks["aligned"] = aligned(values[:n], values[m:], contexts)
    return Admitted(source, mode, read, checks, values[:n], values[m:])


def bounds(mode: str, rows: Sequence[TurnRow], values: np.ndarray, contexts: Contexts) -> str:
    """Refuse weights below the floor or that do not sum to 1, credit far beyond all rewards."""
    n, (worst, best) = contexts.agents, contexts.reward_range
    if mode == "weights":
        return _weights(rows, values)
    low, high = worst - n * (best - worst), best + n * (best - worst)
    for b, i in np.argwhere((values < low) | (values > high)):
        far = f"outside [{low:.4g}, {high:.4g}], N times the range of rewards"
        raise Refused(f"bounds: {where(b, rows, i)}: {values[b, i]:.4g} is {far}")
    return f"from {values.min():.3g} to {values.max():.3g}"


def _weights(rows: Sequence[TurnRow], w: np.ndarray) -> str:
    n = w.shape[1]
    for b, i in np.argwhere(n * w < FLOOR):
        if w[b, i] < 0:
            why = f"negative weight {w[b, i]:.4g}: the agent would be taught to lower the reward"
        else:
            low = f"N * w = {n * w[b, i]:.4g} is below the floor {FLOOR}"
            why = f"saturated, {low}: that agent would hardly learn"
        raise Refused(f"bounds: {where(b, rows, i)}: {why}")
    for b in np.flatnonzero(np.abs(w.sum(1) - 1) > SUM):
        raise Refused(f"bounds: {where(int(b), rows)}: weights must sum to 1, they sum to {w[b].sum():.6g}")
    return f"N w_i from {n * w.min():.3g} to {n * w.max():.3g}, sum 1"


def steady(trial: Sandboxed, rows: Sequence[TurnRow], rewards: Sequence[float], values: np.ndarray) -> str:
    """Refuse a function whose values change with the process, the order or the selection of turns."""
    sample = [b for b in reversed(range(len(rows))) if b % 3]
    again = trial.numbers([rows[b] for b in sample], [rewards[b] for b in sample])
    for k, i in np.argwhere(again != values[sample]):
        b, second_value = sample[k], f"{again[k, i]:.6g} in another process, after other turns"
        raise Refused(
            f"steady: {where(b, rows, i)}: {values[b, i]:.6g}, and {second_value}: "
            "it must depend on its arguments alone"
        )
    return "the same in another process and order"


def blind(mode: str, values: np.ndarray, changed: np.ndarray, contexts: Contexts) -> str:
    """Refuse a baseline or weight of agent i that changes with agent i's own text."""
    if not contexts.changes:
        return "a game's state is known before anybody acts"
    for k, (b, i, _, _) in enumerate(contexts.changes):
        checked_agents = [i] if mode == "baseline" else range(contexts.agents)
        for j in checked_agents:
            if changed[k, j] != values[b, j]:
                moved = f"{values[b, j]:.6g} became {changed[k, j]:.6g} when agent {i} wrote another text"
                raise Refused(
                    f"blind: turn {b}, agent {j}: {moved}: own action, which can turn the gradient around"
                )
    return f"{len(contexts.changes)} own texts changed"


def equivariant(
    trial: Sandboxed,
    rows: Sequence[TurnRow],
    rewards: Sequence[float],
    values: np.ndarray,
    contexts: Contexts,
) -> str:
    """Refuse credit that depends on agent indices where agents are exchangeable; elsewhere only report it."""
    n = contexts.agents
    if not contexts.changes:
        return "not known: a game does not say which fields are whose"
    order = [(i + 1) % n for i in range(n)]
    moved = [permuted(row, order) for row in rows]
    again = trial.numbers(moved, rewards)
    off = np.abs(again - values[:, order]) > 1e-9
    needed = "demanded" if contexts.exchange else "not demanded: the agents' texts do not exchange"
    for b, i in np.argwhere(off)[:1]:
        if contexts.exchange:
            raise Refused(
                f"equivariant: {where(b, rows)}: agent {order[i]}'s {values[b, order[i]]:.6g} became "
                f"{again[b, i]:.6g} when the agents changed places; these agents are exchangeable"
            )
        return f"no ({needed})"
    return f"yes ({needed})"


def aligned(values: np.ndarray, changed: np.ndarray, contexts: Contexts) -> str:
    """Refuse `mix` where an agent's credit often moves against the team's reward."""
    share = factoredness(values, changed, contexts)
    if not share >= ALIGNED:  # also refuses NaN: no change moved the reward
        raise Refused(
            f"aligned: of the own-text changes that moved the reward, {share:.2f} moved the author's credit "
            f"the same way; at least {ALIGNED} must"
        )
    return f"{share:.3f} of own-text changes"


def factoredness(values: np.ndarray, changed: np.ndarray, contexts: Contexts) -> float:
    """P[sign dc_i = sign dR] over changes of agent i's own text that moved R; NaN where none did."""
    same = [
        np.sign(changed[k, i] - values[b, i]) == np.sign(reward - contexts.rewards[b])
        for k, (b, i, _, reward) in enumerate(contexts.changes)
        if reward != contexts.rewards[b]
    ]
    return float(np.mean(same)) if same else math.nan


def named(read: Mapping[str, Sequence[str]]) -> str:
    """ctx.turn, feat.reward, ..."""
    return ", ".join(f"{argument}.{name}" for argument, names in read.items() for name in names)
