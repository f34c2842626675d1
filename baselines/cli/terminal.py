"""What the verbs of `collm` share at a terminal: safe output, tables that fit, flags that explain themselves.

A table at a terminal drops columns before it cuts a number.  In a pipe or a file it is tab-separated values:
one header line, then a line a row, with no blanks added and nothing wrapped.
"""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar, cast

import tyro
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from baselines.cli.flags import check_values

T = TypeVar("T")
GAP = 3
"""characters between two columns of a table"""
READABLE = 24
"""smallest width in characters of a column of text; longer texts are wrapped"""


def plain(text: str) -> str:
    """`collm_envs.render.plain.plain`, imported when something is printed: `--help` does without numpy."""
    from collm_envs.render import plain as safe

    return safe.plain(text)


@dataclass(frozen=True)
class Column:
    """A column of a table that is printed."""

    name: str
    keep: int = 0
    """where the terminal is narrow, columns with the lowest number go first; 0 stays to the end"""
    align: Literal["left", "right"] = "right"
    text: bool = False
    """whether its cells are prose, which may be wrapped"""


@dataclass(frozen=True)
class _Clean:
    """A renderable whose texts cannot steer the terminal, whatever they hold."""

    inner: Any

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.inner, options):
            yield segment if segment.control else Segment(plain(segment.text), segment.style)


class _CleanAll(RenderHook):
    """The hook of a rich console that cleans all that is printed to it."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Clean(renderable) for renderable in renderables]


class _Console(Console):
    """A console that leaves a closed pipe to `baselines.cli.main.main`; rich's own ends with status 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(**options: Any) -> Console:
    """A rich console for texts of others: brackets in them are no markup, control characters are escaped."""
    terminal = _Console(highlight=False, markup=False, emoji=False, **options)
    terminal.push_render_hook(_CleanAll())
    return terminal


def width() -> int:
    """Columns of the terminal, dumb ones too; 80 where there is none."""
    return max(1, shutil.get_terminal_size().columns)


def note(out: Console, text: str, style: str = "", copied: bool = False) -> None:
    """Print lines beside a table; into a pipe they begin with `# `, so that they are no rows.

    At a terminal they are broken at blanks, unless they hold a command, which is to be `copied` in one piece.
    """
    if out.is_terminal:
        out.print(Text(text, style), soft_wrap=copied, width=None if copied else width())
    else:
        print("\n".join(f"# {line}" for line in plain(text).split("\n")), file=out.file)


def show(
    out: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]], bold: Iterable[str] = ()
) -> None:
    """Print a table: as wide as the terminal allows, or tab-separated into a pipe.

    `bold` names rows by their first cell.
    """
    if not out.is_terminal:
        lines = [[column.name for column in columns], *rows]
        print("\n".join("\t".join(map(_field, line)) for line in lines), file=out.file)  # rich expands tabs
        return
    kept = fitting(columns, rows, width())
    names = [column.name for column in columns]
    cells = [[plain(row[k]) for k in kept] for row in rows]
    if _needed([columns[k] for k in kept], cells) > width():  # not even these fit: nothing is cut for it
        out.print("\n".join("  ".join(line) for line in [[names[k] for k in kept], *cells]), soft_wrap=True)
    else:
        out.print(_table([columns[k] for k in kept], cells, set(bold)), width=width())
    if dropped := [name for k, name in enumerate(names) if k not in kept]:
        note(out, f"not shown, for want of room: {', '.join(dropped)}", "dim")


def _field(cell: str) -> str:
    return plain(cell).replace("\t", "\\t").replace("\n", "\\n")


def fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """Which columns fit into `room` columns of a terminal without a cell being cut, in order."""
    kept = list(range(len(columns)))
    for k in sorted(kept, key=lambda k: columns[k].keep):
        if (
            columns[k].keep
            and _needed([columns[i] for i in kept], [[row[i] for i in kept] for row in rows]) > room
        ):
            kept.remove(k)
    return kept


def _needed(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> int:
    wide = [
        max(cell_len(column.name), *(cell_len(row[k]) for row in rows), 0) for k, column in enumerate(columns)
    ]
    wide = [min(w, READABLE) if column.text else w for w, column in zip(wide, columns, strict=True)]
    return sum(wide) + GAP * (len(wide) - 1)


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str]], bold: set[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column.name, justify=column.align, no_wrap=not column.text, overflow="fold")
    for row in rows:
        table.add_row(*row, style="bold" if row[0] in bold else "")
    return table


def wrong_word(word: str, kind: str, words: Sequence[str]) -> str:
    """The line for a word that is none of `words`: all of them, and the nearest where one is near."""
    near = difflib.get_close_matches(word, words, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"no {kind} {word!r}; there are {', '.join(words)}{hint}"


_REGISTRY = ConstructorRegistry()


@_REGISTRY.primitive_rule
def _number(kind: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Numbers, which may be left out where None is allowed, with an error in words."""
    if kind.type in (int, int | None):
        return _number_of(int, "INT", "a whole number")
    return _number_of(float, "FLOAT", "a number") if kind.type in (float, float | None) else None


def _number_of(make: Callable[[str], Any], metavar: str, wanted_kind: str) -> PrimitiveConstructorSpec[Any]:
    def read(words: list[str]) -> Any:
        try:
            return make(words[0])
        except ValueError:
            raise ValueError(f"need {wanted_kind}, got {words[0]!r}") from None

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=read,
        is_instance=lambda value: (
            value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))
        ),
        str_from_instance=lambda value: [str(value)],
    )


def flags(config: type[T], args: Sequence[str], prog: str, **more: Any) -> T:
    """`args` as settings of the dataclass `config`.

    What is wrong with them goes to stderr and ends the program with status 2; ValueError, which is one line,
    for keywords that are no JSON object.
    """
    check_values({field.name: "Json" for field in fields(cast(Any, config)) if field.type == "Json"}, args)
    return tyro.cli(
        config, args=list(args), prog=prog, config=(tyro.conf.DisallowNone,), registry=_REGISTRY, **more
    )
