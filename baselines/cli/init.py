"""`collm init`: a small environment or algorithm of one's own, with its test, to begin with."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from baselines.runs.algorithms import find, names
from collm_envs.files import write_whole

USAGE = """usage: collm init env NAME          an environment: NAME.py and test_NAME.py
       collm init algorithm NAME    an algorithm: NAME.py and test_NAME.py

Both files are written into the current folder and run as they are; the texts are those of CONTRIBUTING.md.
NAME is that of a Python module, like two_words."""
TEMPLATES = Path(__file__).with_name("templates")


class Kind(NamedTuple):
    template: str
    """the files templates/TEMPLATE.txt and templates/TEMPLATE_test.txt"""
    example: str
    """its module's name in these files; in capital letters it begins the class and the id"""
    next: str
    """commands to try next, with {name} and {id}"""


KINDS = {
    "env": Kind("env", "share", "collm eval {name}:{id}"),
    "algorithm": Kind("algorithm", "moving", "collm train {name} --help"),
}


def main(args: Sequence[str]) -> int:
    """Run the command line after `collm init`; prints the files written and what to do next."""
    if not args or {"-h", "--help"} & set(args):
        print(USAGE)
        return 0
    if args[0] not in KINDS or len(args) != 2:
        raise ValueError(f"need `collm init env NAME` or `collm init algorithm NAME`, got {' '.join(args)!r}")
    kind, name = KINDS[args[0]], args[1]
    files = written(kind, name)
    for file in files:
        if Path(file).exists():
            raise ValueError(f"{file} is there already; nothing was written")
    check_name(kind, name)
    for file, text in files.items():
        write_whole(Path(file), text)
    print("\n".join(files))
    print(f"try  {kind.next.format(name=name, id=env_id(name))}", file=sys.stderr)
    print(f"     python -m pytest test_{name}.py", file=sys.stderr)
    return 0


def check_name(kind: Kind, name: str) -> None:
    """Raise ValueError for a name that is no module's, or that of an existing module or environment."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ValueError(f"NAME must be small letters, digits and _, and no word of Python's, got {name!r}")
    if name.startswith("test_"):
        raise ValueError(f"NAME must not begin with test_, as the tests do, got {name!r}")
    if (find(name) is not None and not Path(f"{name}.py").exists()) or name in names():
        raise ValueError(
            f"there is a module {name!r} already, which this one would hide; choose another NAME"
        )
    if kind is KINDS["env"]:
        from collm_envs import registry

        if env_id(name) in registry:
            raise ValueError(f"there is an environment {env_id(name)} already; choose another NAME")


def env_id(name: str) -> str:
    """ "two_words" -> "TwoWords-v0" """
    return f"{class_name(name)}-v0"


def class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def written(kind: Kind, name: str) -> dict[str, str]:
    """{file: text} of an example under another name."""
    files = {f"{name}.py": kind.template, f"test_{name}.py": f"{kind.template}_test"}
    return {file: renamed(template(which), kind.example, name) for file, which in files.items()}


def template(name: str) -> str:
    """The text of an example, as CONTRIBUTING.md shows it."""
    return (TEMPLATES / f"{name}.txt").read_text(encoding="utf-8")


def renamed(text: str, example: str, name: str) -> str:
    """The text with the example's names replaced: module, class, id, tests.  Other words stay."""
    text = re.sub(rf"\b{example.capitalize()}\b", class_name(name), text)
    text = re.sub(rf"\bimport {example}\b", f"import {name}", text)
    text = re.sub(rf"\b{example}(?=[:.]\w)", name, text)
    text = re.sub(rf'"{example}"', f'"{name}"', text)
    return re.sub(rf"\btest_{example}_", f"test_{name}_", text)
