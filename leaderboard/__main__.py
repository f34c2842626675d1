"""`python -m leaderboard` is `collm leaderboard`."""

import os
import sys

try:
    from leaderboard.cli import main
except ModuleNotFoundError as missing:
    sys.exit(f"leaderboard: it needs the package {missing.name!r}: pip install 'collm[cli]'")

try:
    status = main(sys.argv[1:])
    print(end="", flush=True)  # where a closed pipe can be dealt with
    sys.exit(status)
except BrokenPipeError:  # `... | head`
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
except (ValueError, OSError, ImportError) as error:
    sys.exit(f"leaderboard: {error}")
