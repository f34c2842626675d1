"""A tabular softmax policy and a tabular critic, which stand where language models stand in `baselines`.

They offer the same verbs, so the same `play`, `collect`, `learn` and `train` run on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from toy_games import Game

from baselines.formulas import losses
from baselines.lm import learning, scoring
from baselines.lm.history import Message, Move, Segment
from baselines.lm.scoring import Scores
from baselines.train.critic import Critic
from baselines.train.team import Team


class Tabular:
    """A softmax over words for every context: its newest message, or with `full` all it has read and written.

    `script` makes it write given words, turn by turn, whatever it would have drawn: with uniform tables and
    every joint word once, an average over episodes is an exact expectation.
    """

    adapter = None
    rescored = False
    device = torch.device("cpu")

    def __init__(
        self,
        name: str,
        words: Sequence[str],
        *,
        start: Mapping[str, Sequence[float]] | None = None,
        full: bool = False,
        script: Sequence[Sequence[int]] | None = None,
    ):
        self.name, self.words, self.full = name, tuple(words), full
        self.start = dict(start or {})
        self.script = script
        self.texts: dict[str, int] = {}
        self.rows: dict[Any, int] = {}
        self.table = nn.Parameter(torch.zeros(64, len(words)))
        self.newest = torch.zeros_like(self.table)
        """the loss's gradient at the last step, which `learn` forgets once it is taken"""
        self.table.register_post_accumulate_grad_hook(self._keep)
        self.optimizer: Any = None
        self.reference: Tabular | None = None

    def _keep(self, table: Tensor) -> None:
        assert table.grad is not None
        self.newest = table.grad.clone()

    def parameters(self) -> list[nn.Parameter]:
        return [self.table]

    def row(self, head: Segment) -> int:
        """The table's row of a context, made where it is new."""
        chain = head.chain() if self.full else [head]
        key = tuple(s.text for s in chain if isinstance(s, (Message, Move)))
        if key not in self.rows:
            self.rows[key] = len(self.rows)
            if key[-1] in self.start:
                with torch.no_grad():
                    self.table[self.rows[key]] = torch.tensor(self.start[key[-1]])
        return self.rows[key]

    def probs(self, *context: str) -> list[float]:
        """The distribution in a context that has been met."""
        return self.table[self.rows[context]].softmax(-1).tolist()

    def converse(self, n: int, seed: int) -> Talk:
        return Talk(self, torch.Generator().manual_seed(seed), [None] * n)

    learn = learning.learn
    log_ratios = scoring.log_ratios

    def logp(
        self, moves: Sequence[Move], *, entropy: bool = False, reference: bool = False
    ) -> Iterator[Scores]:
        rows = torch.tensor([self.row(move.parent) for move in moves if move.parent is not None])
        logp = self.table[rows].log_softmax(-1)
        taken = logp.gather(-1, torch.tensor([move.ids for move in moves])).squeeze(-1)
        spread = -(logp.exp() * logp).sum(-1) if entropy else None
        n = len(moves)
        yield Scores(taken, torch.arange(n), list(range(n)), spread, n)


@dataclass
class Talk:
    """Histories of a tabular policy."""

    policy: Tabular
    generator: torch.Generator
    heads: list[Segment | None]
    turn: int = 0
    streams: dict[int, torch.Generator] = field(default_factory=dict)

    def read(self, messages: Sequence[str]) -> None:
        texts = self.policy.texts
        for k, message in enumerate(messages):
            self.heads[k] = Message(self.heads[k], [texts.setdefault(message, len(texts))], message)

    def write(self) -> list[Move]:
        rows = [self.policy.row(head) for head in self.heads if head is not None]
        with torch.no_grad():
            logp = self.policy.table[rows].log_softmax(-1)
            picked = logp.exp().multinomial(1, generator=self.generator).squeeze(-1).tolist()
        if self.policy.script is not None:
            picked = list(self.policy.script[self.turn])
        self.turn += 1
        self.heads = [
            Move(head, [word], [float(logp[k, word])], self.policy.words[word])
            for k, (head, word) in enumerate(zip(self.heads, picked, strict=True))
        ]
        return list(self.heads)

    def pick(self, indices: Sequence[int], seed: int | None = None) -> Talk:
        generator = self.generator
        if seed is not None:
            generator = self.streams.setdefault(seed, torch.Generator().manual_seed(seed))
        return Talk(self.policy, generator, [self.heads[k] for k in indices], self.turn, self.streams)


class TabularCritic:
    """A value for every history, a joint one or an agent's own; with `last` for every newest message.

    Offers what `baselines.train.critic.Critic` offers; `lm.renderer` gives every new text an id of its own.
    """

    def __init__(self, *, last: bool = False):
        self.last = last
        self.lm = self.renderer = self
        self.texts: dict[str, int] = {}
        self.rows: dict[Any, int] = {}
        self.table = nn.Parameter(torch.zeros(256))
        self.optimizer: Any = None

    def text_ids(self, text: str, *, first: bool) -> list[int]:
        return [self.texts.setdefault(text, len(self.texts))]

    before, joint = Critic.before, Critic.joint

    def parameters(self) -> list[nn.Parameter]:
        return [self.table]

    def rows_of(self, segments: Sequence[Segment]) -> Tensor:
        keys = [tuple(tuple(s.ids) for s in ([h] if self.last else h.chain())) for h in segments]
        return torch.tensor([self.rows.setdefault(key, len(self.rows)) for key in keys])

    def values(self, segments: Sequence[Segment]) -> Tensor:
        return self.table.detach()[self.rows_of(segments)].double()

    def fit(
        self, segments: Sequence[Segment], targets: Tensor, *, coef: float = 1.0, **_: Any
    ) -> dict[str, float]:
        self.optimizer.zero_grad()
        loss = losses.value_loss(self.table[self.rows_of(segments)], targets.float()).mean()
        (coef * loss).backward()
        return {"value_loss": float(loss.detach()), "value_grad_norm": self.optimizer.step()}


class SGD:
    """Plain gradient descent behind the verbs of `baselines.lm.learning.Optimizer`."""

    def __init__(self, parameters: Sequence[nn.Parameter], lr: float):
        self.parameters, self.lr = list(parameters), lr

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> float:
        norm = 0.0
        with torch.no_grad():
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter -= self.lr * parameter.grad
                    norm += float(parameter.grad.square().sum())
        return norm**0.5


def tabular_team(
    task: Game,
    *,
    lr: float = 0.0,
    critics: Mapping[str, TabularCritic] | None = None,
    critic_lr: float = 0.0,
    scripts: Mapping[str, Any] | None = None,
    **policy: Any,
) -> Team:
    """A team of tabular policies, one an agent, with plain gradient descent."""
    policies = {
        agent: Tabular(agent, task.words, script=(scripts or {}).get(agent), **policy)
        for agent in task.agents
    }
    for actor in policies.values():
        actor.optimizer = SGD(actor.parameters(), lr)
    for critic in (critics or {}).values():
        critic.optimizer = SGD(critic.parameters(), critic_lr)
    stand_ins: Any = policies, dict(critics or {})
    return Team(*stand_ins)


def gradient(policy: Tabular, *context: str) -> list[float]:
    """d objective / d logits in a context after the last step: the loss's gradient, its sign turned."""
    return (-policy.newest[policy.rows[context]]).tolist()
