"""The figure of chapter 12, and what the chapter says about how to cite."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml

from gradelib import objectives
from gradelib.figures import Picture, chapter12
from gradelib.figures.live import explore

VARIANCES = torch.tensor([8.0, 5.0, 3.0, 1.0], dtype=torch.float64)
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("beta", "used"), [(2.0, (8.0, 5.0)), (6.0, (8.0, 6.0)), (9.0, (9.0, 9.0))])
def test_the_price_of_a_turn_is_what_the_objective_pays(beta, used):
    # the optimal columns of a linear decoder are orthogonal and have the squared lengths λ − β
    metric = torch.tensor(used, dtype=torch.float64).sub(beta).diag()
    angle = torch.tensor(0.4, dtype=torch.float64)
    R = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    zero = torch.zeros(1, dtype=torch.float64)

    def regulariser(metric):
        return objectives.grae_bound(zero, -metric.diagonal()[None], torch.zeros(1, 2, dtype=torch.float64), beta)

    price = regulariser(R.mT @ metric @ R) - regulariser(metric)
    torch.testing.assert_close(chapter12.turn_cost(VARIANCES[:2], torch.rad2deg(angle)[None], beta)[0], price)


def test_what_is_kept_minimises_the_loss_of_one_direction():
    share = torch.linspace(0, 1, 100_001, dtype=torch.float64)
    for lam, beta in ((3.0, 1.2), (1.0, 1.2)):
        error = (1 - share) ** 2 * lam / 2
        charges = {  # each is the least over how the share is split between encoder and decoder
            "β-VAE, GRAE": lambda v, lam=lam, beta=beta: (
                beta / 2 * (v**2 * lam / _column(v, beta, lam)) + beta / 2 * torch.log1p(_column(v, beta, lam) / beta)
            ),
            "RAE": lambda v, lam=lam, beta=beta: (beta * lam) ** 0.5 * v,
            "denoising": lambda v, lam=lam, beta=beta: beta / 2 * v**2,
        }
        for name, kept in chapter12.KEPT.items():
            best = share[1:][(error + charges[name](share))[1:].argmin()]
            expected = float(kept(torch.tensor(lam, dtype=torch.float64), beta))
            assert float(best) == pytest.approx(expected, abs=2e-5), name


def _column(share, beta, lam):
    """The squared length w² that minimises β share² λ/w² + β log(1 + w²/β), from its stationarity."""
    a = share**2 * lam
    return (a + (a**2 + 4 * a * beta).sqrt()) / 2


def test_the_words_count_what_is_seen():
    draw = chapter12.kept_and_turned(VARIANCES, 3)
    cheap, dear = draw(2.0), draw(4.0)
    assert isinstance(cheap, Picture)
    assert "β-VAE, GRAE 75%, RAE 50%, denoising 80%" in cheap.alt
    assert "keep 3 of 3" in cheap.alt
    assert "keep 2 of 3" in dear.alt
    assert "pays 0 nats" in draw(9.0).alt


def test_the_frames_have_one_size_and_are_light():
    html = explore(chapter12.kept_and_turned(VARIANCES, 3), "β", [1.0, 9.0]).html()
    assert len(html) < 60_000


@pytest.mark.parametrize(
    ("variances", "latents", "words"),
    [(VARIANCES.flip(0), 3, "largest first"), (VARIANCES - 2, 3, "above 0"), (VARIANCES, 1, "Between 2 and 4")],
)
def test_other_variances_are_refused(variances, latents, words):
    with pytest.raises(ValueError, match=words):
        chapter12.kept_and_turned(variances, latents)


def test_the_chapter_cites_the_book_as_the_citation_file_does():
    record = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    text = (ROOT / "book" / "12-beyond.md").read_text(encoding="utf-8")
    [entry] = re.findall(r"@misc\{gradelib,.*?\n\}", text, re.DOTALL)
    plain = " ".join(entry.replace("{", "").replace("}", "").replace(r"$\beta$", "β").split())
    for words in (record["title"], record["version"], record["authors"][0]["name"]):
        assert words in plain
