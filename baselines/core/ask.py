"""`collm qllm`: search for a credit function, check one that was written by hand, pin one that was read."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich import box
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional, arg

from baselines.core.searching import Config
from baselines.terminal import console, flags, wrong_word

if TYPE_CHECKING:
    from baselines.qllm import Outcome, Tried

USAGE = """usage: collm qllm ENV --model openai:URL#NAME [flags]    ask a model for a credit function of ENV
       collm qllm check FILE --env ENV                   gates and numbers of a function of your own
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
    """Run the gates on a function of your own and write its report beside it, not reviewed yet."""

    file: Annotated[Positional[Path], arg(metavar="FILE")]
    """a .py with one function called baseline, weights or mix"""
    env: str
    """id of the environment it is for, or game:NAME"""
    written_by: str = "not said"
    """goes into the report"""
    turns: int = 100
    """recorded turns it is tried and measured on"""
    records: str = ""
    """a records file to take turns from; empty: the environment's scripted players"""
    env_kwargs: str = "{}"
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
    with Sandbox() as sandbox, out.status("asking"):
        outcome = search(config, sandbox, heard=lambda one: out.print(_line(one)))
    return _finish(config, outcome)


def _check_env(word: str) -> None:
    """ValueError for a word that is neither an environment nor a verb; MODULE:ID and game:NAME come later."""
    from collm_envs import registry

    if ":" not in word and word not in registry:
        raise ValueError(wrong_word(word, "verb or environment", [*VERBS, *registry, "game:NAME"]))


def check(args: Sequence[str]) -> int:
    """Gates and numbers of a file; writes its .json."""
    asked = flags(Check, args, "collm qllm check", description=Check.__doc__)
    from baselines.core.bench import set_up
    from baselines.core.language import Refused, mode_of
    from collm_envs.sandbox import Sandbox

    source = asked.file.read_text("utf-8")
    config = Config(
        asked.env,
        "",
        mode=mode_of(source),
        turns=asked.turns,
        records=asked.records,
        env_kwargs=asked.env_kwargs,
        alpha=asked.alpha,
        seed=asked.seed,
    )
    with Sandbox() as sandbox:
        bench = set_up(config, sandbox)
        try:
            found, numbers = bench.judge(source)
        except Refused as why:
            out.print(Text.assemble(("refused  ", "bold red"), str(why)))
            return 1
        bench.submit(asked.file, found, numbers, asked.written_by)
    _show(asked.file)
    return 0


def pin(args: Sequence[str]) -> int:
    """Mark a file as reviewed."""
    asked = flags(Pin, args, "collm qllm pin", description=Pin.__doc__)
    from baselines.core import pinned

    pinned.review(asked.file, asked.reviewed_by)
    out.print(f"pinned {asked.file}: {_use(asked.file)}")
    return 0


VERBS = {"check": check, "pin": pin}


def _line(one: Tried) -> Text:
    """round 1, candidate 2, try 1  refused  static: line 3: ..."""
    where = f"  {one.round + 1}.{one.candidate + 1}" + (f" try {one.attempt + 1}" if one.attempt else "")
    if one.numbers is None:
        first, *rest = one.refused.split("\n")
        more = f"  (and {len(rest)} more)" if rest else ""
        return Text.assemble(f"{where:<12}", ("refused  ", "red"), first + more)
    return Text.assemble(f"{where:<12}", ("passed   ", "green"), _numbers(one.numbers.to_dict()))


def _finish(config: Config, outcome: Outcome) -> int:
    refused = [one for one in outcome.tried if one.numbers is None]
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
    _show(outcome.path)
    return 0


def _show(path: Path) -> None:
    """The function, its report, and what to do next."""
    facts = json.loads(path.with_suffix(".json").read_text("utf-8"))
    report = facts["report"]
    shown = Syntax(path.read_text("utf-8").rstrip(), "python", background_color="default", word_wrap=True)
    out.print(Panel(shown, title=str(path), title_align="left", box=box.ROUNDED, border_style="dim"))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for gate, saw in report["gates"].items():
        table.add_row(Text(gate, "green"), saw)
    out.print(table)
    out.print(f"\nthis function   {_numbers(report['numbers'])}")
    out.print(f"shared reward   {_numbers(report['shared_reward'])}")
    out.print(f"on {report['turns']}; ran in the sandbox at level {report['sandbox']}")
    out.print(
        Text.assemble(
            ("\nNobody has reviewed it.  ", "bold yellow"),
            f"Read it, then:  collm qllm pin {path} --reviewed-by YOU\n",
            f"After that:  {_use(path)}",
        )
    )


def _use(path: Path) -> str:
    facts = json.loads(path.with_suffix(".json").read_text("utf-8"))
    if facts["form"] != "turn":
        game = facts.get("env", "GAME").removeprefix("game:")  # one pinned by hand need not say
        return f"collm train mixing --game {game} --mixer qllm:{path}"
    kwargs = facts["env_kwargs"]
    flag = f" --env-kwargs {shlex.quote(json.dumps(kwargs))}" if kwargs else ""
    return f"collm train reinforce --env {facts['env']}{flag} --credit qllm:{path}"


def _numbers(numbers: Mapping[str, Any]) -> str:
    """fidelity 0.981   variance 0.62"""
    return "   ".join(f"{name} {value:.3f}" for name, value in numbers.items())
