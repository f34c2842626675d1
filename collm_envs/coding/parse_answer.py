"""Finds the code in a model's text by parsing it.  This file is run in a throw-away process.

`ast.parse` of hostile text may exhaust or crash the interpreter, so nothing here is called in the process
of the environment: `Sandbox.call` gets the source of this file, which therefore imports the standard library
only.  The code found is not executed.
"""

import ast
import itertools
import re

TRIES = 8
"""beginnings, and ends for each, that are tried to find code with prose around it"""
MAX_FENCES = 12
"""fences of a text that are considered"""
_FENCE = re.compile(r"`{3,}|^[ \t]*~{3,}|~{3,}(?=[ \t]*$)", re.MULTILINE)
_LANGUAGE = re.compile(
    r"\s*\{?\.?(?:python|py)[\d.]*\}?(?:[ \t]*\n|[ \t]+|(?=(?:async def|def|class|import|from) |@))",
    re.IGNORECASE,
)
"""the language's name before code: beside a fence, or in a line of its own"""
_CODE = re.compile(r"^(?:(?:async def|def|class|import|from|@)\b|[A-Za-z_]\w*[ \t]*=(?!=))", re.MULTILINE)


def line_program(program, main):
    """[error, misuses] of a merged program and its main function: see `_error` and `_misuses`."""
    error = _error(program)
    tree = None if error or _error(main) else ast.parse(main)
    return [error, _misuses(tree, {"aux"}) if tree else []]


def agents(texts):
    """For each [text, name, helpers]: [code, error, defined, called helpers, misuses].

    `code` is the part of the text that becomes a module: see `_choose`.
    """
    return [_agent(text, name, set(helpers)) for text, name, helpers in texts]


def _agent(text, name, helpers):
    code = _choose(text, name)
    error = _error(code)
    if error:
        return [code, error, False, [], []]
    tree = ast.parse(code)
    called = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in helpers}
    return [code, None, name in _bound(tree), sorted(called), _misuses(tree, helpers)]


def _choose(text, name):
    """The first part of a text, between two fences or its ends, that is Python and binds `name`.

    Parts with a fence inside (in a docstring, for example) are tried too, then parts with prose around the
    code.  Earlier parts that define something else are put before it.
    """
    text = re.sub(r"\r\n?", "\n", text)
    unfenced = next(_readings(text, False))
    if _binds(unfenced, name):
        return unfenced
    fences = [fence.span() for fence in _FENCE.finditer(text)][:MAX_FENCES]
    cuts = [(0, 0), *fences, (len(text), len(text))]
    for trim in (_unchanged, _without_prose):
        for i, (_, start) in enumerate(cuts):
            for end, _ in cuts[i + 1 :]:
                if name not in text[start:end]:
                    continue
                for part in _readings(text[start:end], i > 0):
                    code = trim(part, name)
                    if _binds(code, name):
                        return _after_earlier(text, cuts[: i + 1], code, name)
    return _unread(text, cuts, name)


def _readings(part, fenced):
    """The candidates for the code of a part: without and with the words beside its opening fence."""
    beside, _, below = part.partition("\n")
    if fenced and not beside.strip():
        part = below
    elif fenced and not _defines(beside):
        yield _outdented(_LANGUAGE.sub("", below) if _LANGUAGE.fullmatch(below[:8]) else below)
    language = _LANGUAGE.match(part)
    yield _outdented(part[language.end() :] if language else part)


def _outdented(code):
    """Code without the indentation of its first line (code inside a list is indented)."""
    lines = code.split("\n")
    first = next((line for line in lines if line.strip()), "")
    indent = len(first) - len(first.lstrip(" \t"))
    return re.sub(rf"^[ \t]{{1,{indent}}}", "", code, flags=re.MULTILINE) if indent else code


def _unchanged(part, name):
    return part


def _without_prose(part, name):
    """From a line that begins like code to the last statement before one that is not Python; "" if none."""
    for start in list(_CODE.finditer(part))[:TRIES]:
        code = part[start.start() :]
        for _ in range(TRIES):
            if name not in code or not (error := _error(code)):
                break
            code = _before(code, error[0])
        if _binds(code, name):
            return code
    return ""


def _before(code, line):
    """Code up to the top-level statement that `line` belongs to."""
    lines = code.split("\n")
    last = max(0, min(line, len(lines)) - 1)
    while last > 0 and lines[last][:1] in ("", " ", "\t", ")", "]", "}"):
        last -= 1
    return "\n".join(lines[:last])


def _after_earlier(text, cuts, code, name):
    """Code with the parts before it that define something and do not name its function."""
    earlier = []
    for i, ((_, start), (end, _)) in enumerate(itertools.pairwise(cuts)):
        part = next((part for part in _readings(text[start:end], i > 0) if _defines(part)), "")
        if part and not re.search(rf"\b{re.escape(name)}\b", part):
            earlier.append(part)
    combined = "\n".join([*earlier, code])
    return code if _error(combined) else combined


def _unread(text, cuts, name):
    """The code to report errors of if no part binds `name`: a part with its `def`, else all fenced parts."""
    parts = [
        next(_readings(text[start:end], i > 0))
        for i, ((_, start), (end, _)) in enumerate(itertools.pairwise(cuts))
    ]
    seems = [part for part in parts if re.search(rf"\bdef\s+{re.escape(name)}\b", part)]
    return seems[0] if seems else "\n".join(parts[1::2]) if len(parts) > 1 else text


def _binds(code, name):
    """Whether code is Python that binds `name` at its top level."""
    if code.lstrip().startswith("~~~"):  # ~~~python is also a valid expression
        return False
    return name in code and not _error(code) and name in _bound(ast.parse(code))


def _defines(code):
    """Whether code is Python that imports, defines or assigns something."""
    return not _error(code) and bool(_bound(ast.parse(code)))


def _error(code):
    """[line, column, message] of the syntax error in a text, or None."""
    try:
        ast.parse(code)
    except SyntaxError as error:
        return [error.lineno or 0, error.offset or 0, str(error.msg)]
    except (ValueError, MemoryError, RecursionError):
        return [0, 0, "too deeply nested or not text"]
    return None


def _bound(tree):
    """The names a module binds at its top level."""
    names = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update(alias.asname or alias.name for alias in node.names)
        else:
            names.update(
                n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            )
    return names


def _misuses(tree, helpers):
    """Calls of a helper whose result is not used, as sentences with line numbers."""
    names = [n for n in ast.walk(tree) if isinstance(n, ast.Name)]
    misuses = []
    for node in (n for n in ast.walk(tree) if isinstance(n, (ast.Expr, ast.Assign))):
        if not isinstance(node.value, ast.Call) or not isinstance(node.value.func, ast.Name):
            continue
        if node.value.func.id not in helpers:
            continue
        if isinstance(node, ast.Expr):
            misuses.append((node.lineno, f"the result of {node.value.func.id} is thrown away"))
            continue
        for target in (t for t in node.targets if isinstance(t, ast.Name)):
            waste = _waste([n for n in names if n.id == target.id], node.lineno)
            if waste:
                misuses.append((node.lineno, f"{target.id} is {waste}"))
    return [f"line {line}: {what}" for line, what in sorted(misuses)]


def _waste(names, line):
    """Why a variable assigned in `line` is not used, or "": judged by the order of lines alone."""
    if not any(isinstance(n.ctx, ast.Load) for n in names):
        return "never read"
    reads = [n.lineno for n in names if n.lineno > line and isinstance(n.ctx, ast.Load)]
    writes = [n.lineno for n in names if n.lineno > line and isinstance(n.ctx, ast.Store)]
    anew = writes and reads and min(writes) < min(reads)
    return f"assigned anew in line {min(writes)} before it is read" if anew else ""
