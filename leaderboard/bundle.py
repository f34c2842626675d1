"""Reads the files of an entry, from a folder or a zip, as streams with size limits.

Nothing is unpacked, no link is followed and no path of an entry is used: an entry with a file of any other
than the known names is refused.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from collm_envs.record import Record

MAX_RUNS = 64
MAX_FILE_BYTES = 64 * 2**20
"""most bytes of a file of an entry (compressed)"""
MAX_RUN_BYTES = 512 * 2**20
"""most bytes of a run's records, uncompressed"""
MAX_LINE_BYTES = 4 * 2**20
MAX_DIRECTORY_BYTES = 64 * 2**10
"""most bytes of a zip's table of contents"""
DAMAGE = (EOFError, OSError, zlib.error, zipfile.BadZipFile)
"""exceptions that reading a damaged file raises"""
ENTRY = "entry.json"
RUN = re.compile(r"run-(0|[1-9]\d?)\.jsonl\.gz")


class NotAccepted(ValueError):
    """An entry that is not accepted: `where` in it, and why."""

    def __init__(self, where: str, why: str):
        super().__init__(f"{where}: {why}")
        self.where, self.why = where, why


@dataclass(frozen=True)
class Bundle:
    """The names of an entry's files and a function that opens one for reading."""

    names: tuple[str, ...]
    open: Callable[[str], IO[bytes]]

    def runs(self) -> list[str]:
        """The names of the record files in order; NotAccepted if a number is missing."""
        names = [name for name in self.names if name != ENTRY]
        expected = [f"run-{k}.jsonl.gz" for k in range(len(names))]
        for name in expected:
            if name not in names:
                raise NotAccepted(name, f"missing; the entry holds {', '.join(self.names)}")
        return expected


def open_bundle(path: Path) -> Bundle:
    """The entry at `path`, a folder or a .zip file; NotAccepted for an unexpected file in it."""
    if path.is_symlink():
        raise NotAccepted(str(path), "a symbolic link")
    if path.is_dir():
        bundle = _folder(path)
    elif path.suffix == ".zip" and path.is_file():
        bundle = _zip(path)
    else:
        raise NotAccepted(str(path), "no folder and no .zip file")
    if ENTRY not in bundle.names or len(bundle.names) < 2:
        raise NotAccepted(
            str(path), f"need {ENTRY} and run-0.jsonl.gz, got {', '.join(bundle.names) or 'nothing'}"
        )
    return bundle


def lines(bundle: Bundle, name: str) -> Iterator[tuple[str, bytes]]:
    """("FILE:NUMBER", line) of each line of a record file; only one line is in memory."""
    total, number = 0, 0
    with opened(bundle, name) as raw, gzip.GzipFile(fileobj=raw) as file:
        while True:
            number += 1
            where = f"{name}:{number}"
            try:
                line = file.readline(MAX_LINE_BYTES + 1)
            except DAMAGE as error:
                raise NotAccepted(where, f"truncated or damaged ({error})") from error
            if not line:
                return
            total += len(line)
            if len(line) > MAX_LINE_BYTES:
                raise NotAccepted(where, f"a record of more than {MAX_LINE_BYTES} bytes")
            if total > MAX_RUN_BYTES:
                raise NotAccepted(where, f"more than {MAX_RUN_BYTES} bytes of records")
            if not line.endswith(b"\n"):
                raise NotAccepted(where, "truncated: the line does not end")
            yield where, line


def records(bundle: Bundle, name: str) -> Iterator[tuple[str, Record]]:
    """("FILE:NUMBER", record) of each line of a record file; NotAccepted at the first malformed line."""
    for where, line in lines(bundle, name):
        try:
            yield where, Record.from_json(line.decode("utf-8"))
        except ValueError as error:
            raise NotAccepted(where, str(error)) from error


def digest(bundle: Bundle, name: str) -> str:
    """sha256 of the bytes of a file of the entry."""
    sha = hashlib.sha256()
    with opened(bundle, name) as file:
        while part := read(file, name, 2**20):
            sha.update(part)
    return sha.hexdigest()


def opened(bundle: Bundle, name: str) -> IO[bytes]:
    """A file of the entry, open for reading; NotAccepted if it is damaged."""
    try:
        return bundle.open(name)
    except DAMAGE as error:
        raise NotAccepted(name, f"damaged ({error})") from error


def read(file: IO[bytes], name: str, size: int) -> bytes:
    """At most `size` bytes of an open file; NotAccepted if they are damaged."""
    try:
        return file.read(size)
    except DAMAGE as error:
        raise NotAccepted(name, f"truncated or damaged ({error})") from error


def _known(name: str, size: int, where: str) -> None:
    if name != ENTRY and (not RUN.fullmatch(name) or int(name[4:-9]) >= MAX_RUNS):
        flat = ", a flat zip of these without a folder" if "/" in name else ""
        raise NotAccepted(
            where, f"{name!r}: an entry holds {ENTRY} and run-0.jsonl.gz, run-1.jsonl.gz, ... only{flat}"
        )
    if size > MAX_FILE_BYTES:
        raise NotAccepted(where, f"{name}: {size} bytes, more than {MAX_FILE_BYTES}")


def _folder(path: Path) -> Bundle:
    names = []
    with os.scandir(path) as entries:
        for file in entries:
            facts = file.stat(follow_symlinks=False)
            if not stat.S_ISREG(facts.st_mode):
                raise NotAccepted(file.path, "not a plain file")
            _known(file.name, facts.st_size, str(path))
            names.append(file.name)

    def open_file(name: str) -> IO[bytes]:
        return os.fdopen(os.open(path / name, os.O_RDONLY | os.O_NOFOLLOW), "rb")

    return Bundle(tuple(sorted(names)), open_file)


def _zip(path: Path) -> Bundle:
    _check_directory(path)
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise NotAccepted(str(path), f"damaged ({error})") from error
    names: list[str] = []
    for member in archive.infolist():
        if stat.S_ISLNK(member.external_attr >> 16):
            raise NotAccepted(str(path), f"{member.filename!r}: a symbolic link")
        _known(member.orig_filename, member.file_size, str(path))
        if member.filename in names:
            raise NotAccepted(str(path), f"{member.filename}: there twice")
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise NotAccepted(str(path), f"{member.filename}: encrypted, or packed in an unusual way")
        names.append(member.filename)
    return Bundle(tuple(sorted(names)), archive.open)


def _check_directory(path: Path) -> None:
    """NotAccepted if the zip is malformed or its table of contents, which is not read here, is too long."""
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise NotAccepted(str(path), f"{size} bytes, more than {MAX_FILE_BYTES}")
    with path.open("rb") as file:
        file.seek(max(0, size - 42))
        tail = file.read()
    end = tail[-22:]
    if end[:4] != b"PK\5\6" or tail[:4] == b"PK\6\7":
        raise NotAccepted(str(path), "no plain zip (truncated, with a comment, or of the 64-bit kind)")
    if int.from_bytes(end[12:16], "little") > MAX_DIRECTORY_BYTES:
        raise NotAccepted(str(path), "names too many files")
