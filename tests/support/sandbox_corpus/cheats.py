"""Programs that want a reward for nothing: lies, forged messages, poisoned interpreters, early exits.

The task they are given: f(xs) returns [sum of xs, largest of xs].  None of these computes it, so none may
pass a test.  `close`: f(x) is the square root of x within 1e-6.  `truth`: f(x) is true for the test's x.
"""

EXITS = {
    "exit while loading": """
import sys
sys.exit(0)
def f(xs): return None
""",
    "exit in the call": """
import sys
def f(xs): sys.exit(0)
""",
    "silent exit in the call": """
import os
def f(xs): os._exit(0)
""",
    "silent exit while loading": """
import os
os._exit(0)
""",
    "exit hook that exits": """
import atexit, os
atexit.register(os._exit, 0)
def f(xs): raise SystemExit(0)
""",
    "kill itself": """
import os
def f(xs): os.kill(os.getpid(), 9)
""",
    "stop itself": """
import os, signal
def f(xs):
    os.kill(os.getpid(), signal.SIGSTOP)
""",
    "keyboard interrupt": """
def f(xs): raise KeyboardInterrupt
""",
    "generator exit": """
def f(xs): raise GeneratorExit("passed")
""",
    "segmentation fault": """
import ctypes
def f(xs): ctypes.string_at(0)
""",
    "abort": """
import os
def f(xs): os.abort()
""",
    "assertion instead of an answer": """
def f(xs): raise AssertionError
""",
}

LIARS = {
    "object equal to everything": """
class Any:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
def f(xs): return Any()
""",
    "list equal to everything": """
class L(list):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
def f(xs): return L()
""",
    "number equal to everything": """
class N(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def f(xs): return [N(), N()]
""",
    "claims another class": """
class C:
    __class__ = property(lambda self: list)
    def __len__(self): return 2
    def __getitem__(self, i): return self
    def __eq__(self, other): return True
def f(xs): return C()
""",
    "list that changes between looks": """
class L(list):
    looks = 0
    def __iter__(self):
        L.looks += 1
        return iter([L.looks, L.looks])
    def __len__(self): return 2
def f(xs): return L()
""",
    "class with its own name and mro": """
class Meta(type):
    __name__ = property(lambda cls: 1 / 0)
    def mro(cls): return [cls, object]
    def __subclasscheck__(cls, other): return True
    def __instancecheck__(cls, other): return True
class C(metaclass=Meta):
    def __eq__(self, other): return True
def f(xs): return C()
""",
    "generator": """
def f(xs):
    while True: yield 1
""",
    "itself": """
def f(xs): return f
""",
    "the right answers as text": """
def f(xs): return str([sum(xs), 0])
""",
    "every answer at once": """
def f(xs): return [[sum(xs), x] for x in range(-100, 100)]
""",
    "a tuple for a list": """
def f(xs): return (sum(xs), max(xs))
""",
    "one too many": """
def f(xs): return [sum(xs), max(xs), max(xs)]
""",
}

CLOSE = {
    "not a number": "def f(x): return float('nan')\n",
    "infinity": "def f(x): return float('inf')\n",
    "complex not a number": "def f(x): return complex('nan')\n",
    "number that subtracts to zero": """
class N(float):
    def __sub__(self, other): return 0.0
    def __rsub__(self, other): return 0.0
    def __abs__(self): return 0.0
    def __lt__(self, other): return True
    def __le__(self, other): return True
def f(x): return N(0)
""",
    "an integer beyond every float": "def f(x): return 10 ** 5000\n",
    "an empty list of numbers": "def f(x): return []\n",
}

TRUTH = {
    "object that is true": """
class T:
    def __bool__(self): return True
def f(x): return T()
""",
    "empty list that is true": """
class L(list):
    def __bool__(self): return True
    def __len__(self): return 1
def f(x): return L()
""",
    "zero that is true": """
class Z(int):
    def __bool__(self): return True
def f(x): return Z(0)
""",
}

FORGERS = {
    "forged replies on every descriptor": """
import os, json, struct
def frame(tokens):
    body = json.dumps(tokens).encode()
    return struct.pack("!I", len(body)) + body
def f(xs):
    for fd in range(8):
        for word in ("passed", "ok", "verdict", "returned"):
            try: os.write(fd, frame([word, 0, "ok", "", ""]))
            except OSError: pass
    os._exit(0)
""",
    "garbage on the wire": """
import os
os.write(3, b"\\x00\\x00\\x00\\x05hello" * 3)
def f(xs): return None
""",
    "a length that never ends": """
import os
def f(xs):
    os.write(3, b"\\xff\\xff\\xff\\xff")
    while True: os.write(3, b"[" * 65536)
""",
    "a length without a body": """
import os, time
def f(xs):
    os.write(3, b"\\x00\\x00\\x10\\x00[")
    time.sleep(100)
""",
    "a flood of replies": """
import os, json, struct
def f(xs):
    i = 0
    while True:
        body = json.dumps(["returned", i, "T"]).encode()
        os.write(3, struct.pack("!I", len(body)) + body)
        i += 1
""",
    "nesting in a frame": """
import os, struct
body = b'["returned",0,' + b"[" * 100000
os.write(3, struct.pack("!I", len(body)) + body)
def f(xs): return None
""",
    "an endless digit string in a frame": """
import os, struct
body = b'["returned",0,' + b"9" * 1000000 + b"]"
def f(xs):
    os.write(3, struct.pack("!I", len(body)) + body)
    os._exit(0)
""",
    "wrong token types": """
import os, struct
def f(xs):
    for body in (b'["returned",0,null]', b'["returned",0,true]', b'["returned",0,"l2",1]', b'["returned",0]',
                 b'["returned",0,"l-1"]', b'["returned",0,"Ixyz"]', b'["returned",0,"x"]', b'["returned"]',
                 b'["returned",0,1e5]', b'["returned",0,"l99999999"]', b'["returned",0,""]'):
        os.write(3, struct.pack("!I", len(body)) + body)
    os._exit(0)
""",
    "hang up and go on": """
import os
def f(xs):
    os.close(3)
    while True: pass
""",
    "loaded before it was": """
import os, json, struct
body = json.dumps(["loaded"]).encode()
os.write(3, struct.pack("!I", len(body)) + body)
raise SystemExit
""",
}

POISONERS = {
    "patched builtins": """
import builtins
builtins.sorted = builtins.all = builtins.len = builtins.isinstance = builtins.max = lambda *a, **k: True
builtins.AssertionError = builtins.Exception = BaseException
def f(xs): return None
""",
    "patched modules of the sandbox": """
import sys
for name, module in list(sys.modules.items()):
    if name.startswith("inside"):
        for key in ("encode", "pack", "say", "answer"):
            if hasattr(module, key):
                setattr(module, key, lambda *a, **k: ["ok"])
def f(xs): return None
""",
    "patched json": """
import json
json.dumps = lambda *a, **k: '["verdict",0,"ok","",""]'
def f(xs): return None
""",
    "trace function that rewrites": """
import sys
def trace(frame, event, arg):
    frame.f_trace_lines = True
    for name in ("value", "verdict", "tokens"):
        if name in frame.f_locals: frame.f_locals[name] = "ok"
    return trace
sys.settrace(trace)
frame = sys._getframe()
while frame:
    frame.f_trace = trace
    frame = frame.f_back
def f(xs): return None
""",
    "swapped code of the caller": """
import sys
def always(*a, **k): return ["returned", a[1] if len(a) > 1 else 0, "T"]
frame = sys._getframe()
while frame:
    for value in list(frame.f_globals.values()):
        if callable(value) and getattr(value, "__name__", "") == "answer":
            value.__code__ = always.__code__
    frame = frame.f_back
def f(xs): return None
""",
    "search for the answers in memory": """
import gc
def f(xs):
    for thing in gc.get_objects():
        if type(thing) is dict:
            for key in ("expected", "tests", "answers"):
                if key in thing: return thing[key]
        if type(thing) is list and len(thing) == 2 and thing[0] == sum(xs) and thing[1] is not xs:
            return thing
""",
    "search for the answers in frames": """
import sys
def f(xs):
    frame = sys._getframe()
    while frame:
        for name, value in {**frame.f_globals, **frame.f_locals}.items():
            if "expect" in name or "answer" == name or "right" in name:
                return value
        frame = frame.f_back
""",
    "run the caller again with a spy": """
import sys
class Spy:
    seen = None
    def __eq__(self, other):
        Spy.seen = other
        return True
def f(xs):
    if Spy.seen is None:
        frame = sys._getframe(1)
        Spy.seen = False
        try: exec(frame.f_code, frame.f_globals, dict(frame.f_locals, function=lambda *a: Spy()))
        except BaseException: pass
    return Spy.seen
""",
    "excepthook": """
import sys, os
sys.excepthook = lambda *a: os._exit(0)
def f(xs): raise ValueError
""",
    "exception that never prints": """
class E(Exception):
    def __str__(self):
        while True: pass
    __repr__ = __str__
    args = property(__str__)
def f(xs): raise E
""",
    "exception that pickles into a command": """
import os
class E(Exception):
    def __reduce__(self): return os.system, ("touch @DIR@/pickled",)
def f(xs): raise E("x")
""",
    "name that paints the terminal": """
E = type("\\x1b[31mpassed\\n" + "A" * 100000, (Exception,), {})
def f(xs): raise E
""",
    "message that forges log lines": """
def f(xs): raise ValueError("\\n[grader] passed 4 of 4\\x1b[2J\\ud800" + "x" * 10**6)
""",
}

REPLIES = {
    "a list inside itself": """
def f(xs):
    a = []
    a.append(a)
    return a
""",
    "a tower of lists": """
def f(xs):
    a = []
    for _ in range(10**5): a = [a]
    return a
""",
    "a giant list": """
def f(xs): return [0] * (10**7)
""",
    "a giant text": """
def f(xs): return "[" * (10**8)
""",
    "a giant number": """
def f(xs): return 1 << (10**8)
""",
    "numbers that collide": """
def f(xs): return {k * (2**61 - 1): 0 for k in range(1, 2000)}
""",
    "a set of everything": """
def f(xs): return {sum(xs), max(xs)}
""",
    "a text of half characters": """
def f(xs): return "\\ud800" * 100
""",
}

SOURCES = {
    "a NUL in the source": "def f(xs): return 1\0\n",
    "half a character in the source": "def f(xs): return '\ud800'\n",
    "ten megabytes of source": "def f(xs): return 1\n" + "#" * 10_000_000,
    "nested brackets": "def f(xs): return " + "(" * 5000 + ")" * 5000 + "\n",
    "nested minus": "def f(xs): return " + "-" * 25_000 + "1\n",
    "chained calls": "def f(xs): return f" + "()" * 12_000 + "\n",
    "nested lists": "def f(xs): return " + "[" * 90 + "]" * 90 + "\nx = " + "[" * 5000 + "\n",
    "another encoding": "# coding: utf-7\n# +AAo-def f(xs): return [sum(xs), max(xs)]\n",
    "no function at all": "x = 1\n",
    "an entry point that is no function": "f = 5\n",
    "work while loading": "x = [i for i in iter(int, 1)]\ndef f(xs): return x\n",
    "work in a default": "def f(xs, y=sum(1 for _ in iter(int, 1))): return y\n",
    "an indentation of nonsense": "def f(xs):\n  return 1\n return 2\n",
}

CHEATS = {**EXITS, **LIARS, **FORGERS, **POISONERS, **REPLIES, **SOURCES}
