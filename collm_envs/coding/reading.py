"""What a model's text says, found by parsing it.  The whole file is sent to a throw-away process.

`ast.parse` of hostile text may exhaust or crash the interpreter, so nothing here is ever called in the
process of the environment: the file's text is the program of `Sandbox.call`, which is why it imports from
the standard library only.  Nothing is executed.
"""

import ast
import re

TRIES = 8
"""times an unfenced text is cut at its first line that is not Python"""
_BLOCK = re.compile(r"^[ \t]*(`{3,}|~{3,})[^`~\n]*\n(.*?)(?:^[ \t]*\1|\Z)", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"^(?:async def|def|class|import|from|@)\b", re.MULTILINE)


def line_program(program, main):
    """[error, misuses] of a merged program and its main function: see `_error` and `_misuses`."""
    error = _error(program)
    tree = None if error or _error(main) else ast.parse(main)
    return [error, _misuses(tree, {"aux"}) if tree else []]


def agents(texts):
    """For each [text, name, helpers]: [code, error, defined, called helpers, misuses].

    code is what of the text is to be a module of its own: the fenced blocks up to the first that binds
    `name`, or the whole text; prose before and after the code of an unfenced text is left out.
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
    blocks = [found[1] for found in _BLOCK.findall(text)]
    for i, block in enumerate(blocks):
        if not _error(block) and name in _bound(ast.parse(block)):
            whole = "\n".join(blocks[: i + 1])
            return block if _error(whole) else whole
    return "\n".join(blocks) if blocks else _without_prose(text, name)


def _without_prose(text, name):
    start = _CODE.search(text)
    if not start or not _error(text):
        return text
    code = text[start.start() :]
    for _ in range(TRIES):
        error = _error(code)
        if not error:
            return code if name in _bound(ast.parse(code)) else text
        code = "\n".join(code.split("\n")[: max(0, error[0] - 1)])
    return text


def _error(code):
    """[line, column, message] of what keeps a text from being Python, or None."""
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
    """Calls of a helper whose result goes to waste, as sentences with line numbers."""
    names = [n for n in ast.walk(tree) if isinstance(n, ast.Name)]
    found = []
    for node in (n for n in ast.walk(tree) if isinstance(n, (ast.Expr, ast.Assign))):
        if not isinstance(node.value, ast.Call) or not isinstance(node.value.func, ast.Name):
            continue
        if node.value.func.id not in helpers:
            continue
        if isinstance(node, ast.Expr):
            found.append((node.lineno, f"the result of {node.value.func.id} is thrown away"))
            continue
        for target in (t for t in node.targets if isinstance(t, ast.Name)):
            waste = _waste([n for n in names if n.id == target.id], node.lineno)
            if waste:
                found.append((node.lineno, f"{target.id} is {waste}"))
    return [f"line {line}: {what}" for line, what in sorted(found)]


def _waste(names, line):
    """How a variable assigned in `line` goes to waste, or "": judged by the order of lines alone."""
    if not any(isinstance(n.ctx, ast.Load) for n in names):
        return "never read"
    reads = [n.lineno for n in names if n.lineno > line and isinstance(n.ctx, ast.Load)]
    writes = [n.lineno for n in names if n.lineno > line and isinstance(n.ctx, ast.Store)]
    anew = writes and reads and min(writes) < min(reads)
    return f"assigned anew in line {min(writes)} before it is read" if anew else ""
