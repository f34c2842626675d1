"""Honest programs that look odd: each must pass exactly as many of its tests as it gets right."""

from __future__ import annotations

from typing import Any, NamedTuple


class Honest(NamedTuple):
    main: str
    tests: list[dict[str, Any]]
    passed: int
    aux: str | None = None
    timeout_s: float = 2.0


def calls(*pairs: tuple[list[Any], Any]) -> list[dict[str, Any]]:
    return [{"input": arguments, "expected": expected} for arguments, expected in pairs]


SORT = calls(([[3, 1, 2]], [1, 2, 3]), ([[]], []), ([[5]], [5]), ([[2, 2, 1]], [1, 2, 2]))

HONEST = {
    "prints much": Honest(
        """
import sys
def f(xs):
    for i in range(20000): print("x" * 50)
    print("y" * 10**6, file=sys.stderr)
    return sorted(xs)
""",
        SORT,
        4,
    ),
    "catches everything": Honest(
        """
def f(xs):
    try:
        return sorted(xs)
    except:
        return None
    finally:
        pass
""",
        SORT,
        4,
    ),
    "recursion to the usual depth": Honest(
        "def f(n): return 0 if n == 0 else 1 + f(n - 1)\n", calls(([900], 900), ([10], 10)), 2
    ),
    "recursion with a raised limit": Honest(
        "import sys\nsys.setrecursionlimit(20000)\ndef f(n): return 0 if n == 0 else 1 + f(n - 1)\n",
        calls(([5000], 5000)),
        1,
    ),
    "list subclass": Honest("class L(list): pass\ndef f(xs): return L(sorted(xs))\n", SORT, 4),
    "counter": Honest(
        "from collections import Counter\ndef f(s): return Counter(s)\n",
        calls((["abca"], {"a": 2, "b": 1, "c": 1}), ([""], {})),
        2,
    ),
    "default and ordered dicts": Honest(
        """
from collections import OrderedDict, defaultdict
def f(s):
    d = defaultdict(list)
    for i, c in enumerate(s): d[c].append(i)
    return OrderedDict(reversed(d.items()))
""",
        calls((["aba"], {"a": [0, 2], "b": [1]})),
        1,
    ),
    "named tuple": Honest(
        "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(a): return P(a, a)\n",
        calls(([1], (1, 1)), ([2], [2, 2])),
        1,
    ),
    "enum of integers": Honest(
        "from enum import IntEnum\nclass C(IntEnum):\n    RED = 1\ndef f(): return [C.RED, C(1)]\n",
        calls(([], [1, 1])),
        1,
    ),
    "true is one": Honest(
        "def f(x): return x > 0\n", calls(([1], True), ([1], 1), ([0], 0), ([1], 1.0), ([1], "True")), 4
    ),
    "numbers of several kinds": Honest(
        "def f(x): return x\n",
        calls(
            ([2**70], 2**70),
            ([-(2**70)], -(2**70)),
            ([0.1], 0.1),
            ([1.0], 1),
            ([-0.0], 0),
            ([1e308], 1e308),
            ([1 + 2j], 1 + 2j),
            ([10**5000], 10**5000),
            ([2**53], 2.0**53),
        ),
        9,
    ),
    "text and bytes": Honest(
        "def f(x): return x\n",
        calls(*(([x], x) for x in ("é[{\u2028\x00\"'\\\n\\n", b"\x00\xff", "\ud800"))),
        3,
    ),
    "sets of sets": Honest(
        "def f(xs): return {frozenset(x) for x in xs}\n",
        calls(([[[1, 2], [2, 1], [3]]], {frozenset({1, 2}), frozenset({3})}), ([[]], set())),
        2,
    ),
    "dicts with tuples for keys": Honest(
        "def f(n): return {(i, str(i)): {i: None} for i in reversed(range(n))}\n",
        calls(([2], {(0, "0"): {0: None}, (1, "1"): {1: None}})),
        1,
    ),
    "half right": Honest("def f(xs): return xs\n", SORT, 2),
    "raises on some inputs": Honest(
        "def f(xs):\n    assert xs\n    if len(xs) > 3: raise ValueError\n    return sorted(xs)\n", SORT, 3
    ),
    "exits on some inputs": Honest(
        "import os\ndef f(xs):\n    if not xs: os._exit(3)\n    return sorted(xs)\n", SORT, 3
    ),
    "exits softly on some inputs": Honest(
        "import sys\ndef f(xs):\n    if not xs: sys.exit('empty')\n    return sorted(xs)\n", SORT, 3
    ),
    "hangs on the last input": Honest(
        "def f(xs):\n    while len(xs) == 3 and xs[0] == 2: pass\n    return sorted(xs)\n",
        SORT,
        3,
        timeout_s=0.3,
    ),
    "state between calls": Honest(
        "n = 0\ndef f():\n    global n\n    n += 1\n    return n\n", calls(([], 1), ([], 2), ([], 3)), 3
    ),
    "changes its argument": Honest("def f(xs):\n    xs.sort()\n    return xs\n", SORT, 4),
    "data class with future annotations": Honest(
        """
from __future__ import annotations
from dataclasses import dataclass, asdict
@dataclass
class P:
    x: int
    y: list[int]
def f(a): return asdict(P(a, [a]))
""",
        calls(([1], {"x": 1, "y": [1]})),
        1,
    ),
    "pickles its own class": Honest(
        "import pickle\nclass A:\n    x = 7\ndef f(): return pickle.loads(pickle.dumps(A())).x\n",
        calls(([], 7)),
        1,
    ),
    "many imports": Honest(
        """
from __future__ import annotations
import math, re, string, itertools, functools, heapq, bisect, random, datetime, copy, statistics, decimal
import fractions, json, calendar, textwrap, enum, operator, typing, collections.abc, hashlib, time, logging
import urllib.parse, contextlib, dataclasses, types, abc, array, queue, struct, unicodedata, base64, binascii
from typing import List, Dict, Optional
def f(xs: List[int]) -> Optional[List[int]]:
    day = datetime.datetime.strptime("2020-02-29", "%Y-%m-%d")
    assert day.day == 29 and "é".encode("utf-16") and "bücher".encode("idna") and "a".encode("latin-1")
    return [heapq.heappop(h) for h in [sorted(xs)] for _ in range(len(xs))]
""",
        SORT,
        4,
    ),
    "main guard": Honest(
        "import sys\ndef f(xs): return sorted(xs)\nif __name__ == '__main__':\n    sys.exit(f([]))\n", SORT, 4
    ),
    "cached and closed over": Honest(
        """
from functools import lru_cache
def f(n):
    @lru_cache(maxsize=None)
    def fib(k): return k if k < 2 else fib(k - 1) + fib(k - 2)
    return fib(n)
""",
        calls(([90], 2880067194370816120)),
        1,
    ),
    "a hundred megabytes": Honest(
        "def f(n):\n    x = bytearray(n)\n    return len(x)\n", calls(([100_000_000], 100_000_000)), 1
    ),
    "a large answer": Honest(
        "def f(n): return list(range(n))\n", calls(([150_000], list(range(150_000)))), 1
    ),
    "random but seeded": Honest(
        "import random\ndef f(xs):\n    random.shuffle(xs)\n    return sorted(xs)\n", SORT, 4
    ),
    "helper with its own names": Honest(
        "def g(x): return 1\ndef f(xs): return aux(xs)\n",
        SORT,
        4,
        "def g(x): return sorted(x)\ndef aux(x): return g(x)\n",
    ),
    "helper by import": Honest(
        "from aux import aux as helper\ndef f(xs): return helper(xs)\n",
        SORT,
        4,
        "def aux(x): return sorted(x)\n",
    ),
    "helper behind a decorator": Honest(
        "def f(xs): return aux(xs)\n",
        SORT,
        4,
        "def twice(g): return lambda x: g(g(x))\n@twice\ndef aux(\n    x,\n):\n    return sorted(x)\n",
    ),
    "a class for a function": Honest(
        "class F:\n    def __call__(self, xs): return sorted(xs)\nf = F()\n", SORT, 4
    ),
    "names in other alphabets": Honest("def ｆ(xs): return sorted(xs)\n", SORT, 4),
    "old line ends": Honest("def f(xs):\r    return sorted(xs)\r", SORT, 4),
    "form feeds": Honest("import math\n\x0c\ndef f(xs):\n\x0c    return sorted(xs)\n", SORT, 4),
}
