"""The race: what its table says of trainings whose losses are known."""

import inspect
import math

import pytest

from gradelib import experiments, training
from gradelib.experiments import mnist_objectives, race
from gradelib.experiments.experiment import few_digits


def row(control, steps, losses, seed=0, optimiser="muon", rate=0.02, data="digits", **numbers):
    job = {**race.ON_DIGITS, **race.SIDES.get(control, {}), "data": data, "betas": [0.1, 0.4], "control": control}
    job |= {"optimiser": optimiser, "learning_rate": rate, "steps": steps, "seed": seed}
    return {"job": job, "state": "done", "numbers": {"losses": losses, **numbers}}


PACE = {f"{side}_milliseconds": cost for side, cost in zip(race.SIDES, (1.0, 1.5, 1.2, 1.1), strict=True)}


def table(rows):
    return {(line["beta"], line["side"]): line for line in race.evaluate(rows)}


def test_each_side_takes_its_best_optimiser_and_rate_to_the_target():
    found = table(
        [
            row("pace", 100, [], **PACE),
            row("pace", 100, [], optimiser="adam", **{name: value / 2 for name, value in PACE.items()}),
            row("beta_vae", 1000, [9.0, 12.0]),
            row("beta_vae", 2000, [8.0, 11.0]),
            row("beta_vae", 2000, [8.2, 11.4], seed=1),
            row("beta_vae", 2000, [7.0, 13.0], optimiser="adam"),
            row("grae_column", 500, [9.1, 11.2]),
            row("grae_column", 1000, [7.1, 10.2]),
            row("grae_column", 2000, [7.2, 11.2], optimiser="adam"),
            row("grae_quarter", 1000, [8.5, 12.5]),
        ]
    )
    assert found[0.1, "beta_vae"]["target"] == 7.0
    vae, grae, quarter = (found[0.4, side] for side in ("beta_vae", "grae_column", "grae_quarter"))
    assert vae["target"] == grae["target"] == pytest.approx(11.2)
    assert vae["target_error"] == pytest.approx(0.2)
    assert (vae["steps"], vae["passes"], vae["seconds"]) == (
        pytest.approx(2000),
        pytest.approx(12000),
        pytest.approx(2),
    )
    assert (vae["best_of"], vae["seeds"]) == ("muon 0.02, 2000 steps", 2)
    assert grae["steps"] == 500
    assert grae["passes"] == 9 * 500
    assert grae["seconds"] == pytest.approx(0.75)  # Adam takes 1.5
    assert grae["best"] == 10.2
    assert quarter["steps"] is quarter["seconds"] is quarter["passes"] is None


def test_fewest_steps_and_fewest_seconds_may_be_of_two_optimisers():
    rows = [row("pace", 100, [], **PACE), row("pace", 100, [], optimiser="adam", **{k: v / 9 for k, v in PACE.items()})]
    rows += [row("beta_vae", 1000, [8.0, 8.0]), row("grae_column", 1000, [8.0, 8.0])]
    rows += [row("grae_column", 2000, [8.0, 8.0], optimiser="adam")]
    line = table(rows)[0.1, "grae_column"]
    assert line["steps"] == 1000
    assert line["seconds"] == pytest.approx(2000 * 1.5 / 9 / 1000)


def test_without_a_pace_there_are_no_seconds_and_without_a_target_no_line():
    assert table([row("beta_vae", 300, [8.0, 9.0])])[0.1, "beta_vae"]["seconds"] is None
    assert race.evaluate([row("grae_column", 300, [8.0, 9.0])]) == []
    assert race.evaluate([{**row("beta_vae", 300, []), "state": "diverged"}]) == []


def test_steps_between_two_lengths():
    curve = {300: [5.0, 7.0], 1200: [4.0], 2400: [3.0]}
    assert race.steps_to(curve, 6.0) == 300
    assert race.steps_to(curve, 5.0) == pytest.approx(600)  # half-way in the logarithm
    assert race.steps_to(curve, 4.0) == pytest.approx(1200)
    assert race.steps_to(curve, 3.5) == pytest.approx(1200 * math.sqrt(2))
    assert race.steps_to(curve, 2.9) is None


def test_the_pace_is_of_each_side():
    job = {**race.ON_DIGITS, "control": "pace", "objective": "beta_vae", "optimiser": "adam"}
    found = race.run({**job, "learning_rate": 1e-3, "steps": 2, "seed": 0}, {}, few_digits(), "cpu")[0]
    assert {name for name in found if found[name] > 0} == set(PACE)


def test_the_default_of_fit_is_the_optimiser_that_the_race_found_best():
    """At every β on the digits against all others, on MNIST against Adam: by the β-VAE's best held-out loss."""
    default = inspect.signature(training.fit).parameters["optimiser"].default
    recorded = [row for row in experiments.load("race").rows.values() if row["job"]["data"] == "digits"]
    best: dict[float, dict[str, float]] = {}
    for optimiser in race.RATES:
        for line in race.evaluate([row for row in recorded if row["job"]["optimiser"] == optimiser]):
            if line["side"] == "beta_vae":
                best.setdefault(line["beta"], {})[optimiser] = line["best"]
    assert [min(there, key=there.__getitem__) for there in best.values()] == [default] * len(race.ON_DIGITS["betas"])
    mnist = [
        line
        for line in experiments.load("mnist-objectives").table
        if (line["objective"], line["activation"]) == ("beta_vae", "softplus")
    ]
    assert mnist_objectives.CORE["optimiser"] == default
    assert all(line["loss"] < line["adam_loss"] for line in mnist)
    assert len(mnist) == len(mnist_objectives.BETAS)
