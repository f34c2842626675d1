"""What this package uses of the `tinker` SDK, over our own models: a service and its server in one process.

A base model has `SLOTS` adapters, the k-th of which the k-th training client gets.  `mean`: the loss of a row
is divided by its tokens, and that of a request by its rows, as SkyRL's server does; otherwise it is a sum.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch

from baselines.lm.history import Move, Segment
from baselines.lm.opening import Setup, open_all
from baselines.lm.policy import LM, Context
from baselines.lm.sampling import Sampling

SLOTS = ("agent_0", "agent_1", "probe_0", "probe_1", "resumed_0", "resumed_1")

ALONE = threading.Lock()
"""the SDK is called by many threads at once, and a model samples for one"""


class TinkerError(Exception):
    """What the SDK raises."""


@dataclass
class Done:
    """A future that is done."""

    value: Any

    def result(self) -> Any:
        return self.value


@dataclass
class ModelInput:
    ids: list[int]

    @classmethod
    def from_ints(cls, ids: Sequence[int]) -> ModelInput:
        return cls([*ids])


@dataclass
class Datum:
    model_input: ModelInput
    loss_fn_inputs: dict[str, list[float]]


@dataclass
class SamplingParams:
    max_tokens: int
    temperature: float = 1.0
    seed: int = 0
    stop: Sequence[int] = ()


@dataclass
class AdamParams:
    learning_rate: float
    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    grad_clip_norm: float


types = SimpleNamespace(
    ModelInput=ModelInput, Datum=Datum, SamplingParams=SamplingParams, AdamParams=AdamParams
)


@dataclass
class Training:
    """A training client with its adapter."""

    server: Service
    lm: LM
    moments: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    taken: int = 0

    def forward(self, rows: Sequence[Datum], loss: str) -> Done:
        with torch.no_grad():
            logps = [self._logp(row) for row in rows]
        outputs = [{"logprobs": SimpleNamespace(data=logp.tolist())} for logp in logps]
        return Done(SimpleNamespace(loss_fn_outputs=outputs))

    def forward_backward(self, rows: Sequence[Datum], loss: str) -> Done:
        assert loss == "importance_sampling"
        for row in rows:
            given = {key: torch.tensor(value) for key, value in row.loss_fn_inputs.items()}
            total = -((self._logp(row) - given["logprobs"]).exp() * given["advantages"]).sum()
            if self.server.mean:
                total = total / len(row.model_input.ids) / len(rows)
            total.backward()
        return Done(None)

    def optim_step(self, adam: AdamParams) -> Done:
        parameters = self.lm.parameters()
        if adam.grad_clip_norm and self.server.clips:
            torch.nn.utils.clip_grad_norm_(parameters, adam.grad_clip_norm)
        self.taken += 1
        with torch.no_grad():
            for k, p in enumerate(parameters):
                zero = torch.zeros_like(p)
                m, v = self.moments.get(k, (zero, zero))
                g = zero if p.grad is None else p.grad
                m = adam.beta1 * m + (1 - adam.beta1) * g
                v = adam.beta2 * v + (1 - adam.beta2) * g * g
                self.moments[k] = m, v
                m, v = m / (1 - adam.beta1**self.taken), v / (1 - adam.beta2**self.taken)
                p -= adam.learning_rate * m / (v.sqrt() + adam.eps)
                p.grad = None
        return Done(None)

    def save_state(self, name: str) -> Done:
        path = f"tinker://{self.lm.name}/{name}"
        assert path not in self.server.states, f"{path} already exists"
        weights = [p.detach().clone() for p in self.lm.parameters()]
        self.server.states[path] = copy.deepcopy((weights, self.moments, self.taken))
        return Done(SimpleNamespace(path=path))

    def save_weights_and_get_sampling_client(self) -> Sampler:
        return Sampler(self.lm)

    def _logp(self, row: Datum) -> torch.Tensor:
        ids = [*row.model_input.ids, int(row.loss_fn_inputs["target_tokens"][-1])]
        move = Move(Segment(None, ids[:1]), ids[1:])
        (scores,) = self.lm.logp([move])
        return scores.logp


@dataclass
class Sampler:
    """A sampling client."""

    lm: LM
    bare: bool = False

    def sample(self, prompt: ModelInput, num_samples: int, sampling_params: SamplingParams) -> Done:
        with ALONE:
            histories = self.lm.resume([Segment(None, prompt.ids[:-1])], [sampling_params.seed])
            histories.unread = [prompt.ids]
            (move,) = _written(histories, self.lm, sampling_params.max_tokens)
        return Done(SimpleNamespace(sequences=[SimpleNamespace(tokens=move.ids, logprobs=move.logp)]))

    def compute_logprobs(self, prompt: ModelInput) -> Done:
        move = Move(Segment(None, prompt.ids[:1]), prompt.ids[1:])
        with torch.no_grad():
            (scores,) = self.lm.logp([move], reference=self.bare)
        return Done([None, *scores.logp.tolist()])


def _written(histories: Any, lm: LM, tokens: int) -> list[Move]:
    """Texts after histories whose tokens are all unread."""
    ids = torch.tensor(histories.unread)
    with torch.no_grad(), lm.active():
        histories.logits = lm.engine.forward(
            ids, torch.ones_like(ids, dtype=torch.bool), histories.memory, lm.adapter
        )
    histories.unread = [[] for _ in histories.unread]
    usual, lm.sampling = lm.sampling, Sampling(max_new_tokens=tokens)
    try:
        return histories.write()
    finally:
        lm.sampling = usual


class Service:
    """A server, and the SDK's `ServiceClient` of it."""

    def __init__(self, base: str, *, mean: bool = False, clips: bool = True, rank: int = 2, seed: int = 0):
        torch.manual_seed(seed)
        self.base = base
        setup = Setup(Sampling(), Context(), lora_rank=rank)
        self.adapters = open_all(dict.fromkeys(SLOTS, base), setup)
        self.mean, self.clips = mean, clips
        self.states: dict[str, Any] = {}
        self.free = ["probe_0", "probe_1", "agent_0", "agent_1", "resumed_0", "resumed_1"]

    def create_lora_training_client(self, base_model: str, rank: int, seed: int) -> Training:
        return Training(self, self.adapters[self.free.pop(0)])

    def create_training_client_from_state_with_optimizer(self, path: str) -> Training:
        weights, moments, taken = copy.deepcopy(self.states[path])
        training = Training(self, self.adapters[self.free.pop(0)], moments, taken)
        with torch.no_grad():
            for p, saved in zip(training.lm.parameters(), weights, strict=True):
                p.copy_(saved)
        return training

    def create_sampling_client(self, base_model: str) -> Sampler:
        return Sampler(self.adapters["agent_0"], bare=True)
