"""A sandbox's own life: threads, asyncio, forks, Ctrl-C, killed processes, and nothing left behind."""

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from folders import ROOT, SUPPORT
from sandbox_corpus.host import descendants

from collm_envs.sandbox import InfraError, Sandbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes the way Linux shows them")

TWICE = [{"input": [x], "expected": 2 * x} for x in range(4)]
GOOD = {"main": "def f(x): return 2 * x\n", "entry_point": "f", "tests": TWICE}
ENDLESS = {"main": "def f(x):\n    while True: pass\n", "entry_point": "f", "tests": TWICE, "timeout_s": 60.0}
SLOW = "import time\ndef f(x):\n    t = time.process_time() + 0.15\n    while time.process_time() < t: pass\n"
SLOW += "    return 2 * x\n"
LONG_S = 600.0
"""so long takes nothing that works, however busy the machine"""


def below(pid=None):
    return [child for child, _ in descendants(os.getpid() if pid is None else pid)]


@pytest.fixture
def others():
    """What was there before: other tests of this process may have a sandbox open."""
    return below()


def gone(pids, within_s=LONG_S):
    """The processes of a list that are still there after a while, zombies included."""
    until = time.monotonic() + within_s
    while time.monotonic() < until and any(Path(f"/proc/{pid}").exists() for pid in pids):
        time.sleep(0.02)
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_leaving_the_context_ends_every_process_and_returns_every_descriptor():
    before, descriptors = below(), len(os.listdir("/proc/self/fd"))
    with Sandbox(workers=2) as sandbox:
        sandbox.grade_many([GOOD] * 6)
        sandbox.check(main=GOOD["main"], entry_point="f", test="def check(f):\n    assert f(1) == 2\n")
        started = set(below()) - set(before)
        assert started
    assert below() == before
    assert gone(started) == []
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_forgotten_sandbox_is_closed_with_it():
    before = below()
    sandbox = Sandbox()
    assert set(below()) > set(before)
    del sandbox
    gc.collect()
    assert below() == before


def test_threads_and_asyncio_share_a_sandbox():
    with Sandbox(workers=2) as sandbox:
        with ThreadPoolExecutor(6) as executor:
            passed = list(executor.map(lambda _: sandbox.grade(**GOOD).passed, range(24)))
        assert passed == [4] * 24

        async def many():
            return await asyncio.gather(*(asyncio.to_thread(sandbox.grade, **GOOD) for _ in range(12)))

        assert [result.passed for result in asyncio.run(many())] == [4] * 12


@pytest.mark.parametrize("victim", ["outer", "zygote", "program"])
def test_a_killed_process_is_replaced_and_the_grading_repeated(victim, others):
    with Sandbox() as sandbox, ThreadPoolExecutor(1) as executor:
        idle = [pid for pid in below() if pid not in others]
        job = {**GOOD, "main": SLOW, "timeout_s": 5.0}
        new, killed, until = [], False, time.monotonic() + LONG_S
        while not killed and time.monotonic() < until:  # again where nobody looked while a program ran
            grading = executor.submit(sandbox.grade, **job)
            while not (killed or grading.done()):
                time.sleep(0.01)
                if new := [pid for pid in below() if pid not in (*others, *idle)]:
                    time.sleep(0.1)
                    target = {"outer": idle[0], "zygote": idle[-1], "program": new[0]}[victim]
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(target, signal.SIGKILL)
                        killed = True
        assert killed
        assert grading.result(LONG_S).tests == ("ok",) * 4
        assert gone([*new, *(idle if victim != "program" else [])]) == []
        assert sandbox.grade(**GOOD).passed == 4


def test_a_machine_that_keeps_failing_is_an_error_and_no_score():
    with Sandbox() as sandbox:
        idle = below()  # other tests' sandboxes too: they are left alone
        done = threading.Event()

        def assassin():
            while not done.is_set():
                for pid in below():
                    if pid not in idle:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                time.sleep(0.005)

        thread = threading.Thread(target=assassin)
        thread.start()
        try:
            with pytest.raises(InfraError):
                sandbox.grade(**{**GOOD, "main": SLOW, "timeout_s": 10.0})
        finally:
            done.set()
            thread.join()
        assert sandbox.grade(**GOOD).passed == 4


def interrupt_when_there_are_more(before):
    """Ctrl-C as soon as this process has a descendant that is not among these: a program runs."""

    def wait():
        while set(below()) <= set(before):
            time.sleep(0.01)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait, daemon=True).start()


@pytest.fixture
def listening():
    """A shell that starts us in the background lets us ignore Ctrl-C."""
    was = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, was)


@pytest.mark.usefixtures("listening")
def test_ctrl_c_stops_a_grading_and_the_sandbox_goes_on(others):
    with Sandbox() as sandbox:
        before = [pid for pid in below() if pid not in others]
        with pytest.raises(KeyboardInterrupt):
            interrupt_when_there_are_more(below())
            sandbox.grade(**ENDLESS)
        assert gone(before) == []
        assert sandbox.grade(**GOOD).passed == 4


@pytest.mark.usefixtures("listening")
def test_ctrl_c_stops_many_gradings_at_once():
    with Sandbox(workers=2) as sandbox:
        threads = threading.active_count()
        with pytest.raises(KeyboardInterrupt):
            interrupt_when_there_are_more(below())
            sandbox.grade_many([{**ENDLESS, "timeout_s": 1.0}] * 100)
        assert threading.active_count() >= threads  # what has begun goes on: nobody waited for it
        assert sandbox.grade(**GOOD).passed == 4


def test_ctrl_c_of_the_terminal_does_not_reach_the_zygote(others):
    with Sandbox():
        ours = set(below()) - set(others)
        assert ours
        assert all(os.getsid(pid) != os.getsid(0) for pid in ours)


def trainer_text(body: str) -> str:
    """A trainer's program, with `sandbox`, GOOD and ENDLESS at hand."""
    return f"""
import os, sys, threading, time
sys.path[:0] = [{str(ROOT)!r}, {str(SUPPORT)!r}]
from collm_envs.sandbox import Sandbox
GOOD, ENDLESS = {GOOD!r}, {ENDLESS!r}
sandbox = Sandbox(workers=2)
{body}
"""


def run_script(body: str) -> subprocess.Popen[str]:
    """A trainer of its own; prints a line when it is busy."""
    command = [sys.executable, "-W", "error", "-c", trainer_text(body)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


BUSY = """
from sandbox_corpus.host import descendants
idle = len(descendants(os.getpid()))
for _ in range(2):
    threading.Thread(target=lambda: sandbox.grade(**ENDLESS), daemon=True).start()
while len(descendants(os.getpid())) < idle + 2:
    time.sleep(0.05)
"""


@pytest.mark.parametrize(
    "body",
    [
        BUSY + "print('busy', flush=True)\ntime.sleep(600)",
        BUSY + "pid = os.fork()\nif pid: print(pid, flush=True)\ntime.sleep(600)",
        "pid = os.fork()\n" + BUSY + "if pid: print(pid, flush=True)\ntime.sleep(600)",
    ],
    ids=["alone", "forked while busy", "busy in both copies"],
)
def test_nothing_outlives_a_trainer_that_is_killed(body):
    trainer = run_script(body)
    try:
        word = trainer.stdout.readline().strip()
        copy = int(word) if word.isdigit() else None
        mine, others, until = [], [], time.monotonic() + LONG_S
        while len(mine) < 3 and time.monotonic() < until:  # zygotes and endless programs
            time.sleep(0.3)
            everybody = descendants(trainer.pid)
            others = descendants(copy) if copy else []  # after: what the copy has just started is not ours
            mine = [pid for pid, _ in everybody if pid != copy and pid not in dict(others)]
        assert len(mine) >= 3
        trainer.kill()
        trainer.wait()
        assert gone(mine) == []
        if copy:
            os.kill(copy, signal.SIGKILL)
            assert gone([pid for pid, _ in others]) == []
    finally:
        trainer.kill()
        trainer.wait()
        trainer.stdout.close()


def test_a_fork_of_the_trainer_opens_its_own_and_leaves_the_parents_alone():
    trainer = run_script(
        """
assert sandbox.grade(**GOOD).passed == 4
pid = os.fork()
if pid == 0:
    ok = sandbox.grade(**GOOD).passed == 4
    sandbox.close()
    os._exit(0 if ok else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert sandbox.grade(**GOOD).passed == 4
sandbox.close()
print("done")
"""
    )
    out, _ = trainer.communicate(timeout=LONG_S)
    assert (trainer.returncode, out) == (0, "done\n")


def test_a_zygote_is_a_fresh_image_that_holds_nothing_of_the_trainer(tmp_path, others):
    """It is started by exec, not by fork alone: no memory of the trainer, CUDA's mappings, or open file."""
    big = tmp_path / "weights"
    big.write_bytes(bytes(8192))
    trainer = run_script(
        f"""
import mmap, resource
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
sandbox.close()
file = open({str(big)!r}, "r+b")
weights = mmap.mmap(file.fileno(), 0)
many = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(2000)] if most > 3000 else []
many += [os.dup(file.fileno())]
os.set_inheritable(many[-1], True)
sandbox = Sandbox()
modules = sandbox.call("import sys\\ndef f(): return sorted(sys.modules)", "f")
print("collm_envs" in sys.modules, "collm_envs" in modules, flush=True)
time.sleep(600)
"""
    )
    try:
        words = trainer.stdout.readline().split()
        assert words[:2] == ["True", "False"]
        started = [pid for pid, _ in descendants(trainer.pid)]
        assert started
        for pid in started:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            assert b"from inside import zygote" in command
            if os.geteuid() == 0:  # anybody else may not look into a process that is not dumpable
                assert os.readlink(f"/proc/{pid}/exe") == os.readlink(f"/proc/{trainer.pid}/exe")
                assert str(big) not in Path(f"/proc/{pid}/maps").read_text()
                links = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
                assert set(links) <= {"0", "1", "2", "3"}, links
    finally:
        trainer.kill()
        trainer.wait()
        trainer.stdout.close()


def test_a_trainer_without_standard_streams_is_served_too(tmp_path):
    answer = tmp_path / "answer"
    text = trainer_text(
        f"open({str(answer)!r}, 'w').write(str(sandbox.grade(**GOOD).passed))\nsandbox.close()"
    )
    closed = [(os.POSIX_SPAWN_CLOSE, fd) for fd in (0, 1, 2)]  # what Popen cannot do
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", text], os.environ, file_actions=closed)
    assert os.waitpid(pid, 0)[1] == 0
    assert answer.read_text() == "4"


def test_a_trainer_that_ignores_its_children_is_served_too():
    trainer = run_script(
        """
import signal
sandbox.close()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
with Sandbox() as other:
    assert other.grade(**GOOD).passed == 4
    assert other.grade(**{**ENDLESS, "timeout_s": 0.2}).status == "timeout"
print("done")
"""
    )
    out, _ = trainer.communicate(timeout=LONG_S)
    assert (trainer.returncode, out) == (0, "done\n")


def memory_kb(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


@pytest.mark.parametrize("rounds", [200, pytest.param(100_000, marks=pytest.mark.slow)])
def test_many_gradings_leave_memory_flat_and_no_zombie_and_no_descriptor(rounds, others):
    with Sandbox(workers=2) as sandbox:
        sandbox.grade_many([GOOD] * 200)
        pids = [pid for pid in below() if pid not in others]
        before = sum(memory_kb(pid) for pid in (os.getpid(), *pids))
        descriptors = len(os.listdir("/proc/self/fd"))
        for _ in range(rounds // 200):
            results = sandbox.grade_many([GOOD] * 200)
            assert all(result.passed == 4 for result in results)
        assert [pid for pid in below() if pid not in others] == pids
        assert len(os.listdir("/proc/self/fd")) == descriptors
        assert sum(memory_kb(pid) for pid in (os.getpid(), *pids)) - before < 4_000
