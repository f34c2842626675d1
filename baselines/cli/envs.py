"""`collm envs`: the environments in a table, one environment's page, all pages in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.markdown import Markdown
from tyro.conf import Positional, arg

import collm_envs
from baselines.cli.terminal import Column, console, flags, note, show, width
from collm_envs import catalogue

out = console()


@dataclass
class Envs:
    """The environments in one table, or one environment's page."""

    id: Annotated[Positional[str | None], arg(metavar="[ENV]")] = None
    """show this one's page"""
    page: Path | None = None
    """write the pages to this file instead: Markdown for .md, else HTML"""


def envs(args: Sequence[str]) -> None:
    """Run the command line after `collm envs`."""
    settings = flags(Envs, args, "collm envs")
    ids = [collm_envs.spec(settings.id).id] if settings.id else []
    if settings.page is not None:
        catalogue_text = catalogue.markdown(ids) if settings.page.suffix == ".md" else catalogue.html(ids)
        settings.page.write_text(catalogue_text, encoding="utf-8")
        out.print(f"wrote {settings.page}", soft_wrap=True)
    elif ids and out.is_terminal:
        out.print(Markdown(catalogue.markdown(ids)), width=width())
    elif ids:
        out.print(catalogue.markdown(ids), soft_wrap=True)
    else:
        _overview()


def _overview() -> None:
    columns = (
        Column("environment", align="left"),
        Column("agents", keep=4),
        Column("turns", keep=3),
        Column("reward", keep=2),
        Column("items", keep=1),
        Column("what it is", align="left", text=True),
    )
    rows = []
    for id, spec in collm_envs.registry.items():
        env = collm_envs.make(id)
        low, high = env.task.reward_range
        items = " + ".join(str(len(env.items(split))) for split in ("train", "eval"))
        turns, agents = str(env.task.max_turns), str(len(env.possible_agents))
        rows.append((id, agents, turns, f"{low:g} to {high:g}", items, spec.summary))
    show(out, columns, rows)
    note(out, "reward: of a turn; items: to train on + to evaluate on; collm envs ENV shows a page")
