"""A task under PettingZoo's parallel API.  Adds checks, history and rendering, but no rules.

Observations and actions are plain `str`.  An observation is the new message to that agent; its history
h_t = (o_1, a_1, ..., o_t) is kept by the policy.  All agents share one reward and end together:
`terminated` after the task's own last turn (the observation is then ""), `truncated` after `max_cycles`
turns if that is earlier (the observation is then the next prompt).
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Space
from pettingzoo import ParallelEnv

from collm_envs.envspec import SPLITS, EnvSpec, content_hash
from collm_envs.render import ascii as ascii_render
from collm_envs.render import voxel
from collm_envs.space import SURROGATE, TextSpace
from collm_envs.task import Item, Rejected, Score, Task, most_chars, writers

MAX_ACTION_CHARS = 65_536
MAX_OBSERVATION_CHARS = 4_194_304
RENDER_MODES = ("ansi", "rgb_array", "human")


class Turn(NamedTuple):
    """One turn: each agent's prompt, its text as played, the score, and the edits made to its text."""

    prompts: Mapping[str, str]
    texts: Mapping[str, str]
    score: Score
    edits: Mapping[str, tuple[str, ...]]


class TextEnv(ParallelEnv[str, str, str]):
    """Any `Task` as a PettingZoo `ParallelEnv`.

    `reset(seed, options)` takes the options "item" (id, or index into the split) and "split" ("train",
    the default, or "eval"); others raise ValueError.  The same seed and item give the same episode.
    `step` takes one `str` for each agent; a text is cut to `MAX_ACTION_CHARS` (or to the task's own limit),
    lone surrogates become U+FFFD, and the text of an agent that does not write now is dropped; each is listed
    in `infos[agent]["edits"]`, and the edited text is recorded.  `snapshot` is the task's frozen state,
    `turns` the episode so far.
    """

    def __init__(
        self,
        task: Task,
        spec: EnvSpec,
        *,
        render_mode: str | None = None,
        max_cycles: int | None = None,
    ):
        if render_mode is not None and render_mode not in RENDER_MODES:
            raise ValueError(f"{spec.id}: render_mode must be one of {RENDER_MODES}, got {render_mode!r}")
        if max_cycles is not None and (type(max_cycles) is not int or max_cycles < 1):
            raise ValueError(f"{spec.id}: max_cycles must be an int of at least 1, got {max_cycles!r}")
        self.task = task
        self._spec = spec
        self.render_mode = render_mode
        self.max_cycles = max_cycles
        self.metadata = {
            "name": spec.id,
            "render_modes": list(RENDER_MODES),
            "render_fps": 1,
            "is_parallelizable": True,
            "max_turns": task.max_turns,
            "reward_range": task.reward_range,
        }
        self.possible_agents = list(task.agents)
        self.agents: list[str] = []
        self.observation_spaces = {agent: TextSpace(MAX_OBSERVATION_CHARS) for agent in task.agents}
        self.action_spaces = {agent: TextSpace(MAX_ACTION_CHARS) for agent in task.agents}
        self.state_space = TextSpace(MAX_OBSERVATION_CHARS * 16)
        self._rng = Random()
        self._index: dict[str, dict[str, int]] = {}
        self.item: Item | None = None
        self.split = "train"
        self.seed = 0
        self.snapshot: Any = None
        self.turns: tuple[Turn, ...] = ()
        self._prompts: dict[str, str] = {}
        self._letters: dict[str, str] = {}  # of blocks in text, for a whole episode

    @property
    def spec(self) -> EnvSpec:
        """Id, keywords and content hash of this environment."""
        if self._spec.content_hash is None:
            self._spec = replace(self._spec, content_hash=content_hash(self.task))
        return self._spec

    def observation_space(self, agent: str) -> Space[str]:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space[str]:
        return self.action_spaces[agent]

    def items(self, split: str = "train") -> tuple[Item, ...]:
        """The items of a split, in order."""
        _check_split(self._spec.id, split)
        return tuple(self.task.items(split))

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
        """Start an episode; returns ({agent: first prompt}, {agent: info}).

        With `seed` the episode is a function of (seed, item) alone; without it the environment draws the next
        seed from its own generator.  Raises TypeError for a seed that is not an int, ValueError for an
        unknown option or split, KeyError for an unknown item.
        """
        options = _check_options(self._spec.id, options or {})
        split, chosen = options.get("split"), options.get("item")
        if chosen is not None:
            split, item = self.find(chosen, split)
        else:
            split, item = split or "train", None
            _check_split(self._spec.id, split)
        if seed is None:
            seed = self._rng.getrandbits(31)
        else:
            seed = _whole(self._spec.id, seed)
            self._rng = Random(f"collm/{seed}")
        if item is None:
            items = self.task.items(split)
            item = items[self._rng.randrange(len(items))]
        self.split, self.item, self.seed = split, item, seed
        self.snapshot = self.task.start(item, seed)
        self.agents = list(self.possible_agents)
        self.turns = ()
        self._letters = {}
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
        TypeError for an action that is not a `str`; the episode is unchanged by such a call.
        """
        agents = self.agents
        texts, edits = self.check(actions)
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

    def check(self, actions: Mapping[str, str]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
        """({agent: text}, {agent: edits}) that `step` would play; raises the same errors as `step`."""
        if not self.agents:
            raise RuntimeError(f"{self._spec.id}: no episode is running; call reset() first")
        if not isinstance(actions, Mapping) or set(actions) != set(self.agents):
            received = sorted(map(str, actions)) if isinstance(actions, Mapping) else type(actions).__name__
            raise ValueError(f"{self._spec.id}: need one text for each of {self.agents}, got {received}")
        return as_played(self._spec.id, self.task, self.snapshot, actions)

    def history(self, agent: str) -> tuple[str, ...]:
        """The observations and actions of `agent`: (o_1, a_1, ..., o_t).

        Steps in which it neither read nor wrote anything (others did) are left out.
        """
        steps = [(turn.prompts[agent], turn.texts[agent]) for turn in self.turns]
        return (*(text for step in steps if any(step) for text in step), self._prompts[agent])

    def state(self) -> str:
        """The histories of all agents as one text.  For critics in training, not for policies."""
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
        assert self.item is not None
        if not self._letters:
            self._letters = ascii_render.letters(self.task.scene(self.task.start(self.item, self.seed)))
        self._letters = ascii_render.letters(scene, self._letters)
        text = ascii_render.text(scene, self._letters)
        if self.render_mode == "ansi":
            return text
        print(text)
        return None

    def close(self) -> None:
        """Nothing to free; may be called any number of times."""

    def __deepcopy__(self, memo: dict[int, Any]) -> TextEnv:
        twin = copy.copy(self)  # task, state and turns are never changed in place
        twin.agents, twin._prompts = list(self.agents), dict(self._prompts)
        twin._index = dict(self._index)
        twin._rng = Random()
        twin._rng.setstate(self._rng.getstate())
        twin.action_spaces = copy.deepcopy(self.action_spaces, memo)
        twin.observation_spaces = copy.deepcopy(self.observation_spaces, memo)
        return twin

    def __repr__(self) -> str:
        return f"<TextEnv {self._spec.id} {len(self.possible_agents)} agents, turn {len(self.turns)}>"

    def find(self, item: str | int, split: str | None = None) -> tuple[str, Item]:
        """(split, item) of an item's id, looked up in both splits if `split` is None, or of its index."""
        if split is not None:
            _check_split(self._spec.id, split)
        if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            split = split or "train"
            items = self.task.items(split)
            if not 0 <= item < len(items):
                raise KeyError(f"{self._spec.id}: item must be below {len(items)}, got {item}")
            return split, items[int(item)]
        if not isinstance(item, str):
            raise ValueError(f"{self._spec.id}: item must be an id or an index, got {item!r}")
        for name in (split,) if split else SPLITS:
            if item in self._ids(name):
                return name, self.task.items(name)[self._ids(name)[item]]
        ids = [id for name in SPLITS for id in self._ids(name)]
        near = difflib.get_close_matches(item, ids, n=1) or ids[:1]
        raise KeyError(f"{self._spec.id}: no item {item!r} in {split or 'any split'}; try {near[0]!r}")

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


OPTIONS = ("item", "split")
CONFORMANCE = "options"
"""PettingZoo's own conformance test passes {"options": 1} to every environment"""


def _check_options(id: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(options, Mapping):
        raise TypeError(f"{id}: options must be a mapping, got {type(options).__name__}")
    for name in options:
        if name not in (*OPTIONS, CONFORMANCE):
            near = difflib.get_close_matches(str(name).lower(), OPTIONS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(map(repr, OPTIONS))}"
            raise ValueError(f"{id}: reset knows no option {name!r}; {hint}")
    return options


def _check_split(id: str, split: Any) -> None:
    if split not in SPLITS:
        raise ValueError(f"{id}: split must be 'train' or 'eval', got {split!r}")


def _whole(id: str, seed: Any) -> int:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"{id}: seed must be an int, got {seed!r}")
    return int(seed)


def as_played(
    id: str, task: Task, state: Any, actions: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """({agent: text as it will be played}, {agent: what had to be changed for that}).

    Raises TypeError for an action that is not a `str`.
    """
    writing, most = writers(task, state), most_chars(task, state)
    texts: dict[str, str] = {}
    edits: dict[str, tuple[str, ...]] = {}
    for agent in task.agents:
        text, changes = mend(id, agent, actions[agent])
        if text and agent not in writing:
            text, changes = "", (*changes, f"not played: {agent} does not write now")
        elif most is not None and len(text) > most:
            changes = (*changes, f"cut from {len(text)} to {most} characters")
            text = text[:most]
        texts[agent], edits[agent] = text, changes
    return texts, edits


def mend(id: str, agent: str, text: Any) -> tuple[str, tuple[str, ...]]:
    """(the text as it is played, a description of each edit).  Raises TypeError if it is not a str."""
    if not isinstance(text, str):
        raise TypeError(f"{id}: the action of {agent} must be a str, got {type(text).__name__}")
    edits: list[str] = []
    if len(text) > MAX_ACTION_CHARS:
        edits.append(f"cut from {len(text)} to {MAX_ACTION_CHARS} characters")
        text = text[:MAX_ACTION_CHARS]
    if not text.isascii():
        text, n = SURROGATE.subn("\ufffd", text)
        if n:
            edits.append(f"{n} lone surrogates replaced by U+FFFD")
    return str(text), tuple(edits)
