"""A policy that is a LoRA adapter on a server with the Tinker API.

The server samples texts, computes log-probabilities, keeps weights and optimizer.  A loss is a function of
token log-probabilities (formulas/losses.py), so a step needs its derivatives alone.  With c = d loss / d logp
of every token, the server is sent

    importance_sampling with  logprobs = those of the forward pass just made, advantages = -c

whose gradient, at ratio 1, is sum_t c_t grad logp_t: exactly that of the loss, whatever it is.  Where a
server divides its loss by rows or tokens, the advantages are multiplied by as much (`Habits`, which
placement/tinker_probe.py measures before a run).

Only log-probabilities under the whole distribution exist there: temperature 1, no top-p, no top-k, no entropy
bonus.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from baselines.lm import learning, scoring
from baselines.lm.history import Move, Segment
from baselines.lm.learning import learning_rate
from baselines.lm.loading import tokenizer_of
from baselines.lm.policy import Sizes
from baselines.lm.scoring import Scores
from baselines.lm.served import Reach
from baselines.lm.template import Renderer
from baselines.lm.vllm import ServedConversations
from baselines.train.settings import Settings


class Habits(NamedTuple):
    """What a server divides its loss by, and what else differs from server to server."""

    by_rows: bool = False
    """by the number of rows of a request"""
    by_tokens: bool = False
    """the loss of a row by the number of its tokens"""
    clips: bool = True
    """whether `grad_clip_norm` shortens gradients"""


class TinkerPolicy:
    """A policy whose adapter, optimizer and sampler are on a server."""

    rescored = True
    """the server's sampler writes, its trainer scores"""

    def __init__(self, name: str, base: str, service: Any, settings: Settings, habits: Habits):
        self.name, self.base, self.service = name, base, service
        self.sampling, self.context = settings.sampling, settings.context
        self.tokenizer = tokenizer_of(base)
        self.renderer = Renderer(self.tokenizer, self.context.thinking)
        self.eos = self.renderer.stops
        seed = Random(f"{settings.seed}/{name}").getrandbits(31)
        self.trainer = client(
            service.create_lora_training_client(base_model=base, rank=settings.lora_rank, seed=seed)
        )
        self.optimizer = Derivatives(self, settings, habits)
        self.reference: TinkerPolicy | None = self if settings.kl else None
        self.sampler: Any = None
        """of the weights as they were at the last `publish`; None: they have changed since"""
        self.bare: Any = None
        """samples and scores without any adapter, for a KL term"""
        self.saved: str | None = None
        """where the server keeps the weights as they are now; a server refuses a name that it has"""

    @property
    def limit(self) -> Reach:
        """The longest history, replies included, and the setting that says so."""
        return Reach(self.context.max_context, "max_context")

    sizes = Sizes(all=10**9, stepped=0)
    """nothing is trained here, and a server is asked for large models"""
    learn = learning.learn
    log_ratios = scoring.log_ratios
    prompt_gains = scoring.prompt_gains

    def publish(self) -> None:
        """Sample from the weights as they are now, never again from earlier ones: that would undo steps."""
        if self.sampler is None:
            self.sampler = client(self.trainer.save_weights_and_get_sampling_client())

    def converse(self, n: int, seed: int) -> ServedConversations:
        """`n` empty histories, whose texts' seeds come from one generator, seeded with `seed`."""
        self.publish()
        writer: Any = self
        return ServedConversations(writer, [Random(seed)] * n, [None] * n)

    def text(self, head: Segment, seed: int) -> Move:
        """One text after a history."""
        from tinker import types  # pyright: ignore[reportMissingImports]

        used = types.SamplingParams(
            max_tokens=self.sampling.max_new_tokens,
            temperature=self.sampling.temperature,
            seed=seed,
            stop=sorted(self.eos),
        )
        prompt = types.ModelInput.from_ints(head.all_ids())
        answer = self.sampler.sample(prompt=prompt, num_samples=1, sampling_params=used).result().sequences[0]
        ids = list(answer.tokens)
        if not ids or answer.logprobs is None:
            raise ValueError(f"{self.name}: the server sent a text without tokens or log-probabilities")
        return Move(head, ids, list(answer.logprobs), self.renderer.text(ids, self.eos), ids[-1] in self.eos)

    def logp(
        self, moves: Sequence[Move], *, entropy: bool = False, reference: bool = False
    ) -> Iterator[Scores]:
        """Log-probabilities of every token of these moves: numbers, whose gradients a step sends back."""
        numbers = self._bare_logp(moves) if reference else self._own_logp(moves)
        leaf = torch.tensor([lp for own in numbers for lp in own], requires_grad=torch.is_grad_enabled())
        lengths = torch.tensor([len(move.ids) for move in moves])
        owner = torch.arange(len(moves)).repeat_interleave(lengths)
        if leaf.requires_grad:
            self.optimizer.scored.append((moves, leaf))
        yield Scores(leaf, owner, [*range(len(moves))], None, len(leaf))

    def state_dict(self) -> dict[str, Any]:
        """Where the server keeps this adapter and its optimizer, and the steps taken."""
        if self.saved is None:
            self.saved = self.trainer.save_state(f"{self.name}-{self.optimizer.taken}").result().path
        return {"path": self.saved, "taken": self.optimizer.taken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what the server kept, in a training client of its own: one in use takes no state."""
        self.trainer = client(self.service.create_training_client_from_state_with_optimizer(state["path"]))
        self.optimizer.taken, self.sampler, self.saved = state["taken"], None, state["path"]

    def save_pretrained(self, folder: Path) -> None:
        """The server keeps the weights: the folder says where, in `tinker_path`, and has the tokenizer."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tinker_path").write_text(self.state_dict()["path"] + "\n", encoding="utf-8")
        self.tokenizer.save_pretrained(folder)

    def _own_logp(self, moves: Sequence[Move]) -> list[list[float]]:
        zeros = [[0.0] * len(move.ids) for move in moves]
        rows = [row(move, zero, zero) for move, zero in zip(moves, zeros, strict=True)]
        outputs = self.trainer.forward(rows, "importance_sampling").result().loss_fn_outputs
        return [
            list(output["logprobs"].data)[-len(move.ids) :]
            for output, move in zip(outputs, moves, strict=True)
        ]

    def _bare_logp(self, moves: Sequence[Move]) -> list[list[float]]:
        from tinker import types  # pyright: ignore[reportMissingImports]

        if self.bare is None:
            self.bare = client(self.service.create_sampling_client(base_model=self.base))
        under_way = [self.bare.compute_logprobs(types.ModelInput.from_ints(move.all_ids())) for move in moves]
        return [answer.result()[-len(move.ids) :] for answer, move in zip(under_way, moves, strict=True)]


class Derivatives:
    """What `learn` steps: sends d loss / d logp of the texts that were scored, and has the server step."""

    parameters: tuple[nn.Parameter, ...] = ()

    def __init__(self, policy: TinkerPolicy, settings: Settings, habits: Habits):
        self.policy, self.settings, self.habits = policy, settings, habits
        self.scored: list[tuple[Sequence[Move], Tensor]] = []
        self.taken = 0

    def zero_grad(self) -> None:
        """Forget what was scored."""
        self.scored = []

    def step(self) -> float:
        """Send the derivatives; returns their norm, since a server does not say the gradient's."""
        from tinker import types  # pyright: ignore[reportMissingImports]

        scored = [
            (move, logp, c)
            for moves, leaf in self.scored
            for move, logp, c in zip(
                moves, *(_by_move(moves, t) for t in (leaf.detach(), leaf.grad)), strict=True
            )
        ]
        rows = [
            row(move, logp, [-number * self._undone(len(scored), move) for number in c])
            for move, logp, c in scored
        ]
        settings = self.settings
        rate = learning_rate(
            settings.lr,
            self.taken,
            settings.steps * settings.epochs,
            settings.schedule,
            settings.warmup * settings.epochs,
        )
        done = self.policy.trainer.forward_backward(rows, "importance_sampling")
        clip = settings.max_grad_norm if self.habits.clips and settings.max_grad_norm < float("inf") else 0.0
        adam = types.AdamParams(
            learning_rate=rate, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, grad_clip_norm=clip
        )
        stepped = self.policy.trainer.optim_step(adam)
        done.result()
        stepped.result()
        self.taken += 1
        self.policy.sampler = self.policy.saved = None
        return sum(number * number for _, _, c in scored for number in c) ** 0.5

    def _undone(self, rows: int, move: Move) -> int:
        """What the server will divide a row's loss by."""
        tokens = len(move.all_ids()) - 1
        return (rows if self.habits.by_rows else 1) * (tokens if self.habits.by_tokens else 1)


def client(answer: Any) -> Any:
    """A client that the SDK was asked for; versions from 0.28 on answer with a future of it."""
    from tinker import APIFuture  # pyright: ignore[reportMissingImports]

    return answer.result() if isinstance(answer, APIFuture) else answer


def row(move: Move, logp: Sequence[float], advantages: Sequence[float]) -> Any:
    """A text after its history as the server reads it.   logp, advantages: of its tokens"""
    from tinker import types  # pyright: ignore[reportMissingImports]

    ids = move.all_ids()
    lead = [0.0] * (len(ids) - len(move.ids) - 1)
    return types.Datum(
        model_input=types.ModelInput.from_ints(ids[:-1]),
        loss_fn_inputs={
            "target_tokens": ids[1:],
            "logprobs": [*lead, *logp],
            "advantages": [*lead, *advantages],
        },
    )


def _by_move(moves: Sequence[Move], numbers: Tensor | None) -> list[list[float]]:
    """Numbers of all tokens, laid end to end, as a list for each move."""
    assert numbers is not None
    return [part.tolist() for part in numbers.split([len(move.ids) for move in moves])]
