"""What `mnist-samples` says of models that are known."""

import pytest
import torch
from random_cases import normal

from gradelib import networks
from gradelib.experiments import mnist_samples, models
from gradelib.experiments.experiment import few_digits

SETTINGS = mnist_samples.EXPERIMENT.tiny_settings


@pytest.fixture(scope="module")
def digits():
    return few_digits()


def test_kinds_differ_in_what_they_say(digits):
    """Of one start: other noise moves the β-VAE, another seed starts elsewhere, the rest has no noise at all."""
    job = {**mnist_samples.EXPERIMENT.jobs["core, beta 0.4, seed 1, 6000 steps"], "hidden": [8], "steps": 2}
    trained, cost = models.train_each(mnist_samples.trainings(job), digits, "cpu")
    assert cost["seconds"] > 0
    assert cost["cpu_seconds"] > 0
    weights = {kind: torch.nn.utils.parameters_to_vector(model.parameters()) for kind, model in trained.items()}
    expected = models.train({**job, "objective": "beta_vae", "noise_seed": 1001}, digits).model
    assert torch.equal(weights["noise"], torch.nn.utils.parameters_to_vector(expected.parameters()))
    far = {kind: float((weight - weights["beta_vae"]).detach().norm()) for kind, weight in weights.items()}
    assert far.pop("beta_vae") == 0
    assert far.pop("seed") > 3 * max(far.values())
    assert min(far.values()) > 0


def test_clouds_and_the_gaussian_have_the_moments_of_the_aggregated_posterior(digits):
    model = networks.mlp_vae(64, 3, hidden=[8], seed=0).double()
    model.decoder = torch.nn.Identity()  # a picture is its z
    h, factor = normal(60, 3), torch.diag_embed(normal(60, 3, seed=1).abs())
    moments = h.mT.cov() + (factor @ factor.mT).mean(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mnist_samples, "clouds", lambda *_: (h, factor))
        found = dict(mnist_samples._pictures(model, 0.4, digits, {**SETTINGS, "draws": 400}))
    for way, expected in (("prior", torch.eye(3)), ("gaussian", moments), ("clouds", moments)):
        z = torch.cat(found[way])
        assert (z.mT.cov() - expected).abs().max() < 0.05 * float(moments.norm())
    torch.testing.assert_close(torch.cat(found["clouds"]).mean(0), h.mean(0), atol=0.05, rtol=0)


def test_real_pictures_are_as_near_as_they_can_be(digits):
    classifier = mnist_samples._features(digits, 20)
    real = mnist_samples._Real(classifier, digits, SETTINGS)
    found = real.judge([digits.test, digits.test])
    assert found["distance"] == pytest.approx(0, abs=1e-6)
    assert (found["precision"], found["recall"], found["spread"]) == (1, 1, pytest.approx(0, abs=1e-6))
    assert real.floor > 0


def test_the_table_takes_means_over_the_seeds():
    jobs = mnist_samples.EXPERIMENT.jobs
    rows = [
        {"job": jobs[f"core, beta 0.4, seed {seed}, 6000 steps"], "state": "done", "numbers": numbers}
        for seed, numbers in enumerate(({"floor": 1.0, "unlike_rae": 0.5}, {"floor": 2.0}))
    ]
    (line,) = mnist_samples.evaluate(rows)
    assert line == {
        "beta": 0.4,
        "steps": 6000,
        "seeds": 2,
        "floor": 1.5,
        "floor_error": pytest.approx(0.5),
        "unlike_rae": 0.5,
        "unlike_rae_error": None,
    }
