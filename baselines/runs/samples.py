"""`samples.jsonl`: the texts of a few evaluation episodes of a run, the same items at every evaluation.

A curve says how much reward is earned, not for what: whoever shows one shows these beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from collm_envs import TextEnv
from collm_envs.files import appending, read_lines, saving
from collm_envs.record import Record

if TYPE_CHECKING:
    from baselines.play.episode import Node

FILE = "samples.jsonl"
EPISODES = 8
"""of each evaluation, the first ones"""


def keep(out: Path, env: TextEnv, step: int, played: Mapping[str, Sequence[Node]]) -> None:
    """Add the first episodes of an evaluation after `step` steps to the run's folder.

    played: line-up -> its nodes of turn 1, start by start.  Raises OSError that says how to go on where they
    cannot be written.
    """
    from baselines.play.episode import episodes  # with torch, which a page of what was kept does without
    from baselines.play.records import to_record

    lines = []
    for name, roots in played.items():
        who = f"{name} at step {step}" if name else f"step {step}"
        for path in episodes(roots[:EPISODES]):
            record = to_record(env, path, dict.fromkeys(env.possible_agents, who))
            lines.append(json.dumps({"step": step, "record": asdict(record)}) + "\n")
    hint = f"`collm train --resume {out}` goes on once there is room"
    with saving(str(out / FILE), hint), appending(out / FILE) as file:
        file.writelines(lines)


def read_samples(out: Path) -> dict[int, list[Record]]:
    """{step: records} of a run's evaluations, in order; {} for a run without any.

    What a resumed run has written again stands once.
    """
    if not (out / FILE).exists():
        return {}
    found: dict[int, dict[tuple[str, ...], Record]] = {}
    for line in read_lines(out / FILE):
        record = Record(**line["record"])
        key = (record.item, str(record.seed), *record.agents.values())
        found.setdefault(line["step"], {})[key] = record
    return {step: list(found[step].values()) for step in sorted(found)}
