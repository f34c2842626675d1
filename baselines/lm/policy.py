"""A language model as a policy: reads messages, writes texts, scores what was written, takes a step.

`Conversations` is the seam `generate`: a batch of histories held by one policy, each only ever appended to.
Another engine (vLLM, SGLang, a remote server) replaces a policy by offering the same four verbs: `read`,
`write`, `pick` on conversations and `logp` on moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from baselines.lm.cache import Memory
from baselines.lm.engines import LlamaEngine, engine_for
from baselines.lm.history import Message, Move, Segment
from baselines.lm.packing import Batch, batches, scored
from baselines.lm.sampling import Sampling, choices, draw
from baselines.lm.served import Reach, reach
from baselines.lm.template import Renderer

History = Literal["full", "last turn"]
SHRINK = 0.75
"""finished rows leave the batch when no more than this share of it still writes"""


@dataclass(frozen=True)
class Context:
    """How much of the past a policy reads."""

    history: History = "full"
    """last turn: each message is read by itself, so it should be self-contained"""
    max_context: int = 4096
    """tokens of one history, replies included"""
    overflow: Literal["raise", "drop"] = "raise"
    """beyond max_context: raise, or drop whole oldest turns"""
    thinking: bool = False
    """let the model think before it answers; the thinking stays in its history, the task never sees it"""


class LM:
    """One causal language model with its tokenizer, the distribution it writes by, and its optimizer.

    `adapter` names the LoRA adapter to use where several policies share one base model; None otherwise.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        sampling: Sampling,
        context: Context,
        *,
        adapter: str | None = None,
        micro_batch_tokens: int = 1024,
        autocast: torch.dtype | None = None,
    ):
        self.name = name
        self.model = model.eval()  # no dropout: what is sampled is what is scored
        self.tokenizer = tokenizer
        self.sampling = sampling
        self.context = context
        self.adapter = adapter
        self.micro_batch_tokens = micro_batch_tokens
        self.autocast = autocast
        ends = end_tokens(self.causal, tokenizer)
        self.renderer = Renderer(tokenizer, context.thinking, ends)
        self.eos = ends if self.renderer.end is None else ends | {self.renderer.end}
        self.reach = reach(self.causal.config)
        if self.reach.tokens <= sampling.max_new_tokens:
            raise ValueError(
                f"{name}: max_new_tokens={sampling.max_new_tokens} leaves no room to read: the model reads "
                f"{self.reach.tokens} tokens ({self.reach.setting})"
            )
        self.engine = engine_for(self.causal)

    @property
    def causal(self) -> Any:
        """The transformers model, without peft's wrapping."""
        return self.model.get_base_model() if self.adapter else self.model

    @property
    def device(self) -> torch.device:
        return self.causal.device

    @property
    def limit(self) -> Reach:
        """The longest history, replies included, and the setting that says so."""
        own = Reach(self.context.max_context, "max_context")
        return min(own, self.reach, key=lambda limit: limit.tokens)

    def parameters(self) -> list[nn.Parameter]:
        """What this policy trains: all weights, or its own adapter's."""
        if self.adapter is None:
            return [p for p in self.model.parameters() if p.requires_grad]
        return [p for name, p in self.model.named_parameters() if f".{self.adapter}." in name]

    @contextmanager
    def active(self, reference: bool = False) -> Iterator[None]:
        """This policy's adapter switched on (or all off: the frozen reference), and its precision."""
        with torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None):
            if self.adapter is None:
                yield
            elif reference:
                with self.model.disable_adapter():
                    yield
            else:
                self.model.set_adapter(self.adapter)
                yield

    def converse(self, n: int, generator: torch.Generator) -> Conversations:
        """`n` empty histories."""
        if isinstance(self.engine, LlamaEngine):
            with torch.no_grad():
                self.engine.refresh()
        memory = Memory.empty(n, self.engine.layers, self.device)
        return Conversations(self, generator, [None] * n, [[] for _ in range(n)], memory)

    def logp(
        self, moves: Sequence[Move], *, entropy: bool = False, reference: bool = False
    ) -> Iterator[Scores]:
        """Log-probabilities of every token of these moves, a micro-batch at a time.

        Each micro-batch is one forward pass over whole conversations; logits are made only where a token
        is scored.  With `reference` the adapter is off and no gradient is kept.
        """
        for batch in batches(moves, self.micro_batch_tokens, self.device):
            with self.active(reference), torch.set_grad_enabled(torch.is_grad_enabled() and not reference):
                places = scored(batch)
                logits = logits_at(self.causal, batch, places.row, places.column)
                some = choices(logits, self.sampling, places.token)
                taken, spread = some.of(places.token), None
                if entropy:
                    spread = -(some.logp.exp() * some.logp.masked_fill(some.logp == -torch.inf, 0.0)).sum(-1)
            yield Scores(taken, places.owner, places.segments, spread, batch.tokens)


@dataclass
class Scores:
    """Token log-probabilities of some moves: T tokens laid end to end."""

    logp: Tensor
    """(T,)"""
    owner: Tensor
    """(T,) position in `moves` of each token's move"""
    moves: list[int]
    """indices of these moves in the list that was scored"""
    entropy: Tensor | None
    """(T,) of the whole next-token distribution, in nats"""
    tokens: int
    """tokens of the forward pass, without padding"""


@dataclass
class Conversations:
    """Histories of one policy, side by side.  `read` appends messages, `write` moves; `pick` branches."""

    policy: LM
    generator: torch.Generator
    heads: list[Segment | None]
    """the newest segment of each history"""
    unread: list[list[int]]
    """tokens of each history that the model has not been run on yet"""
    memory: Memory
    logits: Tensor | None = field(default=None, repr=False)
    """(n, V) after the last token of each history; None until something was read"""

    def read(self, messages: Sequence[str]) -> None:
        """Append one message to each history.  Raises ValueError where max_context would not hold it."""
        if self.policy.context.history == "last turn":
            self.heads = [None] * len(self.heads)
            self.unread = [[] for _ in self.heads]
            self.memory = Memory.empty(len(self.heads), self.policy.engine.layers, self.policy.device)
        for k, message in enumerate(messages):
            self._append_message(k, message)
        width = max(len(ids) for ids in self.unread)
        ids = torch.zeros(len(self.heads), width, dtype=torch.long)
        real = torch.zeros(len(self.heads), width, dtype=torch.bool)
        for k, new in enumerate(self.unread):
            ids[k, width - len(new) :] = torch.tensor(new)
            real[k, width - len(new) :] = True
        device = self.policy.device
        with torch.no_grad(), self.policy.active():
            self.logits = self.policy.engine.forward(ids.to(device), real.to(device), self.memory)
        self.unread = [[] for _ in self.heads]

    def write(self) -> list[Move]:
        """Sample one text for each history and append it."""
        assert self.logits is not None, "write() needs a read() before it"
        policy, sampling, device = self.policy, self.policy.sampling, self.policy.device
        ids: list[list[int]] = [[] for _ in self.heads]
        logps: list[list[float]] = [[] for _ in self.heads]
        done = [False] * len(self.heads)
        # `memory` holds the rows still worth running: a copy once many have finished
        logits, memory, rows, start = self.logits, self.memory, list(range(len(self.heads))), 0
        with torch.no_grad(), policy.active():
            while True:
                token, logp = draw(logits, sampling, self.generator)
                for k, t, lp in zip(rows, token.tolist(), logp.tolist(), strict=True):
                    if not done[k]:
                        ids[k].append(t)
                        logps[k].append(lp)
                        done[k] = t in policy.eos or len(ids[k]) == sampling.max_new_tokens
                live = [place for place, k in enumerate(rows) if not done[k]]
                if not live:
                    break
                if len(live) <= SHRINK * len(rows):
                    self._put_back(rows, memory, start)
                    kept = torch.tensor(live, device=device)
                    memory, start = memory.pick(kept), memory.seen.shape[1]
                    token, rows = token[kept], [rows[place] for place in live]
                real = torch.tensor([[not done[k]] for k in rows], device=device)
                logits = policy.engine.forward(token[:, None], real, memory)
        self._put_back(rows, memory, start)
        self.logits = None
        return [self._append_move(k, ids[k], logps[k]) for k in range(len(self.heads))]

    def pick(self, indices: Sequence[int]) -> Conversations:
        """The histories at `indices`, in this order; repeated ones become branches."""
        rows = torch.tensor(list(indices), dtype=torch.long, device=self.policy.device)
        same = len(indices) == len(self.heads) and list(indices) == list(range(len(indices)))
        return Conversations(
            self.policy,
            self.generator,
            [self.heads[k] for k in indices],
            [list(self.unread[k]) for k in indices],
            self.memory if same else self.memory.pick(rows),
            None if self.logits is None else self.logits.index_select(0, rows),
        )

    def _put_back(self, rows: list[int], memory: Memory, start: int) -> None:
        """Take over what a copy of some rows has gained since column `start`."""
        if memory is not self.memory:
            self.memory.put(torch.tensor(rows, device=self.policy.device), memory, start)

    def _append_message(self, k: int, message: str) -> None:
        renderer, context, head = self.policy.renderer, self.policy.context, self.heads[k]
        if head is None:
            ids = renderer.first(message)
        else:
            turn = 1 + sum(isinstance(segment, Message) for segment in head.chain())
            ids = renderer.following(message, isinstance(head, Move) and renderer.ended(head.ids), turn)
        if not ids:
            raise ValueError(f"{self.policy.name}: the message {message!r} has no tokens to answer to")
        limit = self.policy.limit
        room = limit.tokens - self.policy.sampling.max_new_tokens
        held = int(self.memory.seen[k].sum()) + len(self.unread[k])
        if held + len(ids) <= room:
            self.heads[k] = Message(head, ids, message)
            self.unread[k] = self.unread[k] + ids
            return
        if context.overflow == "raise" or len(renderer.first(message)) > room:
            raise ValueError(
                f"{self.policy.name}: a history of {held + len(ids)} tokens and max_new_tokens="
                f"{self.policy.sampling.max_new_tokens} exceed {limit.setting}={limit.tokens}; "
                f"{'raise it, ' if limit.setting == 'max_context' else ''}"
                "write less, or set overflow='drop' to forget the oldest turns"
            )
        fresh = self._without_oldest(Message(head, ids, message), room)
        self.heads[k] = fresh
        self.unread[k] = [i for segment in fresh.chain() for i in segment.ids]
        self.memory.seen[k] = False  # the row is read again from its new beginning

    def _without_oldest(self, head: Message, room: int) -> Segment:
        """A fresh history of the newest whole turns that fit into `room` tokens."""
        past = head.chain()
        while True:
            past = past[2:]  # a turn: the oldest message and the reply to it
            first = past[0]
            assert isinstance(first, Message)
            fresh: Segment = Message(None, self.policy.renderer.first(first.text), first.text)
            size = len(fresh.ids) + sum(len(segment.ids) for segment in past[1:])
            if size <= room:
                for segment in past[1:]:
                    fresh = replace(segment, parent=fresh)
                return fresh

    def _append_move(self, k: int, ids: list[int], logps: list[float]) -> Move:
        eos = self.policy.eos
        move = Move(self.heads[k], ids, logps, self.policy.renderer.text(ids, eos), ids[-1] in eos)
        self.heads[k] = move
        self.unread[k] = ids[-1:]  # the last token was sampled, but not read
        return move


def end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Every token that ends a text, from the tokenizer and from the model's generation settings."""
    ends = {tokenizer.eos_token_id}
    if model.generation_config is not None:
        configured = model.generation_config.eos_token_id
        ends |= set(configured) if isinstance(configured, list) else {configured}
    return {end for end in ends if end is not None}


def logits_at(model: Any, batch: Batch, row: Tensor, column: Tensor) -> Tensor:
    """Logits of a causal forward pass, only at the given places.   row, column: (T,) -> (T, V)

    The output layer is by far the largest product of a small batch and needed at few places: its input is
    gathered before it runs, by a hook, so that whatever a model does to its logits afterwards still happens.
    """

    def gather(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (args[0][row, column][None], *args[1:])

    head = model.get_output_embeddings()
    handle = head.register_forward_pre_hook(gather)
    try:
        return model(input_ids=batch.ids, use_cache=False).logits[0]
    finally:
        handle.remove()
