"""`fitted-variances`: what is judged, against closed forms, and compared seed by seed."""

import math

import pytest
import torch
from random_cases import normal

from gradelib import networks
from gradelib.experiments import fitted_variances
from gradelib.experiments.fitted_variances import EXPERIMENT, judge, trainings


@pytest.fixture(scope="module")
def judged():
    """A model with a linear decoder, its rows, and what it is judged to cost in two chunks."""
    model, x = networks.mlp_vae(5, 3, hidden=[8], seed=0).double(), normal(40, 5)
    model.decoder = networks.mlp([3, 5]).double()
    return model, x, judge(model, x, 0.4, {**EXPERIMENT.tiny_settings, "samples": 10_000})


def test_the_losses_of_a_linear_decoder_are_its_closed_forms(judged):
    model, x, found = judged
    with torch.no_grad():
        q, W = model.posterior(x), model.decoder[0].weight
        error = (x - model.decoder(q.mean)).square().sum(-1) / 2
        lengths = W.square().sum(0)
        formula = error + 0.2 * (q.mean.square().sum(-1) + torch.log1p(lengths / 0.4).sum())
        own = error + 0.5 * (lengths * q.factor.square()).sum(-1) + 0.4 * q.kl()
    assert found["formula"] == pytest.approx(float(formula.mean()), abs=0.01)
    assert found["own"] == pytest.approx(float(own.mean()), abs=0.01)
    assert abs(found["log_ratio"]) < 0.3  # six steps do not move them far
    assert 0 <= found["fitted"] - found["formula"] < 0.1  # the formula's are best here
    assert found["codes"] < found["fitted"] - 0.1  # the untrained encoder's are not


def test_the_models_differ_in_the_objective_alone_and_only_trained_variances_are_judged():
    for job in EXPERIMENT.jobs.values():
        one, other = trainings(job).values()
        assert {name for name in one if one[name] != other[name]} == {"objective"}
    (job,) = EXPERIMENT.tiny_jobs.values()
    numbers, _ = EXPERIMENT.run(job, EXPERIMENT.tiny_settings, EXPERIMENT.tiny_data(), "cpu")
    assert {name for name in numbers if name.startswith("own")} == {"own_beta_vae"}


def row(seed, grae, vae, **job):
    numbers = {
        f"{kind}_{of}": value
        for kind in fitted_variances.JUDGED
        for of, value in (("grae_column", grae), ("beta_vae", vae))
    }
    numbers["fitted_grae_column"] -= 1
    numbers["codes_beta_vae"] += 3
    numbers["own_beta_vae"] = vae + 4 + seed
    job = {**fitted_variances.ON["mnist"], "beta": 0.4, "seed": seed, **job}
    return {"job": job, "state": "done", "numbers": numbers | {"seconds": 9.0}}


def test_differences_are_taken_seed_by_seed_within_one_setting():
    rows = [row(0, 5.0, 1.0), row(1, 7.0, 5.0), row(0, 2.0, 1.0, optimiser="adam"), {"state": "diverged", "job": {}}]
    adam, muon = fitted_variances.evaluate(rows)
    assert muon["seeds"] == 2
    assert [muon[f"difference_{kind}"] for kind in fitted_variances.JUDGED] == [3.0, 2.0, 0.0]
    assert muon["difference_formula_error"] == pytest.approx(1.0)
    assert (adam["seeds"], adam["difference_formula"], adam["difference_formula_error"]) == (1, 1.0, None)
    assert math.isclose(muon["formula_beta_vae"], 3.0)
    assert (muon["amortisation_gap"], muon["amortisation_gap_error"]) == (1.5, 0.5)
    assert "seconds" not in muon
