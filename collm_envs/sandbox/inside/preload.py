"""What programs may import: it is imported before they run, because then there is no file system."""

from __future__ import annotations

import codecs
import importlib
import os
import sys
from collections.abc import Callable

MODULES = """
    __future__ abc array ast base64 binascii bisect calendar cmath codecs collections collections.abc
    colorsys contextlib contextvars copy csv dataclasses datetime _strptime decimal difflib enum errno
    fnmatch fractions functools gc graphlib hashlib heapq hmac html inspect io itertools json keyword
    locale logging math numbers operator os.path pathlib pickle pprint queue random re reprlib secrets
    shlex statistics string struct textwrap threading time timeit token tokenize traceback types typing
    unicodedata urllib.parse uuid warnings weakref zlib
"""
CODECS = """
    ascii latin-1 utf-8 utf-8-sig utf-16 utf-16-le utf-16-be utf-32 cp1252 cp437 idna punycode
    hex base64 rot13 zlib unicode-escape raw-unicode-escape
"""


def _no_hook(**_: Callable[[], object]) -> None:
    """In place of os.register_at_fork: no module may make every fork dearer, locks are free here."""


def preload() -> None:
    """Import it all, then leave nothing to import from but what is built in."""
    os.register_at_fork = _no_hook
    for name in MODULES.split():
        importlib.import_module(name)
    for name in CODECS.split():
        codecs.lookup(name)
    sys.path[:] = []
    sys.path_importer_cache.clear()
    sys.meta_path[:] = sys.meta_path[:2]  # built-in and frozen modules
