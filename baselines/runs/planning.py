"""The memory that a run will need, before it is begun: from its settings and its models' configurations.

The team is built on the device "meta", whose tensors have shapes and no numbers, by the code that builds it
for a run: what it holds is what a run holds.  Bytes on disk and of passing tensors follow from its shapes.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import nn

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
PROGRAM = {"cpu": 500e6, "cuda": 600e6}
"""bytes of Python with torch and transformers, and of a CUDA context"""
HOLES = {"cpu": 1.5, "cuda": 1.0}
"""what a forward pass takes, as a multiple of what autograd keeps of it: a CPU's allocator gets little use of
the room that was freed between kept tensors (measured on 135 million parameters; not yet on a GPU)"""
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


def footprint_of(name: str, config: Settings, device: str) -> Footprint:
    """What a run of the algorithm `name` takes on a device of this kind, cpu or cuda.

    Raises what opening the team does.
    """
    threads.ask(config.threads)
    task = make(config.env, **config.env_kwargs).task
    tokens = config.micro_batch_tokens or TOKENS[device]
    with _shapes_of_tiny(config) as source, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a tree is larger than `episodes`: the workload says it
        shapes = {"device": "meta", "micro_batch_tokens": tokens, "sampler": (), "cuda_graphs": False}
        here = {"placement": "local", "ray_address": "", "gpus_per_agent": 0.0, "replicas": 1}
        team = algorithm(name).team(replace(source, **shapes, **here, tinker_url=""), task)
    work = workload(config, task, team)
    networks = tuple(_networks(config, team, work, device))
    trained = sum(network.trained for network in networks)
    agents = sum(_agent_bytes(policy) for policy in team.policies.values())
    texts = work.episodes * len(task.agents)
    return Footprint(
        tuple(needs(networks, device)),
        3 * trained,
        agents,
        0.0 if device == "cpu" else 2 * trained,
        _fullest_actor(config, team, networks, device),
        work,
        sum(work.messages) * texts // work.group,
        work.written * len(work.messages) * texts,
    )


def _fullest_actor(config: Settings, team: Team, networks: Sequence[Network], device: str) -> float:
    """Bytes of the largest process with a model for each; of all models where one would hold several."""
    living_together = config.reference_apart or any(
        name != "central" and not critic.on_actor for name, critic in team.critics.items()
    )
    parts = [networks] if living_together else [[network] for network in networks]
    return max(_peak(tuple(needs(part, device))) for part in parts)


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
    policies = set(team.policies.values())
    users: dict[int, list[LM]] = {}
    for lm in dict.fromkeys([*team.policies.values(), *critics, *references]):
        users.setdefault(id(lm.causal), []).append(lm)
    measured: dict[tuple[str, bool], float] = {}  # agents often have models of one shape
    for sharing in users.values():
        agents = sum(policy in sharing for policy in team.policies.values())
        together = agents // max(1, sum(lm in policies for lm in sharing))
        central = "central" in team.critics and team.critics["central"].lm in sharing
        longest = work.history * (len(team.policies) if central else 1)
        lm = sharing[0]
        shape = lm.causal.config.to_json_string(), lm.adapter is None
        if shape not in measured:
            measured[shape] = saved_bytes(lm)
        yield _network(
            config, team, work, _Users(sharing, agents, together, longest, measured[shape]), device
        )


class _Users(NamedTuple):
    """The policies and critics that share a model."""

    lms: list[LM]
    agents: int
    """how many of the agents write with it"""
    together: int
    """agents whose texts one of its policies learns from in a step"""
    longest: int
    """tokens of the longest history it reads"""
    saved: float
    """bytes that autograd keeps for a token"""


def _network(config: Settings, team: Team, work: Workload, users: _Users, device: str) -> Network:
    lm, here = users.lms[0], 0 if config.sampler else users.agents  # a server keeps what decoding needs
    rows = here * work.rows
    own = {id(p) for user in users.lms for p in user.parameters()}
    trained = [FLOAT * sum(p.numel() for p in used if id(p) in own) for used in _stepped(team)]
    weights, learns = weight_bytes(lm.model), any(trained)
    halved = config.bf16 and not config.lora_rank  # float32 masters, everything else in bfloat16
    scale = 0.5 if halved else 1.0
    batch = _largest_batch(lm, work, users)
    saved = scale * HOLES[device] * users.saved * batch.tokens + (weights / 2 if halved else 0.0)
    mask = lm.engine.layers * batch.square * (FLOAT if device == "cpu" else 2)
    columns = capacity(
        work.messages, work.written, work.group > 1, lm.engine.shares and not work.branches_again
    )
    starts = here * work.starts
    cells = rows * columns.own + starts * columns.shared
    reading = reading_bytes(lm, starts * max(work.messages), columns.own + columns.shared)
    drawing = drawing_bytes(lm, rows, work.unfiltered)
    stepping = 0.0 if device == "cpu" else max(trained)  # AdamW on CUDA makes a copy of what it steps
    return Network(
        weights,
        sum(trained),
        max(trained),
        copied_bytes(lm, packed=device == "cpu" and lm.large) if here else 0.0,
        lm.adapter is None,
        scale * cells * column_bytes(lm),
        max(scale * reading, drawing) if here else 0.0,
        max(saved + mask, stepping) if learns else 0.0,
        head_bytes(lm, batch.scored, config.bf16) if learns and users.agents else 0.0,
    )


def _stepped(team: Team) -> list[Sequence[nn.Parameter]]:
    """What each optimizer of a team steps."""
    owners = [*dict.fromkeys(team.policies.values()), *team.critics.values()]
    return [owner.optimizer.parameters for owner in owners if owner.optimizer is not None]


class _Batch(NamedTuple):
    """The largest micro-batch of an update."""

    tokens: int
    scored: int
    square: int
    """cells of its attention masks; 0 where rows are single histories and need none"""


def _largest_batch(lm: LM, work: Workload, users: _Users) -> _Batch:
    """As lm/packing.py lays them out: groups of large models in rows with their prompt once."""
    limit, shared = lm.micro_batch_tokens, lm.large and work.group > 1 and users.longest == work.history
    histories = work.episodes * max(1, users.together)
    width = min(work.branched, max(limit, 2 * users.longest)) if shared else users.longest
    most = max(1, histories // work.group) if shared and width == work.branched else histories
    rows = min(most, max(1, limit // width))
    texts = work.written * len(work.messages) * (work.group if shared else 1)
    share = min(1.0, texts / (work.branched if shared else work.history))
    return _Batch(rows * width, int(rows * width * share), rows * width**2 if shared else 0)


def _agent_bytes(policy: LM) -> float:
    """Of an agent's folder: its adapter or its model."""
    if policy.adapter is None:
        return weight_bytes(policy.causal)
    return FLOAT * sum(p.numel() for p in policy.parameters())
