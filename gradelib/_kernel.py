"""The environment of every kernel that runs the book: in the build, under nbval, and in the sandbox of a class."""

from __future__ import annotations

# Live figures as plain HTML without widgets; no progress bars, which would stand in the outputs; and one thread, since
# for small matrices a second one only waits for the first.
ENVIRONMENT = {"GRADELIB_STATIC": "1", "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
