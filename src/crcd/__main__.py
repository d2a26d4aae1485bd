"""Lets ``python -m crcd`` be the command ``crcd``."""

import sys

from crcd.cli import main

sys.exit(main())
