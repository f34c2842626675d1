"""Files that outlive what may happen to a process: one writer a folder, whole files or none, full disks.

A lock is the operating system's, on `.lock` in the folder: it ends with the process that holds it, however
that ends.  Where a (network) file system knows no locks, a warning says so and nothing is locked.
"""

from __future__ import annotations

import codecs
import json
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EAGAIN
from pathlib import Path
from typing import IO, Any, TextIO

BUSY = (EACCES, EAGAIN)
"""what taking a lock says where somebody else has it"""
_held: dict[Path, int] = {}
"""folder -> thread of this process that writes there; the system's locks tell processes apart, not threads"""


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Nobody else may write to `folder` (made where it is missing) meanwhile.

    Raises RuntimeError that names the process which does.  A thread may enter again what it holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key, thread = folder.resolve(), threading.get_ident()
    holder = _held.get(key)
    if holder == thread:
        yield
        return
    if holder is not None:
        raise RuntimeError(f"{folder} is being written by another thread of this process")
    _held[key] = thread
    file = None
    try:
        file = _take(folder)
        yield
    finally:
        del _held[key]
        if file is not None:
            _leave(folder, file)


def _take(folder: Path) -> IO[str]:
    path = folder / ".lock"
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            _lock(file)
        except OSError as error:
            holder = _holder(file)
            file.close()
            if error.errno in BUSY:
                hint = "wait for it, stop it, or choose another folder"
                raise RuntimeError(f"{folder} is being written by {holder}; {hint}") from None
            warning = f"{folder} cannot be locked ({error}): start nothing else that writes there"
            warnings.warn(warning, stacklevel=4)
            return path.open("a+", encoding="utf-8")
        if _is_there(file, path):
            break
        file.close()  # whoever had it has just removed it
    with suppress(OSError):  # on a full disk it holds without a name
        os.truncate(file.fileno(), 0)
        os.write(file.fileno(), f"process {os.getpid()} on {_host()}: {' '.join(sys.argv)[:200]}".encode())
    return file


def _holder(file: IO[str]) -> str:
    try:
        file.seek(0)
        return file.read() or "another process"
    except OSError:  # Windows: what is locked cannot be read
        return "another process"


def _is_there(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _leave(folder: Path, file: IO[str]) -> None:
    with suppress(PermissionError):  # Windows removes no open file; without its lock it means nothing
        (folder / ".lock").unlink(missing_ok=True)  # before it is unlocked: nobody may take a file that goes
    file.close()


def _host() -> str:
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "this machine")


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[str]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not flock: children would hold it on


@contextmanager
def saving(what: str, hint: str) -> Iterator[None]:
    """An OSError within (a full disk) comes out as one line: what could not be written, why, how to go on."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise OSError(error.errno, f"{what} could not be written ({why}); {hint}") from error


@contextmanager
def appending(path: Path) -> Iterator[TextIO]:
    """The file opened to append (made where it is missing), without a last line that a kill cut short."""
    path.touch()
    with path.open("rb+") as existing:
        existing.truncate(existing.read().rfind(b"\n") + 1)
    file = path.open("a", encoding="utf-8", newline="\n")
    try:
        yield file
    except BaseException:
        with suppress(OSError):  # a full disk has been said already, and closing writes what is left
            file.close()
        raise
    file.close()


def draft_name() -> str:
    """How the name of a draft begins that no other process or thread of this machine writes to."""
    return f".draft.{os.getpid()}.{threading.get_ident()}"


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` at the end, so that `path` is never half a file.

    After any exception `path` stays as it was, and no draft is left.  Of processes and threads that write the
    same file at the same time the last one counts.
    """
    draft = path.with_name(f"{draft_name()}.{path.name}")  # its ending tells who writes to compress
    try:
        yield draft
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole or as it was before."""
    with drafted(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """`write_whole` of a value as indented JSON."""
    write_whole(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file; ValueError that names the file where it holds none (cut, edited)."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read ({error})") from error


def read_lines(path: Path) -> list[Any]:
    """The values of a file with one JSON value a line, without blank lines and one that a kill cut short.

    Raises ValueError that names file and line where another one is damaged.
    """
    values = []
    lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")[:-1]
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                values.append(json.loads(line.decode("utf-8")))
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{path}:{number}: not a line of JSON ({error})") from error
    return values
