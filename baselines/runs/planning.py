"""The memory that a run will need, before it is begun: from its settings and its models' configurations.

The team is built on the device "meta", whose tensors have shapes and no numbers, by the code that builds it
for a run: what it holds is what a run holds.  Bytes on disk and of passing tensors follow from its shapes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from baselines.lm import threads
from baselines.lm.conversations import SHRINK
from baselines.lm.footprint import (
    capacity,
    column_bytes,
    copied_bytes,
    drawing_bytes,
    head_bytes,
    reading_bytes,
    saved_bytes,
    weight_bytes,
)
from baselines.lm.policy import LM
from baselines.runs.algorithms import algorithm
from baselines.runs.texts import uses_tiny
from baselines.runs.workload import Workload, workload
from baselines.train.settings import Settings
from baselines.train.team import Team
from collm_envs import make

FLOAT = 4
"""bytes of a trained weight: masters, gradients and moments are in float32"""
PROGRAM = {"cpu": 700e6, "cuda": 600e6}
"""bytes of Python with torch and transformers, and of a CUDA context"""
TOKENS = {"cpu": 512, "cuda": 8192}
"""of a micro-batch, where the settings leave it open (lm/opening.py)"""


class Need(NamedTuple):
    """Bytes of one kind at the fullest moment of each part of a step."""

    kind: str
    sampling: float
    update: float
    saving: float


@dataclass(frozen=True)
class Footprint:
    """What a run will take."""

    needs: tuple[Need, ...]
    checkpoint: float
    """bytes on disk of one checkpoint"""
    agents: float
    """bytes on disk of the trained agents"""
    host: float
    """bytes of main memory while a checkpoint is written, beside the device's"""
    apart: float
    """bytes of the fullest model at its fullest moment, each on a device of its own"""
    work: Workload
    read: int
    """tokens that all agents read in a step"""
    written: int
    """tokens that all agents write in a step at most"""

    @property
    def peak(self) -> float:
        """Bytes at the fullest moment of the run."""
        return _peak(self.needs)


def _peak(needs: Sequence[Need]) -> float:
    return max(sum(column) for column in zip(*(need[1:] for need in needs), strict=True))


@dataclass(frozen=True)
class Network:
    """One model in memory, with all adapters on it; bytes, where nothing else is said."""

    weights: float
    trained: float
    """of the float32 weights that optimizers change"""
    stepped: float
    """of those that the largest of its optimizers changes: gradients are dropped after a step"""
    copies: float
    """of weights, for decoding"""
    released: bool
    """whether an update drops its copies"""
    memory: float
    """of the keys and values of all its histories"""
    passing: float
    """while prompts are read or tokens drawn"""
    saved: float
    """kept by autograd for the largest micro-batch of its layers"""
    head: float
    """of logits and what is made of them, for the same micro-batch"""


def plan(name: str, config: Settings, device: str) -> Footprint:
    """What a run of the algorithm `name` takes on a device of this kind, cpu or cuda.

    Raises what opening the team does.
    """
    threads.ask(config.threads)
    task = make(config.env, **config.env_kwargs).task
    tokens = config.micro_batch_tokens or TOKENS[device]
    with _shapes_of_tiny(config) as source:
        team = algorithm(name).team(replace(source, device="meta", micro_batch_tokens=tokens), task)
    work = workload(config, task, team)
    networks = tuple(_networks(config, team, work, device))
    trained = sum(network.trained for network in networks)
    agents = sum(_agent_bytes(policy) for policy in team.policies.values())
    texts = max(config.episodes, work.group) * len(task.agents)
    return Footprint(
        tuple(needs(networks, device)),
        3 * trained,
        agents,
        0.0 if device == "cpu" else 2 * trained,
        max(_peak(tuple(needs([network], device))) for network in networks),
        work,
        sum(work.messages) * texts // work.group,
        work.written * len(work.messages) * texts,
    )


def needs(networks: Sequence[Network], device: str) -> Iterator[Need]:
    """What all networks of a run take together, kind by kind.

    Agents read and write in turn and keep their memories; networks step in turn.  A batch of which few rows
    are unfinished goes on as a copy of them (lm/conversations.py).
    """
    weights, trained = (sum(vars(network)[kind] for network in networks) for kind in ("weights", "trained"))
    copies = sum(network.copies for network in networks)
    memory = sum(network.memory for network in networks) + SHRINK * max(n.memory for n in networks)

    def left(network: Network) -> float:
        return copies - (network.copies if network.released else 0)

    def stepping(network: Network) -> float:
        return left(network) + network.stepped + network.saved + network.head

    fullest = max(networks, key=stepping)
    yield Need("weights", weights, weights, weights)
    yield Need("AdamW's moments", 2 * trained, 2 * trained, 2 * trained)
    yield Need("gradients", 0.0, fullest.stepped, 0.0)
    yield Need("copies for decoding", copies, left(fullest), copies)
    yield Need("keys and values", memory, 0.0, 0.0)
    yield Need("reading and drawing", max(network.passing for network in networks), 0.0, 0.0)
    yield Need("activations", 0.0, fullest.saved, 0.0)
    yield Need("output layer", 0.0, fullest.head, 0.0)
    yield Need("a copy to be saved", 0.0, 0.0, trained if device == "cpu" else 0.0)
    yield Need("the program", *[PROGRAM[device]] * 3)


@contextmanager
def _shapes_of_tiny(config: Settings) -> Iterator[Settings]:
    """The settings with `tiny` replaced by a folder with the embedded model as it is before a warm start."""
    if not uses_tiny(config):
        yield config
        return
    from baselines.lm.tiny import model as tiny

    with tempfile.TemporaryDirectory() as folder:
        for part in tiny.fresh(0):
            part.save_pretrained(folder)
        stored = config.to_dict()
        changed = {key: folder for key in ("model", "critic_model") if stored.get(key) == "tiny"}
        yield replace(config, models=tuple(folder if m == "tiny" else m for m in config.models), **changed)


def _networks(config: Settings, team: Team, work: Workload, device: str) -> Iterator[Network]:
    """Every model that a run holds: those of policies, of critics that have one of their own, references."""
    references = [policy.reference for policy in team.policies.values() if policy.reference is not None]
    critics = [critic.lm for critic in team.critics.values()]
    users: dict[int, list[LM]] = {}
    for lm in dict.fromkeys([*team.policies.values(), *critics, *references]):
        users.setdefault(id(lm.causal), []).append(lm)
    for sharing in users.values():
        agents = sum(policy in sharing for policy in team.policies.values())
        central = "central" in team.critics and team.critics["central"].lm in sharing
        longest = work.history * (len(team.policies) if central else 1)
        yield _network(config, team, work, sharing, agents, longest, device)


def _network(
    config: Settings,
    team: Team,
    work: Workload,
    sharing: Sequence[LM],
    agents: int,
    longest: int,
    device: str,
) -> Network:
    """The model that these policies and critics share: `agents` write with it, it reads `longest` tokens."""
    lm, rows = sharing[0], agents * work.rows
    own = {id(p) for user in sharing for p in user.parameters()}
    trained = [
        FLOAT * sum(p.numel() for p in used.parameters if id(p) in own) for used in team.optimizers().values()
    ]
    weights, learns = weight_bytes(lm.model), any(trained)
    halved = config.bf16 and not config.lora_rank  # float32 masters, everything else in bfloat16
    scale = 0.5 if halved else 1.0
    batch = _largest_batch(lm, work, longest)
    saved = scale * saved_bytes(lm, batch.tokens) + (weights / 2 if halved else 0.0)
    mask = lm.engine.layers * batch.square * (FLOAT if device == "cpu" else 2)
    columns = capacity(
        work.messages, work.written, work.group > 1, lm.engine.shares and not work.branches_again
    )
    cells = rows * columns.own + agents * work.starts * columns.shared
    reading = reading_bytes(lm, agents * work.starts * max(work.messages), columns.own + columns.shared)
    return Network(
        weights,
        sum(trained),
        max(trained),
        copied_bytes(lm, packed=device == "cpu" and lm.large) if agents else 0.0,
        lm.adapter is None,
        scale * cells * column_bytes(lm),
        max(scale * reading, drawing_bytes(lm, rows, work.unfiltered)) if agents else 0.0,
        max(saved + mask, 0.0 if device == "cpu" else max(trained))
        if learns
        else 0.0,  # CUDA's AdamW: a copy
        head_bytes(lm, batch.scored, config.bf16) if learns and agents else 0.0,
    )


CARDS = (24, 48, 80, 141)
"""GB of the cards there are"""
MARGIN = 0.95
"""share of a card that a run may fill: its allocator loses some"""
SMALLER = {"micro_batch_tokens": 2048}
LESS = (
    {},
    SMALLER,
    {"gradient_checkpointing": True},
    {"gradient_checkpointing": True, **SMALLER},
    {"gradient_checkpointing": True, **SMALLER, "bf16": True},
    {"gradient_checkpointing": True, **SMALLER, "bf16": True, "lora_rank": 16},
)
"""settings that take less memory, those that cost least first"""


class Fit(NamedTuple):
    """What makes a run fit into a card."""

    card: int
    changes: dict[str, Any]
    """of the settings"""
    apart: bool
    """whether every model then has a card of its own"""
    need: float
    """bytes a card"""


def fits(name: str, config: Settings) -> Iterator[Fit | None]:
    """For each of `CARDS` the least change with which the run fits, None where none of `LESS` is enough."""
    stored = config.to_dict()
    plans: list[tuple[dict[str, Any], Footprint]] = []
    for changes in LESS:
        differing = {key: value for key, value in changes.items() if not stored[key]}
        if all(differing != earlier for earlier, _ in plans):
            plans.append((differing, plan(name, replace(config, **differing), "cuda")))
    for card in CARDS:
        room = card * 1e9 * MARGIN
        together = (Fit(card, changes, False, made.peak) for changes, made in plans if made.peak <= room)
        apart = (Fit(card, changes, True, made.apart) for changes, made in plans if made.apart <= room)
        yield next(together, None) or next(apart, None)


class _Batch(NamedTuple):
    """The largest micro-batch of an update."""

    tokens: int
    scored: int
    square: int
    """cells of its attention masks; 0 where rows are single histories and need none"""


def _largest_batch(lm: LM, work: Workload, longest: int) -> _Batch:
    """As lm/packing.py lays them out: groups of large models in rows with their prompt once."""
    limit, shared = lm.micro_batch_tokens, lm.large and work.group > 1 and longest == work.history
    width = min(work.branched, max(limit, 2 * longest)) if shared else longest
    rows = min(work.rows, max(1, limit // width))
    texts = work.written * len(work.messages) * (work.group if shared else 1)
    share = min(1.0, texts / (work.branched if shared else work.history))
    return _Batch(rows * width, int(rows * width * share), rows * width**2 if shared else 0)


def _agent_bytes(policy: LM) -> float:
    """Of an agent's folder: its adapter or its model."""
    if policy.adapter is None:
        return weight_bytes(policy.causal)
    return FLOAT * sum(p.numel() for p in policy.parameters())
