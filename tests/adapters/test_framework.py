"""A framework that is missing or too old is one line with what to install; none is imported early."""

import importlib
import importlib.metadata
import importlib.util
import subprocess
import sys

import pytest

from collm_envs.adapters.framework import load_framework, numbers

FRAMEWORKS = {"trl", "comlrl", "verifiers", "openenv", "torchrl", "tensordict", "ray", "torch", "datasets"}


@pytest.mark.parametrize(
    ("version", "parts"),
    [("1.16.0", (1, 16, 0)), ("1.4.3rc1", (1, 4, 3)), ("0.14+cpu", (0, 14)), ("2", (2,))],
)
def test_versions_are_compared_by_their_numbers(version, parts):
    assert numbers(version) == parts


def test_a_package_that_is_missing_is_named_with_what_to_install():
    with pytest.raises(
        ImportError, match=r"this adapter needs nothing-here: pip install 'nothing-here>=1\.2'"
    ):
        load_framework("nothing_here", "1.2", package="nothing-here")


def test_a_package_that_is_too_old_is_named_with_both_versions():
    have = importlib.metadata.version("numpy")
    with pytest.raises(ImportError, match=f"needs numpy 99.0, got {have}: pip install 'numpy>=99.0'"):
        load_framework("numpy", "99.0")
    assert load_framework("numpy", "1.26").__name__ == "numpy"


@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("trl", "environment_factory"),
        ("trl", "rollout"),
        ("verifiers", "environment"),
        ("verifiers", "taskset"),
        ("openenv", "app"),
        ("comlrl", "plug"),
        ("torchrl", "env"),
        ("rllib", "make_env"),
    ],
)
def test_every_adapter_says_what_to_install(module, function):
    package = {"rllib": "ray"}.get(module, module)
    if importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    call = getattr(importlib.import_module(f"collm_envs.adapters.{module}"), function)
    with pytest.raises(
        ImportError, match=rf"^this adapter needs {package}: pip install '{package}>=[\d.]+'$"
    ):
        call("StrBuild-v0")


def test_importing_every_adapter_imports_no_framework():
    code = (
        "import importlib, pkgutil, sys\n"
        "import collm_envs.adapters as adapters\n"
        "for module in pkgutil.iter_modules(adapters.__path__):\n"
        "    importlib.import_module(f'collm_envs.adapters.{module.name}')\n"
        f"print(sorted({FRAMEWORKS} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
