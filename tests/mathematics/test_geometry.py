"""Derivatives of decoders against reverse mode, finite differences and closed forms."""

import math

import pytest
import torch
from hypothesis import given
from random_cases import batches, dtypes, normal, refused, seeds, steady, tolerance
from torch import nn

from gradelib import geometry, networks
from gradelib.likelihoods import Bernoulli, Gaussian

D, N = 3, 5


def decoder(activation="tanh", dtype=torch.float64):
    return networks.mlp_vae(N, D, hidden=[7, 6], activation=activation).decoder.to(dtype)


def one_by_one(function, z):
    """`function` at each row of z in turn, stacked back into the batch."""
    rows = [function(row) for row in z.reshape(-1, z.shape[-1])]
    return torch.stack(rows).reshape(*z.shape[:-1], *rows[0].shape)


@pytest.mark.parametrize("activation", networks.ACTIVATIONS)
@steady
@given(batch=batches, dtype=dtypes, seed=seeds)
def test_jacobian_is_that_of_reverse_mode(activation, batch, dtype, seed):
    g, z = decoder(activation, dtype), normal(*batch, D, seed=seed, dtype=dtype)
    J = geometry.jacobian(g, z)
    assert J.shape == (*batch, N, D)
    assert J.dtype == dtype
    expected = one_by_one(lambda row: torch.autograd.functional.jacobian(g, row), z)
    torch.testing.assert_close(J, expected, rtol=tolerance(dtype), atol=tolerance(dtype))


def test_jacobian_is_the_limit_of_differences():
    g, z, step = decoder(), normal(4, D), 1e-5
    ahead, behind = (torch.stack([g(z + s * e) for e in torch.eye(D).double()], -1) for s in (step, -step))
    torch.testing.assert_close(geometry.jacobian(g, z), (ahead - behind) / (2 * step), rtol=1e-8, atol=1e-9)


@steady
@given(batch=batches, dtype=dtypes, seed=seeds)
def test_a_column_is_a_column_of_the_jacobian(batch, dtype, seed):
    g, z = decoder(dtype=dtype), normal(*batch, D, seed=seed, dtype=dtype)
    J = geometry.jacobian(g, z)
    for i in range(D):
        torch.testing.assert_close(geometry.jacobian_column(g, z, i), J[..., i])
    each = torch.randint(D, batch, generator=torch.Generator().manual_seed(seed))
    expected = J.gather(-1, each[..., None, None].expand(*batch, N, 1)).squeeze(-1)
    torch.testing.assert_close(geometry.jacobian_column(g, z, each), expected)


def test_hessian_is_that_of_reverse_mode():
    g, z, x = decoder(), normal(2, 4, D), normal(2, 4, N)
    hessian = geometry.hessian(lambda z: Gaussian(0.5).log_prob(x, g(z)), z)
    rows = [
        torch.autograd.functional.hessian(lambda z, x=x_row: Gaussian(0.5).log_prob(x, g(z)), z_row)
        for z_row, x_row in zip(z.reshape(-1, D), x.reshape(-1, N), strict=True)
    ]
    torch.testing.assert_close(hessian, torch.stack(rows).reshape(2, 4, D, D))


@pytest.mark.parametrize("likelihood", [Gaussian(0.7), Bernoulli()], ids=repr)
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_gauss_newton_is_exact_where_the_decoder_is_piecewise_linear(likelihood, activation):
    g, z, x = decoder(activation), normal(4, D), torch.sigmoid(normal(4, N))
    exact = geometry.hessian(lambda z: likelihood.log_prob(x, g(z)), z)
    J = geometry.jacobian(g, z)
    torch.testing.assert_close(geometry.gauss_newton(J, likelihood.curvature(x, g(z))), exact)


def test_gauss_newton_and_metric_are_their_definitions():
    J, curvature = normal(2, N, D), -normal(2, N, seed=1).exp()
    torch.testing.assert_close(geometry.gauss_newton(J, curvature), torch.einsum("bki,bk,bkj->bij", J, curvature, J))
    torch.testing.assert_close(geometry.metric(J), torch.einsum("bki,bkj->bij", J, J))


def test_gradients_reach_the_weights_and_the_latents():
    g, z = decoder(), normal(4, D).requires_grad_()
    for derivative in (
        lambda g, z: geometry.jacobian(g, z),
        lambda g, z: geometry.jacobian_column(g, z, 1),
        lambda g, z: geometry.hessian(lambda z: g(z).pow(2).sum(-1), z),
    ):
        weight = g[0].weight
        inputs = (z, weight)
        expected = torch.autograd.functional.jacobian(
            lambda z, w, derivative=derivative: functional(g, w, derivative, z).pow(2).sum(), inputs
        )
        found = torch.autograd.grad(derivative(g, z).pow(2).sum(), inputs)
        torch.testing.assert_close(found, expected)
        assert all((one != 0).any() for one in found)
        step = 1e-6 * normal(*weight.shape, seed=3)
        difference = [functional(g, weight + s * step, derivative, z).pow(2).sum().item() for s in (1, -1)]
        assert math.isclose((difference[0] - difference[1]) / 2, (found[1] * step).sum().item(), rel_tol=1e-5)


def functional(g, weight, derivative, z):
    """`derivative` at z of the decoder whose first weights are `weight`."""
    return derivative(lambda z: torch.func.functional_call(g, {"0.weight": weight}, (z,)), z)


def test_derivatives_agree_inside_vmap():
    g, z = decoder(), normal(4, 2, D)
    torch.testing.assert_close(torch.vmap(lambda z: geometry.jacobian(g, z))(z), geometry.jacobian(g, z))
    index = torch.tensor([[0, 1], [2, 2], [1, 0], [0, 0]])
    inside = torch.vmap(lambda z, i: geometry.jacobian_column(g, z, i))(z, index)
    torch.testing.assert_close(inside, geometry.jacobian_column(g, z, index))


def test_bad_input_is_refused():
    g, z = decoder(), normal(4, D)
    for function in (geometry.jacobian, lambda g, z: geometry.jacobian_column(g, z, 0)):
        with refused("z", "NaN"):
            function(g, z * math.nan)
        with refused("axis of latents"):
            function(g, z[0, 0])
    for g_of_no_batch in (lambda z: z.sum(0), lambda z: z.sum()):
        with refused("same leading axes"):
            geometry.jacobian(g_of_no_batch, z)
    with refused("same leading axes"):
        geometry.jacobian(lambda z: z.sum(), z[0])
    with refused("f must map"):
        geometry.hessian(g, z)
    for i in (-1, D, 1.0, torch.tensor([0, 1, 2, 3])):
        with refused("whole number between 0 and 2"):
            geometry.jacobian_column(g, z, i)
    with refused("one for each of (4,)", "(2,)"):
        geometry.jacobian_column(g, z, torch.tensor([0, 1]))
    with refused("n of J = 5", "n of curvature = 3"):
        geometry.gauss_newton(geometry.jacobian(g, z), z)
    for function in (geometry.metric, lambda J: geometry.gauss_newton(J, J)):
        with refused("J", "(…, n, d)"):
            function(z[0])
        with refused("J", "NaN"):
            function(z * math.nan)


def test_a_decoder_may_be_any_module():
    g = nn.Sequential(nn.Linear(D, N), nn.Sigmoid()).double()
    z = normal(4, D)
    m = g(z)
    torch.testing.assert_close(geometry.jacobian(g, z), (m * (1 - m))[..., None] * g[0].weight)


def wrapped(g):
    """The same decoder where `push` cannot see its layers."""
    return lambda z: g(z)


@pytest.mark.parametrize("activation", networks.ACTIVATIONS)
@steady
@given(batch=batches, dtype=dtypes, seed=seeds)
def test_layer_by_layer_and_through_torch_the_derivatives_are_the_same(activation, batch, dtype, seed):
    g, z = decoder(activation, dtype), normal(*batch, D, seed=seed, dtype=dtype)
    directions = normal(4, *batch, D, seed=seed + 1, dtype=dtype)
    by_hand, by_torch = geometry.push(g, z, directions), geometry.push(wrapped(g), z, directions)
    assert by_hand[1].shape == (4, *batch, N)
    torch.testing.assert_close(by_hand[0], g(z))
    torch.testing.assert_close(by_hand, by_torch, rtol=tolerance(dtype), atol=tolerance(dtype))


def test_layers_with_their_own_settings_keep_them():
    odd = networks.MLP(nn.Linear(D, 6), nn.Softplus(beta=3), nn.Linear(6, 6), nn.LeakyReLU(0.6), nn.GELU()).double()
    z = normal(4, D)
    torch.testing.assert_close(geometry.jacobian(odd, z), geometry.jacobian(wrapped(odd), z))


def test_chosen_columns_are_columns_of_the_jacobian():
    g, z = decoder(), normal(2, 4, D)
    columns = torch.tensor([[0, 2], [1, 0], [2, 2], [1, 2]]).expand(2, 4, 2)
    J = geometry.jacobian(g, z)
    expected = J.gather(-1, columns[:, :, None].expand(2, 4, N, 2))
    torch.testing.assert_close(geometry.jacobian_columns(g, z, columns), expected)
    value, chosen = geometry.linearise(g, z, columns)
    torch.testing.assert_close(value, g(z))
    torch.testing.assert_close(chosen, expected)


@pytest.mark.parametrize("hidden_from_push", [False, True])
def test_only_the_first_examples_may_be_differentiated(hidden_from_push):
    g, z = wrapped(decoder()) if hidden_from_push else decoder(), normal(4, 2, D)
    columns = torch.tensor([[[0], [2]], [[1], [1]], [[0], [1]]])
    value, chosen = geometry.linearise(g, z, columns)
    torch.testing.assert_close(value, g(z))
    torch.testing.assert_close(chosen, geometry.jacobian_columns(g, z[:3], columns))


def test_layers_may_have_no_bias():
    g, z = networks.MLP(nn.Linear(D, N, bias=False)).double(), normal(4, D)
    torch.testing.assert_close(geometry.jacobian(g, z), g[0].weight.expand(4, N, D))
    torch.testing.assert_close(geometry.linearise(g, z)[0], g(z))


@steady
@given(batch=batches, seed=seeds)
def test_the_diagonal_of_gauss_newton_needs_no_other_column(batch, seed):
    J, curvature = normal(*batch, N, D, seed=seed), -normal(*batch, N, seed=seed + 1).exp()
    whole = geometry.gauss_newton(J, curvature).diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(geometry.gauss_newton_diagonal(J, curvature), whole)
    torch.testing.assert_close(geometry.gauss_newton_diagonal(J[..., 1:2], curvature), whole[..., 1:2])


@pytest.mark.parametrize("likelihood", [Gaussian(0.7), Bernoulli()], ids=repr)
def test_the_exact_hessian_is_gauss_newton_and_the_dropped_term(likelihood):
    g, z, x = decoder(), normal(4, D), torch.sigmoid(normal(4, N))
    exact = geometry.hessian(lambda z: likelihood.log_prob(x, g(z)), z)
    kept = geometry.gauss_newton(geometry.jacobian(g, z), likelihood.curvature(x, g(z)))
    dropped = geometry.dropped_term(g, z, likelihood.slope(x, g(z)))
    assert dropped.abs().max() > 1e-3
    torch.testing.assert_close(kept + dropped, exact)


def test_volume_is_the_root_of_the_determinant_of_the_metric():
    J = normal(2, 4, N, D)
    torch.testing.assert_close(geometry.volume(J), torch.linalg.det(geometry.metric(J)).sqrt())
    turn, narrow = torch.linalg.qr(normal(2, 2)).Q, torch.tensor([1.0, 1e-9], dtype=torch.float64)
    thin = turn * narrow @ turn  # the determinant of its metric, 1e-18, would drown in rounding
    torch.testing.assert_close(geometry.volume(thin), narrow[1], rtol=1e-6, atol=0)
    torch.testing.assert_close(geometry.volume(normal(4, 2, 3)), torch.zeros(4).double())


def test_curve_length_of_a_circle_and_of_the_metric():
    def circle(t):
        return 3 * torch.cat([t.cos(), t.sin()], -1)

    turn = torch.linspace(0, 2 * math.pi, 2001, dtype=torch.float64)[:, None]
    lengths = [geometry.curve_length(circle, turn[::step]).item() for step in (40, 1)]
    assert lengths[0] < lengths[1] < 6 * math.pi
    assert math.isclose(lengths[1], 6 * math.pi, rel_tol=1e-5)
    g, ends = decoder(), normal(2, D)
    t = torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None]
    line = torch.stack([ends[0] + t * (ends[1] - ends[0]), ends[0] + t * normal(D, seed=9)])
    M = geometry.metric(geometry.jacobian(g, line))
    velocity = line[:, 1:2] - line[:, :1]
    speed = torch.einsum("cti,ctij,ctj->ct", velocity * 2000, M, velocity * 2000).sqrt()
    torch.testing.assert_close(geometry.curve_length(g, line), torch.trapezoid(speed, t[:, 0]), rtol=1e-6, atol=0)


def test_more_bad_input_is_refused():
    g, z = decoder(), normal(4, D)
    with refused("directions", "(4, 3)"):
        geometry.push(g, z, z)
    for shape in ((2, 4, D - 1), (2, 5, D)):
        with refused("directions", str(shape)):
            geometry.push(g, z, normal(*shape))
    with refused("directions", "NaN"):
        geometry.push(g, z, z[None] * math.nan)
    with refused("Column indices", "(3, 1)", "(4, 3)"):
        geometry.jacobian_columns(g, z, torch.tensor([[0], [1], [2]]))
    with refused("Column indices", "(5, 1)", "(4, 3)"):
        geometry.linearise(g, z, torch.zeros(5, 1, dtype=torch.long))
    for bad in (torch.tensor([[3]] * 4), torch.tensor([[-1]] * 4), torch.ones(4, 1)):
        with refused("whole number between 0 and 2"):
            geometry.jacobian_columns(g, z, bad)
    with refused("n of slope = 3", "n of g = 5"):
        geometry.dropped_term(g, z, z)
    with refused("slope", "NaN"):
        geometry.dropped_term(g, z, g(z) * math.nan)
    with refused("n of J = 5", "n of curvature = 3"):
        geometry.gauss_newton_diagonal(geometry.jacobian(g, z), z)
    with refused("go together"):
        geometry.gauss_newton(geometry.jacobian(g, z), g(z)[:2])
    with refused("(…, n, d)"):
        geometry.volume(z[0])
    with refused("two points"):
        geometry.curve_length(g, z[:1])
    with refused("curve", "NaN"):
        geometry.curve_length(g, z * math.nan)


# What mixes examples


LINEAR = torch.nn.Linear(2, 5, dtype=torch.float64)


@pytest.mark.parametrize(
    "g",
    [
        lambda q: LINEAR(q) - LINEAR(q).mean(0),
        lambda q: LINEAR(q).softmax(0),
        lambda q: LINEAR(q) * q.square().sum(),
        lambda q: LINEAR(q).cumsum(0).flip(0),
        torch.nn.Sequential(LINEAR, torch.nn.BatchNorm1d(5, dtype=torch.float64)),
        torch.nn.Sequential(LINEAR, torch.nn.Dropout()),
        networks.MLP(LINEAR, torch.nn.BatchNorm1d(5, dtype=torch.float64)),
    ],
)
def test_a_function_that_mixes_its_examples_is_refused(g: object) -> None:
    z = torch.randn(4, 2, dtype=torch.float64)
    for derivative in (geometry.jacobian, geometry.linearise):
        with pytest.raises(ValueError, match="each example on its own"):
            derivative(g, z)
    geometry.jacobian(torch.nn.Sequential(LINEAR, torch.nn.Softmax(-1)), z)


@pytest.mark.parametrize("layer", [torch.nn.BatchNorm1d(5, dtype=torch.float64), torch.nn.Dropout()])
def test_normalisation_and_dropout_mix_nothing_in_evaluation_mode(layer: torch.nn.Module) -> None:
    z = torch.randn(4, 2, dtype=torch.float64)
    assert geometry.jacobian(torch.nn.Sequential(LINEAR, layer).eval(), z).shape == (4, 5, 2)


def test_chance_is_refused_for_a_single_example_too() -> None:
    with pytest.raises(ValueError, match="or on chance"):
        geometry.jacobian(torch.nn.Sequential(LINEAR, torch.nn.Dropout()), torch.ones(2, dtype=torch.float64))


def test_a_function_with_data_for_each_example_mixes_nothing() -> None:
    x, z = torch.randn(4, 5, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    assert geometry.hessian(lambda q: -(x - LINEAR(q)).square().sum(-1), z).shape == (4, 2, 2)
