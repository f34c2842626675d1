"""Whether every test of learning holds for many seeds under other arithmetic: a table.

    python tests/support/seeds.py --seeds 20 --setting as-is --setting avx2 [pytest: FILES, -m slow]

Rounding differs between processors, instruction sets and numbers of threads, and a policy that samples soon
follows another course: a seed more is as good as a processor more, and this runs both.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

SETTINGS: dict[str, tuple[dict[str, str], int]] = {
    "as-is": ({}, 1),
    "default": ({"ATEN_CPU_CAPABILITY": "default"}, 1),
    "avx2": ({"ATEN_CPU_CAPABILITY": "avx2"}, 1),
    "sse41": ({"DNNL_MAX_CPU_ISA": "SSE41"}, 1),
    "2-threads": ({}, 2),
    "4-threads": ({}, 4),
}
"""name -> environment variables of torch and oneDNN, and torch threads"""
SEED = r"\[seed\d+\]|(?<=\[)seed\d+-|-seed\d+(?=[-\]])"
"""a test's seed in its name"""


def run(setting: str, flags: list[str]) -> tuple[Counter[str], Counter[str]]:
    """How many seeds of each test of learning passed under a setting, and how many ran."""
    variables, threads = SETTINGS[setting]
    environment = {**os.environ, **variables, "OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", f"--threads={threads}", f"--junitxml={report}", *flags]
        subprocess.run(command, env=environment, check=False, stdout=sys.stderr)
        cases = list(ElementTree.parse(report).iter("testcase"))
    passed, ran = Counter(), Counter()
    for case in cases:
        if case.find("skipped") is None:
            module = case.attrib["classname"].rpartition(".")[-1]
            test = f"{module}::{re.sub(SEED, '', case.attrib['name'])}"
            ran[test] += 1
            passed[test] += case.find("failure") is None and case.find("error") is None
    return passed, ran


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--setting", action="append", choices=SETTINGS, help="default: all, one by one")
    asked, flags = parser.parse_known_args()
    columns = {name: run(name, [f"--seeds={asked.seeds}", *flags]) for name in asked.setting or SETTINGS}
    print("| seeds passed of those run |", *(f"{name} |" for name in columns))
    print("|---|" + "---:|" * len(columns))
    for test in dict.fromkeys(test for _, ran in columns.values() for test in ran):
        print(f"| {test} |", *(f"{passed[test]}/{ran[test]} |" for passed, ran in columns.values()))
    sys.exit(any(passed != ran for passed, ran in columns.values()))


if __name__ == "__main__":
    main()
