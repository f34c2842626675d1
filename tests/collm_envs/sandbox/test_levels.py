"""Levels are what attacks find, never what is hoped; too low a one is an error that names the remedies."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from folders import SUPPORT

from collm_envs.sandbox import Sandbox, SandboxUnavailable
from collm_envs.sandbox.levels import LEVELS, level_of, missing

ALONE = SUPPORT / "sandbox_corpus" / "alone.py"
GOOD = {"main": "def f(x): return 2 * x\n", "entry_point": "f", "tests": [{"input": [2], "expected": 4}]}
ALL = {"wasm": False, "seccomp": True, "landlock": 7, "namespaces": True, "empty_root": True}


@pytest.mark.parametrize(
    ("lacking", "level", "words"),
    [
        ({}, "full", ""),
        ({"namespaces": False}, "no-ns", "namespaces"),
        ({"empty_root": False}, "no-ns", "empty root"),
        ({"landlock": 0}, "seccomp", "Landlock"),
        ({"landlock": 0, "namespaces": False}, "seccomp", "Landlock does not work, namespaces"),
        ({"seccomp": False}, "process", "seccomp"),
    ],
)
def test_a_level_is_what_all_its_layers_amount_to(lacking, level, words):
    features = {**ALL, **lacking}
    assert level_of(features) == level
    assert words in missing(features, "full")


@pytest.mark.skipif(sys.platform != "linux", reason="takes system calls away with Linux's own means")
def test_without_seccomp_the_error_names_what_is_missing_and_the_remedies():
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-B", str(ALONE), folder, "bare"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    message = json.loads(done.stdout)["unavailable"]
    assert message.startswith(
        "the sandbox needs isolation level 'seccomp', this machine gives 'process': seccomp filters cannot be"
    )
    for remedy in ("run on Linux", 'Sandbox(backend="process")'):
        assert remedy in message


def test_a_machine_that_gives_less_than_required_is_refused():
    with Sandbox() as sandbox:
        level = sandbox.grade(**GOOD).isolation
    if level == "full":
        with Sandbox(require="full") as sandbox:
            assert sandbox.grade(**GOOD).isolation == "full"
    else:
        with pytest.raises(SandboxUnavailable, match="needs isolation level 'full'"):
            Sandbox(require="full")
    assert LEVELS.index(level) >= LEVELS.index("seccomp")


def test_a_bare_process_is_had_by_name_only_and_says_so_in_every_result():
    with Sandbox(backend="process") as sandbox:
        result = sandbox.grade(**GOOD)
        assert (result.passed, result.isolation, result.features["seccomp"]) == (1, "process", False)
        endless = sandbox.grade(**{**GOOD, "main": "def f(x):\n    while True: pass\n"}, timeout_s=0.2)
        assert endless.status == "timeout"
        hoard = sandbox.grade(**{**GOOD, "main": "def f(x): return len(bytearray(1 << 30))\n"})
        assert hoard.tests == ("raised:MemoryError",)


def test_a_level_that_an_attack_disproves_is_refused(monkeypatch):
    monkeypatch.setattr("collm_envs.sandbox.levels.ATTACKS", ("nothing at all",))
    monkeypatch.setattr("collm_envs.sandbox.levels.CANARY", "def attack(name): return False\n")
    with pytest.raises(SandboxUnavailable, match="does not hold: a test program could nothing at all"):
        Sandbox()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_zygote_holds_no_privilege_and_no_secret(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    from sandbox_corpus.host import descendants

    others = descendants(os.getpid())  # of tests before this one, such as multiprocessing's helpers
    with Sandbox() as sandbox:
        assert sandbox.grade(**GOOD).passed == 1
        ours = [pid for pid, name in descendants(os.getpid()) if (pid, name) not in others]
        (zygote,) = [pid for pid in ours if not descendants(pid)]
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{zygote}/status").read_text().splitlines()
            if ":\t" in line
        )
        assert {status[f"Cap{kind}"].strip("0") for kind in ("Inh", "Prm", "Eff", "Amb")} == {""}
        assert status["NoNewPrivs"].strip() == "1"
        assert "0" not in status["Uid"].split()
        found = sandbox.call("import os\ndef f(): return [dict(os.environ), os.getcwd.__name__]", "f")
        assert found[0] == {}
        if os.geteuid() == 0:
            assert b"hunter2" not in Path(f"/proc/{zygote}/environ").read_bytes()
            assert len(os.listdir(f"/proc/{zygote}/fd")) == 4
