"""The verbs that need no torch: envs, play, eval, view."""

from __future__ import annotations

import json
import shlex
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich import box
from rich.console import Console, Group
from rich.markdown import Markdown
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional, UseAppendAction, arg

import collm_envs
from baselines.cli.progress import Progress
from baselines.lm import threads
from collm_envs import TextEnv, catalogue
from collm_envs.evaluation import episodes as evaluation
from collm_envs.evaluation.measures import Row, empty_replies, table
from collm_envs.files import one_writer, saving, write_json
from collm_envs.pages.episode import page
from collm_envs.pages.episodes import episodes_page
from collm_envs.policies.protocols import Protocol, keywords, seated
from collm_envs.policies.seat import Policy
from collm_envs.policies.specs import KINDS as WITHOUT_TORCH
from collm_envs.policies.specs import seat_all, take_seat
from collm_envs.record import Record, read, record, scenes, write


def kinds(env: TextEnv) -> dict[str, Callable[[str], Policy]]:
    """What may stand before the colon of a policy that plays `env`."""

    def hf(rest: str) -> Policy:
        from baselines.lm import hf

        return hf.parse(rest, env)

    return {**WITHOUT_TORCH, "hf": hf}


out = Console(highlight=False, markup=False)  # texts of others may hold brackets
EnvId = Annotated[Positional[str], arg(metavar="ENV")]
AgentPolicies = Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="AGENT=POLICY")]


@dataclass
class Envs:
    """The environments in one table, or one environment's page."""

    id: Annotated[Positional[str | None], arg(metavar="ENV")] = None
    """show this one's page"""
    page: Path | None = None
    """write the pages to this file instead: Markdown for .md, else HTML"""


def envs(args: Sequence[str]) -> None:
    asked = tyro.cli(Envs, args=args, prog="collm envs")
    ids = [collm_envs.spec(asked.id).id] if asked.id else []
    if asked.page is not None:
        made = catalogue.markdown(ids) if asked.page.suffix == ".md" else catalogue.html(ids)
        asked.page.write_text(made, encoding="utf-8")
        out.print(f"wrote {asked.page}", soft_wrap=True)
    elif ids:
        out.print(Markdown(catalogue.markdown(ids)))
    else:
        out.print(_overview())


def _overview() -> Table:
    shown = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for name, justify in (("environment", "left"), ("agents", "right"), ("turns", "right")):
        shown.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    shown.add_column("reward", justify="right", no_wrap=True)
    shown.add_column("items", justify="right", no_wrap=True)
    shown.add_column("what it is")
    for id, spec in collm_envs.registry.items():
        env = collm_envs.make(id)
        low, high = env.task.reward_range
        items = " + ".join(str(len(env.items(split))) for split in ("train", "eval"))
        turns, agents = str(env.task.max_turns), str(len(env.possible_agents))
        shown.add_row(Text(id, style="cyan"), agents, turns, f"{low:g} to {high:g}", items, spec.summary)
    shown.caption = "items: to train on + to evaluate on.   collm envs ENV shows a page."
    shown.caption_justify = "left"
    return shown


@dataclass
class _Seats:
    env: EnvId
    """id of the environment, or package.module:Id"""
    agent: AgentPolicies = ()
    """who plays an agent; may be given again: expert, random, noisy, replay:FILE, human,
    hf:FOLDER_OR_NAME (hf:tiny: the embedded model), py:package.module:factory (your own),
    openai:http://host:8000/v1#model?temperature=0.7&max_tokens=512 (further: stop, reasoning_effort, ...,
    seed=off, body={"any": "JSON"})"""
    env_kwargs: str = "{}"
    """keywords of the environment, as JSON"""

    def make(self, **more: Any) -> TextEnv:
        try:
            kwargs = json.loads(self.env_kwargs)
        except json.JSONDecodeError:
            kwargs = None
        if not isinstance(kwargs, dict):
            raise ValueError(f"--env-kwargs must be a JSON object, got {self.env_kwargs!r}")
        return collm_envs.make(self.env, **{**more, **kwargs})

    def named(self) -> dict[str, str]:
        wrong = [one for one in self.agent if "=" not in one]
        if wrong:
            raise ValueError(f"--agent must be AGENT=POLICY, got {wrong[0]!r}")
        return {agent: policy for agent, _, policy in (one.partition("=") for one in self.agent)}


@dataclass
class Play(_Seats):
    """Play one episode at the terminal.  Whom --agent does not name is played by --policy, agent_0 by you."""

    policy: str = "expert"
    """who plays the agents that are not named"""
    item: str | None = None
    """id of the item; default: drawn by the seed"""
    split: str = "train"
    """train or eval"""
    seed: int = 0
    """of the episode"""
    out: Path | None = None
    """write the record here (.jsonl or .jsonl.gz)"""


def play(args: Sequence[str]) -> None:
    asked = tyro.cli(Play, args=args, prog="collm play")
    env = asked.make(render_mode="ansi")
    policies = seat_all(
        env.task, asked.policy, {env.possible_agents[0]: "human", **asked.named()}, kinds(env)
    )
    options = {"split": asked.split} if asked.item is None else {"item": asked.item}
    env.reset(seed=asked.seed, options=options)
    said: list[dict[str, Any]] = []
    while env.agents:
        texts, usage = {}, {}
        for agent in list(env.agents):
            (reply,) = policies[agent].act([take_seat(env, agent, policies[agent])])
            if reply.error:
                raise RuntimeError(f"{agent} has no text: {reply.error}")
            texts[agent], usage[agent] = reply.text, dict(reply.usage)
        env.step(texts)
        said.append(usage)
        _show_turn(env, policies)
    total = sum(turn.score.reward for turn in env.turns)
    out.print(f"\nreturn {total:.3f} over {len(env.turns)} turns", style="bold")
    if asked.out is not None:
        names = {agent: policy.name for agent, policy in policies.items()}
        write([record(env, names, usage=said)], asked.out)
        where = f"record in {asked.out}; look at it with  {_viewing(asked.env, asked.out)}"
        out.print(where, soft_wrap=True)


def _show_turn(env: TextEnv, policies: dict[str, Policy]) -> None:
    turn = env.turns[-1]
    parts: list[Any] = []
    for agent, text in turn.texts.items():
        parts.append(Text(f"{agent} ({policies[agent].name}) wrote", style="bold cyan"))
        parts.append(Text(text or "(nothing)"))
        for line, why in turn.score.rejected.get(agent, ()):
            parts.append(Text(f"  no effect: {line}  ({why})", style="red"))
        parts.append(Text())
    parts += [Text(str(env.render())), Text()]
    numbers = {**turn.score.parts, **turn.score.metrics}
    parts.append(Text("   ".join(f"{name} {value:.3g}" for name, value in numbers.items()), style="dim"))
    title = f"turn {len(env.turns)} of {env.task.max_turns}: reward {turn.score.reward:.3f}"
    out.print(Panel(Group(*parts), title=title, title_align="left", border_style="green"))


@dataclass
class Eval(_Seats):
    """Play many episodes with policies; write records as they end and print the table.

    Started again with the same --out it goes on where it was stopped.
    """

    policy: str = "expert"
    """who plays the agents that --agent does not name"""
    protocol: Protocol = "parallel"
    """who reads whom before it answers: parallel (nobody), pipeline (the agents before it), discussion
    (everybody's draft), single (one agent for all the work: num_agents=1)"""
    episodes: int | None = None
    """pairs of item and episode seed; default: every item once"""
    seeds: int = 1
    """how often each pair is played, with the policies' own sampling drawn anew"""
    split: str = "eval"
    """train or eval"""
    at_once: int = 64
    """episodes played side by side"""
    threads: int = 0
    """CPU threads of hf: models; 0: one for models below 3 million parameters, which more make slower"""
    out: Path | None = None
    """folder for records.jsonl, table.json and what is needed to go on; default: runs/eval/..."""


def evaluate(args: Sequence[str]) -> int:
    asked = tyro.cli(Eval, args=args, prog="collm eval")
    env = asked.make(**keywords(asked.protocol))
    threads.ask(asked.threads)
    policies = seat_all(env.task, asked.policy, asked.named(), kinds(env))
    todo = evaluation.jobs(env, split=asked.split, episodes=asked.episodes, seeds=asked.seeds)
    folder = asked.out or Path("runs/eval", env.spec.id, f"{asked.protocol}-{_slug(policies)}")
    with one_writer(folder):
        with seated(asked.protocol, policies, folder) as policies:
            if earlier := evaluation.set_aside(folder, env, policies):
                out.print(earlier, style="yellow", soft_wrap=True)
            done = _with_progress(env, policies, todo, folder, asked.at_once)
        records = [one for one in evaluation.kept(folder) if one.split == asked.split]
        rows = table(records)
        with saving(str(folder / "table.json"), "the episodes are kept; the same command writes it"):
            write_json(folder / "table.json", [row._asdict() for row in rows])
    out.print(_results(env, policies, rows))
    if empty := empty_replies(records):
        out.print(empty, style="yellow", soft_wrap=True)
    more = f" ({len(done.records)} were asked for; the table is of all {len(records)})"
    more *= len(records) > len(done.records)
    said = f"{done}; {len(records)} episodes in {folder}{more}; look at them with  "
    out.print(said + _viewing(asked.env, folder), soft_wrap=True)
    if done.failures:
        first = done.failures[0]
        out.print(
            f"{len(done.failures)} episodes have no score; the first, item {first.job.item}: "
            f"{first.agent}: {first.error}\nThe same command tries them again, and only them.",
            style="red",
        )
    return 1 if done.failures else 0


def _viewing(env: str, path: Path) -> str:
    return shlex.join(["collm", "view", str(path), *(["--env", env] if ":" in env else [])])


def _slug(policies: dict[str, Policy]) -> str:
    names = "+".join(dict.fromkeys(policy.name for policy in policies.values()))
    return "".join(c if c.isalnum() or c in "-_.+" else "-" for c in names)[:80]


def _with_progress(
    env: TextEnv, policies: dict[str, Policy], todo: list[evaluation.Job], folder: Path, at_once: int
) -> evaluation.Evaluation:
    returns: list[float] = []
    with Progress(env.spec.id, len(todo)) as progress:

        def heard(outcome: Record | evaluation.Failure) -> None:
            if isinstance(outcome, Record):
                returns.append(sum(turn["reward"] for turn in outcome.turns))
            mean = [f"return {sum(returns) / len(returns):.3f}"] if returns else []
            progress.update(progress.done + 1, *mean)

        return evaluation.evaluate(env, policies, todo, folder, at_once=at_once, heard=heard)


def _results(env: TextEnv, policies: dict[str, Policy], rows: Sequence[Row]) -> Table:
    who = ", ".join(f"{agent} {policy.name}" for agent, policy in policies.items())
    shown = Table(box=box.SIMPLE_HEAD, title=f"{env.spec.id}: {who}", title_justify="left", pad_edge=False)
    shown.add_column("", no_wrap=True)
    for name in ("mean", "95 % interval", "IQM", "pairs"):
        shown.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        between = "" if row.low is None or row.high is None else f"{row.low:.4g} to {row.high:.4g}"
        style = "bold" if row.measure in ("score", "return") else ""
        numbers = f"{row.mean:.4g}", between, f"{row.iqm:.4g}", str(row.n)
        shown.add_row(row.measure.replace("_", " "), *numbers, style=style)
    return shown


@dataclass
class View:
    """Make pages of recorded episodes and open the list of them in a browser."""

    records: Annotated[Positional[Path], arg(metavar="RECORDS")]
    """a records file (.jsonl or .jsonl.gz), or the folder of an evaluation"""
    out: Path | None = None
    """folder for the pages; default: pages/ beside the records"""
    first: int = 500
    """make pages of so many episodes"""
    env: str | None = None
    """package.module:Id of an environment of your own, to be imported first"""
    open: bool = True
    """open the browser"""


def view(args: Sequence[str]) -> None:
    asked = tyro.cli(View, args=args, prog="collm view")
    if asked.env is not None:
        collm_envs.spec(asked.env)
    path = asked.records / "records.jsonl" if asked.records.is_dir() else asked.records
    folder = asked.out or path.parent / "pages"
    rows, links = [], []
    for k, one in enumerate(islice(read(path), asked.first), start=1):
        folder.mkdir(parents=True, exist_ok=True)
        links.append(f"{k:05}.html")
        rows.append(asdict(one))
        (folder / links[-1]).write_text(page(rows[-1], scenes(one)), encoding="utf-8")
    if not rows:
        raise ValueError(f"{path} holds no records")
    index = folder / "index.html"
    index.write_text(episodes_page(rows, links, title=path.parent.name or path.name), encoding="utf-8")
    out.print(f"{len(rows)} episodes: {index}", soft_wrap=True)
    if asked.open:
        webbrowser.open(index.resolve().as_uri())
