"""What the recipes measure, against other ways to the same numbers."""

import math

import pytest
import torch
from random_cases import normal, positive_definite

from gradelib import evaluation, experiments, networks, posteriors, training
from gradelib.experiments import mnist_blocks, mnist_objectives, models, rotations
from gradelib.experiments.experiment import few_digits
from gradelib.experiments.mnist_objectives import STEPS

JOB = {**mnist_objectives.CORE, "hidden": [8], "latents": 4, "beta": 0.4, "steps": 30, "batch_size": 16}


@pytest.fixture(scope="module")
def digits():
    return few_digits()


@pytest.fixture(scope="module")
def trained(digits):
    return models.train(JOB, digits)


def test_a_job_is_one_fit(digits, trained):
    model = networks.mlp_vae(64, 4, hidden=[8], seed=0).double()
    options = {"beta": 0.4, "steps": 30, "batch_size": 16, "optimiser": "muon", "learning_rate": 0.02}
    fit = training.fit(model, digits.train, **options)
    ours, theirs = (torch.nn.utils.parameters_to_vector(m.parameters()) for m in (trained.model, fit.model))
    assert torch.equal(ours, theirs)
    assert math.isclose(trained.train_loss, fit.losses[-3:].mean() - 32 * math.log(2 * math.pi), rel_tol=1e-12)
    assert trained.cost["passes"] == 6 * 30


def test_the_losses_are_those_of_evaluation(digits, trained):
    constant = 32 * math.log(2 * math.pi)
    numbers, metric = models.judge(trained.model, digits.test, {**JOB, "block": 2}, samples=64)
    h = trained.model.posterior(digits.test).mean.detach()
    J = torch.func.vmap(torch.func.jacrev(trained.model.decoder[:]))(h).detach()
    g = trained.model.decoder(h).detach()
    torch.testing.assert_close(metric, J.mT @ J)
    for family, name in (("diagonal", "grae_bound"), ("full", "grae")):
        gap = evaluation.gap(trained.model, digits.test, beta=0.4, family=family, samples=256)
        assert math.isclose(numbers[name] + constant, gap.deterministic, rel_tol=1e-12)
        error = math.hypot(gap.error, numbers[f"beta_vae_{family}_error"])
        assert abs(numbers[f"beta_vae_{family}"] + constant - gap.sampled) < 4 * error
        assert numbers[f"beta_vae_{family}_error"] < 0.01
    own, error = evaluation.beta_vae_loss(trained.model, digits.test, beta=0.4, samples=1024)
    assert abs(numbers["beta_vae"] + constant - own) < 4 * math.hypot(error, numbers["beta_vae_error"])
    assert numbers["grae"] <= numbers["grae_bound"]
    assert numbers["beta_vae_full"] <= numbers["beta_vae_block"] <= numbers["beta_vae_diagonal"] + 0.05
    assert math.isclose(numbers["error"], 0.5 * (digits.test - g).square().sum(-1).mean())
    assert math.isclose(numbers["code"], 0.2 * h.square().sum(-1).mean())
    assert math.isclose(sum(numbers["code_variances"]), h.var(0).sum(), rel_tol=1e-9)
    assert numbers["active"] == sum(variance > 0.01 for variance in numbers["code_variances"])


def test_chunks_change_the_draws_alone(digits, trained, monkeypatch):
    whole, metric = models.judge(trained.model, digits.test, JOB, samples=16)
    monkeypatch.setattr(models, "CHUNK", 7)
    parts, same = models.judge(trained.model, digits.test, JOB, samples=16)
    torch.testing.assert_close(metric, same)
    for name, value in whole.items():
        if name.endswith("_error"):
            assert 0.5 * value < parts[name] < 2 * value
        elif name.startswith("beta_vae"):
            assert abs(parts[name] - value) < 5 * math.hypot(whole[f"{name}_error"], parts[f"{name}_error"])
        elif name != "grae_column":
            assert parts[name] == pytest.approx(value, rel=1e-9)


def test_means_are_over_examples_and_errors_shrink_with_them():
    parts = [(3, {"loss": 2.0, "loss_error": 2.0}), (1, {"loss": 6.0, "loss_error": 4.0})]
    assert models._average("loss", parts) == 3.0
    assert math.isclose(models._average("loss_error", parts), math.hypot(6.0, 4.0) / 4)


# --- rotations


def test_random_rotations_are_orthogonal_and_uniform():
    found = torch.stack(list(rotations.random_rotations(3, 4000, torch.Generator().manual_seed(0))))
    torch.testing.assert_close(found.mT @ found, torch.eye(3, dtype=torch.float64).expand_as(found))
    assert found.mean(0).abs().max() < 0.05
    assert (found.square().mean(0) - 1 / 3).abs().max() < 0.03


@pytest.mark.parametrize("block", [1, 2])
def test_the_best_rotation_finds_the_common_blocks(block):
    """Matrices with blocks, all turned by one rotation, owe nothing between blocks once turned back."""
    blocks = positive_definite(60, 4 // block, block, seed=1)
    P = torch.stack([torch.block_diag(*parts) for parts in blocks]) + 0.1 * torch.eye(4, dtype=torch.float64)
    Q = next(rotations.random_rotations(4, 1, torch.Generator().manual_seed(3)))
    mixed = rotations.turned(P, Q)
    best = rotations.best_rotation(mixed, block)
    torch.testing.assert_close(best.mT @ best, torch.eye(4, dtype=torch.float64))
    owed = [mnist_blocks.shape(M - torch.eye(4), 1.0, 2) for M in (mixed, rotations.turned(mixed, best))]
    name = "nats_between_axes" if block == 1 else "nats_between_blocks"
    assert owed[0][name] > 0.05
    assert owed[1][name] < 1e-6


def test_axes_are_grouped_by_what_they_share():
    P = torch.eye(6, dtype=torch.float64).repeat(3, 1, 1)
    for i, j, shared in ((0, 3, 0.9), (1, 5, 0.5), (2, 4, -0.7), (0, 1, 0.2)):
        P[:, i, j] = P[:, j, i] = shared
    order = rotations._grouped(P, 2)
    assert sorted(order) == list(range(6))
    assert {frozenset(order[k : k + 2]) for k in (0, 2, 4)} == {frozenset(pair) for pair in ((0, 3), (1, 5), (2, 4))}


def test_what_a_shape_owes_is_by_hand():
    J = normal(30, 9, 4)
    metric, beta = J.mT @ J, 0.7
    found = mnist_blocks.shape(metric, beta, 2)
    P = torch.eye(4) + metric / beta
    halves = P[:, :2, :2].logdet() + P[:, 2:, 2:].logdet()
    assert math.isclose(found["nats_between_blocks"], 0.5 * (halves - P.logdet()).mean(), rel_tol=1e-9)
    axes = P.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    assert math.isclose(found["nats_between_axes"], 0.5 * (axes - P.logdet()).mean(), rel_tol=1e-9)
    cosines = evaluation.block_cosines(J, 2)
    assert (found["cosine_inside"], found["cosine_outside"]) == pytest.approx(cosines)
    J[:, :, 3] = 0.0
    assert math.isfinite(mnist_blocks.shape(J.mT @ J, beta, 2)["cosine_outside"])


def test_directions_of_the_data_are_as_long_as_the_columns():
    J = normal(5, 9, 4)
    x = normal(3000, 9, seed=1) * torch.arange(1, 10)
    draws = list(mnist_blocks._directions(x, J.mT @ J, 400, torch.Generator().manual_seed(0)))
    for metric in draws:
        torch.testing.assert_close(metric.diagonal(dim1=-2, dim2=-1), (J.mT @ J).diagonal(dim1=-2, dim2=-1))
    a = torch.stack([metric[0, 0, 1] / (metric[0, 0, 0] * metric[0, 1, 1]).sqrt() for metric in draws])
    variances = torch.arange(1, 10.0) ** 2
    rough = (variances.square().sum() / variances.sum() ** 2).sqrt()  # of the cosine, to first order
    assert 0.7 * rough < a.std() < 1.3 * rough


# --- the tables


def row(objective, seed, loss, bound=None, steps=STEPS, control="core", state="done", **changes):
    job = {**mnist_objectives.CORE, "objective": objective, "seed": seed, "steps": steps, "control": control, **changes}
    numbers = {"beta_vae_diagonal": loss, "grae_bound": loss if bound is None else bound}
    return {"job": job, "state": state, "numbers": numbers}


def test_the_table_of_objectives():
    rows = [
        row("beta_vae", 0, 10.0),
        row("beta_vae", 1, 11.0),
        row("grae_column", 0, 9.5, 9.25),
        row("grae_column", 1, 10.7, 10.5),
        row("grae_column", 1, 10.0, control="noise", noise_seed=1000),
        row("grae_column", 1, 9.6, control="noise", noise_seed=1001),
        row("grae_column", 0, 9.9, control="rate", learning_rate=0.05),
        row("grae_column", 3, math.nan, state="diverged"),
        row("beta_vae", 0, 12.0, control="optimiser", optimiser="adam"),
        row("grae_column", 0, 12.5, 12.25, control="optimiser", optimiser="adam"),
        row("beta_vae", 0, 9.0, steps=2 * STEPS, control="length"),
        row("grae_column", 0, 9.25, 9.0, steps=2 * STEPS, control="length"),
    ]
    vae, grae = mnist_objectives.evaluate(rows)
    assert (vae["objective"], vae["seeds"], vae["loss"], vae["difference"]) == ("beta_vae", 2, 10.5, 0.0)
    assert vae["loss_error"] == pytest.approx(0.5)
    assert vae["loss_plateau"] is False
    assert grae["seeds"] == 2
    assert grae["gap"] == pytest.approx(0.225)
    assert grae["difference"] == pytest.approx(-0.4)
    assert grae["difference_error"] == pytest.approx(0.1)
    assert (grae["loss_plateau"], grae["gap_plateau"], grae["difference_plateau"]) == (True, True, False)
    assert grae["noise_deviation"] == pytest.approx(torch.tensor([10.7, 10.0, 9.6]).std().item())
    assert grae["rates"] == {0.02: 9.5, 0.05: 9.9}
    assert (vae["noise_deviation"], vae["rates"]) == (None, {})
    assert (grae["adam_loss"], grae["adam_gap"], grae["adam_difference"]) == (12.5, 0.25, 0.5)
    assert mnist_objectives.evaluate(rows[:1])[0]["loss_plateau"] is None


def test_the_table_of_blocks():
    job = mnist_blocks.EXPERIMENT.jobs
    keys = [key for key in job if key.startswith("block, beta 0.4")][:2]
    rows = [
        {"job": job[key], "state": "done", "numbers": {"active": k, "code_variances": [1.0]}}
        for k, key in enumerate(keys)
    ]
    (line,) = mnist_blocks.evaluate(rows)
    assert line == {
        "beta": 0.4,
        "latents": 8,
        "block": 2,
        "model": "block",
        "seeds": 2,
        "active": 0.5,
        "active_deviation": pytest.approx(0.5**0.5),
    }


@pytest.mark.parametrize("name", experiments.NAMES)
def test_tables_of_what_is_recorded_can_be_made(name):
    assert len(experiments.load(name).table) <= len(experiments.load(name).rows)


def test_families_of_the_blocks_have_their_encoders():
    for job in mnist_blocks.EXPERIMENT.jobs.values():
        assert posteriors.encoder_outputs(job["latents"], job["family"], job["block"]) > job["latents"]
