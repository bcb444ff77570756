"""The playground's training in the browser against torch: the same numbers for the same data, start and noise."""

from __future__ import annotations

import json
import math
from itertools import product
from pathlib import Path

import minify
import numpy as np
import pytest
import torch
from corpora import some_of
from torch import Tensor

from gradelib import evaluation, exact_vae, playground
from gradelib.likelihoods import Gaussian
from gradelib.posteriors import Posterior

SCRIPT = Path(__file__).parents[2] / "book" / "_static" / "scripts" / "playground-engine.js"
STEPS = 200
KINDS = ("full", "diagonal", "isotropic", "grae")
SETTINGS = [
    {"beta": 1.0, "noise": 0.05, "slope": 0.2},
    {"beta": 4.0, "noise": 0.3, "slope": 1.0},
    {"beta": 0.3, "noise": 0.2, "slope": 0.2},
]
NAMES = ("A", "b", "C", "e", "scales")


@pytest.fixture(scope="module")
def engine(browser, tmp_path_factory):
    """A page opened from a file, with the engine as the book's page has it."""
    folder = tmp_path_factory.mktemp("engine")
    (folder / "engine.js").write_text(minify.string("application/javascript", SCRIPT.read_text("utf8")), "utf8")
    page = folder / "page.html"
    page.write_text('<!doctype html><meta charset="utf-8"><title>t</title><script src="engine.js"></script>', "utf8")
    requests, errors = browser.open(page)
    assert requests + errors == []
    return browser


def ask(engine, body: str, given: dict) -> dict:
    return json.loads(engine.run(f"const given = JSON.parse(arguments[0]); {body}", json.dumps(given)))


def arrays(examples: int = 20, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return {"x": normal(examples, 6), "A": normal(6, 2), "C": 0.1 * normal(2, 6), "noises": normal(STEPS, examples, 2)}


def as_lists(tensors: dict[str, Tensor]) -> dict[str, list]:
    return {name: tensor.flatten().tolist() for name, tensor in tensors.items()}


TRAIN = """
const start = new Float64Array(32);
start.set(given.A, 0);
start.set(given.C, 18);
const learner = new GradeEngine.Learner(given.kind, start, given.settings, given.steps);
const x = Float64Array.from(given.x);
const size = x.length / 3;
for (let i = 0; i < given.noises.length; i += size) learner.step(x, given.noises.slice(i, i + size));
const curve = learner.turnedLosses(x, [0, 20, 45, 90]);
return JSON.stringify({ w: [...learner.w], losses: learner.losses, judged: learner.judged(x), curve });
"""


def in_page(engine, given: dict[str, Tensor], kind: str, settings: dict, steps: int = STEPS) -> dict:
    return ask(engine, TRAIN, {**as_lists(given), "kind": kind, "settings": settings, "steps": steps})


def in_python(given: dict[str, Tensor], kind: str, settings: dict, steps: int = STEPS) -> playground.Run:
    family, objective = ("diagonal", "grae_bound") if kind == "grae" else (kind, "beta_vae")
    model = playground.SharedCovarianceVAE(given["A"], given["C"], family, settings["slope"])
    how = {"beta": settings["beta"], "noise": settings["noise"], "objective": objective, "steps": steps}
    return playground.train(model, given["x"], given["noises"], **how)


def flat(model: playground.SharedCovarianceVAE, kind: str) -> np.ndarray:
    names = NAMES[:-1] if kind == "grae" else NAMES
    return torch.cat([getattr(model, name).detach().flatten() for name in names]).numpy()


@pytest.mark.sampled
@pytest.mark.parametrize(("kind", "settings"), some_of([*product(KINDS, SETTINGS)], 4), ids=str)
def test_200_steps_give_the_same_numbers_as_torch(engine, kind, settings):
    given = arrays()
    found, run = in_page(engine, given, kind, settings), in_python(given, kind, settings)
    np.testing.assert_allclose(found["losses"], run.losses.numpy(), rtol=1e-6)
    parameters = flat(run.model, kind)
    np.testing.assert_allclose(found["w"], parameters, rtol=1e-6, atol=1e-6 * np.abs(parameters).max())


def test_both_have_the_same_steps_and_learning_rate(engine):
    found = json.loads(engine.run("return JSON.stringify([GradeEngine.STEPS, GradeEngine.RATE, GradeEngine.FAMILIES])"))
    assert found == [playground.STEPS, playground.LEARNING_RATE, list(exact_vae.FAMILIES)]


@pytest.mark.sampled
@pytest.mark.parametrize(("kind", "slope"), some_of([*product(KINDS, (0.2, 1.0))], 3))
def test_the_exact_loss_is_the_average_over_codes(engine, kind, slope):
    """What the pictures show is the expectation of what training draws: the book's own sampled loss agrees."""
    settings = {"beta": 2.0, "noise": 0.3, "slope": slope}
    given = arrays()
    judged = in_page(engine, given, kind, settings)["judged"]
    model, x = in_python(given, kind, settings).model, given["x"]
    (first, cross, last) = judged["S"]
    factor = torch.linalg.cholesky(torch.tensor([[first, cross], [cross, last]], dtype=torch.float64))
    q = Posterior(model.posterior(x).mean.detach(), factor.expand(len(x), 2, 2))
    loss, error = evaluation.beta_vae_loss(model, x, beta=2.0, q=q, likelihood=Gaussian(0.3), samples=4_000)
    assert judged["loss"] == pytest.approx(loss, abs=5 * error + 1e-9)
    assert judged["free"]["loss"] <= judged["loss"] + 1e-9


def test_a_turn_is_free_but_for_the_diagonal_family(engine):
    """With a linear ν the price of a turn is that of chapter 3 times β, with nothing fitted (eq-mean-field-cost)."""
    settings, given = {"beta": 2.0, "noise": 0.3, "slope": 1.0}, arrays()
    curves = {kind: in_page(engine, given, kind, settings)["curve"] for kind in KINDS}
    for kind in ("full", "isotropic"):
        np.testing.assert_allclose(curves[kind], curves[kind][0], atol=1e-9)
    A = in_python(given, "diagonal", settings).model.A.detach()
    P = torch.eye(2, dtype=A.dtype) + A.mT @ A / (2.0 * 0.3**2)
    least = []
    for degrees in (0, 20, 45, 90):
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        R = torch.tensor([[c, -s], [s, c]], dtype=A.dtype)
        least.append(float((R @ P @ R.mT).diagonal().log().sum()))  # twice the cost in nats: β is 2
    np.testing.assert_allclose(np.diff(curves["diagonal"]), np.diff(least), rtol=1e-6)


def test_the_normal_distribution_to_fourteen_digits(engine):
    points = np.linspace(-9, 9, 1001).tolist()
    found = ask(engine, "return JSON.stringify(given.points.map((x) => GradeEngine.gauss(x)))", {"points": points})
    at = torch.tensor(points, dtype=torch.float64)
    np.testing.assert_allclose([above for above, _ in found], torch.special.ndtr(at), atol=1e-14)
    np.testing.assert_allclose(
        [bell for _, bell in found], torch.exp(-(at**2) / 2) / math.sqrt(2 * math.pi), atol=1e-14
    )


@pytest.mark.parametrize("degrees", [-40.0, 0.0, 17.0, 80.0])
@pytest.mark.parametrize("flip", [1, -1])
def test_the_angle_of_a_turned_model(engine, degrees, flip):
    """A = W Mᵀ with M a turn, perhaps with a reflection, is found at M's angle, and `turnTo` leads where it says."""
    given = {"W": [2, 0, 0, 1] + [0] * 8, "degrees": degrees, "flip": flip}
    body = """
    const W = Float64Array.from(given.W);
    const A = GradeEngine.turned(W, given.degrees).map((value, i) => (i % 2 ? given.flip * value : value));
    const found = GradeEngine.against(A, W);
    const back = GradeEngine.against(GradeEngine.turned(A, GradeEngine.turnTo(found, 10)), W);
    return JSON.stringify({ found, back });
    """
    answer = ask(engine, body, given)
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    M = np.array([[c, -s], [flip * s, flip * c]])
    angle = math.degrees(math.atan2(M[0, 1], M[0, 0]))
    assert (answer["found"]["angle"] - angle) % 90 == pytest.approx(0, abs=1e-9) or (
        answer["found"]["angle"] - angle
    ) % 90 == pytest.approx(90, abs=1e-9)
    assert answer["back"]["angle"] == pytest.approx(10, abs=1e-9)


def test_one_seed_gives_one_data_set_and_streams_are_apart(engine):
    given = {"settings": {"data": 3, "examples": 4000, "noise": 0.1, "long": 2, "short": 1, "turn": 0, "slope": 1}}
    body = """
    const { settings } = given;
    const once = GradeEngine.sample(settings);
    const again = GradeEngine.sample({ ...settings, turn: 30 });
    const few = GradeEngine.sample({ ...settings, examples: 50 });
    const other = GradeEngine.sample({ ...settings, data: 4 });
    return JSON.stringify({ x: [...once.x], W: [...once.W], again: [...again.x], turned: [...again.W],
      few: [...few.x], other: [...other.x], starts: [7, 7, 8].map((seed) => [...GradeEngine.start(seed)]) });
    """
    found = ask(engine, body, given)
    x, W = np.array(found["x"]).reshape(-1, 6), np.array(found["W"]).reshape(6, 2)
    np.testing.assert_allclose(W.T @ W, np.diag([4.0, 1.0]), atol=1e-12)
    np.testing.assert_allclose(np.cov(x.T), W @ W.T + 0.01 * np.eye(6), atol=0.15)
    assert found["again"] == found["x"]  # a turn of the truth changes no pixel
    assert found["turned"] != found["W"]
    assert found["few"] == found["x"][:300]
    assert found["other"][:300] != found["few"]
    first, same, another = found["starts"]
    assert first == same != another


BREAKS = [
    ("full", "dw[2 * k] += dy * z0;", "dw[2 * k] += dy * h0;"),
    ("diagonal", "dw[SCALES] = l00 * d00 + beta", "dw[SCALES] = l00 * d00 - beta"),
    ("full", "dw[SCALES + 2] = d10 + beta * l10", "dw[SCALES + 2] = d10"),
    ("isotropic", "+ 2 * beta * (l00 * l00 - 1)", "+ beta * (l00 * l00 - 1)"),
    ("grae", "weight * slopes[k] * w[2 * k] / p0", "weight * w[2 * k] / p0"),
    ("isotropic", "1 - 0.999 ** this.count", "1 - 0.99 ** this.count"),
]


@pytest.mark.parametrize(("kind", "right", "wrong"), BREAKS)
def test_a_wrong_gradient_is_noticed(browser, tmp_path, kind, right, wrong):
    text = SCRIPT.read_text("utf8")
    assert text.count(right) == 1
    (tmp_path / "engine.js").write_text(text.replace(right, wrong), "utf8")
    (tmp_path / "page.html").write_text('<!doctype html><title>t</title><script src="engine.js"></script>', "utf8")
    browser.open(tmp_path / "page.html")
    given, settings = arrays(), SETTINGS[0]
    found, told = in_page(browser, given, kind, settings)["losses"], in_python(given, kind, settings).losses.numpy()
    assert np.abs(np.array(found) / told - 1).max() > 5e-6
