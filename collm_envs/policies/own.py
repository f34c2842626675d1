"""`py:package.module:factory`, a policy of your own: a function or class in a module that Python finds.

    # mine.py
    def echo(observation: str) -> str:            a text for a text
        return observation[-20:]

    def make(seed: int):                          or what makes such a function: called once, with its seed
        rng = random.Random(seed)
        return lambda observation: rng.choice(("yes", "no"))

    class Mine:                                   or a policy as in `collm_envs.policies.seat.Policy`
        def act(self, seats):
            return [Reply(seat.history[-1]) for seat in seats]

    collm eval TLDR-v0 --policy py:mine:echo
    collm eval TLDR-v0 --policy "py:mine:make?seed=3"

A function of one parameter called `observation`, `text`, `prompt` or `message`, or annotated `str`, takes
texts; anything else is a factory, called with `seed` (0 where none is given) if it has that parameter and
without if not.  What it makes is an object with `act(seats) -> [Reply or str, ...]`, or a function from the
newest message to a text.  What draws should draw from `seat.seed`: an evaluation that goes on after a kill
asks for the same.

Records name the policy as it was given, and an evaluation's folder holds a digest of the module's source, so
that other code does not add to it.  Replaying and viewing records needs no policy.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from collm_envs.policies.query import read_query
from collm_envs.policies.seat import Policy, Reply, Seat

TEXTS = ("observation", "text", "prompt", "message")
WANT = "py:package.module:factory or py:package.module:factory?seed=0"


class Own:
    """What a module of the user's makes, as a policy."""

    def __init__(self, name: str, actor: Any, digest: str):
        self.name, self.digest = name, digest
        self._made = actor

    def act(self, seats: Sequence[Seat]) -> list[Reply]:
        """One reply for each seat, in order; TypeError for anything that is no text."""
        if callable(self._made):
            answers: Any = [self._made(seat.history[-1]) for seat in seats]
        else:
            answers = self._made.act(seats)
        if not isinstance(answers, Sequence) or isinstance(answers, str) or len(answers) != len(seats):
            shown = f"{len(answers)}" if isinstance(answers, Sequence) else type(answers).__name__
            raise TypeError(f"{self.name}: act must return a list of {len(seats)} replies, got {shown}")
        return [self._reply(answer) for answer in answers]

    def _reply(self, answer: Any) -> Reply:
        if isinstance(answer, Reply):
            return answer
        if isinstance(answer, str):
            return Reply(answer)
        raise TypeError(f"{self.name}: need a str or a Reply for each seat, got {type(answer).__name__}")


def parse(text: str) -> Policy:
    """The policy of "package.module:factory" or "package.module:factory?seed=0".

    Raises ValueError for what is no such name or makes no policy, ImportError for a module that is not found.
    """
    where, _, query = text.partition("?")
    module, colon, attribute = where.partition(":")
    if not (module and colon and attribute):
        raise ValueError(f"py: need {WANT}, got {text!r}")
    seed = read_query("py", query, {"seed": int}).get("seed", 0)
    module_object = importlib.import_module(module)
    target = _find(module_object, module, attribute)
    target_policy = target if _takes_texts(target) else _make(target, where, seed)
    if not callable(target_policy) and not callable(inspect.getattr_static(target_policy, "act", None)):
        raise ValueError(
            f"py:{where} made {type(target_policy).__name__}; need a function observation -> text, "
            "or an object with act(seats) -> replies"
        )
    return Own(f"py:{text}", target_policy, _digest(module_object))


def _find(module_object: ModuleType, module: str, attribute: str) -> Any:
    names = vars(module_object)
    if attribute not in names:
        near = difflib.get_close_matches(attribute, names, n=1)
        raise ValueError(
            f"py: {module} has no {attribute!r}" + (f"; did you mean {near[0]!r}?" if near else "")
        )
    if not callable(names[attribute]):
        raise ValueError(
            f"py: {module}:{attribute} is {type(names[attribute]).__name__}, need a function or class"
        )
    return names[attribute]


def _takes_texts(target: Callable[..., Any]) -> bool:
    if inspect.isclass(target):
        return False
    needed = [p for p in inspect.signature(target).parameters.values() if p.default is p.empty]
    return len(needed) == 1 and (needed[0].name in TEXTS or needed[0].annotation in (str, "str"))


def _make(target: Callable[..., Any], where: str, seed: int) -> Any:
    parameters = inspect.signature(target).parameters
    needed = [name for name, p in parameters.items() if p.default is p.empty and name != "seed"]
    needed = [name for name in needed if parameters[name].kind not in (2, 4)]  # *args, **kwargs
    if needed:
        texts = f"one parameter called {' or '.join(TEXTS)}"
        raise ValueError(
            f"py:{where} needs {', '.join(needed)}; a factory takes seed or nothing, a function {texts}"
        )
    return target(seed=seed) if "seed" in parameters else target()


def _digest(module: ModuleType) -> str:
    """sha256 of a module's source; of its name where it has none."""
    path = module.__file__
    source = Path(path).read_bytes() if path and Path(path).is_file() else module.__name__.encode()
    return hashlib.sha256(source).hexdigest()
