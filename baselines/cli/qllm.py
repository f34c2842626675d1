"""`collm qllm`: search for a credit function, check one that was written by hand, pin one that was read."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich import box
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional, arg

from baselines.cli.progress import Progress
from baselines.cli.terminal import console, flags, wrong_word
from baselines.search.settings import Config
from baselines.train.keywords import Json
from collm_envs.files import read_json

if TYPE_CHECKING:
    from baselines.qllm import SearchResult, Tried

USAGE = """usage: collm qllm ENV --model openai:URL#NAME [flags]    ask a model for a credit function of ENV
       collm qllm check FILE --env ENV [--write]         gates and numbers of a function of your own
       collm qllm pin FILE --reviewed-by NAME            you have read it: trainers may use it

every setting with its meaning:
       collm qllm ENV --help
       collm qllm check --help
       collm qllm pin --help

ENV is an environment (collm envs), or game:NAME for the weights of a mixer on a discrete game.
A pinned function trains text agents with --credit qllm:FILE, and a game's mixer with mixer qllm:FILE."""

out = console(soft_wrap=True)


@dataclass(frozen=True)
class Check:
    """Run the gates on a function of your own and show its report; nothing is written without --write."""

    file: Annotated[Positional[Path], arg(metavar="FILE")]
    """a .py with one function called baseline, weights or mix"""
    env: str
    """id of the environment it is for, or game:NAME"""
    write: bool = False
    """write the report beside the file, where `collm qllm pin` looks for it"""
    written_by: str = ""
    """goes into the report; empty: whoever it names already"""
    turns: int = 100
    """recorded turns it is tried and measured on"""
    records: str = ""
    """a records file to take turns from; empty: the environment's scripted players"""
    env_kwargs: Json = field(default_factory=dict)
    """keywords of the environment, as JSON"""
    alpha: float = 0.5
    """share of the advantage that `mix` takes"""
    seed: int = 0
    """fixes the turns and the random ones"""


@dataclass(frozen=True)
class Pin:
    """Say that you have read a function that passed its gates: from now on training may use it."""

    file: Annotated[Positional[Path], arg(metavar="FILE")]
    """a .py with the .json of its gates beside it"""
    reviewed_by: str
    """who has read it"""


def main(args: Sequence[str]) -> int:
    """Run the command line after `collm qllm`; 1 where no candidate or file passed its gates."""
    if not args or args[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    if args[0] in VERBS:
        return VERBS[args[0]](args[1:])
    if not args[0].startswith("-") and not {"-h", "--help"} & {*args}:
        _check_env(args[0])
    config = flags(Config, args, "collm qllm", description=Config.__doc__)
    from baselines.qllm import search
    from collm_envs.sandbox import Sandbox

    out.print(Text.assemble(("QLLM ", "bold"), f"{config.env}, mode {config.mode}, {config.model}"))
    out.print(Text(f"     {config.candidates} candidates, {config.rounds} rounds -> {config.folder}", "dim"))
    with Sandbox() as sandbox, Progress("qllm", config.candidates * config.rounds) as progress:

        def show(candidate: Tried) -> None:
            out.print(_line(candidate))
            if candidate.numbers is not None or candidate.attempt == config.retries:
                progress.update(progress.done + 1)

        progress.update(0, "asking")
        outcome = search(config, sandbox, notify=show)
    return _finish(config, outcome)


def _check_env(word: str) -> None:
    """ValueError for a word that is neither an environment nor a verb; MODULE:ID and game:NAME come later."""
    from collm_envs import registry

    if ":" not in word and word not in registry:
        raise ValueError(wrong_word(word, "verb or environment", [*VERBS, *registry, "game:NAME"]))


def check(args: Sequence[str]) -> int:
    """Gates and numbers of a file; writes its .json with --write."""
    settings = flags(Check, args, "collm qllm check", description=Check.__doc__)
    from baselines.credit import pinned
    from baselines.credit.language import Refused, mode_of
    from baselines.search.bench import set_up, submit_candidate
    from collm_envs.sandbox import Sandbox

    source = pinned.source(settings.file)
    config = Config(
        settings.env,
        "",
        mode=mode_of(source),
        turns=settings.turns,
        records=settings.records,
        env_kwargs=settings.env_kwargs,
        alpha=settings.alpha,
        seed=settings.seed,
    )
    with Sandbox() as sandbox:
        bench = set_up(config, sandbox)
        try:
            admitted, numbers = bench.judge(source)
        except Refused as why:
            out.print(Text.assemble(("refused  ", "bold red"), str(why)))
            return 1
        facts = bench.facts(admitted, numbers)
    if settings.write:
        submit_candidate(settings.file, facts, settings.written_by)
    again = shlex.join(["collm", "qllm", "check", *args])
    _show(settings.file, facts, first="" if settings.write else f"{again} --write")
    return 0


def pin(args: Sequence[str]) -> int:
    """Mark a file as reviewed."""
    settings = flags(Pin, args, "collm qllm pin", description=Pin.__doc__)
    from baselines.credit import pinned

    pinned.review(settings.file, settings.reviewed_by)
    facts = read_json(settings.file.with_suffix(".json"))
    out.print(f"pinned {settings.file}: {_use(settings.file, facts)}")
    return 0


VERBS = {"check": check, "pin": pin}


def _line(candidate: Tried) -> Text:
    """round 1, candidate 2, try 1  refused  static: line 3: ..."""
    where = f"  {candidate.round + 1}.{candidate.candidate + 1}" + (
        f" try {candidate.attempt + 1}" if candidate.attempt else ""
    )
    if candidate.numbers is None:
        first, *further = candidate.refused.split("\n")
        count = f"  (and {len(further)} more)" if further else ""
        return Text.assemble(f"{where:<12}", ("refused  ", "red"), first + count)
    return Text.assemble(f"{where:<12}", ("passed   ", "green"), _numbers(candidate.numbers.to_dict()))


def _finish(config: Config, outcome: SearchResult) -> int:
    refused = [candidate for candidate in outcome.tried if candidate.numbers is None]
    if outcome.path is None:
        out.print(
            Text.assemble(
                ("\nNo candidate passed.  ", "bold red"),
                f"{len(refused)} answers were refused; the last reason:\n{refused[-1].refused}",
            )
        )
        out.print(f"Everything asked and answered is in {config.folder / 'transcript.jsonl'}")
        return 1
    out.print(f"\n{len(outcome.tried)} answers, {len(refused)} refused; chosen by {outcome.chosen_by}:")
    _show(outcome.path, read_json(outcome.path.with_suffix(".json")))
    return 0


def _show(path: Path, facts: Mapping[str, Any], first: str = "") -> None:
    """The function, its report, and what to do next: the command `first`, where there is one."""
    from baselines.credit import pinned

    report = facts["report"]
    _show_code(pinned.source(path), str(path))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for gate, saw in report["gates"].items():
        table.add_row(Text(gate, "green"), saw)
    out.print(table)
    out.print(f"\nthis function   {_numbers(report['numbers'])}")
    out.print(f"shared reward   {_numbers(report['shared_reward'])}")
    out.print(f"on {report['turns']}; ran in the sandbox at level {report['sandbox']}")
    if reviewer := pinned.standing(path).get("reviewed_by"):
        out.print(f"\nReviewed by {reviewer} as it is.  {_use(path, facts)}")
        return
    steps = [*([first] if first else []), f"collm qllm pin {shlex.quote(str(path))} --reviewed-by YOU"]
    out.print(
        Text.assemble(
            ("\nNobody has reviewed it.  ", "bold yellow"),
            "Read it, then:  " + "\n                                      ".join(steps) + "\n",
            f"After that:  {_use(path, facts)}",
        )
    )


def _show_code(source: str, title: str) -> None:
    """Every character of it: wrapped where a terminal ends, as it is where there is none."""
    plain = visible(source.rstrip())
    if not out.is_terminal:
        out.print(Text(f"{title}\n\n{plain}\n"))
        return
    code = Syntax(plain, "python", background_color="default", word_wrap=True)
    panel = Panel(code, title=title, title_align="left", box=box.ROUNDED, border_style="dim")
    out.print(panel, soft_wrap=False)


def visible(source: str) -> str:
    """The source with what a terminal would obey instead of showing it (escapes, marks that turn the order
    of characters round) written out: U+202E as \\u202e."""
    return "".join(
        c if c.isprintable() or c == "\n" else "    " if c == "\t" else c.encode("unicode_escape").decode()
        for c in source
    )


def _use(path: Path, facts: Mapping[str, Any]) -> str:
    if facts["form"] != "turn":
        game = facts.get("env", "GAME").removeprefix("game:")  # one pinned by hand need not say
        return f"collm train mixing --game {game} --mixer qllm:{path}"
    kwargs = facts["env_kwargs"]
    flag = f" --env-kwargs {shlex.quote(json.dumps(kwargs))}" if kwargs else ""
    return f"collm train reinforce --env {facts['env']}{flag} --credit qllm:{path}"


def _numbers(numbers: Mapping[str, Any]) -> str:
    """fidelity 0.981   variance 0.62"""
    return "   ".join(f"{name} {value:.3f}" for name, value in numbers.items())
