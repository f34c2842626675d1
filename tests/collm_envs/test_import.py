"""What `import collm_envs` loads, and that nothing of its face is lost by loading it late."""

import subprocess
import sys
from pathlib import Path

import pytest

import collm_envs

HEAVY = {"numpy", "gymnasium", "pettingzoo"}


def run(code):
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    "statement",
    [
        "import collm_envs.sandbox",
        "from collm_envs.sandbox import Sandbox",
        "import collm_envs; dir(collm_envs)",
    ],
)
def test_the_sandbox_alone_needs_the_standard_library_only(statement):
    assert run(f"{statement}\nimport sys\nprint(sorted({HEAVY} & set(sys.modules)))") == "[]"


@pytest.mark.parametrize(
    "statement",
    [
        "import collm_envs, pettingzoo",
        "import pettingzoo, collm_envs",
        "from collm_envs import make, registry",
    ],
)
def test_pettingzoo_knows_the_environments_in_whatever_order_both_are_imported(statement):
    code = f"{statement}\nimport pettingzoo\nif hasattr(pettingzoo, 'register'):\n"
    code += "    print(pettingzoo.make('parallel', 'collm/StrBuild-v0'))\nelse:\n    print('StrBuild-v0')"
    assert run(code) == "StrBuild-v0"


@pytest.mark.parametrize(
    "statement",
    [
        "import collm_envs, gymnasium",
        "import gymnasium, collm_envs",
        "import pettingzoo, collm_envs, gymnasium",
        "from collm_envs import make; import gymnasium",
    ],
)
def test_gymnasium_knows_a_seat_of_each_in_whatever_order_both_are_imported(statement):
    code = f"{statement}\nenv = gymnasium.make('collm/StrBuild-v0-seat', seat='agent_1')"
    code += "\nprint(env.unwrapped.seat)"
    assert run(code) == "agent_1"


@pytest.mark.parametrize("name", collm_envs.__all__)
def test_every_public_name_is_there_and_listed(name):
    assert name in dir(collm_envs)
    assert getattr(collm_envs, name) is not None


@pytest.mark.parametrize(
    "statement",
    [
        "import collm_envs.registry",
        "from collm_envs.registry import make",
        "import collm_envs; collm_envs.make",
    ],
)
def test_the_table_of_environments_is_not_hidden_by_the_module_of_its_name(statement):
    assert run(f"{statement}\nimport collm_envs\nprint('TLDR-v0' in collm_envs.registry)") == "True"


def test_the_package_tells_its_version():
    assert collm_envs.__version__.count(".") == 2 or collm_envs.__version__ == "unknown"
    assert "__version__" in dir(collm_envs)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'mak'"):
        collm_envs.mak
    with pytest.raises(ImportError, match="cannot import name 'mak'"):
        exec("from collm_envs import mak")


def test_no_module_has_the_name_of_something_public():
    """It would take its place in the package once it is imported; the registry's is hidden by hand."""
    modules = {path.stem for path in Path(collm_envs.__file__).parent.iterdir()}
    assert modules & set(collm_envs.__all__) == {"registry"}
