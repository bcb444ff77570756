"""What `digits-samples` says of where codes lie, against torch's own distributions."""

import pytest
import torch
from random_cases import normal
from torch.distributions import MultivariateNormal, kl_divergence

from gradelib import networks
from gradelib.experiments import digits_samples, mnist_samples


@pytest.fixture
def found(monkeypatch):
    """Of a model and of a second one, whose codes and decoder are twice and half as wide: the numbers, codes and Σ."""
    h, factor = normal(60, 3) + 1, torch.diag_embed(normal(60, 3, seed=1).abs())
    narrow, wide = (networks.mlp_vae(5, 3, hidden=[8], seed=0).double() for _ in range(2))
    wide.decoder[0].weight.data /= 2
    of = {id(narrow): (h, factor), id(wide): (2 * h, 2 * factor)}
    monkeypatch.setattr(mnist_samples, "clouds", lambda model, x, beta: of[id(model)])
    numbers = digits_samples.places({"beta_vae": narrow, "grae": wide}, 0.4, normal(60, 5), 50)
    return numbers, h, factor @ factor.mT


def test_codes_and_clouds_are_averaged_over_latents_and_examples(found):
    numbers, h, covariance = found
    assert numbers["codes_beta_vae"] == pytest.approx(float((h**2).mean()))
    assert numbers["clouds_beta_vae"] == pytest.approx(float(covariance.diagonal(dim1=1, dim2=2).mean()))
    for name in ("codes", "clouds"):
        assert numbers[f"{name}_grae"] == pytest.approx(4 * numbers[f"{name}_beta_vae"])


def test_the_mismatch_is_that_of_the_moments_of_the_aggregated_posterior(found):
    numbers, h, covariance = found
    second = (covariance + h[:, :, None] * h[:, None, :]).mean(0)
    fitted = MultivariateNormal(h.mean(0), second - torch.outer(h.mean(0), h.mean(0)))
    normal_3 = MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    assert numbers["mismatch_beta_vae"] == pytest.approx(float(kl_divergence(fitted, normal_3)))


def test_a_model_with_wider_codes_and_the_same_map_makes_the_same_pictures_from_its_own_place(found):
    assert found[0]["unlike_own_grae"] == pytest.approx(0, abs=1e-12)


def test_the_short_trainings_have_every_control():
    for job in digits_samples.EXPERIMENT.jobs.values():
        kinds = set(mnist_samples.KINDS)
        assert set(job["kinds"]) == (kinds if job["steps"] == digits_samples.STEPS else kinds - {"plain", "rae"})
