"""The environment of every kernel that runs the book: in the build, under nbval, and in the sandbox of a class."""

from __future__ import annotations

from gradelib.parallel import ONE_THREAD

# Live figures as plain HTML without widgets; no progress bars, which would stand in the outputs.
ENVIRONMENT = {"GRADELIB_STATIC": "1", "TQDM_DISABLE": "1", **ONE_THREAD}
