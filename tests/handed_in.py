"""Small notebooks as learners hand them in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SET_UP = "import torch\nfrom gradelib import check\n\ntorch.set_default_dtype(torch.float64)"
FORMULA = 'check("opt-var-1d", "beta/(beta + w**2)")'
FUNCTION = """def optimal_variances(J, curvature, beta):
    m = -(curvature.unsqueeze(-1) * J**2).sum(-2)
    return beta / (beta + m)

check("optimal-variances", optimal_variances)"""
ASKED = ("opt-var-1d", "optimal-variances")


def code(source: str, *tags: str) -> dict[str, Any]:
    """A code cell."""
    return {
        "cell_type": "code",
        "metadata": {"tags": [*tags]},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


def hand_in(folder: Path, *cells: str | dict[str, Any], name: str = "ada") -> Path:
    """Write a notebook with these code cells."""
    made = [cell if isinstance(cell, dict) else code(cell) for cell in cells]
    path = folder / f"{name}.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made}))
    return path
