"""The verbs that need no torch: envs, play, eval, view."""

from __future__ import annotations

import json
import shlex
import sys
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from rich.markdown import Markdown
from tyro.conf import Positional, UseAppendAction, arg

import collm_envs
from baselines.cli.progress import Progress
from baselines.cli.screen import Screen
from baselines.cli.terminal import Column, console, flags, note, show, width
from baselines.lm import threads
from collm_envs import TextEnv, catalogue
from collm_envs.evaluation import episodes as evaluation
from collm_envs.evaluation.headline import definition, headline, score_range
from collm_envs.evaluation.measures import Row, empty_replies, measures, table
from collm_envs.files import one_writer, saving, write_json
from collm_envs.pages.episode import page
from collm_envs.pages.episodes import episodes_page
from collm_envs.policies.local import Human
from collm_envs.policies.protocols import Protocol, keywords, seated
from collm_envs.policies.seat import Policy
from collm_envs.policies.specs import KINDS as WITHOUT_TORCH
from collm_envs.policies.specs import seat_all, take_seat
from collm_envs.record import Record, read, record, reward_range, scenes, write


def kinds(env: TextEnv) -> dict[str, Callable[[str], Policy]]:
    """What may stand before the colon of a policy that plays `env`."""

    def hf(rest: str) -> Policy:
        from baselines.lm import hf

        return hf.parse(rest, env)

    return {**WITHOUT_TORCH, "hf": hf}


out = console()
EnvId = Annotated[Positional[str], arg(metavar="ENV")]
AgentPolicies = Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="AGENT=POLICY")]


@dataclass
class Envs:
    """The environments in one table, or one environment's page."""

    id: Annotated[Positional[str | None], arg(metavar="[ENV]")] = None
    """show this one's page"""
    page: Path | None = None
    """write the pages to this file instead: Markdown for .md, else HTML"""


def envs(args: Sequence[str]) -> None:
    asked = flags(Envs, args, "collm envs")
    ids = [collm_envs.spec(asked.id).id] if asked.id else []
    if asked.page is not None:
        made = catalogue.markdown(ids) if asked.page.suffix == ".md" else catalogue.html(ids)
        asked.page.write_text(made, encoding="utf-8")
        out.print(f"wrote {asked.page}", soft_wrap=True)
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
    """Play one episode at the terminal.  Whom --agent does not name is played by --policy, agent_0 by you.

    A text ends with a line that holds a single dot.  A line `?` shows the world with what you have typed,
    `!last` stands for your text of the turn before.
    """

    policy: str = "expert"
    """who plays the agents that are not named"""
    blind: bool = False
    """show you what the agent is told and nothing else until the end, as a model would play"""
    item: str | None = None
    """id of the item; default: drawn by the seed"""
    split: str = "train"
    """train or eval"""
    seed: int = 0
    """of the episode"""
    out: Path | None = None
    """write the record here (.jsonl or .jsonl.gz), also when stopped by Ctrl-C; no file may be there yet"""


def play(args: Sequence[str]) -> int:
    asked = flags(Play, args, "collm play")
    env = asked.make()
    named = {env.possible_agents[0]: "human", **asked.named()}
    if asked.blind:
        named = {agent: "human:blind" if policy == "human" else policy for agent, policy in named.items()}
    policies = seat_all(env.task, asked.policy, named, kinds(env))
    env.reset(seed=asked.seed, options={"split": asked.split} if asked.item is None else {"item": asked.item})
    if asked.out is not None:
        _claim(asked.out)
    usage: list[dict[str, Any]] = []
    try:
        _play_turns(env, policies, usage)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        note(out, f"stopped after {len(env.turns)} of {env.task.max_turns} turns")
        return 130
    finally:  # whatever ended it, the turns that were played are kept
        _conclude(asked, env, policies, usage)
    return 0


def _play_turns(env: TextEnv, policies: dict[str, Policy], usage: list[dict[str, Any]]) -> None:
    """To the end of the episode; what the policies say of their replies goes into `usage`, turn by turn."""
    screen = Screen(env, policies)
    blind = any(isinstance(policy, Human) and policy.blind for policy in policies.values())
    for agent, policy in policies.items():
        if isinstance(policy, Human) and not blind:
            policies[agent] = replace(policy, preview=screen.preview)
    while env.agents:
        texts, told = {}, {}
        for agent in list(env.agents):
            (reply,) = policies[agent].act([take_seat(env, agent, policies[agent])])
            if reply.error:
                raise RuntimeError(f"{agent} has no text: {reply.error}")
            texts[agent], told[agent] = reply.text, dict(reply.usage)
        env.step(texts)
        usage.append(told)
        screen.take_up()
        if not blind:
            out.print(screen.panel(len(env.turns)))
    for t in range(1, len(env.turns) + 1) if blind else ():
        out.print(screen.panel(t))


def _claim(path: Path) -> None:
    """Make the file before anybody plays: what cannot be written, or would be overwritten, ends it here."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.open("x").close()
    except FileExistsError:
        raise ValueError(f"--out {path} is there already; it is not overwritten, name another") from None


def _conclude(asked: Play, env: TextEnv, policies: dict[str, Policy], usage: list[dict[str, Any]]) -> None:
    """The score of what was played, and its record where one was asked for."""
    if not env.turns:
        if asked.out is not None:
            asked.out.unlink()
        return
    played = record(env, {agent: policy.name for agent, policy in policies.items()}, usage=usage)
    numbers, (_, highest) = measures(played), score_range(played.turns, env.task.reward_range)
    out.print()
    note(out, headline(numbers["score"], highest, numbers["return"], len(env.turns)), "bold")
    note(out, definition(played.turns, env.task.reward_range), "dim")
    if asked.out is not None:
        write([played], asked.out)
        where = f"record in {asked.out}; look at it with  {_viewing(asked.env, asked.out)}"
        note(out, where, copied=True)


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
    asked = flags(Eval, args, "collm eval")
    env = asked.make(**keywords(asked.protocol))
    threads.ask(asked.threads)
    policies = seat_all(env.task, asked.policy, asked.named(), kinds(env))
    todo = evaluation.jobs(env, split=asked.split, episodes=asked.episodes, seeds=asked.seeds)
    folder = asked.out or Path("runs/eval", env.spec.id, f"{asked.protocol}-{_slug(policies)}")
    with one_writer(folder):
        with seated(asked.protocol, policies, folder) as policies:
            if earlier := evaluation.set_aside(folder, env, policies):
                note(out, earlier, "yellow")
            done = _with_progress(env, policies, todo, folder, asked.at_once)
        records = [one for one in evaluation.kept(folder) if one.split == asked.split]
        rows = table(records)
        with saving(str(folder / "table.json"), "the episodes are kept; the same command writes it"):
            write_json(folder / "table.json", [row._asdict() for row in rows])
    _results(env, policies, records, rows)
    if empty := empty_replies(records):
        note(out, empty, "yellow")
    more = f" ({len(done.records)} were asked for; the table is of all {len(records)})"
    more *= len(records) > len(done.records)
    said = f"{done}; {len(records)} episodes in {folder}{more}; look at them with  "
    note(out, said + _viewing(asked.env, folder), copied=True)
    if done.failures:
        first = done.failures[0]
        note(
            out,
            f"{len(done.failures)} episodes have no score; the first, item {first.job.item}: "
            f"{first.agent}: {first.error}\nThe same command tries them again, and only them.",
            "red",
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


def _results(
    env: TextEnv, policies: dict[str, Policy], records: Sequence[Record], rows: Sequence[Row]
) -> None:
    names = {agent: policy.name for agent, policy in policies.items()}
    alike = len(names) > 1 and len({*names.values()}) == 1
    who = f"all agents: {policies[env.possible_agents[0]].name}" if alike else ""
    note(out, f"{env.spec.id}: {who or ', '.join(' '.join(one) for one in names.items())}", "italic")
    if not records:
        return
    columns = (
        Column("measure", align="left"),
        Column("mean"),
        *(Column(name, keep=3) for name in ("95 % low", "95 % high")),
        Column("IQM", keep=1),
        Column("pairs", keep=2),
    )
    cells = []
    for row in rows:
        ends = ("" if end is None else f"{end:.4g}" for end in (row.low, row.high))
        cells.append((row.measure.replace("_", " "), f"{row.mean:.4g}", *ends, f"{row.iqm:.4g}", str(row.n)))
    show(out, columns, cells, bold=("score", "return"))
    means = {row.measure: row.mean for row in rows}
    turns = sum(len(one.turns) for one in records) / len(records)
    highest = score_range(records[0].turns, env.task.reward_range)[1]
    note(
        out,
        f"{headline(means['score'], highest, means['return'], turns)}, mean of {len(records)} episodes",
        "bold",
    )
    note(out, definition(records[0].turns, env.task.reward_range), "dim")


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
    asked = flags(View, args, "collm view")
    if asked.env is not None:
        collm_envs.spec(asked.env)
    path = asked.records / "records.jsonl" if asked.records.is_dir() else asked.records
    folder = asked.out or path.parent / "pages"
    rows, links = [], []
    for k, one in enumerate(islice(read(path), asked.first), start=1):
        folder.mkdir(parents=True, exist_ok=True)
        links.append(f"{k:05}.html")
        rows.append(asdict(one))
        (folder / links[-1]).write_text(page(rows[-1], scenes(one), reward_range(one)), encoding="utf-8")
    if not rows:
        raise ValueError(f"{path} holds no records")
    index = folder / "index.html"
    index.write_text(episodes_page(rows, links, title=path.parent.name or path.name), encoding="utf-8")
    out.print(f"{len(rows)} episodes: {index}", soft_wrap=True)
    if asked.open:
        webbrowser.open(index.resolve().as_uri())
