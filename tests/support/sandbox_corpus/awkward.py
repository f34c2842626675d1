"""More honest programs: what Python allows, and models write, though graders seldom think of it."""

from __future__ import annotations

from functools import reduce

from sandbox_corpus.honest import SORT, Honest, calls


def tower(n: int) -> list:
    return reduce(lambda inner, _: [inner], range(n), [])


DEFINED = {
    "a lambda": Honest("f = lambda xs: sorted(xs)\n", SORT, 4),
    "a partial": Honest("from functools import partial\nf = partial(sorted, key=lambda x: x)\n", SORT, 4),
    "a bound method": Honest("class C:\n    def run(self, xs): return sorted(xs)\nf = C().run\n", SORT, 4),
    "a star import": Honest("from operator import *\nf = concat\n", calls(([[1], [2]], [1, 2])), 1),
    "defined by a star import": Honest("from builtins import *\nf = sorted\nfrom math import *\n", SORT, 4),
    "defined by exec": Honest("exec('def f(xs): return sorted(xs)')\n", SORT, 4),
    "defined through globals": Honest("globals()['f'] = sorted\n", SORT, 4),
    "defined by a function": Honest(
        "def make():\n    global f\n    def f(xs): return aux(xs)\nmake()\n",
        SORT,
        4,
        "def aux(x): return sorted(x)\n",
    ),
    "dispatched by type": Honest(
        """
from functools import singledispatch
@singledispatch
def f(x): return "other"
@f.register
def _(x: int): return "int"
""",
        calls(([1], "int"), (["a"], "other")),
        2,
    ),
    "every kind of parameter": Honest(
        "def f(a, /, b=2, *rest, c=3, **named): return [a, b, rest, c, named]\n",
        calls(([1], [1, 2, (), 3, {}]), ([1, 5, 6], [1, 5, (6,), 3, {}])),
        2,
    ),
    "no return": Honest("def f(xs): pass\n", calls(([1], None)), 1),
    "a memo that stays": Honest(
        """
def f(n, memo={}):
    if n < 2: return n
    if n not in memo: memo[n] = f(n - 1) + f(n - 2)
    return memo[n]
""",
        calls(([90], 2880067194370816120), ([50], 12586269025)),
        2,
    ),
    "old Windows line ends": Honest("def f(xs):\r\n    return sorted(xs)\r\n", SORT, 4),
    "tabs and no last line end": Honest("def f(xs):\n\tif xs:\n\t\treturn sorted(xs)\n\treturn []", SORT, 4),
    "a coding line": Honest("# -*- coding: latin-1 -*-\ndef f(): return 'é'\n", calls(([], "é")), 1),
    "where am I": Honest(
        """
import os
try:
    here = os.path.dirname(os.path.abspath(__file__))
except (NameError, OSError):
    here = ""
def f(xs): return sorted(xs)
""",
        SORT,
        4,
    ),
    "its own module by name": Honest(
        "import sys\ndef f(): return sys.modules[__name__].f is f and __name__ != '__main__'\n",
        calls(([], True)),
        1,
    ),
    "names of the grader's": Honest(
        "class Program: pass\nwire = encode = JOB = child = None\ndef f(xs): return sorted(xs)\n", SORT, 4
    ),
    "tests of its own": Honest(
        """
import doctest, unittest
class TestF(unittest.TestCase):
    def test(self): self.assertEqual(f([2, 1]), [1, 2])
def f(xs):
    '''>>> f([2, 1])
    [1, 2]'''
    return sorted(xs)
assert doctest.testmod
if __name__ == "__main__": unittest.main()
""",
        SORT,
        4,
    ),
    "modules that are seldom needed": Honest(
        """
import argparse, bz2, concurrent.futures, dis, glob, gzip, ipaddress, lzma, platform, sched, shutil
import signal, subprocess, tempfile, os, sys, ctypes, resource
try:
    import numpy
except ImportError:
    numpy = None
def f(xs): return sorted(xs)
""",
        SORT,
        4,
    ),
}

RUNS = {
    "prints in every way": Honest(
        """
import sys, warnings, logging, traceback
def f(xs):
    print(xs, end="", flush=True)
    sys.stdout.buffer.write(b"x")
    warnings.warn("hm")
    logging.warning("hm %s", 1)
    try: 1 / 0
    except ZeroDivisionError: assert "ZeroDivisionError" in traceback.format_exc()
    return sorted(xs)
""",
        SORT,
        4,
    ),
    "catches what it prints": Honest(
        """
import contextlib, io
def f(x):
    out = io.StringIO()
    with contextlib.redirect_stdout(out): print(x)
    return out.getvalue()
""",
        calls(([1], "1\n")),
        1,
    ),
    "closes its output": Honest(
        "import sys\nsys.stdout.close()\nsys.stdout = None\ndef f(xs): return sorted(xs)\n", SORT, 4
    ),
    "reads its input": Honest(
        """
import sys
def f(xs):
    try: input("? ")
    except EOFError: pass
    assert sys.stdin.read() == ""
    return sorted(xs)
""",
        SORT,
        4,
    ),
    "catches its own exit": Honest(
        "import sys\ndef f(xs):\n    try: sys.exit(1)\n    except SystemExit: return sorted(xs)\n", SORT, 4
    ),
    "recursion to the last frames": Honest(
        "def f(n): return 0 if n == 0 else 1 + f(n - 1)\n", calls(([985], 985)), 1
    ),
    "recursion too deep, and caught": Honest(
        "def g(): g()\ndef f(xs):\n    try: g()\n    except RecursionError: return sorted(xs)\n", SORT, 4
    ),
    "memory too much, and caught": Honest(
        "def f(xs):\n    try: bytearray(10**10)\n    except MemoryError: return sorted(xs)\n", SORT, 4
    ),
    "sleeps a little": Honest(
        "import time\ndef f(xs):\n    time.sleep(0.05)\n    return sorted(xs)\n", SORT, 4
    ),
    "a slow start": Honest(
        "P = [p for p in range(2, 3000) if all(p % q for q in range(2, p))]\ndef f(n): return P[n]\n",
        calls(([0], 2), ([99], 541)),
        2,
    ),
    "clocks and dates": Honest(
        """
import calendar, datetime, time
def f():
    time.localtime(); time.ctime(); datetime.datetime.now().astimezone(); time.perf_counter_ns()
    day = datetime.date.fromisoformat("2020-02-29")
    return [calendar.monthrange(2024, 2)[1], day.strftime("%A %d %B"), (day - day).days]
""",
        calls(([], [29, "Saturday 29 February", 0])),
        1,
    ),
    "digests": Honest(
        """
import hashlib, hmac, zlib
def f(s):
    return [hashlib.md5(s.encode()).hexdigest()[:6], hashlib.new("sha256", b"").hexdigest()[:6],
            hashlib.sha3_256(b"").hexdigest()[:6], hmac.new(b"k", b"m", "sha1").hexdigest()[:6],
            zlib.crc32(b"a")]
""",
        calls((["a"], ["0cc175", "e3b0c4", "a7ffc6", "772b71", 3904355907])),
        1,
    ),
    "dice of every kind": Honest(
        """
import os, random, secrets, uuid
def f():
    random.SystemRandom().random(); secrets.token_hex(2); uuid.uuid4(); os.urandom(3)
    return random.Random(1).randint(1, 100)
""",
        calls(([], 18)),
        1,
    ),
    "locks without threads": Honest(
        """
import queue, threading
def f(xs):
    q = queue.PriorityQueue()
    for x in xs: q.put(x)
    with threading.Lock(), threading.RLock(): return [q.get() for _ in xs]
""",
        SORT,
        4,
    ),
    "a coroutine driven by hand": Honest(
        """
async def g(x): return x
def f(x):
    try: g(x).send(None)
    except StopIteration as done: return done.value
""",
        calls(([1], 1)),
        1,
    ),
    "warnings as errors": Honest(
        "import warnings\nwarnings.simplefilter('error')\ndef f(xs): return sorted(xs)\n", SORT, 4
    ),
    "hooks and traces": Honest(
        """
import atexit, sys
atexit.register(print, 1)
sys.addaudithook(lambda *event: None)
sys.settrace(lambda *event: None)
class A:
    def __del__(self): raise ValueError
def f(xs):
    A()
    return sorted(xs)
""",
        SORT,
        4,
    ),
    "no modules left": Honest(
        "import sys\nfor name in list(sys.modules): del sys.modules[name]\ndef f(xs): return sorted(xs)\n",
        SORT,
        4,
    ),
}

VALUES = {
    "a text of three megabytes": Honest(
        "def f(n): return 'é' * n\n", calls(([1_500_000], "é" * 1_500_000)), 1
    ),
    "bytes of two megabytes": Honest(
        "def f(n): return b'x' * n\n", calls(([2_000_000], b"x" * 2_000_000)), 1
    ),
    "a number of a million digits": Honest(
        "def f(n): return 1 << n\n", calls(([8_000_000], 1 << 8_000_000)), 1
    ),
    "floats where integers do": Honest(
        "def f(n): return [float(i) for i in range(n)]\n", calls(([50_000], list(range(50_000)))), 1
    ),
    "a large argument": Honest("def f(s): return len(s)\n", calls((["x" * 10**7], 10**7)), 1),
    "the largest and least of floats": Honest(
        "def f(): return [float('inf'), -float('inf'), 5e-324, 1e308, -0.0]\n",
        calls(([], [float("inf"), -float("inf"), 5e-324, 1e308, 0])),
        1,
    ),
    "not a number is nothing's equal": Honest("def f(): return float('nan')\n", calls(([], float("nan"))), 0),
    "a set of many kinds": Honest(
        "def f(): return {1, 'a', None, (1, 2), 2.5, b'x', frozenset({1})}\n",
        calls(([], {1, "a", None, (1, 2), 2.5, b"x", frozenset({1})})),
        1,
    ),
    "keys that are equal across kinds": Honest(
        "def f(): return {True: 'a', 2.0: 'b'}\n", calls(([], {1: "a", 2: "b"})), 1
    ),
    "another order of keys": Honest("def f(): return {'b': 1, 'a': 2}\n", calls(([], {"a": 2, "b": 1})), 1),
    "a tower of lists": Honest(
        "def f(n):\n    a = []\n    for _ in range(n): a = [a]\n    return a\n", calls(([150], tower(150))), 1
    ),
    "one list at two places": Honest("def f(a): return [a] * 2\n", calls(([[1]], [[1], [1]])), 1),
    "arguments that do not touch": Honest(
        "def f(a, b):\n    a.append(1)\n    return b\n", calls(([[], []], [])), 1
    ),
    "an enum of texts": Honest(
        "from enum import Enum\nclass C(str, Enum):\n    A = 'a'\ndef f(): return C.A\n", calls(([], "a")), 1
    ),
    "combined and joined characters": Honest(
        "def f(s): return s[::-1] + '\\u0301'\n", calls((["a😀\u200d"], "\u200d😀a\u0301")), 1
    ),
    "a generator is no list": Honest("def f(n): yield from range(n)\n", calls(([2], [0, 1])), 0),
    "a range is no list": Honest("def f(n): return range(n)\n", calls(([2], [0, 1])), 0),
    "what a module lacks": Honest(
        """
import math, string, textwrap
def f(n):
    try: textwrap.nothing
    except AttributeError: return [hasattr(string, "nothing"), getattr(math, "nothing", n)]
""",
        calls(([1], [False, 1])),
        1,
    ),
    "codecs": Honest(
        """
def f(s): return [s.encode(c).decode(c) for c in ("utf-16", "utf-32-le", "utf-7", "iso-8859-15", "cp1252")]
""",
        calls((["a"], ["a"] * 5)),
        1,
    ),
}

AWKWARD = {**DEFINED, **RUNS, **VALUES}
