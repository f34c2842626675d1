"""`collm train`: an algorithm's settings as flags, a run begun, resumed, or set up as published."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import tyro

from baselines.core import run, values
from baselines.core.paper import published
from baselines.core.settings import Settings
from baselines.maac import Config as MAAC

USAGE = f"""usage: collm train ALGORITHM [--paper] [flags]     begin a run   ({", ".join(run.ALGORITHMS)})
       collm train mixing --game GAME --mixer M    value decomposition on a small discrete game
       collm train --resume RUN                    go on with an interrupted one
       collm train ALGORITHM --help                every setting with its meaning

--paper fills in the published settings of the environment and algorithm; flags override them."""


def train(args: Sequence[str]) -> int:
    """Run the command line after `collm train`; prints the run's folder."""
    if not args or args[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    try:
        if args[0] == "--resume":
            if len(args) != 2:
                raise ValueError("--resume needs the folder of a run and nothing else")
            folder = Path(args[1])
            mixing = run.stored_config(folder)[0] == values.NAME
            out = values.resume(folder) if mixing else run.resume(folder)
        elif args[0] == values.NAME:
            out = values.begin(values.read(args[1:]))
        else:
            out = run.train(args[0], read(args[0], args[1:]))
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped; what was saved can be resumed", file=sys.stderr)
        return 130
    print(out)
    return 0


def read(name: str, args: Sequence[str]) -> Settings:
    """An algorithm's settings from flags, on top of the published ones where `--paper` is among them.

    Raises ValueError for an unknown algorithm and for a row that was not published.
    """
    config = run.algorithm(name).Config
    rest = [arg for arg in args if arg != "--paper"]
    start = config()
    if len(rest) != len(args):
        asked: Settings = tyro.cli(config, args=rest, prog=f"collm train {name}")
        critic = asked.critic if isinstance(asked, MAAC) else "central"
        start = config(**published(asked.env, name, critic, asked.env_kwargs.get("num_agents", 2)))
        start.env_kwargs = {**start.env_kwargs, **asked.env_kwargs}
        rest = _without(rest, "env-kwargs")  # merged above: a flag would replace the published ones
    return tyro.cli(config, args=rest, default=start, prog=f"collm train {name}", description=config.__doc__)


def command(name: str, config: Settings) -> str:
    """The command line that gives these settings: what differs from the defaults, as flags."""
    default = type(config)()
    parts = [f"collm train {name}"]
    for field in fields(config):
        value, flag = getattr(config, field.name), "--" + field.name.replace("_", "-")
        if value == getattr(default, field.name):
            continue
        if isinstance(value, bool):
            parts.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, dict):
            parts.append(f"{flag} '{json.dumps(value)}'")
        elif isinstance(value, tuple):
            parts.append(" ".join([flag, *map(str, value)]))
        else:
            parts.append(f"{flag} '{value}'" if " " in str(value) else f"{flag} {value}")
    return " ".join(parts)


def _without(args: Sequence[str], flag: str) -> list[str]:
    """The arguments without `--flag VALUE` or `--flag=VALUE`."""
    out, skip = [], False
    for arg in args:
        if skip:
            skip = False
        elif arg.replace("_", "-") == f"--{flag}":
            skip = True
        elif not arg.replace("_", "-").startswith(f"--{flag}="):
            out.append(arg)
    return out
