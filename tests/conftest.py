"""Shared set-up: one torch thread (two busy on two cores are slower than one), seeds, real data by path.

`--seeds N` runs every test that takes the fixture `training_seed` once for each of N seeds, and no other:
a test of learning must hold for all of them (tests/support/seeds.py asks so under other arithmetic, too).
"""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_addoption(parser):
    parser.addoption("--seeds", type=int, default=1, help="seeds of every test that trains; 1: all the tests")
    parser.addoption("--threads", type=int, default=1, help="torch threads")


def pytest_generate_tests(metafunc):
    if "training_seed" in metafunc.fixturenames and metafunc.config.getoption("seeds") > 1:
        metafunc.parametrize("training_seed", range(metafunc.config.getoption("seeds")), ids="seed{}".format)


def pytest_collection_modifyitems(config, items):
    if config.getoption("seeds") > 1:
        items[:] = [item for item in items if "training_seed" in item.fixturenames]


@pytest.fixture
def training_seed() -> int:
    """The seed of a test's models, dice and starts: 0, or each of `--seeds N`."""
    return 0


@pytest.fixture(autouse=True, scope="session")
def threads(pytestconfig):
    import torch

    torch.set_num_threads(pytestconfig.getoption("threads"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with data sets of others; tests that need it are skipped where it is absent."""
    folder = os.environ.get("COLLM_TEST_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("COLLM_TEST_DATA does not name a folder with the real data sets")
    return Path(folder)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A browser for a module's tests, or the reason to skip them."""
    from browser import CHROMIUM, Browser  # it talks over pipes as only Unix has them

    if CHROMIUM is None:
        pytest.skip("no chromium or google-chrome on this machine")
    one = Browser(tmp_path_factory.mktemp("profile"))
    yield one
    one.close()


@pytest.fixture
def browser(chromium):
    """The same, and no page may have made an error."""
    chromium.errors.clear()
    yield chromium
    assert chromium.errors == []
