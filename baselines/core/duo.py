"""Two models that learn from one another: what is kept of them, and what the second one reads (for CORY).

Everything is kept by model ("llm_0", "llm_1") and nothing by role, so exchanging roles moves no weight:
optimizer, critic, KL weight and log lines stay with the model they belong to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from baselines.core.episode import Move, Node
from baselines.core.improve import reference_logp
from baselines.core.lm import LM
from baselines.core.team import Team
from collm_envs import Item, Scene, Score, Task, in_parallel


@dataclass
class Duo(Team):
    """One or two language models, each able to play alone."""

    eta: dict[str, float] = field(default_factory=dict)
    """by model: weight of its KL to the untrained model"""
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    """of all returns so far: how many, their sum, the sum of their squares; for `scaled`"""

    def lineups(self, agents: Sequence[str]) -> dict[str, dict[str, LM]]:
        """Each model by itself, on the bare query."""
        return {name: dict.fromkeys(agents, lm) for name, lm in self.policies.items()}

    def scaled(self, rewards: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, list[list[float]]]:
        """The rewards of a step over the deviation of all returns so far, these included."""
        returns = [sum(episode) for episode in next(iter(rewards.values()))]  # the same for both models
        new = (len(returns), sum(returns), sum(r * r for r in returns))
        self.sums = [old + more for old, more in zip(self.sums, new, strict=True)]
        n, total, squares = self.sums
        variance = squares / n - (total / n) ** 2
        scale = variance**0.5 if variance > 1e-12 else 1.0
        return {name: [[r / scale for r in turns] for turns in some] for name, some in rewards.items()}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "eta": dict(self.eta), "sums": list(self.sums)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.eta, self.sums = dict(state["eta"]), list(state["sums"])


@dataclass(frozen=True)
class Reading:
    """A task's state beside the texts that are shown to whoever plays it."""

    inner: Any
    texts: tuple[str, ...]
    turn: int = 0


class Observed:
    """The same task with somebody else's texts in its prompts: `template` with {query} and {text}.

    An item of it holds the task's own item and the texts, turn by turn; after the last of them prompts are
    the task's own.  Rewards, ends and randomness are the task's.
    """

    def __init__(self, task: Task, template: str):
        self.task, self.template = task, template
        self.agents, self.max_turns, self.revision = task.agents, task.max_turns, task.revision
        self.reward_range, self.players = task.reward_range, task.players
        self.parallel_play = in_parallel(task)

    def items(self, split: str) -> Sequence[Item]:
        return [observed(item, ()) for item in self.task.items(split)]

    def start(self, item: Item, seed: int) -> Reading:
        return Reading(self.task.start(item.data["item"], seed), tuple(item.data["texts"]))

    def prompt(self, state: Reading, agent: str) -> str:
        query = self.task.prompt(state.inner, agent)
        if state.turn >= len(state.texts):
            return query
        return self.template.format(query=query, text=state.texts[state.turn])

    def play(self, state: Reading, texts: Mapping[str, str]) -> Reading:
        return replace(state, inner=self.task.play(state.inner, texts), turn=state.turn + 1)

    def score(self, state: Reading) -> Score:
        return self.task.score(state.inner)

    def done(self, state: Reading) -> bool:
        return self.task.done(state.inner)

    def scene(self, state: Reading) -> Scene:
        return self.task.scene(state.inner)


def observed(item: Item, texts: Sequence[str]) -> Item:
    """The item of `Observed` that shows these texts."""
    return Item(item.id, {"item": item, "texts": tuple(texts)})


def payments(paths: Mapping[str, Sequence[Sequence[Node]]]) -> dict[str, list[list[float]]]:
    """What each model is paid for the turns of its episodes: what both answers earn.   KL not included

    paths: for one or two models as many episodes, the k-th of both on the same query.
    """
    both = list(paths.values())
    if len(both) == 1:
        return {name: [[node.reward for node in path] for path in some] for name, some in paths.items()}
    return {
        name: [_sums(own, other) for own, other in zip(some, others, strict=True)]
        for (name, some), others in zip(paths.items(), both[::-1], strict=True)
    }


def _sums(own: Sequence[Node], other: Sequence[Node]) -> list[float]:
    """r_t(own) + r_t(other) for every turn of `own`; what `other` earns after its end falls to its last."""
    out = [node.reward for node in own]
    for t, node in enumerate(other):
        out[min(t, len(own) - 1)] += node.reward
    return out


def texts(path: Sequence[Node]) -> list[Move]:
    """What one model wrote in an episode."""
    return [move for node in path for move in node.moves.values()]


def log_ratios(policy: LM, reference: LM | None, moves: Sequence[Sequence[Move]]) -> list[list[Tensor]]:
    """log pi / pi_0 of every token drawn, at the prompt that was read; zeros without a reference.

    moves: episodes of one model's texts -> for each a (tokens,) float64 tensor
    """
    flat = [move for episode in moves for move in episode]
    if reference is None:
        ratios = [torch.zeros(len(move.ids), dtype=torch.float64) for move in flat]
    else:
        frozen = reference_logp(reference, flat, policy)
        ratios = [torch.tensor(m.logp).double() - f.double().cpu() for m, f in zip(flat, frozen, strict=True)]
    some = iter(ratios)
    return [[next(some) for _ in episode] for episode in moves]


def token_moves(move: Move) -> list[Move]:
    """Every token of a text as a move of its own, in order: the same history, cut finer.

    The first follows what was read and each other one the token before it, so the values and probabilities
    of all of them come out of one row.
    """
    tokens: list[Move] = []
    before = move.parent
    for token, logp in zip(move.ids, move.logp, strict=True):
        before = Move(before, [token], [logp], move.text)
        tokens.append(before)
    return tokens
