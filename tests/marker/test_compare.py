"""Random points of the domains, and the verdict whether two formulas agree there."""

from __future__ import annotations

import numpy as np
import pytest

from gradelib.marker.compare import SIZES, equivalent, points
from gradelib.marker.domains import KINDS, NOTATION, draw, sample, shape
from gradelib.marker.language import UnreadableError
from gradelib.marker.parser import parse

SIZE = {"n": 5, "d": 3}
RNG = np.random.default_rng

# What each domain promises, as something that must be close to zero or true of a value.
PROMISES = {
    "pos": lambda x: x > 0,
    "unit": lambda x: 0 < x < 1,
    "posvector:n": lambda x: (x > 0).all(),
    "negvector:n": lambda x: (x < 0).all(),
    "sym:d": lambda x: (x == x.T).all(),
    "spd:d": lambda x: (x == x.T).all() and np.linalg.eigvalsh(x).min() > 0.1,
    "contraction:d": lambda x: np.linalg.eigvalsh(x).min() > 0 and np.linalg.eigvalsh(x).max() < 1,
    "negdiag:n": lambda x: (np.diag(np.diag(x)) == x).all() and (np.diag(x) < 0).all(),
    "orth:d": lambda x: np.allclose(x @ x.T, np.eye(3), atol=1e-14),
    "eye:d": lambda x: (x == np.eye(3)).all(),
    "dim:d": lambda x: x == 3,
}


@pytest.mark.parametrize("domain", PROMISES)
def test_values_lie_in_their_domain(domain: str) -> None:
    for seed in range(20):
        assert PROMISES[domain](sample({"x": domain}, SIZE, RNG(seed))["x"])


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_are_as_declared(kind: str) -> None:
    argument = {"matrix": ":n,d", "real": "", "pos": "", "unit": ""}.get(kind, ":d")
    domains = {"x": kind + argument}
    assert np.shape(sample(domains, SIZE, RNG(0))["x"]) == tuple(SIZE[name] for name in shape(domains["x"], domains))


@pytest.mark.parametrize("base", ["spd:d", "contraction:d"])
def test_square_root_of_an_input(base: str) -> None:
    values = draw({"S": base, "Q": "sqrt:S"}, SIZE, RNG(1)).values(50)
    assert np.max(abs(values["Q"] @ values["Q"] - values["S"])) < 1e-48


def test_square_root_of_a_negative_input() -> None:
    values = sample({"H": "negdiag:n", "R": "sqrtneg:H"}, SIZE, RNG(1))
    assert (values["R"] @ values["R"] == -values["H"]).all()


def test_a_point_means_the_same_with_fifty_digits() -> None:
    domains = {**NOTATION, "C": "contraction:d", "Q": "sqrt:S"}
    point = draw(domains, SIZE, RNG(2))
    for name, exact in point.values(50).items():
        np.testing.assert_allclose(np.asarray(exact, dtype=float), point.values()[name], rtol=1e-12, atol=1e-14)
    R = point.values(50)["R"]
    assert np.max(abs(R @ R.T - np.eye(3).astype(int))) < 1e-48


def test_rotations_and_reflections_both_occur() -> None:
    signs = {round(float(np.linalg.det(sample({"R": "orth:d"}, SIZE, RNG(s))["R"]))) for s in range(20)}
    assert signs == {-1, 1}


def test_the_same_seed_gives_the_same_point_and_the_global_state_is_left_alone() -> None:
    state = np.random.get_state()[1].copy()
    first, second = (sample({"J": "matrix:n,d"}, SIZE, RNG(3))["J"] for _ in range(2))
    assert (first == second).all()
    assert (np.random.get_state()[1] == state).all()


def test_sizes_tell_n_from_d() -> None:
    assert len(SIZES) >= 3
    assert all(size["n"] != size["d"] and min(size.values()) >= 3 for size in SIZES)
    assert {size["n"] > size["d"] for size in SIZES} == {True, False}


@pytest.mark.parametrize(("domain", "near"), [("vectr:n", "vector"), ("sqrt:T", None)])
def test_an_unknown_domain_is_named(domain: str, near: str | None) -> None:
    with pytest.raises(ValueError, match=near or "There is no input"):
        draw({"S": domain}, SIZE, RNG(0))


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        ("inv(S)@S", "I_d", True),
        ("logdet(I_d + T(J)@J/beta)", "logdet(I_n + J@T(J)/beta)", True),
        ("R@inv(S)@T(R)", "inv(R@S@T(R))", True),
        ("tr(S)", "sum(S)", False),
        ("T(J)@J", "J@T(J)", False),
        ("d", "3", False),
        ("n", "5", False),
        ("beta", "beta*(1 + 1e-10)", True),  # under 1e-9
        ("beta", "beta*(1 + 1e-8)", False),  # in between: 50 digits tell
        ("beta", "beta*(1 + 1e-5)", False),  # over 1e-6
        ("beta*1e-5*1e-5", "beta*1e-5*1e-5 + 1e-7*1e-7", False),  # small, but not zero
        ("S@x", "S@x", False),  # shapes: S is d × d, x has n entries
        ("norm2(J@z) - T(z)@T(J)@J@z", "0", True),  # zero up to rounding: 50 digits tell
        ("log(-beta)", "log(-beta)", False),  # no value anywhere
        ("S", "beta", False),
    ],
)
def test_equivalent(a: str, b: str, equal: bool) -> None:
    for seed in range(5):
        verdict = equivalent(parse(a), parse(b), NOTATION, seed=seed)
        assert bool(verdict) is equal
        assert (verdict.reason == "") is equal


def test_cancellation_in_float64_is_seen_through() -> None:
    """Cancellation leaves an error between the two thresholds, which only more digits can judge."""
    a, b = parse("(sqrt(beta) + 10000)**2 - 10000**2 - 20000*sqrt(beta)"), parse("beta")
    domains = {"beta": "pos"}
    point = next(points(domains))
    rough = abs(a.evaluate(point.values()) / b.evaluate(point.values()) - 1)
    assert 1e-9 < rough < 1e-6
    assert equivalent(a, b, domains)


def test_verdict_shows_where_they_differ() -> None:
    verdict = equivalent(parse("beta"), parse("2*beta"), NOTATION)
    assert verdict.right == 2 * verdict.left == 2 * verdict.point["beta"]
    assert verdict.reason == "value"


def test_rounded_numbers_need_a_tolerance() -> None:
    a, b = parse("0.333"), parse("1/3")
    assert not equivalent(a, b, {})
    assert equivalent(a, b, {}, tolerance=0.005)
    assert not equivalent(parse("0.3"), b, {}, tolerance=0.005)


def test_a_name_without_a_domain_raises() -> None:
    with pytest.raises(UnreadableError, match="There is no"):
        equivalent(parse("qq"), parse("beta"), NOTATION)


def test_points_differ_between_seeds() -> None:
    first, second = (next(points({"beta": "pos"}, seed)).values()["beta"] for seed in (0, 1))
    assert first != second
