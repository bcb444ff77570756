"""The exact loss of the slides' model, its slopes, and where the fits end."""

import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime

from gradelib import datasets, exact_vae, objectives
from gradelib.exact_vae import FAMILIES
from gradelib.likelihoods import Gaussian
from gradelib.playground import SharedCovarianceVAE

X = datasets.synthetic(torch.float64, examples=40, seed=3).train


def model_of(family, seed=1):
    model = exact_vae.random_model(6, family, seed)
    return model._replace(offset=model.offset + 0.1, e=model.e - 0.2, scales=model.scales + 0.3)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_the_mean_of_the_sampled_one(family):
    model = model_of(family)
    sampled = SharedCovarianceVAE(model.A, model.C, family)
    with torch.no_grad():
        sampled.b.copy_(model.offset)
        sampled.e.copy_(model.e)
        sampled.scales.copy_(model.scales)
        q = sampled.posterior(X)
        noise = torch.randn(20_000, *q.mean.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        log_prob = Gaussian(exact_vae.NOISE).log_prob(X, sampled.decoder(q.sample(noise))).mean(0)
        wanted = float(objectives.beta_vae(log_prob, q.kl(), 1.0))
        h, L = (X @ model.C.mT + model.e).numpy(), sampled.factor().numpy()
    found, _ = exact_vae.loss_and_slopes(X.numpy(), model.A.numpy(), model.offset.numpy(), h, L)
    assert found == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_slope_is_that_of_the_loss(family):
    model = model_of(family)
    w = np.concatenate([[0.1, -0.2, 0.3, 0.2], *(part.numpy().ravel() for part in model)])
    _, slope = exact_vae._loss_and_slope(w, X.numpy(), X.numpy(), family)
    numeric = approx_fprime(w, lambda w: exact_vae._loss_and_slope(w, X.numpy(), X.numpy(), family)[0], 1e-7)
    np.testing.assert_allclose(slope, numeric, rtol=1e-4, atol=1e-4 * np.abs(slope).max())


def test_two_starts_end_at_one_loss_and_no_family_beats_the_full_one():
    least, x = {}, datasets.synthetic(torch.float64).train
    for family in FAMILIES:
        ends = [exact_vae.fit(exact_vae.random_model(6, family, seed), x, family)[0] for seed in (0, 1)]
        assert ends[0] == pytest.approx(ends[1], abs=1e-5)
        least[family] = ends[0]
    assert least["full"] <= least["diagonal"] + 1e-6 < least["isotropic"]


def test_the_best_encoder_of_a_fitted_model_is_its_own_and_the_decoder_is_held():
    least, fitted = exact_vae.fit(exact_vae.random_model(6, "diagonal", 0), X, "diagonal", gtol=1e-7)
    elsewhere = fitted._replace(C=0.5 * fitted.C, scales=fitted.scales + 1)
    again, found = exact_vae.fit_encoder(elsewhere, X, "diagonal")
    assert again == pytest.approx(least, abs=1e-6)
    assert found.A is fitted.A
    torch.testing.assert_close(found.C, fitted.C, rtol=1e-2, atol=1e-3)


def test_codes_of_their_own_cost_less_than_a_linear_encoder():
    least, fitted = exact_vae.fit(exact_vae.random_model(6, "diagonal", 0), X, "diagonal")
    codes = (X @ fitted.C.mT + fitted.e).mT
    start = fitted._replace(C=codes, e=0 * fitted.e)
    free, found = exact_vae.fit(start, X, "diagonal", seen=torch.eye(len(X), dtype=torch.float64))
    assert free < least - 0.01
    assert found.C.shape == (2, len(X))


MODEL = exact_vae.random_model(6, "full", 0)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"family": "diagnal"}, "no family called 'diagnal'"),
        ({"x": X.float()}, r"wants float64 without gradients, but x is torch\.float32"),
        ({"x": X[:0]}, r"at least one example, but its shape is \(0, 6\)"),
        ({"x": X[:, :5]}, r"A must have the shape \(5, 2\)"),
        ({"model": MODEL._replace(A=MODEL.A * torch.nan)}, "A holds NaN"),
        ({"model": MODEL._replace(e=MODEL.e.clone().requires_grad_())}, "without gradients, but e is"),
        ({"family": "diagonal"}, r"scales must have the shape \(2,\) here, but has \(3,\)"),
        ({"seen": X[:5]}, r"seen must have the shape \(40, 6\)"),
        ({"seen": X * torch.inf}, "seen holds NaN or infinity"),
    ],
)
def test_what_a_fit_refuses(changed, words):
    with pytest.raises(ValueError, match=words):
        exact_vae.fit(**{"model": MODEL, "x": X, "family": "full"} | changed)


def test_what_the_others_refuse():
    with pytest.raises(ValueError, match="A must have the shape"):
        exact_vae.fit_encoder(MODEL, X[:, :5], "full")
    with pytest.raises(ValueError, match="n must be a whole number"):
        exact_vae.random_model(2.5, "full", 0)
    with pytest.raises(ValueError, match="no family called 'round'"):
        exact_vae.factor(MODEL.scales, "round")
