"""Hostile programs pass nothing, honest ones what they earn, and the host is as it was: at every level."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from folders import SUPPORT
from sandbox_corpus.breakouts import BREAKOUTS, FILES, NETWORK
from sandbox_corpus.cheats import CHEATS, CLOSE, TRUTH
from sandbox_corpus.host import host
from sandbox_corpus.play import EARNS, INPUTS, LIMIT_S, hostile_jobs, play
from sandbox_corpus.tricks import MINDS, TRICKS

from collm_envs.sandbox import Sandbox

SCRIPT = SUPPORT / "sandbox_corpus" / "alone.py"
NOBODY = 65534


@pytest.fixture
def open_folder():
    """A folder every user may reach: pytest's own is closed to others, and would hide what gets through."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


def play_alone(python: str, folder: Path, *arguments: str) -> dict:
    """The corpus in a process of its own; see `sandbox_corpus.alone`."""
    command = [python, "-B", str(SCRIPT), str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def python_for(uid: int) -> str:
    """An interpreter that another user may start and that can read this checkout."""
    for python in (sys.executable, "/usr/bin/python3"):
        command = [
            python,
            "-B",
            "-c",
            f"import sys; assert sys.version_info >= (3, 10); open({str(SCRIPT)!r})",
        ]
        try:
            if (
                subprocess.run(command, user=uid, group=uid, extra_groups=[], capture_output=True).returncode
                == 0
            ):
                return python
        except OSError:
            continue
    pytest.skip(f"no interpreter here that user {uid} may start")


def test_the_corpus_is_as_large_as_promised():
    hostile = len(CHEATS) + len(CLOSE) + len(TRUTH) + len(BREAKOUTS) + len(TRICKS)
    assert hostile >= 200
    assert len(EARNS) >= 80


def test_as_this_user_with_all_the_machine_allows(open_folder):
    outcome = play(open_folder)
    assert outcome["wrong"] == []
    assert outcome["changed"] == []


@pytest.mark.skipif(sys.platform != "linux", reason="takes system calls away with Linux's own means")
@pytest.mark.parametrize(
    ("profile", "level"), [pytest.param("docker", "no-ns", marks=pytest.mark.slow), ("gvisor", "seccomp")]
)
def test_where_the_kernel_allows_less(open_folder, profile, level):
    outcome = play_alone(sys.executable, open_folder, profile)
    assert outcome == {"wrong": [], "changed": [], "level": level}


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("profile", ["plain", pytest.param("gvisor", marks=pytest.mark.slow)])
def test_as_another_user(open_folder, profile):
    os.chown(open_folder, NOBODY, NOBODY)
    outcome = play_alone(python_for(NOBODY), open_folder, profile, str(NOBODY))
    assert outcome["wrong"] == []
    assert outcome["changed"] == []


def test_the_corpus_bites_where_nothing_holds_it(open_folder):
    names = [*FILES, *NETWORK]
    with host(open_folder, INPUTS) as at, Sandbox(backend="process") as sandbox:
        jobs = hostile_jobs(at)
        passed = {name for name in names if sandbox.grade(**jobs[name]).passed}
    assert {
        "read the answer file",
        "openat by number",
        "connect to the host",
        "pipe",
        "memory file",
    } <= passed


def test_a_remote_candidate_cannot_cheat_either():
    lines = "\n".join(f"    assert candidate({xs}) == {[sum(xs), max(xs)]}" for xs in INPUTS)
    check = f"def check(candidate):\n{lines}\n"
    with Sandbox() as sandbox:
        cheats = {n: t for n, t in {**CHEATS, **MINDS}.items() if "@" not in t}
        passed = [
            name
            for name, text in cheats.items()
            if sandbox.check(main=text, entry_point="f", test=check, timeout_s=LIMIT_S).passed
        ]
        honest = "def f(xs): return [sum(xs), max(xs)]\n"
        assert sandbox.check(main=honest, entry_point="f", test=check).passed == 1
    assert passed == []
