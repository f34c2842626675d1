"""A task played under PettingZoo's parallel API.  Adds checks, history and rendering, and no rules.

Observations and actions are plain `str`.  An observation is the new message to that agent; its history
h_t = (o_1, a_1, ..., o_t) is kept by whoever acts.  All agents share one reward and end together:
`terminated` after the task's own last turn (the observation is then "", nothing follows it),
`truncated` where the caller's `max_cycles` is shorter (the observation is then the next prompt).
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import json
import re
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from gymnasium.error import CustomSpaceError
from gymnasium.spaces import Text
from gymnasium.spaces.utils import flatdim, flatten, flatten_space, unflatten
from gymnasium.vector.utils import create_shared_memory, read_from_shared_memory
from pettingzoo import ParallelEnv

from collm_envs.render import ascii as ascii_render
from collm_envs.render import voxel
from collm_envs.task import Item, Rejected, Score, Task

MAX_ACTION_CHARS = 65_536
MAX_OBSERVATION_CHARS = 4_194_304
SPLITS = ("train", "eval")
_SURROGATE = re.compile("[\ud800-\udfff]")


class TextSpace(Text):
    """Every `str` of `min_length` to `max_length` characters that can be written as UTF-8.

    `gymnasium.spaces.Text` checks each character against an alphabet: the default one has no blank, and
    one for all of Unicode takes seconds to build and 46 MB to pickle.  Here membership is type, length and
    the absence of lone surrogates, in constant time for ASCII.  `sample` draws at most
    `SAMPLE_CHARS` printable characters.  Vector environments with shared memory and `flatten` would
    silently return wrong text, so both raise `CustomSpaceError`.
    """

    SAMPLE_CHARS = 1024

    def __init__(
        self,
        max_length: int,
        *,
        min_length: int = 0,
        charset: str = string.printable,
        seed: int | np.random.Generator | None = None,
    ):
        super().__init__(max_length, min_length=min_length, charset=charset, seed=seed)
        self._letters = np.array(sorted(charset))

    def contains(self, x: Any) -> bool:
        if not isinstance(x, str) or not self.min_length <= len(x) <= self.max_length:
            return False
        return x.isascii() or _SURROGATE.search(x) is None

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Random printable text; masks are refused, since there is no alphabet to mask."""
        if mask is not None or probability is not None:
            raise ValueError("TextSpace.sample: masks and probabilities are not supported, got one")
        high = max(self.min_length, min(self.max_length, self.SAMPLE_CHARS))
        length = int(self.np_random.integers(self.min_length, high, endpoint=True))
        return "".join(self._letters[self.np_random.integers(len(self._letters), size=length)])

    @property
    def is_np_flattenable(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"TextSpace({self.min_length}, {self.max_length})"

    def __eq__(self, other: Any) -> bool:
        return (
            isinstance(other, TextSpace)
            and self.min_length == other.min_length
            and self.max_length == other.max_length
        )

    def __hash__(self) -> int:
        return hash((self.min_length, self.max_length))


def _refuse_shared_memory(space: TextSpace, *args: Any, **kwargs: Any) -> Any:
    raise CustomSpaceError("TextSpace: text does not fit into shared memory; use shared_memory=False")


def _refuse_flatten(space: TextSpace, *args: Any, **kwargs: Any) -> Any:
    raise CustomSpaceError("TextSpace: text is not an array; tokenize it instead of flattening it")


create_shared_memory.register(TextSpace, _refuse_shared_memory)
read_from_shared_memory.register(TextSpace, _refuse_shared_memory)
for _function in (flatten, flatdim, flatten_space, unflatten):
    _function.register(TextSpace, _refuse_flatten)


@dataclass(frozen=True)
class EnvSpec:
    """What names an environment: enough to make it again and to tell it from a changed one."""

    id: str
    entry_point: str
    """"package.module:TaskClass", imported when the environment is made"""
    kwargs: Mapping[str, Any]
    """the task's keywords"""
    summary: str = ""
    """one line for tables"""
    content_hash: str | None = None
    """sha256 of items, opening prompts and the task's revision; None until the environment is made"""

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-able values."""
        return asdict(self)


class Turn(NamedTuple):
    """One turn as it was played: what each agent read, what it wrote (as played), what that earned."""

    prompts: Mapping[str, str]
    texts: Mapping[str, str]
    score: Score
    edits: Mapping[str, tuple[str, ...]]


_content_hashes: WeakKeyDictionary[Task, str] = WeakKeyDictionary()


def content_hash(task: Task) -> str:
    """sha256 (hex) over the task's items, its opening prompts for one item a split, and its revision."""
    if task not in _content_hashes:
        digest = hashlib.sha256(f"{type(task).__name__}/{task.revision}/{task.max_turns}".encode())
        for split in SPLITS:
            items = task.items(split)
            for item in items:
                digest.update(json.dumps([item.id, dict(item.data)], sort_keys=True).encode())
            state = task.start(items[0], 0)
            for agent in task.agents:
                digest.update(task.prompt(state, agent).encode())
        _content_hashes[task] = digest.hexdigest()
    return _content_hashes[task]


class TextEnv(ParallelEnv):
    """Any `Task` as a PettingZoo `ParallelEnv`.

    `reset(seed, options)` knows the options "item" (id, or index into the split) and "split" ("train",
    the default, or "eval"); unknown options are ignored.  The same seed and item give the same episode.
    `step` takes one `str` for each agent; text beyond `MAX_ACTION_CHARS` is cut and lone surrogates
    become U+FFFD, both noted in `infos[agent]["edits"]` and recorded as played.  `snapshot` is the
    task's frozen state, `turns` the episode so far.
    """

    def __init__(
        self,
        task: Task,
        spec: EnvSpec,
        *,
        render_mode: str | None = None,
        max_cycles: int | None = None,
    ):
        modes = ("ansi", "rgb_array", "human")
        if render_mode is not None and render_mode not in modes:
            raise ValueError(f"{spec.id}: render_mode must be one of {modes}, got {render_mode!r}")
        if max_cycles is not None and (not isinstance(max_cycles, int) or max_cycles < 1):
            raise ValueError(f"{spec.id}: max_cycles must be an int of at least 1, got {max_cycles!r}")
        self.task = task
        self._spec = spec
        self.render_mode = render_mode
        self.max_cycles = max_cycles
        self.metadata = {
            "name": spec.id,
            "render_modes": list(modes),
            "render_fps": 1,
            "is_parallelizable": True,
            "max_turns": task.max_turns,
            "reward_range": task.reward_range,
        }
        self.possible_agents = list(task.agents)
        self.agents: list[str] = []
        observation, action = TextSpace(MAX_OBSERVATION_CHARS), TextSpace(MAX_ACTION_CHARS)
        self.observation_spaces = {agent: observation for agent in task.agents}
        self.action_spaces = {agent: action for agent in task.agents}
        self.state_space = TextSpace(MAX_OBSERVATION_CHARS * 16)
        self._rng = Random()
        self._index: dict[str, dict[str, int]] = {}
        self.item: Item | None = None
        self.split = "train"
        self.seed = 0
        self.snapshot: Any = None
        self.turns: tuple[Turn, ...] = ()
        self._prompts: dict[str, str] = {}

    @property
    def spec(self) -> EnvSpec:
        """id, keywords and content hash of this environment."""
        spec = self._spec
        return EnvSpec(spec.id, spec.entry_point, spec.kwargs, spec.summary, content_hash(self.task))

    def observation_space(self, agent: str) -> TextSpace:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> TextSpace:
        return self.action_spaces[agent]

    def items(self, split: str = "train") -> tuple[Item, ...]:
        """The items of a split, in order."""
        _check_split(self._spec.id, split)
        return tuple(self.task.items(split))

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
        """Start an episode; returns ({agent: first prompt}, {agent: info}).

        With `seed` the episode is a function of (seed, item) alone; without it the environment's own
        generator goes on.  Raises ValueError for an unknown split, KeyError for an unknown item.
        """
        if seed is not None:
            self._rng = Random(f"collm/{int(seed)}")
        options = options or {}
        self.split, self.item = self._find_item(options)
        self.seed = self._rng.getrandbits(31) if seed is None else int(seed)
        self.snapshot = self.task.start(self.item, self.seed)
        self.agents = list(self.possible_agents)
        self.turns = ()
        self._prompts = {agent: self.task.prompt(self.snapshot, agent) for agent in self.agents}
        return dict(self._prompts), {agent: self._info(agent) for agent in self.agents}

    def step(
        self, actions: Mapping[str, str]
    ) -> tuple[
        dict[str, str],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Play one turn: observations, rewards, terminations, truncations, infos, each by agent.

        Raises RuntimeError before `reset` and after the end, ValueError for a wrong set of agents,
        TypeError for an action that is not a `str`; the episode goes on unharmed after each.
        """
        agents = self.agents
        if not agents:
            raise RuntimeError(f"{self._spec.id}: no episode is running; call reset() first")
        if not isinstance(actions, Mapping) or set(actions) != set(agents):
            got = sorted(map(str, actions)) if isinstance(actions, Mapping) else type(actions).__name__
            raise ValueError(f"{self._spec.id}: need one text for each of {agents}, got {got}")
        texts, edits = {}, {}
        for agent in agents:
            texts[agent], edits[agent] = _mend(self._spec.id, agent, actions[agent])
        self.snapshot = self.task.play(self.snapshot, texts)
        score = self.task.score(self.snapshot)
        self.turns += (Turn(self._prompts, texts, score, edits),)
        terminated = self.task.done(self.snapshot)
        truncated = not terminated and self.max_cycles is not None and len(self.turns) >= self.max_cycles
        if terminated:
            self._prompts = dict.fromkeys(agents, "")
        else:
            self._prompts = {agent: self.task.prompt(self.snapshot, agent) for agent in agents}
        if terminated or truncated:
            self.agents = []
        return (
            dict(self._prompts),
            dict.fromkeys(agents, float(score.reward)),
            dict.fromkeys(agents, terminated),
            dict.fromkeys(agents, truncated),
            {agent: self._info(agent) for agent in agents},
        )

    def history(self, agent: str) -> tuple[str, ...]:
        """What `agent` itself has read and written: (o_1, a_1, ..., o_t)."""
        said = [text for turn in self.turns for text in (turn.prompts[agent], turn.texts[agent])]
        return (*said, self._prompts[agent])

    def state(self) -> str:
        """The joint history of all agents as one text.  For critics in training, never for an actor."""
        return "\n\n".join(
            f"[{agent} {'wrote' if k % 2 else 'read'}]\n{text}"
            for agent in self.possible_agents
            for k, text in enumerate(self.history(agent))
        )

    def render(self) -> str | np.ndarray | None:
        """`ansi`: text; `rgb_array`: (H, W, 3) uint8; `human`: prints the text and returns None."""
        if self.render_mode is None:
            raise ValueError(f"{self._spec.id}: made without render_mode; make(..., render_mode='ansi')")
        if self.snapshot is None:
            raise RuntimeError(f"{self._spec.id}: nothing to draw yet; call reset() first")
        scene = self.task.scene(self.snapshot)
        if self.render_mode == "rgb_array":
            return voxel.picture(scene)
        text = ascii_render.text(scene)
        if self.render_mode == "ansi":
            return text
        print(text)
        return None

    def close(self) -> None:
        """Nothing to free; may be called any number of times."""

    def __deepcopy__(self, memo: dict[int, Any]) -> TextEnv:
        twin = copy.copy(self)  # task, state and turns are never changed in place
        twin.agents, twin._prompts = list(self.agents), dict(self._prompts)
        twin._rng = Random()
        twin._rng.setstate(self._rng.getstate())
        twin.action_spaces = copy.deepcopy(self.action_spaces, memo)
        twin.observation_spaces = copy.deepcopy(self.observation_spaces, memo)
        return twin

    def __repr__(self) -> str:
        return f"<TextEnv {self._spec.id} {len(self.possible_agents)} agents, turn {len(self.turns)}>"

    def _find_item(self, options: Mapping[str, Any]) -> tuple[str, Item]:
        split, wanted = options.get("split"), options.get("item")
        if split is not None:
            _check_split(self._spec.id, split)
        if wanted is None:
            split = split or "train"
            items = self.task.items(split)
            return split, items[self._rng.randrange(len(items))]
        if isinstance(wanted, (int, np.integer)) and not isinstance(wanted, bool):
            split = split or "train"
            items = self.task.items(split)
            if not 0 <= wanted < len(items):
                raise KeyError(f"{self._spec.id}: item must be below {len(items)}, got {wanted}")
            return split, items[int(wanted)]
        if not isinstance(wanted, str):
            raise ValueError(f"{self._spec.id}: item must be an id or an index, got {wanted!r}")
        for name in (split,) if split else SPLITS:
            if wanted in self._ids(name):
                return name, self.task.items(name)[self._ids(name)[wanted]]
        known = [id for name in SPLITS for id in self._ids(name)]
        near = difflib.get_close_matches(wanted, known, n=1) or known[:1]
        raise KeyError(f"{self._spec.id}: no item {wanted!r} in {split or 'any split'}; try {near[0]!r}")

    def _ids(self, split: str) -> dict[str, int]:
        if split not in self._index:
            self._index[split] = {item.id: k for k, item in enumerate(self.task.items(split))}
        return self._index[split]

    def _info(self, agent: str) -> dict[str, Any]:
        assert self.item is not None
        info: dict[str, Any] = {
            "item": self.item.id,
            "split": self.split,
            "seed": self.seed,
            "turn": len(self.turns),
            "metrics": {},
            "reward_parts": {},
            "accepted": [],
            "rejected": [],
            "edits": [],
        }
        if self.turns:
            score, edits = self.turns[-1].score, self.turns[-1].edits
            info["metrics"], info["reward_parts"] = dict(score.metrics), dict(score.parts)
            info["accepted"] = list(score.accepted.get(agent, ()))
            info["rejected"] = [Rejected(*r)._asdict() for r in score.rejected.get(agent, ())]
            info["edits"] = list(edits[agent])
        return info


def _check_split(id: str, split: Any) -> None:
    if split not in SPLITS:
        raise ValueError(f"{id}: split must be 'train' or 'eval', got {split!r}")


def _mend(id: str, agent: str, text: Any) -> tuple[str, tuple[str, ...]]:
    """The text as it will be played, and what had to be changed for that."""
    if not isinstance(text, str):
        raise TypeError(f"{id}: the action of {agent} must be a str, got {type(text).__name__}")
    edits: list[str] = []
    if len(text) > MAX_ACTION_CHARS:
        edits.append(f"cut from {len(text)} to {MAX_ACTION_CHARS} characters")
        text = text[:MAX_ACTION_CHARS]
    if not text.isascii():
        text, n = _SURROGATE.subn("\ufffd", text)
        if n:
            edits.append(f"{n} lone surrogates replaced by U+FFFD")
    return str(text), tuple(edits)
