"""`collm`: a table of verbs.  What a verb needs is imported when it is called, so that most need no torch."""

from __future__ import annotations

import codecs
import difflib
import dis
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import NamedTuple


class Verb(NamedTuple):
    function: str
    """"module:function", called with the arguments after the verb; what it returns is the exit status"""
    summary: str


VERBS = {
    "envs": Verb("baselines.cli.envs:envs", "the environments; one environment's page"),
    "play": Verb("baselines.cli.play:play", "play an episode at the terminal"),
    "eval": Verb("baselines.cli.evaluate:evaluate", "play many episodes, write records and a table"),
    "crossplay": Verb("baselines.cli.crossplay:main", "mix teams seat by seat: self-play against cross-play"),
    "train": Verb("baselines.cli.train:train", "train agents; go on with an interrupted run"),
    "plan": Verb("baselines.cli.plan:main", "the memory a run would take, before it is begun"),
    "export": Verb(
        "baselines.cli.export:main", "write worlds as Minecraft functions, or records as conversations"
    ),
    "warm-start": Verb("baselines.cli.warm_start:warm_start", "teach a model the form of a task's texts"),
    "models": Verb("baselines.cli.models:models", "the models with a short name, size, licence and place"),
    "sweep": Verb("baselines.cli.train:sweep", "compare algorithms: equal trials, seeds and CPU seconds"),
    "qllm": Verb("baselines.cli.qllm:main", "ask a language model for a credit function; gate and pin it"),
    "init": Verb("baselines.cli.init:main", "write an environment or algorithm of your own to begin with"),
    "demo": Verb("baselines.cli.train:demo", "two tiny models learn to build a word together"),
    "real": Verb("baselines.cli.real:main", "a real language model learns to write together, in CPU minutes"),
    "view": Verb("baselines.cli.view:view", "open recorded episodes in a browser"),
    "report": Verb(
        "baselines.cli.report:main", "runs and evaluations side by side, with the paper's numbers"
    ),
    "serve": Verb("baselines.cli.serve:main", "serve an environment to OpenEnv's clients, or texts by vLLM"),
    "tinker": Verb("baselines.cli.tinker:main", "check that a Tinker server trains adapters as it should"),
    "leaderboard": Verb("leaderboard.cli:main", "make, check and show entries of the leaderboard"),
}
EXTRAS = {
    **dict.fromkeys(("tyro", "rich"), "cli"),
    **dict.fromkeys(("torch", "transformers", "peft", "gguf"), "baselines"),
    **dict.fromkeys(("datasets", "pyarrow"), "hub"),
    **dict.fromkeys(("tensorboard", "wandb"), "logging"),
    "matplotlib": "render",
    "ray": "ray",
    "tinker": "tinker",
}
"""optional package -> the extra of collm that installs it"""
OURS = ("collm_envs", "baselines", "leaderboard")
"""packages whose error messages are written for users"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb that `argv` names; a wrong argument is one line and status 2."""
    args = list(sys.argv[1:] if argv is None else argv)
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):  # LANG=C: a text of others must not end the program
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdin, TextIOWrapper):
        encoding = codecs.lookup(sys.stdin.encoding).name
        sys.stdin.reconfigure(encoding="utf-8" if encoding == "ascii" else encoding, errors="replace")
    try:
        try:
            return _run(args)
        finally:  # here, where a closed pipe can be dealt with, and not as the interpreter ends
            sys.stdout.flush()
    except BrokenPipeError:  # `collm envs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk behind `collm envs > file`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"collm: {_in_words(error)}", file=sys.stderr)
        return 2


def _open_standard_streams() -> None:
    """Open the null device for each standard stream that whoever started us has closed (`collm ... >&-`)."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if vars(sys)[name] is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


def _run(args: Sequence[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        width = max(map(len, VERBS))
        print("usage: collm VERB ...      collm VERB --help says more; collm --version\n")
        print("\n".join(f"  {name:<{width}}  {verb.summary}" for name, verb in VERBS.items()))
        print("\nAn error is one line; with COLLM_TRACEBACK=1 set it is shown with where it comes from.")
        return 0
    if args[0] in ("-V", "--version", "version"):
        print(f"collm {importlib.metadata.version('collm')}")
        return 0
    if args[0] not in VERBS:
        near = difflib.get_close_matches(args[0], VERBS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        print(f"collm: no verb {args[0]!r}; there are {', '.join(VERBS)}{hint}", file=sys.stderr)
        return 2
    try:
        here = os.getcwd()
    except FileNotFoundError:
        print("collm: the current folder has been deleted; change to another one", file=sys.stderr)
        return 2
    if here not in sys.path:  # for environments of one's own, named module:Id
        sys.path.append(here)
    try:
        return _load(VERBS[args[0]].function)(args[1:]) or 0
    except KeyboardInterrupt as stop:
        print(f"\ncollm {args[0]}: {str(stop) or 'interrupted'}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        raise
    except Exception as error:  # whatever a user's files and flags lead to: a stranger is told in a line
        if "COLLM_TRACEBACK" in os.environ:
            raise
        from collm_envs.render.plain import plain  # with numpy, which a list of verbs does without

        line = " ".join(plain(_in_words(error)).split())
        if not _is_for_users(error):
            line = f"{type(error).__name__}: {line}  (COLLM_TRACEBACK=1 shows where)"
        print(f"collm {args[0]}: {line}", file=sys.stderr)
        return 2


def _in_words(error: Exception) -> str:
    """An error's message, without errno and Python's quotes."""
    if package := _missing(error):
        return f"it needs the package {package!r}: pip install 'collm[{EXTRAS[package]}]'"
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename2 or error.filename}: {error.strerror}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])
    return str(error) or type(error).__name__


def _missing(error: Exception) -> str:
    """The package of `EXTRAS` that could not be imported, or a part of it; "" for any other error."""
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return package if package in EXTRAS else ""


def _is_for_users(error: Exception) -> bool:
    """Whether the message suffices without a traceback: raised by us, a missing package, or an OSError.

    Anything else may be a bug and keeps its traceback.
    """
    if isinstance(error, OSError) or _missing(error):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_globals["__name__"].partition(".")[0] not in OURS:
        return False
    return dis.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"


def _load(function: str) -> Callable[[Sequence[str]], int | None]:
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)
