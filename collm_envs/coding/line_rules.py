"""Merges two texts into one program by the published line rules: regular expressions, no parsing.

v0 is the published task, so what its rules drop stays dropped: imports, classes, decorators and globals
outside a function, everything after a nested function, signatures over several lines, sentences in
docstrings.  String operations only, in time linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

QUOTES = ('"""', "'''")
_FENCES = (re.compile(r"```python\s*\n?"), re.compile(r"```\s*\n?"))
_DEF = re.compile(r"\s*def\s+\w+\s*\(")
_SENTENCE = re.compile(r"[A-Z][a-z].*[.!?:]$")
_CODE_SIGNS = ("def ", "return ", "if ", "for ", "while ", "=", "(", ")", "[", "]")
_RETURN = re.compile(r"return\s+")
_CALL = re.compile(r"\baux\s*\(")
_ASSIGNED = re.compile(r"\b(\w+)\s*=\s*aux\s*\(")
_IGNORED = re.compile(r"aux\s\([^)]\)")
_IMPORTS = (re.compile(r"from\s+[\w.]+\s+import\s+.*$"), re.compile(r"import\s+[\w.,\s]+$"))
_ASSERT = re.compile(r"assert\s.*candidate")
_CHECK = re.compile(r"def check\(candidate\):(.*?)(?=\n\ndef|\Z)", re.DOTALL)


def cleanup(text: str) -> str:
    """The functions of a text, joined by blank lines; "" if there are none."""
    for fence in _FENCES:
        text = fence.sub("", text)
    lines = text.split("\n")
    kept = "\n\n".join("\n".join(block) for block in _blocks(lines)).split("\n")
    program = "\n".join(line for line in kept if not _is_sentence(line)).strip()
    return program if re.search(r"def\s+\w+\s*\(", program) else ""


def extract(text: str, name: str) -> str:
    """The first function `name` of a text, as far as its lines stay indented; "" if there is none."""
    opening = re.compile(rf"\s*def\s+{re.escape(name)}\s*\(")
    lines = cleanup(text).split("\n")
    first = next((i for i, line in enumerate(lines) if opening.match(line)), None)
    if first is None:
        return ""
    indent = _indent(lines[first])
    last = first + 1
    while last < len(lines) and (not lines[last].strip() or _is_deeper(lines[last], indent)):
        last += 1
    return "\n".join(lines[first:last]).strip()


def is_defined(function: str) -> bool:
    """Whether an extracted function counts as defined: it contains `return`, in a comment or a string too."""
    return _RETURN.search(function) is not None


def merge(imports: str, *functions: str) -> str:
    """One program: the problem's imports, then the functions, each cleaned up once more."""
    return "\n\n".join(part for part in (imports, *map(cleanup, functions)) if part)


def imports_of(prompt: str) -> str:
    """The import lines of a problem's prompt, each once."""
    lines = (line.strip() for line in prompt.split("\n"))
    return "\n".join(dict.fromkeys(line for line in lines if any(p.match(line) for p in _IMPORTS)))


def asserts_of(test: str, entry_point: str) -> tuple[str, ...]:
    """The one-line asserts of check(candidate), each once, with `candidate` replaced by `entry_point`.

    Raises ValueError if there is no `def check(candidate):`.
    """
    return tuple(line.replace("candidate", entry_point) for line in dict.fromkeys(_assert_lines(test)))


def sliced(test: str, n: int) -> str:
    """`test` with its first n asserts only; the last |n| for n < 0, all for n = 0."""
    lines = test.split("\n")
    asserts = [i for i, line in enumerate(lines) if _is_assert(line)]
    kept = set(asserts[:n] if n > 0 else asserts[n:])
    return "\n".join(line for i, line in enumerate(lines) if i in kept or i not in asserts)


def calls_aux(function: str) -> bool:
    """Whether the text of a function mentions a call of aux: in a comment or a string too."""
    return _CALL.search(function) is not None


def is_thin_wrapper(function: str) -> bool:
    """Whether a function does nothing, returns a single expression with aux, or v = aux(...) and then v."""
    match list(_statements(function)):
        case []:
            return True
        case [only]:
            return only.startswith("return ") and "aux" in only
        case [first, second]:
            assigned = _ASSIGNED.search(first)
            return assigned is not None and second == f"return {assigned[1]}"
    return False


def ignores_aux(function: str) -> bool:
    """The published detector of an unused result: a line `aux (x)` with one blank and one character."""
    return any(_IGNORED.fullmatch(line.strip()) for line in function.split("\n"))


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """The lines of each function: its `def` and the blank, deeper or docstring lines after it."""
    block: list[str] = []
    indent, quotes = 0, ""
    for line in lines:
        bare = line.strip()
        if quotes:
            block.append(line)
            quotes = "" if quotes in line else quotes
        elif _DEF.match(line):
            if block:
                yield block
            block, indent = [line], _indent(line)
        elif block and (not bare or _is_deeper(line, indent)):
            block.append(line)
        elif block and bare.startswith(QUOTES):
            block.append(line)
            quotes = "" if _closes(bare) else bare[:3]
        elif block:
            yield block
            block = []
    if block:
        yield block


def _statements(function: str) -> Iterator[str]:
    """The stripped lines that are not blank, comment, docstring or `def`."""
    quoted = False
    for line in function.split("\n"):
        bare = line.strip()
        if quoted:
            quoted = not any(quotes in bare for quotes in QUOTES)
        elif bare.startswith(QUOTES):
            quoted = not _closes(bare)
        elif bare and not bare.startswith(("#", "def ")):
            yield bare


def _closes(bare: str) -> bool:
    """Whether a docstring that begins on this stripped line also ends there."""
    return bare.endswith(bare[:3]) and len(bare) > 3


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _is_deeper(line: str, indent: int) -> bool:
    return line.startswith("\t") or len(line) - len(line.lstrip(" ")) > indent


def _is_sentence(line: str) -> bool:
    bare = line.strip()
    if bare.startswith(("#", *QUOTES)) or any(sign in line for sign in _CODE_SIGNS):
        return False
    return _SENTENCE.match(bare) is not None


def _is_assert(line: str) -> bool:
    return _ASSERT.match(line.strip()) is not None


def _assert_lines(test: str) -> list[str]:
    check = _CHECK.search(test)
    if check is None:
        raise ValueError("test: need a function `def check(candidate):` with asserts, got none")
    return [line.strip() for line in check[1].split("\n") if _is_assert(line)]
