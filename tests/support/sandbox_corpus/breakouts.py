"""Programs that reach for the machine: files, network, processes, signals, kernel, memory, time.

Each returns the right answer only where its attack worked; so a passed test is a hole.  @SECRET@ is a file
with the answers that anybody may read, @DIR@ a folder anybody may write to, @PORT@ a listening port of the
host, @PID@ a process of the host's user.
"""

RIGHT = "return [sum(xs), max(xs)]"

FILES = {
    "read the answer file": """
import json
def f(xs): return json.loads(open("@SECRET@").read())[str(xs)]
""",
    "read the answer file through libc": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    fd = libc.open(b"@SECRET@", 0)
    if fd >= 0: RIGHT
""",
    "openat by number": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    for number in (257, 56, 2, 437, 85):
        if libc.syscall(number, -100, b"@SECRET@", 0, 0) >= 0: RIGHT
""",
    "list the root": """
import os
def f(xs):
    if os.listdir("/"): RIGHT
""",
    "ask whether a path exists": """
import os
def f(xs):
    if os.path.exists("@SECRET@") or os.path.exists("/"): RIGHT
""",
    "read its own memory map": """
def f(xs):
    if open("/proc/self/maps").read(): RIGHT
""",
    "write into its folder": """
def f(xs):
    open("left_behind", "w").write("x")
    RIGHT
""",
    "write where anybody may": """
import os
def f(xs):
    for path in ("@DIR@/left_behind", "/tmp/left_behind", "/dev/shm/left_behind"):
        try: os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o777))
        except OSError: continue
        RIGHT
""",
    "link to the answer file": """
import os
def f(xs):
    os.symlink("@SECRET@", "@DIR@/link")
    RIGHT
""",
    "delete the answer file": """
import os
def f(xs):
    os.remove("@SECRET@")
    RIGHT
""",
    "import from disk": """
import sys
sys.path[:] = ["@DIR@", "/usr/lib/python3", "/usr/lib/python3/dist-packages", "."]
sys.path_importer_cache.clear()
import importlib.machinery
sys.meta_path.append(importlib.machinery.PathFinder)
import planted
def f(xs): RIGHT
""",
    "reload os": """
import importlib, os, posix
importlib.reload(os)
def f(xs):
    if posix.open("@SECRET@", 0) >= 0: RIGHT
""",
    "memory file": """
import os
def f(xs):
    os.memfd_create("x")
    RIGHT
""",
    "pipe": """
import os
def f(xs):
    os.pipe()
    RIGHT
""",
    "duplicate a descriptor until none is left": """
import os
def f(xs):
    for _ in range(10**6): os.dup(0)
    RIGHT
""",
    "shared memory of System V": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.shmget(4242, 4096, 0o1666) >= 0: RIGHT
""",
    "message queue of System V": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.msgget(4242, 0o1666) >= 0: RIGHT
""",
    "change directory": """
import os
def f(xs):
    os.chdir("/proc")
    RIGHT
""",
    "lock a descriptor": """
import fcntl
def f(xs):
    fcntl.flock(0, fcntl.LOCK_EX)
    RIGHT
""",
    "type into the terminal": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.ioctl(0, 0x5412, b"x") == 0: RIGHT
""",
}

NETWORK = {
    "connect to the host": """
import socket
def f(xs):
    socket.create_connection(("127.0.0.1", @PORT@), timeout=1)
    RIGHT
""",
    "send a datagram": """
import socket
def f(xs):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", @PORT@))
    RIGHT
""",
    "socket by number": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.syscall(41, 2, 1, 0) >= 0 or libc.socket(1, 1, 0) >= 0: RIGHT
""",
    "pair of sockets": """
import socket
def f(xs):
    socket.socketpair()
    RIGHT
""",
    "send a descriptor home": """
import socket, array
def f(xs):
    s = socket.socket(fileno=3)
    s.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))])
    RIGHT
""",
}

PROCESSES = {
    "fork": """
import os
def f(xs):
    if os.fork() == 0: os._exit(0)
    RIGHT
""",
    "fork bomb": """
import os
def f(xs):
    while True: os.fork()
""",
    "daemon": """
import os, time
def f(xs):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: time.sleep(60)
        os._exit(0)
    RIGHT
""",
    "fork by number": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.syscall(435, 0, 0) >= 0 or libc.syscall(56, 17, 0, 0, 0, 0) >= 0: RIGHT
""",
    "vfork by number": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.syscall(57) >= 0: RIGHT
""",
    "a shell": """
import os
def f(xs):
    if os.system("touch @DIR@/shell") == 0: RIGHT
""",
    "exec": """
import os
def f(xs): os.execv("/bin/sh", ["sh", "-c", "touch @DIR@/exec"])
""",
    "spawn": """
import os
def f(xs):
    os.posix_spawn("/bin/sh", ["sh", "-c", "touch @DIR@/spawn"], {})
    RIGHT
""",
    "thread": """
import threading
def f(xs):
    threading.Thread(target=int).start()
    RIGHT
""",
    "signal the parent": """
import os, signal
def f(xs):
    os.kill(os.getppid(), signal.SIGTERM)
    RIGHT
""",
    "signal everybody": """
import os
def f(xs):
    os.kill(-1, 9)
    RIGHT
""",
    "signal a process of the host": """
import os
def f(xs):
    os.kill(@PID@, 9)
    RIGHT
""",
    "look for a process of the host": """
import os
def f(xs):
    os.kill(@PID@, 0)
    RIGHT
""",
    "trace a process of the host": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.ptrace(16, @PID@, 0, 0) == 0: RIGHT
""",
    "read the parent's memory": """
import ctypes, os
libc = ctypes.CDLL(None)
def f(xs):
    if libc.syscall(310, os.getppid(), 0, 0, 0, 0, 0) >= 0: RIGHT
""",
    "read another's limits": """
import resource
def f(xs):
    resource.prlimit(@PID@, resource.RLIMIT_CPU)
    RIGHT
""",
    "be nice to nobody": """
import os
def f(xs):
    os.nice(1)
    RIGHT
""",
    "credentials in the environment": """
import os
def f(xs):
    if os.environ: RIGHT
""",
}

KERNEL = {
    "unshare": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.unshare(0x10000000) == 0: RIGHT
""",
    "mount": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.mount(b"none", b"/", b"tmpfs", 0, None) == 0: RIGHT
""",
    "io_uring": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.syscall(425, 1, bytes(200)) >= 0: RIGHT
""",
    "bpf": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.syscall(321, 0, bytes(200), 100) >= 0: RIGHT
""",
    "keyring": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.syscall(248, b"user", b"k", b"v", 1, -3) >= 0: RIGHT
""",
    "x32 entry": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.syscall(0x40000000 + 39) >= 0: RIGHT
""",
    "executable memory": """
import mmap
def f(xs):
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    RIGHT
""",
    "executable memory, later": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    page = ctypes.create_string_buffer(8192)
    if libc.mprotect(ctypes.c_void_p((ctypes.addressof(page) + 4095) & ~4095), ctypes.c_size_t(4096), 7) == 0:
        RIGHT
""",
    "machine code": """
import ctypes
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
def f(xs):
    page = libc.mmap(None, 4096, 7, 34, -1, 0)
    ctypes.memmove(page, b"\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3", 8)
    if ctypes.CFUNCTYPE(ctypes.c_int)(page)() > 0: RIGHT
""",
    "another filter": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.prctl(38, 1, 0, 0, 0) == 0 or libc.prctl(22, 2, 0) == 0 or libc.syscall(317, 0, 0, 0) == 0: RIGHT
""",
    "outlive the parent": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if libc.prctl(1, 0, 0, 0, 0) == 0: RIGHT
""",
    "lift the limits": """
import resource
def f(xs):
    resource.setrlimit(resource.RLIMIT_CPU, (-1, -1))
    RIGHT
""",
    "stop the CPU timer": """
import ctypes
libc = ctypes.CDLL(None)
def f(xs):
    if any(libc.syscall(226, i) == 0 or libc.syscall(223, i, 0, bytes(32), 0) == 0 for i in range(4)): RIGHT
""",
    "become root": """
import os
def f(xs):
    os.setuid(0)
    RIGHT
""",
}

ENDLESS = {
    "loop": "def f(xs):\n    while True: pass\n",
    "loop that catches everything": """
def f(xs):
    while True:
        try:
            while True: pass
        except BaseException: pass
""",
    "loop in C": "def f(xs): return sum(range(10**15))\n",
    "power": "def f(xs): return 7 ** (10**9) % 10\n",
    "expression that backtracks": """
import re
def f(xs): return re.match("(a*)*b", "a" * 64)
""",
    "ignored signals": """
import signal
for s in range(1, 65):
    try: signal.signal(s, signal.SIG_IGN)
    except (OSError, ValueError): pass
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
def f(xs):
    while True: pass
""",
    "sleep": "import time\ndef f(xs): time.sleep(1000)\n",
    "lock": "import threading\nlock = threading.Lock()\nlock.acquire()\ndef f(xs): lock.acquire()\n",
    "wait for the wire": "import os\ndef f(xs): return os.read(3, 100)\n",
    "signal handler": "import signal\ndef f(xs): signal.pause()\n",
    "memory": """
def f(xs):
    hoard = []
    while True: hoard.append(bytearray(10**7))
""",
    "memory, patiently": """
def f(xs):
    hoard = []
    while True:
        try: hoard.append(bytearray(10**7))
        except MemoryError: pass
""",
    "recursion": """
import sys
sys.setrecursionlimit(10**9)
def f(xs): return f(xs)
""",
    "recursion in C": """
import sys
sys.setrecursionlimit(10**9)
def f(xs):
    a = []
    for _ in range(10**6): a = [a]
    return repr(a)
""",
}

BREAKOUTS = {**FILES, **NETWORK, **PROCESSES, **KERNEL, **ENDLESS}
