"""Shared set-up: one torch thread (two busy threads on two cores are slower than one), real data by path."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    import torch

    torch.set_num_threads(1)


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
