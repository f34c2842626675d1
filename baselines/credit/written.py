"""Loads a credit function that a person or a model wrote, and computes each agent's credit with it.

A function has one of three forms.  A is the team's advantage, R its reward, A_i what agent i learns from:

    baseline   b_i(ctx, feat with row i masked)      A_i = R - b_i: unbiased, since b_i cannot see text i
    weights    w_i(ctx), N w_i >= 0.1, sum 1         A_i = N w_i A: each state's direction stays as it is
    mix        c_i(ctx, feat, pair, R)               A_i = (1 - alpha) A + alpha (c_i - mean of c_i)

ctx, feat and pair are the named features of one turn (credit/features.py), so a function cannot use other
turns.  To mask row i, agent i's features are replaced by those of its silence in the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from baselines.credit import pinned
from baselines.credit.features import Features, TurnRow
from baselines.credit.language import FAILURES, PLACES, Refused, check_names

ALPHA = 0.5
"""the largest share of the advantage that `mix` may take"""


class Written(NamedTuple):
    """A credit function and how its numbers enter the advantage."""

    name: str
    mode: str
    """baseline, weights or mix"""
    function: Callable[..., Any]
    """plain Python on the numbers of one turn; its parameters are MODES[mode]"""
    alpha: float = ALPHA
    """of mode mix"""
    reads: Mapping[str, Sequence[str]] = MappingProxyType({})
    """names it reads from each of ctx, feat and pair; refused where an environment lacks one"""
    sha256: str = ""
    """of the source, as pinned; "" for a function without a file"""

    def credit(self, features: Features, rewards: Tensor) -> Tensor:
        """b_i, w_i or c_i of every turn and agent.   rewards: (B,) -> (B, N) of the same dtype

        Raises Refused for a function of another environment, for numbers that are not finite, naming turn
        and agent, for a function that fails, and for weights that are negative, below the floor or do not
        sum to 1.
        """
        there = {argument: list(getattr(features, argument)) for argument in PLACES}
        try:
            check_names(self.reads, there)
        except Refused as why:
            raise Refused(f"{self.name} is for another environment: {why}") from None
        rows = features.rows()
        turns = zip(rows, rewards.tolist(), strict=True)
        out = [self._numbers(b, row, reward) for b, (row, reward) in enumerate(turns)]
        values = torch.tensor(out, dtype=torch.float64)
        if self.mode == "weights":
            pinned.check_weights(values, (len(rows), int(rows[0].ctx["agents"])), self.name)  # type: ignore
        elif not bool(torch.isfinite(values).all()):
            b, i = (~torch.isfinite(values)).nonzero()[0].tolist()
            raise Refused(f"{self.name}: {self.mode} of turn {b}, agent {i} is {out[b][i]}")
        return values.to(rewards)

    def _numbers(self, b: int, row: TurnRow, reward: float) -> list[float]:
        agents = int(row.ctx["agents"])  # type: ignore[arg-type]
        values: list[float] = []
        for i, call in enumerate(calls(self.mode, row, agents, reward)):
            where = f"{self.name}: {self.mode} of turn {b}" + f", agent {i}" * (self.mode == "baseline")
            try:
                result = self.function(*call)
                values += [float(x) for x in ([result] if self.mode == "baseline" else result)]
            except FAILURES as error:
                raise Refused(f"{where}: {type(error).__name__}: {error}") from None
        if len(values) != agents:
            raise Refused(
                f"{self.name}: {self.mode} of turn {b}: {agents} numbers wanted, one for each agent, "
                f"got {len(values)}"
            )
        return values


def calls(mode: str, row: TurnRow, agents: int, reward: float) -> list[tuple[Any, ...]]:
    """The arguments of the calls that one turn takes: one for each agent in mode baseline, else one."""
    if mode == "baseline":
        return [(row.ctx, masked(row, me), me) for me in range(agents)]
    if mode == "weights":
        return [(row.ctx,)]
    return [(row.ctx, row.feat, row.pair, reward)]


def masked(row: TurnRow, me: int) -> Mapping[str, Sequence[float]]:
    """`feat` with the numbers of agent `me` replaced by those of silence."""
    return {
        name: tuple(row.silent[name][me] if j == me else x for j, x in enumerate(each))
        for name, each in row.feat.items()
    }


def load_written(name: str | Path) -> Written:
    """The pinned credit function `name`: a stem in baselines/credit/functions, or a path that ends in .py.

    Raises FileNotFoundError, and Refused for one that is stale, not reviewed, or no credit function.
    """
    file = pinned.load_pinned(name)
    facts = file.manifest
    if facts["form"] != "turn":
        raise Refused(f"{file.name}: its functions are for a mixer, not for the credit of text agents")
    reads: dict[str, list[str]] = {argument: [] for argument in PLACES}
    for field in file.reads:
        argument, _, read = field.partition(".")
        reads[argument].append(read)
    function = file.functions[facts["mode"]]
    return Written(file.name, facts["mode"], function, facts["alpha"], reads, file.sha256)
