"""What the trainers' sources read."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCES = [path for path in Path("baselines").rglob("*.py") if path.name != "published.py"]


def attributes_read() -> set[str]:
    """Every name that is read as an attribute anywhere in the trainers."""
    names: set[str] = set()
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        names |= {
            n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)
        }
    return names
