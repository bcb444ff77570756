"""The recipes: the recorded tiny run is what the code gives, and a sign flipped anywhere in a recipe shows in it."""

import inspect
import itertools
import json
import sys
import textwrap

import pytest
import torch
from corpora import some_of

from gradelib import evaluation, experiments, objectives, optimisers, posteriors, training
from gradelib.experiments import (
    digits_long,
    digits_samples,
    fitted_variances,
    images_64,
    learned_covariance,
    mnist_blocks,
    mnist_objectives,
    mnist_samples,
    models,
    race,
    rotations,
    running,
)
from gradelib.experiments.provenance import settings_digest
from gradelib.experiments.store import FOLDER
from gradelib.likelihoods import Bernoulli, Gaussian
from gradelib.networks import MLP
from gradelib.posteriors import Posterior

LARGEST, LARGEST_TOGETHER = 1_000_000, 6_000_000  # bytes that ship with the package


@pytest.mark.sampled
@pytest.mark.parametrize("name", some_of(experiments.NAMES, 3))
def test_the_code_gives_the_tiny_digits_of_the_recorded_rows(name):
    experiment = experiments.find(name)
    head = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf8"))["head"]
    assert running.difference(head["tiny"]["digits"], experiment.tiny()) is None
    assert head["settings_digest"] == settings_digest(experiment.settings)


@pytest.mark.parametrize("name", experiments.NAMES)
def test_rows_say_where_they_come_from(name):
    recorded = experiments.load(name)
    assert recorded.stale is None
    keys = {"data", "settings", "code", "versions", "device", "seconds", "cpu_seconds", "date"}
    for key, row in recorded.rows.items():
        assert row["job"] == json.loads(json.dumps(experiments.find(name).jobs[key]))
        assert set(row["provenance"]) == keys
        assert row["provenance"]["settings"] == settings_digest(experiments.find(name).settings)


def test_what_ships_is_small():
    sizes = [path.stat().st_size for path in FOLDER.iterdir()]
    assert max(sizes) <= LARGEST
    assert sum(sizes) <= LARGEST_TOGETHER


@pytest.mark.parametrize("name", experiments.NAMES)
def test_a_grid_has_no_job_twice_and_every_job_can_be_tried(name):
    experiment = experiments.find(name)
    jobs = [json.dumps(job, sort_keys=True) for job in experiment.jobs.values()]
    assert len(set(jobs)) == len(jobs)
    for job in list(experiment.jobs.values()) + list(experiment.tiny_jobs.values()):
        assert job["objective"] in training.OBJECTIVES
        assert job["optimiser"] in optimisers.OPTIMISERS
        assert models.passes(job["objective"], job["latents"]) > 0


# --- a flipped sign

RECIPES = (
    mnist_objectives,
    mnist_blocks,
    mnist_samples,
    learned_covariance,
    digits_long,
    digits_samples,
    fitted_variances,
    race,
    images_64,
)


@pytest.fixture(scope="module")
def digits():
    return {module: module.EXPERIMENT.tiny() for module in RECIPES}


FLIPS = [  # where, and which words become which
    (objectives, "beta_vae", "beta * kl - log_prob", "-beta * kl - log_prob"),
    (objectives, "beta_vae", "- log_prob", "+ log_prob"),
    (objectives, "taylor", "log_prob + spread", "log_prob - spread"),
    (objectives, "grae", "eye - scaled", "eye + 0.1 * scaled"),
    (objectives, "grae_column", "torch.log1p(-scaled)", "-torch.log1p(-scaled)"),
    (objectives, "_with_codes", "0.5 * beta * (mean**2)", "-0.5 * beta * (mean**2)"),
    (objectives, "_with_codes", "0.5 * beta * log_determinant", "-0.5 * beta * log_determinant"),
    (training, "_beta_vae", "q.sample(noise)", "q.sample(-noise)"),
    (training, "_grae_column", "topk(columns)", "topk(columns, largest=False)"),
    (optimisers.Muon, "_turn", 'alpha=-group["lr"]', 'alpha=group["lr"]'),
    (optimisers.Muon, "_turn", 'lerp(gradient, state["momentum"], group', 'lerp(gradient, -state["momentum"], group'),
    (optimisers.Muon, "_adam", '-group["lr"]', 'group["lr"]'),
    (optimisers, "orthogonalise", ".add_(a)", ".add_(-a)"),
    (posteriors, "log_determinant", "2 * _cholesky", "-2 * _cholesky"),
    (Posterior, "sample", "self.mean + self.factor * noise", "self.mean - self.factor * noise"),
    (Posterior, "kl", "- 2 * self.scales", "+ 2 * self.scales"),
    (Gaussian, "log_prob", "+ normaliser", "- normaliser"),
    (Gaussian, "curvature", "-1 / self", "1 / self"),
    (MLP, "push", "tangents * slopes", "-tangents * slopes * (1 + (tangents > 0))"),
    (models, "_judge_chunk", "0.5 * beta * h", "-0.5 * beta * h"),
    (models, "_expected_log_prob", "- log_prob - quadratic", "- log_prob + quadratic"),
    (models, "_expected_log_prob", "log_prob + 0.5 * (hessian", "log_prob - 0.5 * (hessian"),
    (models, "_expected_log_prob", "+ beyond.mean(0)", "- beyond.mean(0)"),
]
BLOCK_FLIPS = [
    (Posterior, "sample", "self.mean + (self.factor", "self.mean - (self.factor"),
    (mnist_blocks, "_precision", "+ metric / beta", "- 0.01 * metric / beta"),
    (mnist_blocks, "shape", '-metric, beta, "block"', '-0.5 * metric, beta, "block"'),
    (mnist_blocks, "_directions", "x - x.mean(0)", "x + x.mean(0)"),
    (rotations, "_log_blocks", "0.5 * blocks", "-0.5 * blocks"),
    (rotations, "turned", "R.mT @ matrices @ R", "R @ matrices @ R.mT"),
    (rotations, "random_rotations", "Q * R", "Q.abs() * R"),
]
RACE_FLIPS = [
    (optimisers.SOAP, "_move", 'alpha=-group["lr"]', 'alpha=group["lr"]'),
    (optimisers.SOAP, "_move", 'state["Q_left"] @ ahead', '-state["Q_left"] @ ahead'),
    (optimisers.SOAP, "_move", 'square"].lerp_(turned.square()', 'square"].lerp_(matrix.square()'),
    (optimisers, "_turn_bases", "descending=True", "descending=False"),
    (training, "_grae_column", "math.ceil(fraction * len(x))", "len(x)"),
]
COVARIANCE_FLIPS = [
    (learned_covariance, "compare", "model.decoder, h, x - g", "model.decoder, h, g - x"),
    (learned_covariance, "compare", "beta * q.kl() - models", "beta * q.kl() + models"),
    (learned_covariance, "compare", "(kept + dropped)", "(kept - dropped)"),
    (learned_covariance, "compare", "blur - trace", "blur + trace"),
    (learned_covariance, "compare", "loss(own) - by_formula", "loss(own) + by_formula"),
    (learned_covariance, "_alike", "- values.log()", "+ values.log()"),
]
SAMPLE_FLIPS = [
    (training, "_autoencoder", "codes * code - likelihood", "-codes * code - likelihood"),
    (training, "_rae", "- model.d * entries", "+ 0.1 * model.d * entries"),
    (mnist_samples, "training_of", 'changes[name] += job["seed"]', "changes[name] += 1"),
    (mnist_samples, "_pictures", "mean + normal", "-mean + normal"),
    (mnist_samples, "_pictures", "h[rows] + (factor", "h[rows] - (factor"),
    (mnist_samples, "_pictures", "+ (factor @ factor.mT).mean(0)", "- 0.1 * (factor @ factor.mT).mean(0)"),
    (evaluation, "frechet_distance", "- 2 * shared", "+ 2 * shared"),
    (evaluation, "unlikeness", "squared.sum() - same.sum()", "squared.sum() + same.sum()"),
]
IMAGE_FLIPS = [
    (images_64, "principal_features", "vectors[:, -components:]", "vectors[:, :components]"),
    (images_64, "draws", "codes.mean(0) + z", "codes.mean(0) - z"),
    (images_64, "draws", "codes.mean(0) + z", "-codes.mean(0) + z"),
    (mnist_samples, "training_of", 'changes[name] += job["seed"]', "changes[name] += 1"),
    (training, "_grae_column", "noise[:part].topk", "(-noise[:part]).topk"),
]
SMALL_SAMPLE_FLIPS = [
    (digits_samples, "places", "h.mT.cov(correction=0) + spread", "h.mT.cov(correction=0) - 0.1 * spread"),
    (digits_samples, "places", "h.mean(0), h.mT", "-h.mean(0), h.mT"),
    (digits_samples, "places", 'own["beta_vae"], own[kind]', 'own["beta_vae"], -own[kind]'),
    (mnist_samples, "training_of", 'changes[name] += job["seed"]', "changes[name] += 1"),
]
VARIANCE_FLIPS = [
    (evaluation, "fitted_posterior", "1 - share + share", "1 + share + share"),
    (evaluation, "fitted_posterior", "h = h - share", "h = h + share"),
    (evaluation, "_averages", "-likelihood.log_prob", "likelihood.log_prob"),
    (fitted_variances, "_judge_chunk", "q=fitted, codes", "codes"),
    (fitted_variances, "_judge_chunk", "/ best).log()", "* best).log()"),
]
LONG_FLIPS = [
    (digits_long, "information", "- everywhere.logsumexp(-1)", "+ everywhere.logsumexp(-1)"),
    (digits_long, "_shared_column", "noise[:1].expand_as(noise)", "noise"),
    (digits_long, "_direction", "-pushed.square()", "-0.5 * pushed.square()"),
    (digits_long, "_sampled", 'beta, "diagonal"', '2 * beta, "diagonal"'),
    (digits_long, "_bernoulli", "(H + 1).abs()", "(H - 1).abs()"),
    (digits_long, "_bernoulli", "exact + slopes.mT @ slopes", "exact - slopes.mT @ slopes"),
    (digits_long, "_bernoulli", "logits + J.mT @ J", "logits - J.mT @ J"),
    (Bernoulli, "log_prob", "x * g - functional", "-x * g - functional"),
]


def spoilt(owner, name, right, wrong):
    """The function or method with some of its words changed."""
    source = textwrap.dedent(inspect.getsource(getattr(owner, name)))
    assert source.count(right) == 1, f"{right!r} is {source.count(right)} times in {name}"
    module = owner if inspect.ismodule(owner) else sys.modules[owner.__module__]
    made = {}
    exec(f"from __future__ import annotations\n{source.replace(right, wrong)}", vars(module), made)
    return made[name]


OF_RECIPES = {
    mnist_objectives: FLIPS,
    mnist_blocks: BLOCK_FLIPS,
    race: RACE_FLIPS,
    learned_covariance: COVARIANCE_FLIPS,
    mnist_samples: SAMPLE_FLIPS,
    digits_long: LONG_FLIPS,
    digits_samples: SMALL_SAMPLE_FLIPS,
    fitted_variances: VARIANCE_FLIPS,
    images_64: IMAGE_FLIPS,
}


def test_each_sign_is_there_to_be_flipped():
    assert set(OF_RECIPES) == set(RECIPES)
    for flip in itertools.chain(*OF_RECIPES.values()):
        assert callable(spoilt(*flip))


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("module", "owner", "name", "right", "wrong"),
    [(module, *flip) for module, flips in some_of(list(OF_RECIPES.items()), 2) for flip in some_of(flips, 1)],
    ids=lambda part: getattr(part, "__name__", part).split(".")[-1],
)
def test_a_flipped_sign_shows(module, owner, name, right, wrong, digits, monkeypatch):
    changed = spoilt(owner, name, right, wrong)
    monkeypatch.setattr(owner, name, changed)
    for user in (models, training, *RECIPES, posteriors, objectives, rotations):  # who imported it by name
        if getattr(user, name, None) is not None and user is not owner and inspect.ismodule(owner):
            monkeypatch.setattr(user, name, changed, raising=False)
    if owner is training:
        monkeypatch.setitem(training.OBJECTIVES, name.lstrip("_"), changed)
    try:
        found = module.EXPERIMENT.tiny()
    except Exception:  # red, too
        return
    assert running.difference(digits[module], found) is not None


def test_the_tiny_runs_do_not_depend_on_what_ran_before(digits):
    torch.randn(3)
    assert running.difference(digits[mnist_blocks], mnist_blocks.EXPERIMENT.tiny()) is None
