"""The modules that programs may import: loaded beforehand, because a program has no file system."""

from __future__ import annotations

import codecs
import contextlib
import importlib
import os
import sys
from collections.abc import Callable

MODULES = """
    __future__ abc argparse array ast base64 binascii bisect bz2 calendar cmath cmd codecs collections
    collections.abc colorsys concurrent.futures contextlib contextvars copy csv dataclasses datetime
    _strptime decimal difflib dis doctest enum errno fnmatch fractions functools gc getopt glob graphlib gzip
    hashlib heapq hmac html inspect io ipaddress itertools json keyword locale logging lzma math numbers
    operator os.path pathlib pickle platform pprint queue random re reprlib sched secrets shlex shutil signal
    statistics string struct subprocess tempfile textwrap threading time timeit token tokenize traceback
    types typing unicodedata unittest urllib.parse uuid warnings weakref zlib
"""
CODECS = """
    ascii latin-1 iso8859-15 utf-7 utf-8 utf-8-sig utf-16 utf-16-le utf-16-be utf-32 utf-32-le utf-32-be
    cp1252 cp437 idna punycode hex base64 rot13 zlib unicode-escape raw-unicode-escape
"""


def _no_hook(**_: Callable[[], object]) -> None:
    """Replaces os.register_at_fork: hooks would slow every fork, and no lock is held here."""


def preload() -> None:
    """Import all of MODULES and CODECS, then allow only built-in and frozen modules."""
    os.register_at_fork = _no_hook
    for name in MODULES.split():
        with contextlib.suppress(ImportError):  # not every Python is built with all of them
            importlib.import_module(name)
    for name in CODECS.split():
        with contextlib.suppress(LookupError):
            codecs.lookup(name)
    sys.path[:] = []
    sys.path_importer_cache.clear()
    sys.meta_path[:] = sys.meta_path[:2]  # built-in and frozen modules
