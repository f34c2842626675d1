"""What a program finds of the machine: the same on every one, and never a path of it."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from folders import ROOT

from collm_envs.sandbox import Sandbox, SandboxUnavailable, worker

PLACES = {
    str(ROOT),
    sys.prefix,
    sys.base_prefix,
    sysconfig.get_path("stdlib"),
    str(Path.home()),
    os.uname().nodename,
}


@pytest.fixture(scope="module", params=["auto", "process"])
def sandbox(request):
    with Sandbox(backend=request.param) as one:
        yield one


@pytest.mark.parametrize(
    "guard",
    [
        "if len(sys.argv) > 1:\n    print(f(int(sys.argv[1])))\n",
        "if __name__ == '__main__':\n    print(f(int(input())))\n",
        "import argparse\nargparse.ArgumentParser().parse_args()\n",
        "name, *rest = sys.argv\nassert not rest\n",
        "import os\nHERE = os.path.dirname(os.path.abspath(__file__))\n",
        "import __main__, platform\nassert not hasattr(__main__, 'f')\nassert platform.system()\n",
        "import os\nDEBUG = os.environ.get('DEBUG')\nHOME = os.path.expanduser('~/x')\n",
    ],
)
def test_honest_guards_load(sandbox, guard):
    main = f"import sys\ndef f(x):\n    return x\n{guard}"
    result = sandbox.grade(main=main, entry_point="f", tests=[{"input": [7], "expected": 7}])
    assert (result.passed, result.error) == (1, None)


PROBES = {
    "arguments": "[sys.argv, sys.orig_argv]",
    "this Python": "[sys.executable, sys.prefix, sys.base_prefix, sys.exec_prefix, sys.path]",
    "sys": "[repr(v) for name, v in vars(sys).items() if type(v) in (str, list, dict) and name != 'modules']",
    "environment": "[dict(os.environ), __file__, os.path.expanduser('~')]",
    "the first module": "sorted(vars(__main__))",
    "modules": "[repr([m, vars(m).get('__cached__'), vars(m).get('__spec__')]) for m in list(modules)]",
    "a traceback": "trace()",
    "frames": "frames()",
    "time": "[time.tzname, time.timezone, time.localtime(0).tm_hour]",
    "the host": "[platform.node(), list(platform.uname())[:2]]",
}
PROBE = """
import json, os, platform, sys, time, traceback, __main__
modules = sys.modules.values()
def trace():
    try:
        json.loads("{")
    except ValueError:
        return traceback.format_exc()
def frames():
    frame, found = sys._getframe(), []
    while frame:
        found.append([frame.f_code.co_filename, repr(frame.f_globals.get("__file__"))])
        frame = frame.f_back
    return found
def f():
    return """


@pytest.mark.parametrize("name", PROBES)
def test_no_path_or_name_of_this_machine_is_found(sandbox, name):
    seen = repr(sandbox.call(PROBE + PROBES[name], "f"))
    assert [place for place in PLACES if place in seen] == []


def test_the_arguments_are_one_fixed_word(sandbox):
    assert sandbox.call("import sys\ndef f(): return sys.argv", "f") == ["/solution.py"]
    assert sandbox.call("import time\ndef f(): return [*time.tzname]", "f") == ["UTC", "UTC"]


GRADES = """
from collm_envs.sandbox import Sandbox
with Sandbox() as sandbox:
    how = {"main": "def f(x): return aux(x)", "aux": "def aux(x): return x", "entry_point": "f"}
    print(sandbox.grade(tests=[{"input": [3], "expected": 3}], counterfactual=True, **how).aux_used)
"""


@pytest.mark.parametrize("folder", ["plain", "with blanks in it", "with|a bar"])
def test_a_python_in_an_environment_of_its_own_will_do(tmp_path, folder):
    venv.create(tmp_path / folder, with_pip=False, symlinks=True)
    python = tmp_path / folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([python, "-c", GRADES], capture_output=True, text=True, env=environment)
    assert (done.stdout.strip(), done.stderr) == ("True", "")


def test_the_package_may_lie_in_a_folder_with_blanks(tmp_path):
    home = tmp_path / "my | packages"
    home.mkdir()
    (home / "collm_envs").symlink_to(ROOT / "collm_envs")
    environment = os.environ | {"PYTHONPATH": str(home)}
    done = subprocess.run([sys.executable, "-c", GRADES], capture_output=True, text=True, env=environment)
    assert (done.stdout.strip(), done.stderr) == ("True", "")


@pytest.mark.parametrize(
    ("executable", "why"),
    [
        ("", "needs a CPython, got ''"),
        (None, "needs a CPython, got None"),
        ("/nowhere/python3", "'/nowhere/python3': No such file"),
        (str(ROOT / "README.md"), "README.md'"),
        ("/bin/true", r"did not start: no word from it \(/bin/true\)"),
    ],
)
def test_what_is_no_python_is_refused_by_name(monkeypatch, executable, why):
    monkeypatch.setattr(worker.sys, "executable", executable)
    with pytest.raises(SandboxUnavailable, match=why):
        Sandbox()


def test_windows_is_told_that_no_backend_works_there(monkeypatch):
    from collm_envs.sandbox import sandbox

    monkeypatch.setattr(sandbox.sys, "platform", "win32")
    for backend in ("auto", "wasm", "process"):
        with pytest.raises(SandboxUnavailable, match=r"WebAssembly backend.*WSL"):
            Sandbox(backend=backend)
