"""The WebAssembly backend: the same verdicts without any kernel feature; without its parts, a clear error."""

import importlib.util
import os

import pytest
from sandbox_corpus.host import host
from sandbox_corpus.play import EARNS, INPUTS, changes, honest_jobs, hostile_jobs, look, wrong

from collm_envs.sandbox import Sandbox, SandboxUnavailable, wasm

INSTALLED = importlib.util.find_spec("wasmtime") is not None


def built() -> bool:
    return INSTALLED and (wasm.NAMED in os.environ or wasm.default_path().is_file())


LACKS = {
    "modules that are seldom needed",  # ctypes, bz2
    "memory too much, and caught",  # an OverflowError where numbers have 32 bits
    "a text of three megabytes",
    "bytes of two megabytes",
    "a large argument",
}
"""honest programs of the corpus that ask too much of this backend"""
needs_build = pytest.mark.skipif(not built(), reason=f"no WebAssembly build of Python here: {wasm.HOW}")


@pytest.mark.skipif(INSTALLED, reason="wasmtime is installed here")
def test_without_wasmtime_the_error_says_how_to_get_it():
    with pytest.raises(
        SandboxUnavailable, match=r"needs the package wasmtime\..*python -m collm_envs.sandbox.build"
    ):
        Sandbox(backend="wasm")


@pytest.mark.skipif(not INSTALLED, reason="wasmtime is not installed here")
def test_without_a_build_the_error_says_how_to_make_it(monkeypatch, tmp_path):
    monkeypatch.setenv(wasm.NAMED, str(tmp_path / "nothing.cwasm"))
    with pytest.raises(
        SandboxUnavailable, match=r"nothing\.cwasm is not there\..*python -m collm_envs.sandbox.build"
    ):
        Sandbox(backend="wasm")


@pytest.mark.slow
@needs_build
def test_the_corpus_inside_webassembly(tmp_path):
    with host(tmp_path, INPUTS) as at:
        before = look(at)
        with Sandbox(workers=2, backend="wasm") as sandbox:
            assert wrong(sandbox, hostile_jobs(at), {}) == []
            jobs = {name: job for name, job in honest_jobs().items() if name not in LACKS}
            slow = {name: {**job, "timeout_s": 5 * job["timeout_s"]} for name, job in jobs.items()}
            assert wrong(sandbox, slow, {name: h.passed for name, h in EARNS.items()}) == []
        assert changes(before, look(at)) == []


@needs_build
def test_every_call_works_inside_webassembly_too():
    with Sandbox(backend="wasm") as sandbox:
        result = sandbox.grade(
            aux="def aux(x): return sorted(x)",
            main="import time\ndef f(xs):\n    time.sleep(0.001)\n    return aux(xs)",
            entry_point="f",
            tests=[{"input": [[2, 1]], "expected": [1, 2]}, {"assert": "assert tuple(f([2, 1])) == (1, 2)"}],
            counterfactual=True,
        )
        assert (result.passed, result.isolation, result.aux_used) == (2, "wasm", True)
        check = "def check(candidate):\n    assert candidate([2, 1]) == [1, 2]\n"
        assert sandbox.check(main="def f(xs): return sorted(xs)", entry_point="f", test=check).passed == 1
        assert sandbox.call("def g(x): return {x: (x, None)}", "g", 2.5) == {2.5: (2.5, None)}
        endless = sandbox.grade(
            main="def f(x):\n    while True: pass",
            entry_point="f",
            tests=[{"input": [1], "expected": 1}],
            timeout_s=0.2,
        )
        assert endless.status == "timeout"
