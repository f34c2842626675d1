"""`collm demo`: two tiny models learn to build a word together, by CoLLM-CC and by MAGRPO, and a report."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from baselines.cli import terminal
from baselines.cli.terminal import Column, note, show
from baselines.cli.train import command
from baselines.lm.tiny import model
from baselines.play.episode import Node, episodes, rollout_metrics
from baselines.play.records import to_record
from baselines.play.rollout import Start, eval_starts, play
from baselines.runs import run, texts
from baselines.runs.algorithms import algorithm
from baselines.runs.logs import read_log
from baselines.runs.published import ROWS
from baselines.train.presets import ENVS
from baselines.train.settings import Settings
from baselines.train.team import Team
from collm_envs import Task, make
from collm_envs.pages.episode import page
from collm_envs.pages.report import Curve, chart, code, episode, prose, report, section, table
from collm_envs.record import Record
from collm_envs.replay import reward_range, scenes

OUT = Path("runs/demo")
WORDS = ENVS["StrBuild-v0"].env_kwargs
SHARED: dict[str, Any] = {
    "env": "StrBuild-v0",
    "env_kwargs": WORDS,
    "max_new_tokens": 100,
    "lr": 1e-3,
    "eval_every": 5,
    "eval_episodes": 64,
    "save_every": 0,
}
RUNS: dict[str, dict[str, Any]] = {
    "CoLLM-CC": {"steps": 50, "critic_lr": 1e-3, "critic_epochs": 4, "normalize": True, "lam": 1.0},
    "MAGRPO": {"steps": 60, "group": 8},
}
"""rows of the paper's table -> settings of their own"""


@dataclass
class StudyResult:
    """The result of one algorithm's run."""

    name: str
    command: str
    curve: list[dict[str, Any]]
    """evaluations, the first one before training"""
    unseen: dict[str, float]
    """on the published evaluation words, wider than any it was trained on"""
    before: Record
    after: Record
    seconds: float


def main() -> None:
    """Warm start, two runs, a table, and runs/demo/report.html."""
    console, started = terminal.console(), time.perf_counter()
    shutil.rmtree(OUT, ignore_errors=True)
    env = make("StrBuild-v0", **WORDS)
    console.print("Two small language models, one word, blocks of their own each: StrBuild-v0.")
    console.print("They begin as one 0.16M-parameter model that has read clumsy scripted play.")
    model.folder("StrBuild-v0", WORDS)
    outcomes = [study(name) for name in RUNS]
    expert = scripted_return(env.task, "expert")
    note(console, "mean return of 64 unseen words (at most 2.0)")
    show(console, COLUMNS, rows(outcomes, expert))
    (OUT / "report.html").write_text(write_report(outcomes, expert), encoding="utf-8")
    console.print(f"{time.perf_counter() - started:.0f} s; curves and episodes to read: {OUT}/report.html")


def settings(name: str) -> tuple[str, Settings]:
    """The algorithm of a row of the paper's table and its settings here."""
    kind, own = ROWS[name]
    return kind, algorithm(kind).Config(**SHARED, **own, **RUNS[name])


def study(name: str) -> StudyResult:
    """Train one algorithm; episodes of the same word before and after."""
    kind, config = settings(name)
    config.out = str(OUT / kind)
    print(f"{name}: {command(kind, replace(config, out=''))}", flush=True)
    start = time.perf_counter()
    out = run.train(kind, config)
    seconds = time.perf_counter() - start
    before, after = team_of(kind, config, ""), team_of(kind, config, str(out))
    words = make("StrBuild-v0", **{**WORDS, "words": "published", "n": 256, "length": [1, 4]})
    unseen = rollout_metrics(play(words.task, eval_starts(words.task, 16), after.policies, "published"))
    env = make("StrBuild-v0", **WORDS)
    chosen = two_letters(env.task)
    return StudyResult(
        name,
        command(kind, replace(config, out="")),
        read_log(out / "eval.jsonl"),
        unseen,
        to_record(env, middle_of(env.task, before, chosen), dict.fromkeys(env.task.agents, "warm start")),
        to_record(env, middle_of(env.task, after, chosen), dict.fromkeys(env.task.agents, name)),
        seconds,
    )


def team_of(kind: str, config: Settings, folder: str) -> Team:
    """The agents as a run starts, or with `folder` those trained in that run."""
    began = texts.with_models(config)
    if folder:
        began.models = tuple(f"{folder}/agent_{k}" for k in range(2))
    return algorithm(kind).team(began, make(config.env, **config.env_kwargs).task)


def two_letters(task: Task) -> Start:
    """The first evaluation word of two letters."""
    return next(start for start in eval_starts(task, 64) if len(start[0].data["string"]) == 2)


def middle_of(task: Task, team: Team, start: Start, n: int = 5) -> list[Node]:
    """The median of `n` episodes by return: typical, not lucky."""
    paths = episodes(play(task, [start] * n, team.policies, "shown"))
    return sorted(paths, key=lambda path: sum(node.reward for node in path))[n // 2]


def scripted_return(task: Task, player: str, n: int = 64) -> float:
    """Mean return of a scripted player on the evaluation episodes."""
    total = 0.0
    for item, seed in eval_starts(task, n):
        state, rng = task.start(item, seed), random.Random(seed)
        while not task.done(state):
            texts = {agent: task.players[player](task, state, agent, rng) for agent in task.agents}
            state = task.play(state, texts)
            total += task.score(state).reward
    return total / n


COLUMNS = (
    Column("algorithm", align="left"),
    Column("before"),
    Column("after"),
    Column("expert", keep=4),
    Column("IoU before", keep=2),
    Column("IoU after", keep=3),
    Column("seconds", keep=1),
)


def rows(outcomes: Sequence[StudyResult], expert: float) -> list[list[str]]:
    """One line for each algorithm, as it is shown."""
    out = []
    for outcome in outcomes:
        first, last, iou = outcome.curve[0], outcome.curve[-1], "metric/iou"
        numbers = (first["return"], last["return"], expert, first[iou], last[iou])
        out.append([outcome.name, *(f"{number:.2f}" for number in numbers), f"{outcome.seconds:.0f}"])
    return out


NEXT = """\
collm play StrBuild-v0                              # take a seat yourself
collm envs StrBuild-v0                              # the rules, every keyword, the reward with an example
collm train magrpo --env TLDR-v0                    # another task
collm eval StrBuild-v0 --policy expert --episodes 4 --out runs/expert
collm view runs/expert                              # its episodes, like those below"""


def write_report(outcomes: Sequence[StudyResult], expert: float) -> str:
    """The whole report as one HTML page."""
    curves = [
        Curve(o.name, [line["step"] for line in o.curve], [line["return"] for line in o.curve])
        for o in outcomes
    ]
    published = [
        [o.name, o.unseen["return"], o.unseen["metric/iou"], o.unseen["metric/adj"]] for o in outcomes
    ]
    episodes = [
        episode(
            f"{o.name}, {when}: {record.item}", page(asdict(record), scenes(record), reward_range(record))
        )
        for o in outcomes
        for when, record in (("before", o.before), ("after", o.after))
    ]
    return report(
        "Two small language models learn to build a word together",
        [
            section(
                "Learning",
                prose(
                    "Each agent is a language model of 0.16 million parameters that reads its own messages "
                    "only. It sees the word as rows of `#`, and may place two kinds of block that the other "
                    "has not. The reward is shared: cells covered, less blocks beside the word, less equal "
                    "blocks that touch. "
                    "Both runs start from the same supervised warm start on clumsy scripted play.\n\n"
                    "One run each, one seed: a demonstration, not a comparison."
                ),
                chart(curves, "optimizer steps", "return on unseen words", {"expert": expert}),
                table(
                    ["algorithm", "before", "after", "expert", "IoU before", "IoU after", "seconds"],
                    rows(outcomes, expert),
                    "64 generated words of one or two letters that were not trained on.",
                ),
            ),
            section(
                "Wider words",
                table(
                    ["algorithm", "return", "IoU", "adjacent equal"],
                    published,
                    "After training, on the published evaluation words ICML and CLIM: twice as wide as any "
                    "word trained on.",
                ),
            ),
            section("Next", code(NEXT), note="none of them takes longer than a few minutes"),
            section("Again", code("\n".join(o.command for o in outcomes)), note="the same runs, by hand"),
            section("Episodes", *episodes, note="the same word, before and after; the median of five"),
        ],
        about="collm · StrBuild-v0 · collm demo",
    )
