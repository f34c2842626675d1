"""The table of docs/use-with.md, made from what `make adapters` installed and ran.

    python tests/support/use_with.py NAME INSTALL_SECONDS TESTS.xml     keep a run's facts, fill the table

INSTALL_SECONDS is a number, or "by hand" where pip cannot satisfy the library's own requirements beside ours.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]
PAGE, FACTS = ROOT / "docs" / "use-with.md", ROOT / "docs" / "use-with.json"
BEGIN, END = "<!-- by tests/support/use_with.py -->\n", "<!-- end -->"


class Library(NamedTuple):
    """What a person knows of an adapter; versions, times and tests are read off a run."""

    links: str
    packages: tuple[str, ...]
    works: str
    lost: str


LIBRARIES = {
    "gymnasium": Library(
        "[Gymnasium](#gymnasium)",
        ("gymnasium",),
        "one seat, the others are policies; `check_env`; synchronous vectors",
        "the other agents' learning; shared memory (use `shared_memory=False`)",
    ),
    "trl": Library(
        "[TRL](#trl)",
        ("trl",),
        "one model on all seats, several turns, also in turn; one seat by tool calls or plain replies",
        "two different models; a length limit for each turn under tool calls",
    ),
    "verifiers": Library(
        "[verifiers](#verifiers)",
        ("verifiers",),
        "a seat for each agent, all at once or in turn; rewards and metrics on every trace",
        "its `replay` refuses several agents (`collm_envs.replay.replay` does it)",
    ),
    "openenv": Library(
        "[OpenEnv](#openenv)",
        ("openenv",),
        "one seat or all seats; many sessions; plain and typed clients",
        "roles, in the joint form: one client writes all texts",
    ),
    "comlrl": Library(
        "[CoMLRL](#comlrl)",
        ("comlrl",),
        "MAGRPO (aligned, cross), IAC, MAAC; several turns",
        'history (every prompt repeats it), chat templates, early ends (0 and "" follow), turn taking',
    ),
    "torchrl": Library(
        "[TorchRL](#torchrl)",
        ("torchrl",),
        "`check_env_specs`, rollouts, `Collector`, replay buffers, `SerialEnv`",
        "infos; the multi-process `ParallelEnv`",
    ),
    "rllib": Library(
        "[RLlib](#rllib)",
        ("ray",),
        "`MultiAgentEnv` in stable order; runners with a module of your own",
        "a model: RLlib has none for texts",
    ),
    "aec": Library(
        "[PettingZoo AEC](#aec)",
        ("pettingzoo",),
        "PettingZoo's own conversion",
        "agents write one after the other, unseen by each other",
    ),
    "recipes": Library(
        "[Inspect](#inspect), [SkyRL-Gym](#skyrl-gym), [TextArena](#textarena)",
        ("inspect-ai", "skyrl-gym", "textarena"),
        "recipes to copy: all agents as model roles; one seat; all agents as players",
        "per-agent rewards; the other agents' learning (SkyRL-Gym)",
    ),
    "tinker": Library(
        "[Tinker cookbook](#tinker-cookbook)",
        ("tinker-cookbook",),
        "a recipe to copy: all seats of an episode as one group",
        "nothing known; played without Tinker's service",
    ),
    "verl": Library(
        "[verl](#verl)",
        ("verl",),
        "a recipe to copy: an agent loop, played against a stand-in for its servers",
        "two different models; rewards of single turns; its trainer (GPUs) has not run",
    ),
    "marl_eval": Library(
        "[marl-eval](#data-out)",
        ("id-marl-eval",),
        "`collm export ... --marl-eval`, read by its pipeline",
        "the single episodes of a run's evaluations (it keeps their mean)",
    ),
}


def table(facts: dict[str, Any]) -> str:
    """The rows of the libraries that have been run, in Markdown."""
    lines = [
        "| library | tested with | installed in | tests | what works | what is lost |",
        "| --- " * 6 + "|",
    ]
    for name, library in LIBRARIES.items():
        if fact := facts.get(name):
            versions = ", ".join(fact["versions"][package] for package in library.packages)
            install = fact["install"] if isinstance(fact["install"], str) else f"{fact['install']} s"
            cells = (library.links, versions, install, str(fact["tests"]), library.works, library.lost)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def with_table(page: str, facts: dict[str, Any]) -> str:
    """The page with the table of these facts between its marks."""
    return re.sub(f"(?s){BEGIN}.*{END}", lambda _: f"{BEGIN}{table(facts)}{END}", page)


def passed(file: Path) -> int:
    """Tests that passed in pytest's report; ValueError where some did not, or none ran."""
    suites = list(ElementTree.parse(file).getroot().iter("testsuite"))
    counts = {
        key: sum(int(suite.get(key, 0)) for suite in suites)
        for key in ("tests", "failures", "errors", "skipped")
    }
    good = counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
    if counts["failures"] or counts["errors"] or not good:
        raise ValueError(f"{file}: need tests that pass, got {counts}")
    return good


def main(name: str, install: str, report: str) -> None:
    """Keep what was installed and ran, and fill the table."""
    facts = json.loads(FACTS.read_text(encoding="utf-8")) if FACTS.exists() else {}
    versions = {package: importlib.metadata.version(package) for package in LIBRARIES[name].packages}
    seconds = int(install) if install.isdigit() else install
    facts[name] = {"versions": versions, "install": seconds, "tests": passed(Path(report))}
    FACTS.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), facts), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
