"""`python -m gradelib` is the command line."""

import sys

from gradelib.cli import main

sys.exit(main())
