"""Parts of files of the repository as pages: links are turned towards the site, or the repository's host."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
PAGES = {
    "CONTRIBUTING.md": "extending.md",
    "docs/use-with.md": "use-with.md",
    "leaderboard/README.md": "board.md",
}
"""file of the repository -> its page on the site"""


def host() -> str:
    """The address of the repository's files, of the environment of GitHub's runners; "" elsewhere."""
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_REF_NAME")
    server, name, branch = (os.environ.get(variable, "") for variable in names)
    return f"{server}/{name}/blob/{branch}" if all((server, name, branch)) else ""


def section(text: str, heading: str) -> str:
    """The part of a Markdown text from a heading of the second level up to the next one, heading included."""
    found = re.search(rf"^## {re.escape(heading)}\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if not found:
        raise ValueError(f"no heading '## {heading}' in the text that begins with {text[:60]!r}")
    return found[0].rstrip()


def turned(text: str, file: str) -> str:
    """The text of a file of the repository, with its relative links turned, or taken out."""

    def turn(link: re.Match[str]) -> str:
        words, target = link.groups()
        if "://" in target or target.startswith("#"):
            return link[0]
        target, mark, anchor = target.partition("#")
        path = str(PurePosixPath(os.path.normpath(PurePosixPath(file).parent / target)))
        if path.startswith("docs/") and path not in PAGES:
            return link[0]
        if path in PAGES:
            return f"[{words}]({PAGES[path]}{mark}{anchor})"
        return f"[{words}]({host()}/{path})" if host() else words

    return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", turn, text)


def docstring(file: str) -> str:
    """The docstring of a module of the repository, which is not imported."""
    return ast.get_docstring(ast.parse(read(file))) or ""


def read(file: str) -> str:
    """The text of a file of the repository."""
    return (ROOT / file).read_text(encoding="utf-8")
