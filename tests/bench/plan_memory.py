"""Peak memory of one run in a process of its own, beside what `collm plan` says.

    python plan_memory.py OUT ALGORITHM [flags of collm train]

Prints one JSON line: bytes of the process before the run and at its fullest moment, and the plan's peak.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def status(field: str) -> int:
    """A field of this process's status in bytes: VmRSS what it holds, VmHWM the most it ever held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return 1024 * int(line.split()[1])


def main(out: str, name: str, *flags: str) -> None:
    import peft  # noqa: F401  what a run imports counts as the program
    import torch

    from baselines.cli.plan import with_agents
    from baselines.cli.train import read
    from baselines.runs import planning, run

    torch.set_num_threads(1)
    config = read(name, with_agents([*flags, "--out", out, "--threads", "1"]))
    predicted = planning.footprint_of(name, config, "cpu")
    base = status("VmRSS")
    run.train(name, config, quiet=True)
    needs = [need._asdict() for need in predicted.needs]
    print(json.dumps({"base": base, "peak": status("VmHWM"), "plan": predicted.peak, "needs": needs}))


if __name__ == "__main__":
    main(*sys.argv[1:])
