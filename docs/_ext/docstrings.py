"""What Sphinx does with our docstrings: it reads them as `prose` has them, and fails where there is none."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any

from prose import as_rst
from sphinx.application import Sphinx
from sphinx.util import logging

DOCUMENTED = ("module", "class", "exception", "function", "method", "property")
"""kinds of objects that must have a docstring"""
OURS = ("collm_envs", "baselines", "leaderboard")
_log = logging.getLogger(__name__)


def process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Rewrite a docstring for Sphinx; a public object without one is a warning, and so fails the build."""
    text = "\n".join(lines)
    if not text.strip() and what in DOCUMENTED:
        _log.warning("%s %s has no docstring", what, name)
    lines[:] = as_rst(text)


def skip(app: Sphinx, what: str, name: str, obj: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out what is private, and classes of other packages that a module imports."""
    foreign = isinstance(obj, type) and obj.__module__.split(".")[0] not in OURS
    return True if name.startswith("_") or foreign else None


def sign(app: Sphinx, what: str, name: str, obj: Any, options: Any, given: str, back: str) -> tuple | None:
    """No arguments behind the name of a class of data: its fields are listed below it with what they mean."""
    is_data = isinstance(obj, type) and (is_dataclass(obj) or issubclass(obj, tuple))
    return ("", None) if is_data else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-signature", sign)
    return {"parallel_read_safe": True}
