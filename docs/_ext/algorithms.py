"""The page of each algorithm: docstring, settings with a sentence each, published settings.

Sources are parsed and not imported, so torch is not needed.
"""

from __future__ import annotations

import ast

import repository
from prose import as_markdown

from baselines.runs.published import PUBLISHED, ROWS
from collm_envs.keyword_docs import field_docs, markdown_table

SHARED = "baselines/train/settings.py"


def names() -> list[str]:
    """The algorithms: the files directly in `baselines/`."""
    return sorted(path.stem for path in (repository.ROOT / "baselines").glob("[!_]*.py"))


def page(name: str) -> str:
    """The page of an algorithm in Markdown."""
    source = repository.read(f"baselines/{name}.py")
    parts = [f"# {name}", as_markdown(repository.docstring(f"baselines/{name}.py"))]
    if settings := settings_table(source, "Config"):
        parts += ["## Settings", settings]
        if "Config(Settings)" in source:
            parts.append("And the [settings of every text trainer](settings.md).")
    if rows := _published(name):
        head = ("environment", "row of the paper", "settings")
        parts += ["## Published settings", "What `--paper` fills in:", markdown_table(head, rows)]
    return "\n\n".join(parts) + "\n"


def settings_page() -> str:
    """The page of the settings that all text trainers share."""
    return (
        "# Settings of every text trainer\n\nEach is a flag of `collm train ALGORITHM`, `lora_rank` for "
        f"example `--lora-rank`.\n\n{settings_table(repository.read(SHARED), 'Settings')}\n"
    )


def overview() -> str:
    """The list of algorithms in Markdown."""
    rows = []
    for name in names():
        title = repository.docstring(f"baselines/{name}.py").split("\n\n")[0]
        rows.append((f"[{name}]({name}.md)", " ".join(title.split())))
    pages = "\n".join([*names(), "settings"])
    return (
        "# Algorithms\n\nOne file each, with the paper's equation on the first screen. "
        "`collm train NAME` trains, `collm train NAME --help` lists the settings with the defaults for your "
        "environment.\n\n"
        f"{markdown_table(('file of `baselines/`', 'what it is'), rows)}\n\n"
        f"```{{toctree}}\n:hidden:\n\n{pages}\n```\n"
    )


def settings_table(source: str, name: str) -> str:
    """The fields of a dataclass as a table in Markdown, "" if the source has no class of that name."""
    classes = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    if name not in classes:
        return ""
    meanings = field_docs(ast.get_source_segment(source, classes[name]) or "")
    rows = [
        (
            f"`{ast.unparse(node.target)}`",
            f"`{ast.unparse(node.annotation)}`",
            f"`{ast.unparse(node.value)}`" if node.value else "required",
            meanings.get(ast.unparse(node.target), ""),
        )
        for node in classes[name].body
        if isinstance(node, ast.AnnAssign)
    ]
    return markdown_table(("setting", "type", "default", "meaning"), rows)


def _published(name: str) -> list[tuple[str, str, str]]:
    return [
        (env, row, ", ".join(f"`{key}={value!r}`" for key, value in settings.items()))
        for env, by_row in PUBLISHED.items()
        for row, settings in by_row.items()
        if ROWS[row][0] == name
    ]
