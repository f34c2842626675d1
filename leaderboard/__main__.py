"""`python -m leaderboard` is `collm leaderboard`."""

import sys

from leaderboard.cli import main

sys.exit(main(sys.argv[1:]))
