"""A language model as a policy: reads messages, writes texts, scores what was written, learns from it.

The verbs of a policy, which another one (texts from a server, weights in another process) replaces:

    converse(n, seed)          histories, which `read`, `write` and `pick` (lm/conversations.py)
    publish()                  the weights as they are now become those that texts are written with
    learn(lesson, objective, beside=None)    a step of the run; that of lm/learning.py needs `logp` and an
                               optimizer alone
    log_ratios(moves)          log pi / pi_0 of every token (lm/scoring.py)
    prompt_gains(moves, prompts)    what each text's log-probability loses with another last prompt
    sizes                      parameters, and those that are trained
    state_dict(), load_state_dict(state), save_pretrained(folder)

What `write`, `learn`, `log_ratios` and `prompt_gains` return may be lazy: whoever calls asks every policy
before looking at any answer, so that policies in processes of their own work side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from baselines.lm import learning, saving, scoring, threads
from baselines.lm.cache import Memory
from baselines.lm.conversations import Conversations
from baselines.lm.digest import model_digest
from baselines.lm.engines import Engine, Masks, engine_for
from baselines.lm.head import hidden_at, logits_at, plain_head, taken_logp
from baselines.lm.history import Move, Segment
from baselines.lm.learning import Optimizer
from baselines.lm.mixed import Mixed
from baselines.lm.packing import batches, scored
from baselines.lm.sampling import Sampling, choices
from baselines.lm.scoring import Scores
from baselines.lm.served import Reach, reach
from baselines.lm.template import Renderer
from baselines.lm.tokens import end_tokens
from baselines.lm.vllm import Publisher, ServedConversations

History = Literal["full", "last turn"]


@dataclass(frozen=True)
class Context:
    """How much of the past a policy reads."""

    history: History = "full"
    """"full", or the newest message alone, which then has to be self-contained"""
    max_context: int = 4096
    """tokens of one history, replies included"""
    overflow: Literal["raise", "drop"] = "raise"
    """beyond max_context: raise, or drop whole oldest turns"""
    thinking: bool = False
    """let the model think before it answers; the thinking stays in its history, the task never sees it"""


class Sizes(NamedTuple):
    """Numbers of parameters."""

    all: int
    stepped: int
    """those that an optimizer steps"""


class LM:
    """One causal language model with its tokenizer, the distribution it writes by, and its optimizer.

    `adapter` names the LoRA adapter to use where several policies share one base model, and `engine` is then
    that of the base; None otherwise.
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
        engine: Engine | None = None,
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
        ends = end_tokens(self.causal.generation_config, tokenizer)
        self.renderer = Renderer(tokenizer, context.thinking, ends)
        self.eos = self.renderer.stops
        self.reach = reach(self.causal.config)
        if self.reach.tokens <= sampling.max_new_tokens:
            raise ValueError(
                f"{name}: max_new_tokens={sampling.max_new_tokens} leaves no room to read: the model reads "
                f"{self.reach.tokens} tokens ({self.reach.setting})"
            )
        if adapter is not None:
            self.model.set_adapter(adapter)
        self.engine = engine or engine_for(self.causal, adapter, autocast)
        self.steady = False
        """whether texts are written with tensors of fixed shapes (lm/steady.py)"""
        self.mixed: Mixed | None = None
        """decodes texts beside those of the base's other adapters; None: texts are written when asked for"""
        self.masks = Masks(self.causal)
        self.large = size_of(self.model.parameters()) > threads.SMALL
        """whether matrix products cost more than the number of operations, and are saved where they can be"""
        self.optimizer: Optimizer | None = None
        """optimizer of `parameters()`; None for a policy that is not trained"""
        self.reference: LM | None = None
        """the frozen policy of the KL term; with LoRA this object itself, scoring with its adapter off"""
        self.publisher: Publisher | None = None
        """sends the weights to the server that writes the texts; None: they are written here"""

    @property
    def causal(self) -> Any:
        """The transformers model, without peft's wrapping."""
        return self.model.get_base_model() if self.adapter else self.model

    @property
    def rescored(self) -> bool:
        """Whether texts are written by another arithmetic than that of `logp`."""
        return self.autocast is not None or self.publisher is not None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.causal.device

    @property
    def limit(self) -> Reach:
        """The longest history, replies included, and the setting that says so."""
        own = Reach(self.context.max_context, "max_context")
        return min(own, self.reach, key=lambda limit: limit.tokens)

    def parameters(self) -> list[nn.Parameter]:
        """The trained parameters: all weights, or those of this policy's adapter."""
        return [p for _, p in self._named_parameters() if self.adapter or p.requires_grad]

    def _named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        named = self.model.named_parameters()
        return [(name, p) for name, p in named if self.adapter is None or f".{self.adapter}." in name]

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

    def converse(self, n: int, seed: int) -> Conversations | ServedConversations:
        """`n` empty histories that draw from one random generator, seeded with `seed`."""
        if self.publisher is not None:
            self.publish()
            return self.publisher.writer.converse(n, seed)
        return self._conversations([None] * n, [torch.Generator(self.device).manual_seed(seed)] * n)

    def resume(self, heads: Sequence[Segment | None], seeds: Sequence[int]) -> Conversations:
        """Histories that end in these segments (None: empty), each with a generator of its own seed."""
        return self._conversations(heads, [torch.Generator(self.device).manual_seed(seed) for seed in seeds])

    def publish(self) -> None:
        """Make the weights as they are now those that texts are written with; every `converse` begins so.

        Texts that were asked for before are written by the weights of that time.
        """
        if self.publisher is None:
            if self.mixed is not None and self.engine.stale(self.adapter):
                self.mixed.decode()
            self.engine.refresh(self.adapter)
        else:
            self.publisher.publish(self)

    def _conversations(self, heads: Sequence[Segment | None], dice: list[torch.Generator]) -> Conversations:
        self.publish()
        unread = [head.all_ids() if head else [] for head in heads]
        memory = Memory.empty(len(heads), self.engine.layers, self.device)
        return Conversations(self, dice, [*heads], unread, memory)

    learn = learning.learn
    log_ratios = scoring.log_ratios
    prompt_gains = scoring.prompt_gains

    @property
    def sizes(self) -> Sizes:
        """Parameters of the model, and those that the policy's optimizer steps."""
        stepped = self.optimizer.parameters if self.optimizer else []
        return Sizes(size_of(self.model.parameters()), size_of(stepped))

    def state_dict(self) -> dict[str, Any]:
        """Copies of this policy's weights (all of the model, or its adapter's), and its optimizer's state."""
        weights = {name: p.detach().cpu().clone() for name, p in self._named_parameters()}
        return {"weights": weights, **({"optimizer": self.optimizer.state_dict()} if self.optimizer else {})}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` of such a policy gave."""
        with torch.no_grad():
            for name, parameter in self._named_parameters():
                parameter.copy_(state["weights"][name])
        if self.optimizer:
            self.optimizer.load_state_dict(state["optimizer"])

    def digest(self) -> str:
        """sha256 (hex) of all that determines the texts, the same on every device."""
        return model_digest(self.model, self.tokenizer)

    def save_pretrained(self, folder: Path) -> None:
        """A folder that `from_pretrained` (or peft, for an adapter) loads anywhere."""
        saving.save(self.model, self.adapter, self.tokenizer, folder)

    def logp(
        self, moves: Sequence[Move], *, entropy: bool = False, reference: bool = False
    ) -> Iterator[Scores]:
        """Log-probabilities of every token of these moves, a micro-batch at a time.

        Each micro-batch is one forward pass over whole conversations; logits are made only where a token
        is scored.  With `reference` the adapter is off and no gradient is kept.
        """
        if self.adapter is None and torch.is_grad_enabled() and not reference:
            self.engine.release()  # the weights are about to change: what was copied only takes memory
        for batch in batches(moves, self.micro_batch_tokens, self.device, shared=self.large):
            with self.active(reference), torch.set_grad_enabled(torch.is_grad_enabled() and not reference):
                targets, spread = scored(batch), None
                inputs = self.masks.inputs(batch)
                if self.large and not entropy and plain_head(self.causal, self.autocast):
                    hidden = hidden_at(self.causal, inputs, targets)
                    weight = self.causal.get_output_embeddings().weight
                    taken = taken_logp(hidden, weight, targets.token, self.sampling)
                else:
                    options = choices(logits_at(self.causal, inputs, targets), self.sampling, targets.token)
                    taken = options.of(targets.token)
                    if entropy:
                        nats = options.logp.masked_fill(options.logp == -torch.inf, 0.0)
                        spread = -(options.logp.exp() * nats).sum(-1)
            yield Scores(taken, targets.owner, targets.segments, spread, batch.tokens)


def size_of(parameters: Iterable[nn.Parameter]) -> int:
    """How many numbers these parameters are."""
    return sum(p.numel() for p in parameters)
