"""Screenshots as pixels."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def pixels(picture: bytes) -> np.ndarray:
    """The pixels of a PNG file, (height, width, 3), 0 to 255."""
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), dtype=int)


def count_differing(one: np.ndarray, other: np.ndarray) -> int:
    """How many pixels of two pictures clearly differ."""
    return int((np.abs(one - other).max(axis=2) > 40).sum())
