"""`collm export`: recorded episodes as Minecraft functions, as conversations, and as marl-eval's JSON.

collm export RECORDS                      the world of each episode, to walk around in it
collm export chat RECORDS --min-return 2  each agent's conversation, for supervised fine-tuning
collm export RUN ... --marl-eval          curves and returns as marl-eval reads them
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from baselines.cli.terminal import flags
from baselines.runs.folder import stored_config
from baselines.runs.logs import read_log as read_lines
from collm_envs.evaluation.measures import measures
from collm_envs.files import write_whole
from collm_envs.record import Record, read, unique
from collm_envs.render import mcfunction
from collm_envs.replay import scenes

RECORDS = ("records.jsonl", "records.jsonl.gz")


@dataclass
class Export:
    """Write the world of each recorded episode as an .mcfunction file of commands.

    `collm export chat RECORDS` writes each agent's conversation instead, for fine-tuning.

    `collm export RUN ... --marl-eval` writes curves and returns as marl-eval reads them.
    """

    records: Annotated[Path, tyro.conf.Positional]
    """records.jsonl, or the folder it is in"""
    out: Path | None = None
    """folder for the files; by default `functions` beside the records"""
    turn: int = -1
    """which turn's world: 1, 2, ... or -1 for the last; 0 is the start"""


@dataclass
class Chat:
    """Write one row for each agent and episode: messages, reward of each turn, return, item, seed."""

    records: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """records files, or folders that hold some"""
    out: Path | None = None
    """the file or folder to write; by default chat.jsonl, or chat/ for datasets, beside the first records"""
    min_return: float = float("-inf")
    """leave out the episodes that returned less"""
    format: Literal["jsonl", "datasets"] = "jsonl"
    """jsonl: datasets.load_dataset("json", data_files=...); datasets: datasets.load_from_disk(...)"""


@dataclass
class MarlEval:
    """Write the JSON of marl-eval: environment, task, algorithm, run, step, metric -> numbers."""

    sources: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """folders of runs, records files, or folders that hold some"""
    out: Path = Path("marl-eval.json")
    """the file to write"""


def main(args: Sequence[str]) -> int:
    """Write what the arguments ask for: conversations, marl-eval's JSON, or worlds."""
    if "--marl-eval" in args:
        arguments = [argument for argument in args if argument != "--marl-eval"]
        return _marl_eval(flags(MarlEval, arguments[arguments[:1] == ["chat"] :], "collm export"))
    if list(args[:1]) == ["chat"]:
        return _chat(flags(Chat, args[1:], "collm export chat"))
    return _worlds(flags(Export, args, "collm export"))


def _worlds(settings: Export) -> int:
    """Write one file an episode; episodes without a world are left out and counted."""
    path = settings.records / "records.jsonl" if settings.records.is_dir() else settings.records
    folder = settings.out or path.parent / "functions"
    folder.mkdir(parents=True, exist_ok=True)
    written = without = 0
    for k, record in enumerate(read(path), start=1):
        worlds = scenes(record)
        if not -1 <= settings.turn < len(worlds):
            raise ValueError(f"{path}: episode {k} has {len(worlds) - 1} turns, got --turn {settings.turn}")
        world = worlds[settings.turn]
        if not all(world.size):
            without += 1
            continue
        name = re.sub(r"[^a-z0-9_.-]", "_", f"{k:05}_{record.item}".lower())  # what the game allows in a name
        (folder / f"{name}.mcfunction").write_text(mcfunction.text(world), encoding="utf-8")
        written += 1
    if not written:
        raise ValueError(f"{path}: none of {without} records has a world to export")
    print(f"{written} worlds: {folder}" + (f" ({without} records have none)" if without else ""))
    return 0


def _records_files(source: Path) -> list[Path]:
    """The file itself, the folder's own records file, or those of the folders in it."""
    if not source.is_dir():
        return [source]
    own = [source / name for name in RECORDS if (source / name).exists()]
    return own or sorted(path for name in RECORDS for path in source.glob(f"*/{name}"))


def chat_rows(record: Record) -> Iterator[dict[str, Any]]:
    """One row for each agent: its conversation, and what the team earned."""
    rewards = [turn["reward"] for turn in record.turns]
    for agent, policy in record.agents.items():
        pairs = [(turn["prompts"][agent], turn["texts"][agent]) for turn in record.turns]
        yield {
            "messages": [
                {"role": role, "content": text}
                for pair in filter(any, pairs)  # without the steps in which only others write
                for role, text in zip(("user", "assistant"), pair, strict=True)
            ],
            "agent": agent,
            "policy": policy,
            "reward": rewards,
            "return": sum(rewards),
            "env": record.env,
            "item": record.item,
            "split": record.split,
            "seed": record.seed,
            "trial": record.trial,
        }


def _chat(asked: Chat) -> int:
    """Write the rows of all episodes that returned enough."""
    files = [path for source in asked.records for path in _records_files(source)]
    where = ", ".join(map(str, asked.records))
    if not files:
        raise ValueError(f"{where} holds no records.jsonl; collm eval --out writes one")
    episodes = [record for path in files for record in unique(read(path)) if record.turns]
    if not episodes:
        raise ValueError(f"{where}: no turn was played in any of these records")
    returns = [measures(record)["return"] for record in episodes]
    enough = [e for e, earned in zip(episodes, returns, strict=True) if earned >= asked.min_return]
    if not enough:
        raise ValueError(
            f"{where}: the best of {len(episodes)} episodes returned {max(returns):.4g}, "
            f"got --min-return {asked.min_return:g}"
        )
    rows = [row for record in enough for row in chat_rows(record)]
    target = asked.out or files[0].parent / ("chat.jsonl" if asked.format == "jsonl" else "chat")
    target.parent.mkdir(parents=True, exist_ok=True)
    if asked.format == "jsonl":
        write_whole(target, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    else:
        from datasets import Dataset

        Dataset.from_list(rows).save_to_disk(str(target))
    print(f"{len(rows)} conversations of {len(enough)} of {len(episodes)} episodes: {target}")
    return 0


Curve = dict[str, Any]
"""{"step_0": {"step_count": 0, "return": [...], ...}, ..., "absolute_metrics": {"return": [...], ...}}"""


def _marl_eval(asked: MarlEval) -> int:
    """Write {environment: {task: {algorithm: {run: curve}}}} of all sources."""
    tree: dict[str, dict[str, dict[str, Curve]]] = {}
    for source in asked.sources:
        for task, algorithm, run, curve in _curves(source):
            runs = tree.setdefault(task, {}).setdefault(algorithm, {})
            if run in runs:
                raise ValueError(f"{source}: there is already {run} of {algorithm} on {task}")
            runs[run] = curve
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(asked.out, json.dumps({"collm": tree}, indent=1))
    count = sum(len(runs) for algorithms in tree.values() for runs in algorithms.values())
    print(f"{count} runs of {len(tree)} tasks: {asked.out}")
    return 0


def _curves(source: Path) -> Iterator[tuple[str, str, str, Curve]]:
    """(task, algorithm, run, curve): of a run its evaluations, of records one run for each trial."""
    if (source / "eval.jsonl").exists():
        algorithm, config = stored_config(source)
        if "env" not in config:
            raise ValueError(f"{source}: is a run of {algorithm}, whose games have no environment of ours")
        lines = read_lines(source / "eval.jsonl")
        if not lines:
            raise ValueError(f"{source}: nothing was evaluated in this run yet")
        task = _task(config["env"], config["env_kwargs"])
        yield task, algorithm, f"seed_{config['seed']}", _curve(lines)
        return
    files = _records_files(source)
    if not files:
        raise ValueError(f"{source} holds neither a run (eval.jsonl) nor an evaluation (records.jsonl)")
    for path in files:
        trials: dict[tuple[str, str, str], list[Mapping[str, float]]] = {}
        for record in unique(read(path)):
            policies = " + ".join(dict.fromkeys(record.agents.values()))
            key = _task(record.env, record.kwargs), policies, f"seed_{record.trial}"
            trials.setdefault(key, []).append(measures(record))
        if not trials:
            raise ValueError(f"{path} holds no records")
        for (task, policies, run), episodes in trials.items():
            yield task, policies, run, _constant(episodes)


def _task(env: str, kwargs: Mapping[str, Any]) -> str:
    keywords = [f"{name}={json.dumps(kwargs[name])}" for name in sorted(kwargs)]
    return " ".join([env, *keywords])


def _curve(lines: Iterable[Mapping[str, Any]]) -> Curve:
    """Of a run's evaluations; each has kept the mean of its episodes alone."""
    steps = {f"step_{k}": {"step_count": line["step"], **_numbers(line)} for k, line in enumerate(lines)}
    return {**steps, "absolute_metrics": _numbers([*lines][-1])}


def _numbers(line: Mapping[str, Any]) -> dict[str, list[float]]:
    names = [name for name in line if name == "return" or name.startswith("metric/")]
    return {name.removeprefix("metric/"): [line[name]] for name in names}


def _constant(episodes: Sequence[Mapping[str, float]]) -> Curve:
    """Of an evaluation: nothing was trained, so one step, with the numbers of every episode."""
    names = [name for name in episodes[0] if all(name in episode for episode in episodes)]
    numbers = {name: [episode[name] for episode in episodes] for name in names}
    return {"step_0": {"step_count": 0, **numbers}, "absolute_metrics": numbers}
