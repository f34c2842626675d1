"""`collm eval`: many episodes played by policies, their records, and the table of what they earned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from baselines.cli.progress import Progress
from baselines.cli.seating import Seating, kinds, viewing
from baselines.cli.terminal import Column, console, flags, note, show
from baselines.lm import threads
from collm_envs import TextEnv
from collm_envs.evaluation import episodes as evaluation
from collm_envs.evaluation.headline import definition, headline, score_range
from collm_envs.evaluation.measures import Measure, empty_replies, measure_table
from collm_envs.files import one_writer, saving, write_json
from collm_envs.policies.names import short_name
from collm_envs.policies.protocols import Protocol, protocol_keywords, seated
from collm_envs.policies.seat import Policy
from collm_envs.policies.specs import seat_all
from collm_envs.record import Record

out = console()


@dataclass
class Eval(Seating):
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
    """Run the command line after `collm eval`; 1 where an episode has no score."""
    settings = flags(Eval, args, "collm eval")
    env = settings.make(**protocol_keywords(settings.protocol))
    threads.ask(settings.threads)
    policies = seat_all(env.task, settings.policy, settings.named(), kinds(env))
    todo = evaluation.jobs(env, split=settings.split, episodes=settings.episodes, seeds=settings.seeds)
    folder = settings.out or Path("runs/eval", env.spec.id, f"{settings.protocol}-{_slug(policies)}")
    with one_writer(folder):
        with seated(settings.protocol, policies, folder) as policies:
            if earlier := evaluation.set_aside(folder, env, policies):
                note(out, earlier, "yellow")
            done = _with_progress(env, policies, todo, folder, settings.at_once)
        records = [record for record in evaluation.kept(folder) if record.split == settings.split]
        rows = measure_table(records)
        with saving(str(folder / "table.json"), "the episodes are kept; the same command writes it"):
            write_json(folder / "table.json", [row._asdict() for row in rows])
    _results(env, policies, records, rows)
    if empty := empty_replies(records):
        note(out, empty, "yellow")
    more = f" ({len(done.records)} were asked for; the table is of all {len(records)})"
    more *= len(records) > len(done.records)
    summary = f"{done}; {len(records)} episodes in {folder}{more}; look at them with  "
    note(out, summary + viewing(settings.env, folder), copied=True)
    if done.failures:
        first = done.failures[0]
        note(
            out,
            f"{len(done.failures)} episodes have no score; the first, item {first.job.item}: "
            f"{first.agent}: {first.error}\nThe same command tries them again, and only them.",
            "red",
        )
    return 1 if done.failures else 0


def _slug(policies: dict[str, Policy]) -> str:
    names = "+".join(dict.fromkeys(policy.name for policy in policies.values()))
    return "".join(c if c.isalnum() or c in "-_.+" else "-" for c in names)[:80]


def _with_progress(
    env: TextEnv, policies: dict[str, Policy], todo: list[evaluation.Job], folder: Path, at_once: int
) -> evaluation.Evaluation:
    returns: list[float] = []
    with Progress(env.spec.id, len(todo)) as progress:

        def show_outcome(outcome: Record | evaluation.Failure) -> None:
            if isinstance(outcome, Record):
                returns.append(sum(turn["reward"] for turn in outcome.turns))
            mean = [f"return {sum(returns) / len(returns):.3f}"] if returns else []
            progress.update(progress.done + 1, *mean)

        return evaluation.evaluate(env, policies, todo, folder, at_once=at_once, notify=show_outcome)


def _results(
    env: TextEnv, policies: dict[str, Policy], records: Sequence[Record], rows: Sequence[Measure]
) -> None:
    names = {agent: short_name(policy.name) for agent, policy in policies.items()}
    alike = len(names) > 1 and len({policy.name for policy in policies.values()}) == 1
    who = f"all agents: {names[env.possible_agents[0]]}" if alike else ""
    note(out, f"{env.spec.id}: {who or ', '.join(' '.join(pair) for pair in names.items())}", "italic")
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
    turns = sum(len(record.turns) for record in records) / len(records)
    highest = score_range(records[0].turns, env.task.reward_range)[1]
    note(
        out,
        f"{headline(means['score'], highest, means['return'], turns)}, mean of {len(records)} episodes",
        "bold",
    )
    note(out, definition(records[0].turns, env.task.reward_range), "dim")
