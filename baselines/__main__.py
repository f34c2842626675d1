"""`python -m baselines` is `collm`."""

import sys

from baselines.cli import main

sys.exit(main())
