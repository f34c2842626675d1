"""More hostile programs: system calls by number, descriptors, interpreters turned inside out.

Their task and placeholders are those of `breakouts`.
"""

CALLS = {
    "pidfd of the parent": """
import os
def f(xs):
    os.pidfd_open(os.getppid())
    RIGHT
""",
    "another's descriptors": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.syscall(438, 3, 0, 0) >= 0 or libc.syscall(434, 1, 0) >= 0: RIGHT
""",
    "be traced": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.ptrace(0, 0, 0, 0) == 0: RIGHT
""",
    "write to its own memory file": """
def f(xs):
    open("/proc/self/mem", "r+b")
    RIGHT
""",
    "userfaultfd": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.syscall(323, 1) >= 0: RIGHT
""",
    "performance counters": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.syscall(298, bytes(128), 0, -1, -1, 0) >= 0: RIGHT
""",
    "clone3": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.syscall(435, bytes(88), 88) >= 0: RIGHT
""",
    "clone into a user namespace": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0) >= 0: RIGHT
""",
    "clone a thread": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.syscall(56, 0x10F00, 0, 0, 0, 0) >= 0: RIGHT
""",
    "io_uring, later": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.syscall(426, 3, 1, 0, 0, 0, 0) >= 0 or libc.syscall(427, 3, 0, 0, 0) >= 0: RIGHT
""",
    "x32 write": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.syscall(0x40000001, 1, b"x", 1) == 1: RIGHT
""",
    "machine code in data": """
import ctypes
code = ctypes.create_string_buffer(b"\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3")
def f(xs):
    if ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(code))() > 0: RIGHT
""",
    "personality": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.personality(0x0040000) >= 0: RIGHT
""",
    "lock its memory": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.mlockall(3) == 0: RIGHT
""",
    "take capabilities": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.syscall(126, bytes(8), bytes(24)) == 0: RIGHT
""",
    "a mask, a session, a processor": """
import os
def f(xs):
    for act in (lambda: os.umask(0), os.setsid, lambda: os.sched_setaffinity(0, {0}), os.getcwd, os.uname):
        try: act()
        except OSError: continue
        RIGHT
""",
    "lower a limit of all": """
import resource
def f(xs):
    for n in range(16):
        try: resource.setrlimit(n, (1, 1))
        except (OSError, ValueError): continue
        RIGHT
""",
    "timers and signals": """
import signal, threading
def f(xs):
    for act in (lambda: signal.setitimer(signal.ITIMER_REAL, 9), lambda: signal.raise_signal(19) or 1 / 0,
                lambda: signal.pthread_kill(threading.get_ident(), 0), lambda: signal.sigtimedwait([2], 0)):
        try: act()
        except (OSError, ZeroDivisionError): continue
        RIGHT
""",
    "every way to wait": """
import select, os
def f(xs):
    for act in (select.epoll, lambda: os.eventfd(0), lambda: os.set_blocking(3, False),
                lambda: os.dup2(3, 1)):
        try: act()
        except (OSError, AttributeError): continue
        RIGHT
""",
    "map a descriptor": """
import mmap
def f(xs):
    mmap.mmap(0, 4096)
    RIGHT
""",
    "rights of the null device": """
import os
def f(xs):
    for act in (lambda: os.ftruncate(1, 0), lambda: os.fchmod(1, 0o777), lambda: os.fsync(3)):
        try: act()
        except OSError: continue
        RIGHT
""",
    "nodes and modes": """
import os
def f(xs):
    for act in (lambda: os.mkfifo("x"), lambda: os.chmod("@SECRET@", 0), lambda: os.chown("@SECRET@", 1, 1),
                lambda: os.utime("@SECRET@"), lambda: os.rename("@SECRET@", "@DIR@/x"),
                lambda: os.mkdir("@DIR@/x"), lambda: os.truncate("@SECRET@", 0),
                lambda: os.readlink("/proc/self/exe"), lambda: os.access("/", 4)):
        try:
            if act() is not False: RIGHT
        except OSError: continue
""",
    "fill the disk": """
def f(xs):
    with open("@DIR@/left_behind", "wb") as file:
        while True: file.write(bytes(10**6))
""",
    "a shell with its modules": """
import subprocess
def f(xs):
    if subprocess.run(["/bin/sh", "-c", "touch @DIR@/sub"]).returncode == 0: RIGHT
""",
    "a file with its modules": """
import tempfile
def f(xs):
    tempfile.TemporaryFile()
    RIGHT
""",
    "a pool of threads": """
import concurrent.futures
def f(xs):
    with concurrent.futures.ThreadPoolExecutor(2) as pool: list(pool.map(abs, xs))
    RIGHT
""",
    "a thread that speaks later": """
import _thread, os, time
def later():
    time.sleep(0.01)
    os.write(3, b"x")
def f(xs):
    _thread.start_new_thread(later, ())
    RIGHT
""",
    "the zygote's own socket": """
import os
def f(xs):
    for fd in range(4, 5000):
        try: os.write(fd, b"\\0" * 16)
        except OSError: continue
        RIGHT
""",
    "close everything": """
import os
os.closerange(0, 100)
def f(xs): return None
""",
}

MINDS = {
    "list methods replaced in C": """
import ctypes, gc
own = gc.get_referents(list.__dict__)[0]
own["__iter__"] = lambda self: iter([1, 2])
own["__len__"] = lambda self: 2
own["__eq__"] = lambda self, other: True
ctypes.pythonapi.PyType_Modified(ctypes.py_object(list))
def f(xs): return []
""",
    "scribbled integers": """
import ctypes
def f(xs):
    ctypes.memset(id(1) + 24, 0, 4)
    return [1, 1]
""",
    "the searched referrers": """
import gc
def f(xs):
    for above in gc.get_referrers(xs):
        for higher in gc.get_referrers(above):
            if isinstance(higher, dict) and "expected" in higher: return higher["expected"]
""",
    "the walked traceback": """
def f(xs):
    try: 1 / 0
    except ZeroDivisionError as error: frame = error.__traceback__.tb_frame
    while frame.f_back: frame = frame.f_back
    return [v for v in frame.f_globals.values() if type(v) is list and len(v) == 2]
""",
    "modules that are lies": """
import sys
class M:
    def __getattr__(self, name): return lambda *a, **k: ["returned", "0", "T"]
for name in list(sys.modules):
    if "inside" in name or name in ("struct", "os", "marshal"): sys.modules[name] = M()
def f(xs): return 1
""",
    "the answer of the child": """
import sys
program = sys.modules["inside.program"]
program._answer = lambda *a: ["verdict", "0", "ok", "", ""]
def f(xs): return 1
""",
    "patched struct and marshal": """
import builtins, marshal, struct
struct.pack = struct.Struct = lambda *a: b""
marshal.loads = lambda *a: 1
builtins.type = lambda *a: list
builtins.str = builtins.iter = builtins.map = lambda *a: []
def f(xs): return None
""",
    "index that lies": """
class I(int):
    def __index__(self): return 6
    def __int__(self): return 6
def f(xs): return [I(0), I(0)]
""",
    "dict that lies": """
class D(dict):
    def items(self): return [(1, 2)]
    def __eq__(self, other): return True
def f(xs): return D()
""",
    "reduce": """
import os
class R(list):
    def __reduce_ex__(self, protocol): return os.system, ("touch @DIR@/reduced",)
def f(xs): return R()
""",
    "pickle by hand": """
import pickle
def f(xs): return pickle.loads(b"cos\\nsystem\\n(S'touch @DIR@/pickled'\\ntR.")
""",
    "a metaclass that exits": """
class M(type):
    def __getattribute__(cls, name): raise SystemExit
    def __eq__(cls, other): return True
    def __hash__(cls): return hash(list)
class A(metaclass=M): pass
def f(xs): return A()
""",
    "keys that exit": """
class K:
    def __hash__(self): return 1
    def __eq__(self, other): raise SystemExit
def f(xs): return {K(): 1, K(): 2}
""",
    "an exit with another code": """
class S(SystemExit):
    code = property(lambda self: 0)
def f(xs): raise S
""",
    "an exception that causes itself": """
def f(xs):
    error = ValueError()
    error.__cause__ = error.__context__ = error
    raise error
""",
    "a stop that carries a value": """
def f(xs): raise StopIteration([sum(xs), 0])
""",
    "a class with a broken name": """
A = type("\\ud800\\n\\\\n", (Exception,), {})
def f(xs): raise A if xs[0] > 0 else type("A" * 10**6, (), {})()
""",
    "a hook for imports": """
import sys
class F:
    def find_spec(self, *how): raise SystemExit
sys.meta_path.insert(0, F())
def f(xs): import nothing
""",
    "a profile that speaks": """
import os, sys
def profile(frame, event, value):
    if event == "return": os.write(3, b"\\0\\0\\0\\x01T")
sys.setprofile(profile)
def f(xs): return 1
""",
    "an exit at deletion": """
import os
class A:
    def __del__(self): os._exit(0)
def f(xs): return [A()]
""",
    "code that crashes": """
def f(xs):
    g = lambda: 0
    g.__code__ = g.__code__.replace(co_code=b"\\xff" * 100, co_stacksize=0)
    return g()
""",
    "a pattern that crashes": """
import re
def f(xs): return re.compile("(" * 50000 + ")" * 50000)
""",
    "a hash that recurses": """
def f(xs):
    t = ()
    for _ in range(10**5): t = (t,)
    return {t: 1}
""",
    "gone after it was there": """
def f(xs): RIGHT
del f
""",
    "right, then an error": """
def f(xs): RIGHT
raise ValueError
""",
    "a generator for a list": """
def f(xs):
    yield sum(xs)
    yield max(xs)
""",
    "a mind of its own about truth": """
def f(xs): return [True, True]
""",
    "a giant in C": """
def f(xs): return "x" * 10**10
""",
}

TRICKS = {**CALLS, **MINDS}
