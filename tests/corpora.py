"""Corpora that are slow to try as a whole: each day another sample of them, and all of them with `--whole-corpus`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Member = TypeVar("Member")


@dataclass
class Sampling:
    """How samples are drawn; the command line sets it before tests are collected (`conftest.py`)."""

    whole: bool = False
    seed: int = 0


sampling = Sampling()


def some_of(members: Sequence[Member], most: int) -> Sequence[Member]:
    """At most so many of the members, drawn with the seed of this run; all of them where whole corpora are tried."""
    whole = sampling.whole or len(members) <= most
    return members if whole else random.Random(sampling.seed).sample(members, most)
