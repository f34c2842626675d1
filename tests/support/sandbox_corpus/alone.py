"""Runs the corpus in a process of its own, under another user or a stricter kernel; prints JSON.

    python alone.py FOLDER PROFILE [UID]

PROFILE: plain | docker (no unshare, no mount) | gvisor (no Landlock either) | bare (no seccomp either)
"""

import json
import os
import sys
import types
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    folder, profile = Path(sys.argv[1]), sys.argv[2]
    sys.path.insert(0, str(HERE.parent))
    package = types.ModuleType("collm_envs")  # the sandbox needs nothing else of the package
    package.__path__ = [str(HERE.parents[2] / "collm_envs")]
    sys.modules["collm_envs"] = package
    from collm_envs.sandbox import SandboxUnavailable
    from sandbox_corpus.play import play, restrict

    if len(sys.argv) > 3:
        uid = int(sys.argv[3])
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    restrict(profile)
    try:
        print(json.dumps(play(folder)))
    except SandboxUnavailable as error:
        print(json.dumps({"unavailable": str(error)}))


if __name__ == "__main__":
    main()
