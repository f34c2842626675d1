"""Texts from a vLLM server: token ids go there, token ids and their log-probabilities come back.

Nothing of vLLM is imported.  A history is sent whole: the server's prefix cache is its key-value memory.
Weights reach the server as folders, which it must see under the same path: a LoRA adapter is loaded in place
of its predecessor (POST /v1/load_lora_adapter), all weights are reloaded (POST /collective_rpc, which a
server has in its development mode).  `collm serve vllm MODEL` starts one that can do what is needed here.

Blocks of the prefix cache that were computed with earlier weights stay in the cache: vLLM tells adapters
apart by name and path, and requests by their salt.  So every publication has a folder and a salt of its own.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file

from baselines.lm import vllm_http
from baselines.lm.history import Message, Move, Segment
from baselines.lm.later import Later
from baselines.lm.reading import appended
from baselines.lm.sampling import Sampling
from baselines.lm.scoring import token_gap, token_logp
from baselines.lm.served import Reach
from baselines.lm.template import Renderer

if TYPE_CHECKING:
    from baselines.lm.policy import LM, Context

AT_ONCE = 256
"""requests under way; the server makes batches of them"""
PUBLISHED = "published"
"""folder of a run with the weights that servers have loaded"""
HEAD = "head.safetensors"
_POOL = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="vllm")
PLAIN = {"repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "min_p": 0.0}
"""sent with every request: else the server takes those of the model's generation_config.json"""


@dataclass
class Writer:
    """Writes the texts of one policy with one model, or one adapter, of a server."""

    name: str
    """of the policy, for errors"""
    server: vllm_http.Server
    model: str
    """its name on the server: of the base model, or of an adapter"""
    renderer: Renderer
    eos: set[int]
    sampling: Sampling
    context: Context
    own_limit: Reach
    """of the policy, without the server's"""
    salt: str = "0"
    """of the prefix cache: another one for other weights"""

    @property
    def limit(self) -> Reach:
        """The longest history, replies included, and the setting that says so."""
        return min(self.own_limit, self.server.reach, key=lambda limit: limit.tokens)

    def converse(self, n: int, seed: int) -> ServedConversations:
        """`n` empty histories that draw their texts' seeds from one generator, seeded with `seed`."""
        return ServedConversations(self, [Random(seed)] * n, [None] * n)

    def resume(self, heads: Sequence[Segment | None], seeds: Sequence[int]) -> ServedConversations:
        """Histories that end in these segments (None: empty), each with a generator of its own seed."""
        return ServedConversations(self, [Random(seed) for seed in seeds], [*heads])

    def text(self, head: Segment, seed: int, sampling: Sampling | None = None) -> Move:
        """One text after a history.  Raises what `vllm_http.Server.post` does."""
        used = sampling or self.sampling
        answer = self.server.post(
            "/v1/completions",
            model=self.model,
            prompt=head.all_ids(),
            max_tokens=used.max_new_tokens,
            temperature=used.temperature,
            top_p=used.top_p,
            top_k=used.top_k or -1,
            seed=seed,
            stop_token_ids=sorted(self.eos),
            cache_salt=self.salt,
            logprobs=0,
            return_token_ids=True,
            skip_special_tokens=False,
            **PLAIN,
        )
        ids, logp = vllm_http.tokens(self.server.url, answer)
        return Move(head, ids, logp, self.renderer.text(ids, self.eos), ids[-1] in self.eos)

    def digest(self) -> str:
        """sha256 (hex) of what the server says of the model and its base."""
        cards = [(card["id"], card.get("root")) for card in self.server.cards() if card["id"] == self.model]
        return hashlib.sha256(json.dumps([cards, self.server.base]).encode()).hexdigest()


def served(lm: LM, address: str, out: Path) -> Publisher:
    """What makes a server write the texts of a policy, publishing its weights below `out`.

    address: "vllm:http://host:8000".  An adapter is named after the run's folder and the policy.  Raises
    ValueError for an address that is none, OSError where no server answers.
    """
    kind, _, url = address.partition(":")
    if kind != "vllm":
        raise ValueError(f"sampler must be vllm:http://host:port, got {address!r}")
    server = vllm_http.Server(url)
    model = server.base if lm.adapter is None else f"{out.name}-{lm.name}"
    writer = Writer(lm.name, server, model, lm.renderer, lm.eos, lm.sampling, lm.context, lm.limit)
    return Publisher(writer, out / PUBLISHED)


@dataclass
class ServedConversations:
    """Histories of a `Writer`, side by side: as lm/conversations.py, without weights or memory."""

    writer: Writer
    dice: list[Random]
    """generator of each history's seeds"""
    heads: list[Segment | None]
    streams: dict[int, Random] = field(default_factory=dict, repr=False)
    """seed -> generator of the branches made by `pick(seed=seed)`, shared by all branches"""
    pending: Later | None = None
    """texts that the histories end in, once they are there"""

    def read(self, messages: Sequence[str]) -> None:
        """Append one message to each history.  Raises ValueError where its context would not hold it."""
        past = self._heads() if self.writer.context.history == "full" else [None] * len(messages)
        self.heads = [appended(self.writer, *pair) for pair in zip(past, messages, strict=True)]
        self.pending = None

    def write(self) -> Later:
        """One text for each history; returns before they are there."""
        heads = [head for head in self.heads if isinstance(head, Message)]
        assert len(heads) == len(self.heads), "write() needs a read() before it"
        seeds = [dice.getrandbits(31) for dice in self.dice]
        futures = [_POOL.submit(self.writer.text, *pair) for pair in zip(heads, seeds, strict=True)]
        self.pending = Later(partial(results, futures))
        return self.pending

    def pick(self, indices: Sequence[int], seed: int | None = None) -> ServedConversations:
        """The histories at `indices`, in this order; repeated ones become branches.

        With a `seed` they draw from the generator of that seed, which continues where the last `pick` with
        that seed left it; the histories' own generators do not advance.
        """
        heads = self._heads()
        if seed is None:
            dice = [self.dice[k] for k in indices]
        else:
            dice = [self.streams.setdefault(seed, Random(seed))] * len(indices)
        return ServedConversations(self.writer, dice, [heads[k] for k in indices], self.streams)

    def _heads(self) -> list[Segment | None]:
        return self.heads if self.pending is None else [*self.pending]


def results(futures: Sequence[Future[Move]]) -> list[Move]:
    """The texts that a server was asked for; where one fails, the others are no longer asked for."""
    try:
        return [future.result() for future in futures]
    except BaseException:
        for future in futures:
            future.cancel()  # or the program's end would wait for them all
        raise


@dataclass
class Publisher:
    """Keeps a server's copy of a policy's weights as they are here."""

    writer: Writer
    folder: Path
    """where they are saved for the server, one subfolder a publication; only the last is kept"""
    versions: tuple[int, ...] = ()
    """state of the weights that were published last"""

    def publish(self, lm: LM) -> None:
        """Send the weights to the server where they have changed since the last time.

        Raises ValueError with what to do for a server that takes none.
        """
        versions = tuple(p._version for p in lm.parameters())
        if versions == self.versions:
            return
        target = (self.folder / f"{lm.name}-{secrets.token_hex(8)}").resolve()
        lm.save_pretrained(target)
        if lm.adapter is None:
            _save_tied_head(lm.causal, target)
            self.writer.server.reload_weights(target)
        else:
            self.writer.server.load_adapter(self.writer.model, target)
        self.writer.salt = target.name
        for old in self.folder.glob(f"{lm.name}-{'?' * 16}"):
            if old.resolve() != target:
                shutil.rmtree(old)
        if not self.versions and (lm.sampling.temperature, lm.sampling.top_p, lm.sampling.top_k) != (1, 1, 0):
            check_processed(lm, self.writer)
        self.versions = versions


def _save_tied_head(model: Any, folder: Path) -> None:
    """Write an output layer that shares the embedding's weights into a file of its own.

    `save_pretrained` leaves it out, and a server that reloads weights keeps the old one then.
    """
    head = model.get_output_embeddings()
    if head.weight is not model.get_input_embeddings().weight:
        return
    (name,) = (f"{name}.weight" for name, module in model.named_modules() if module is head)
    save_file({name: head.weight.detach().cpu().clone()}, folder / HEAD, metadata={"format": "pt"})
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        content = json.loads(index.read_text())
        content["weight_map"][name] = HEAD
        index.write_text(json.dumps(content))


def check_processed(lm: LM, writer: Writer) -> None:
    """Raise ValueError where the server's log-probabilities are those before temperature, top-p and top-k."""
    head = Message(None, lm.renderer.first("Count from one to ten."))
    cool = Sampling(temperature=0.5, max_new_tokens=8)
    move = writer.text(head, 0, cool)
    after, before = (_gap_under(lm, move, sampling) for sampling in (cool, Sampling(max_new_tokens=8)))
    if after > 0.01 and before < after / 2:
        raise ValueError(
            f"{writer.server.url} returns log-probabilities before temperature, top_p and top_k; "
            "start it with --logprobs-mode processed_logprobs"
        )


def _gap_under(lm: LM, move: Move, sampling: Sampling) -> float:
    """Nats a token between a text's log-probabilities as they came and as `sampling` has them."""
    usual, lm.sampling = lm.sampling, sampling
    try:
        return token_gap(token_logp(lm, [move]), [move])
    finally:
        lm.sampling = usual
