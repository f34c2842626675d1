"""`python -m leaderboard` is `collm leaderboard`."""

import sys

try:
    from leaderboard.cli import main
except ModuleNotFoundError as missing:
    sys.exit(f"leaderboard: it needs the package {missing.name!r}: pip install 'collm[cli]'")

try:
    sys.exit(main(sys.argv[1:]))
except (ValueError, OSError, ImportError) as error:
    sys.exit(f"leaderboard: {error}")
