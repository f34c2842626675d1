"""`python -m baselines` is `collm`."""

import sys

from baselines.cli.main import main

sys.exit(main())
