"""`collm train`: an algorithm's settings as flags, a run begun, resumed, or set up as published.

What can be checked without torch is, before it is imported: names, flags, whether there is anything to do.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from baselines.cli import flags
from baselines.runs import folder
from baselines.runs.algorithms import fields_of, names
from baselines.runs.published import published_settings
from baselines.train.presets import PRESETS, is_tiny, preset

if TYPE_CHECKING:
    from baselines.train.settings import Settings

USAGE = """usage: collm train ALGORITHM [--preset NAME] [flags]     begin a run
       collm train --resume RUN                          go on with an interrupted one
       collm train ALGORITHM --help                      every setting with its meaning

ALGORITHM is {names}, or one of your own: package.module, or module for a
file in this folder (`collm init algorithm NAME` writes one to begin with).
--preset fills in what the flags leave open: laptop (a small language model on a CPU, in minutes), gpu, or
paper (the published settings of the environment and algorithm; --paper for short).  Without it that is done
for the embedded model (--model tiny, the default) alone."""

DEMO_USAGE = """usage: collm demo [-h]

Two tiny models learn to build a word together, by CoLLM-CC and by MAGRPO: minutes of one CPU core, a table,
and runs/demo/report.html with learning curves and episodes to read.  An earlier runs/demo is replaced."""


def train(args: Sequence[str]) -> int:
    """Run the command line after `collm train`; prints the run's folder."""
    need_torch()
    if not args or args[0] in ("-h", "--help"):
        print(USAGE.format(names=", ".join(names())))
        return 0
    if args[0].startswith("--resume="):
        args = [*args[0].split("=", 1), *args[1:]]
    try:
        if args[0] == "--resume":
            if len(args) != 2:
                raise ValueError("--resume needs the folder of a run and nothing else")
            out = _resume(Path(args[1]))
        else:
            flags.check(args[0], args[1:])
            out = _begin(args[0], args[1:])
    except KeyboardInterrupt as stop:
        before = "nothing new was kept" if args[0] == "--resume" else "nothing was kept"
        print(f"\n{stop or f'stopped before the first step; {before}'}", file=sys.stderr)
        return 130
    print(out)
    return 0


def sweep(args: Sequence[str]) -> int:
    """`collm sweep`, its flags checked first."""
    need_torch()
    flags.check_flags("sweep", fields_of("baselines.cli.sweep", "Sweep") or {}, args)
    from baselines.cli import sweep

    return sweep.main(args)


def demo(args: Sequence[str]) -> None:
    """`collm demo`, which takes no arguments."""
    need_torch()
    if args and args[0] in ("-h", "--help"):
        print(DEMO_USAGE)
        return
    if args:
        raise ValueError(f"collm demo takes no arguments, got {' '.join(args)}")
    from baselines.cli import demo

    demo.main()


def need_torch() -> None:
    """Raise ModuleNotFoundError where torch is not installed, which is quicker found out than imported."""
    if importlib.util.find_spec("torch") is None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")


def _begin(name: str, args: Sequence[str]) -> Path:
    from baselines.runs import run

    config, filled = read_filled(name, args)
    if filled:
        print(f"filled in: {filled}\n(a flag of yours wins)", file=sys.stderr)
    return run.train(name, config)


def _resume(out: Path) -> Path:
    _, config = folder.stored_config(out)
    if folder.is_finished(out):
        print(f"already finished: {config['steps']} of {config['steps']} steps", file=sys.stderr)
        return out
    from baselines.runs import run

    return run.resume(out)


def read(name: str, args: Sequence[str]) -> Any:
    """An algorithm's `Config` from flags, on top of what `--paper` or the embedded model fills in.

    Raises ValueError for an unknown algorithm and for a row that was not published.
    """
    return read_filled(name, args)[0]


def read_filled(name: str, args: Sequence[str]) -> tuple[Any, str]:
    """The settings, and as flags what was filled in by a preset other than `paper` ("" where nothing was)."""
    from baselines.runs.algorithms import algorithm
    from baselines.train.settings import Settings

    config, prog = algorithm(name).Config, f"collm train {name}"
    chosen, own = _chosen_preset(args)
    about = f"{config.__doc__}"
    if issubclass(config, Settings):
        about += "".join(
            f"\n\nWith {how}: {as_flags(preset(name, 'TLDR-v0', set(), by))}"
            for by, how in {"tiny": "--model tiny", "laptop": "--preset laptop"}.items()
        )
    settings = tyro.cli(config, args=own, prog=prog, description=about)
    filled: dict[str, Any] = {}
    if chosen == "paper":
        start = _published(name, settings)
        own = flags.without(own, "env-kwargs")  # merged there: a flag would replace the published ones
    elif not isinstance(settings, Settings):
        return settings, ""
    elif chosen or is_tiny(settings.model, settings.models):
        filled = preset(name, settings.env, _names(own), chosen or "tiny")
        if chosen and not {"model", "models"} & {*filled, *_names(own)}:
            raise ValueError(f"--preset {chosen} needs --model, for example --model Qwen/Qwen3-1.7B")
        start = config(**filled)
    else:
        return settings, ""
    return tyro.cli(config, args=own, default=start, prog=prog), as_flags(filled)


def _chosen_preset(args: Sequence[str]) -> tuple[str, list[str]]:
    """The preset that a command line names ("" for none), and the flags without it.

    Raises ValueError for one that there is not.
    """
    flags_given = dict(flags.given(args))
    chosen = "paper" if "--paper" in flags_given else ""
    if "--preset" in flags_given:
        chosen = flags_given["--preset"] or ""
        names_there = [*(name for name in PRESETS if name != "tiny"), "paper"]
        if chosen not in names_there:
            raise ValueError(f"--preset must be one of {', '.join(names_there)}, got {chosen!r}")
    return chosen, flags.without([arg for arg in args if arg != "--paper"], "preset")


def _published(name: str, settings: Any) -> Any:
    """The published settings of what is asked for, with the keywords of the command line on top."""
    start = type(settings)(**published_settings(name, settings.to_dict()))
    start.env_kwargs = {**start.env_kwargs, **settings.env_kwargs}
    return start


def _names(args: Sequence[str]) -> set[str]:
    """The settings that a command line gives."""
    return {flag.removeprefix("--").removeprefix("no-").replace("-", "_") for flag, _ in flags.given(args)}


def command(name: str, config: Settings) -> str:
    """The command line that gives these settings: what differs from what `read` would fill in, as flags."""
    stored, given_names, tiny = config.to_dict(), set[str](), is_tiny(config.model, config.models)
    while True:  # what is given changes what is filled in
        usual = type(config)(**preset(name, config.env, given_names) if tiny else {}).to_dict()
        own = given_names | {key for key, value in stored.items() if value != usual[key]}
        if own == given_names:
            break
        given_names = own
    differing = as_flags({key: value for key, value in stored.items() if key in given_names})
    return f"collm train {name} {differing}".rstrip()


def as_flags(settings: Mapping[str, Any]) -> str:
    """Settings as they are written on a command line."""
    parts = []
    for key, value in settings.items():
        flag = "--" + key.replace("_", "-")
        if isinstance(value, bool):
            parts.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, dict):
            parts.append(f"{flag} '{json.dumps(value)}'")
        elif isinstance(value, (tuple, list)):
            parts.append(" ".join([flag, *map(str, value)]))
        else:
            parts.append(f"{flag} '{value}'" if " " in str(value) else f"{flag} {value}")
    return " ".join(parts)
