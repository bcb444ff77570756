"""Corpora that are slow to try as a whole: a sample of them by default, all with TEST_WHOLE=1 in the environment."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import TypeVar

Member = TypeVar("Member")


def some_of(members: Sequence[Member], most: int, seed: int = 0) -> Sequence[Member]:
    """At most so many of the members, the same ones for the same seed; all of them on demand."""
    whole = os.environ.get("TEST_WHOLE") == "1" or len(members) <= most
    return members if whole else random.Random(seed).sample(members, most)
