"""Critics: a value V(h_t) read at the end of what was read before turn t.  They are used in training only.

A critic sees text as one growing history, so the values of all turns of an episode come out of one forward
pass.  A local critic reads an agent's own history, which stays with the agent's policy; a central critic is
fed texts, and reads the histories of all agents: per turn first what every agent reads, V there, then what
every agent wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from baselines.formulas import losses
from baselines.lm.history import Move, Segment
from baselines.lm.learning import Optimizer
from baselines.lm.packing import batches, ends
from baselines.lm.policy import LM, size_of
from baselines.play.episode import Node


@dataclass(frozen=True)
class CriticSettings:
    """The critics of a team: which, on what trunks, and how they step."""

    names: tuple[str, ...] = ()
    """"central", or the agents that are judged; empty: a team without critics"""
    model: str = ""
    """folder or hub name of their trunks; empty: the model of the agent each judges, central the first's"""
    on_actor: bool = False
    """heads on the actors themselves, whose trunks their steps change too"""
    one_loss: bool = False
    """with on_actor: heads take no steps of their own, their loss is a part of the policy's (`Beside`)"""
    lr: float = 0.0
    epochs: int = 1
    """optimizer steps in every step of the run"""
    max_context: int = 0
    """tokens of one history they read"""


NO_CRITICS = CriticSettings()


class Critic:
    """A language model's trunk with a linear value head.

    `lm` gives trunk, tokenizer and precision: a model of the critic's own, an adapter of its own on a shared
    base, or with `on_actor` the actor itself (then value and policy steps share one trunk).
    """

    def __init__(self, lm: LM, max_context: int, *, on_actor: bool = False):
        self.lm = lm
        self.on_actor = on_actor
        self.max_context = max_context
        width = lm.causal.get_output_embeddings().weight.shape[1]
        self.head = nn.Linear(width, 1).to(lm.device)
        nn.init.zeros_(self.head.weight)  # V = 0 everywhere: the first advantages are plain returns
        nn.init.zeros_(self.head.bias)
        self.optimizer: Optimizer | None = None
        """of its own steps; None for a head that steps with its policy"""

    def parameters(self) -> list[nn.Parameter]:
        """What fitting changes: the trunk's trainable weights and the head."""
        return [*(p for p in self.lm.parameters() if self._feeds_values(p)), *self.head.parameters()]

    @property
    def actor(self) -> str:
        """Name of the policy or trunk that the head stands on."""
        return self.lm.name

    @property
    def stepped(self) -> int:
        """Number of parameters that the critic's own optimizer steps."""
        return size_of(self.optimizer.parameters) if self.optimizer else 0

    def before(self, moves: Sequence[Move]) -> list[Segment]:
        """What an agent itself had read and written before each of these moves, in its own tokens."""
        return [move.parent for move in moves if move.parent is not None]

    def joint(self, episodes: Sequence[Sequence[str]]) -> list[Segment]:
        """The joint history before every turn of these episodes (`joint_texts`), in the critic's tokens."""
        return [history for texts in episodes for history in joint_histories(texts, self.lm)]

    def values(self, segments: Sequence[Segment]) -> Tensor:
        """V at the end of each of these histories, without gradient.   -> (len(segments),) float64"""
        out = torch.zeros(len(segments), dtype=torch.float64)
        with torch.no_grad():
            for index, value in self._values(segments):
                out[index] = value.double().cpu()
        return out

    def fit(
        self,
        segments: Sequence[Segment],
        targets: Tensor,
        *,
        coef: float = 1.0,
        clip: float | None = None,
        old: Tensor | None = None,
    ) -> dict[str, float]:
        """One step on coef * mean (V - target)^2 of all these histories.   targets, old: (len(segments),)"""
        if self.optimizer is None:
            raise ValueError(f"{self.lm.name}: its critic has no optimizer of its own")
        self.optimizer.zero_grad()
        total = self.backward(segments, targets, coef=coef, clip=clip, old=old)
        norm = self.optimizer.step()
        self.optimizer.zero_grad()  # a gradient kept until the next step would only take memory
        return {"value_loss": total, "value_grad_norm": norm}

    def backward(
        self,
        segments: Sequence[Segment],
        targets: Tensor,
        *,
        coef: float = 1.0,
        clip: float | None = None,
        old: Tensor | None = None,
    ) -> float:
        """Add the gradient of coef * mean (V - target)^2 of all these histories; returns that mean.

        targets, old: (len(segments),).  Raises FloatingPointError for a loss that is not finite.
        """
        targets = targets.float().to(self.lm.device)
        before = None if old is None else old.float().to(self.lm.device)
        total = 0.0
        for index, value in self._values(segments):
            was = None if before is None else before[index]
            loss = losses.value_loss(value, targets[index], was, clip).sum() / len(segments)
            if not torch.isfinite(loss):
                raise FloatingPointError(
                    f"{self.lm.name}: the value loss is {loss.item()}; nothing was changed"
                )
            (coef * loss).backward()
            total += float(loss.detach())
        return total

    def state_dict(self) -> dict[str, Any]:
        """The head, the trunk where that is no actor's, and the optimizer's state."""
        trunk = {} if self.on_actor else {"trunk": self.lm.state_dict()}
        head = {name: value.detach().cpu().clone() for name, value in self.head.state_dict().items()}
        optimizer = {"optimizer": self.optimizer.state_dict()} if self.optimizer else {}
        return {"head": head, **trunk, **optimizer}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` of such a critic gave."""
        self.head.load_state_dict(state["head"])
        if not self.on_actor:
            self.lm.load_state_dict(state["trunk"])
        if self.optimizer:
            self.optimizer.load_state_dict(state["optimizer"])

    def _values(self, segments: Sequence[Segment]) -> Iterator[tuple[list[int], Tensor]]:
        """Indices and values of these histories, a micro-batch at a time."""
        for batch in batches(segments, self.lm.micro_batch_tokens, self.lm.device):
            if batch.ids.shape[1] > self.max_context:
                raise ValueError(
                    f"{self.lm.name}: a history of {batch.ids.shape[1]} tokens exceeds "
                    f"critic_max_context={self.max_context}; raise it"
                )
            if batch.ids.shape[1] > self.lm.reach.tokens:
                raise ValueError(
                    f"{self.lm.name}: a history of {batch.ids.shape[1]} tokens exceeds "
                    f"{self.lm.reach.setting}={self.lm.reach.tokens} of the critic's model; take another"
                )
            row, column, index = ends(batch)
            with self.lm.active():
                hidden = trunk(self.lm.causal)(input_ids=batch.ids, use_cache=False).last_hidden_state
                value = self.head(hidden[row, column].float()).squeeze(-1)
            yield index, value.float()

    def _feeds_values(self, parameter: nn.Parameter) -> bool:
        """False for an output layer of its own: it makes tokens, and values never pass through it."""
        head = self.lm.causal.get_output_embeddings().weight
        tied = head is self.lm.causal.get_input_embeddings().weight
        return tied or parameter is not head


def trunk(model: Any) -> nn.Module:
    """The model below its output layer: token ids to last hidden states."""
    return model.base_model


def joint_texts(path: Sequence[Node]) -> list[str]:
    """What a central critic reads at every turn of an episode, after what it has read before."""
    texts: list[str] = []
    written: dict[str, str] = {}
    for node in path:
        text = "".join(f"[{agent} wrote]\n{words}\n" for agent, words in written.items())
        text += "".join(f"[{agent} reads]\n{node.prompts[agent]}\n" for agent in node.moves)
        texts.append(text)
        written = {agent: move.text for agent, move in node.moves.items()}
    return texts


def joint_histories(texts: Sequence[str], lm: LM) -> list[Segment]:
    """These texts as one growing history in the tokens of a critic's `lm`.   -> one segment a text"""
    out: list[Segment] = []
    for text in texts:
        ids = lm.renderer.text_ids(text, first=not out)
        out.append(Segment(out[-1] if out else None, ids))
    return out
