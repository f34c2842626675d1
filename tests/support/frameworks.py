"""Frameworks that most machines do not have: a test module that needs one is skipped by its name."""

from __future__ import annotations

import importlib.metadata
import warnings

import pytest

from collm_envs.adapters.framework import numbers


def need(package: str, at_least: str) -> None:
    """Skip the module where `package` is missing or older; `make adapters` installs and runs each."""
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed", allow_module_level=True)
    if numbers(version) < numbers(at_least):
        pytest.skip(f"{package} {version} is older than {at_least}", allow_module_level=True)
    warnings.simplefilter("ignore")  # while the module is collected: frameworks warn when they are imported
