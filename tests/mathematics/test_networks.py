"""Networks: shapes, activations, seeds."""

import math

import pytest
import torch
from random_cases import FAMILIES, normal, refused

from gradelib import geometry, networks, posteriors


def test_an_mlp_is_its_formula():
    net = networks.mlp([3, 4, 2], "tanh").double()
    x = normal(5, 3)
    first, _, second = net
    expected = torch.tanh(x @ first.weight.mT + first.bias) @ second.weight.mT + second.bias
    torch.testing.assert_close(net(x), expected)


@pytest.mark.parametrize(
    ("activation", "formula"),
    [
        ("softplus", lambda a: torch.log1p(a.exp())),
        ("tanh", lambda a: 2 / (1 + (-2 * a).exp()) - 1),
        ("relu", lambda a: a * (a > 0)),
        ("leaky_relu", lambda a: torch.where(a > 0, a, 0.2 * a)),
    ],
)
def test_activations_are_what_their_names_say(activation, formula):
    a = torch.linspace(-4, 4, 9, dtype=torch.float64)
    torch.testing.assert_close(networks.ACTIVATIONS[activation]()(a), formula(a))


@pytest.mark.parametrize(("family", "block"), FAMILIES)
def test_a_vae_maps_pixels_to_its_family_and_latents_to_pixels(family, block):
    model = networks.mlp_vae(10, 6, hidden=[7], family=family, block=block)
    q = model.posterior(normal(2, 3, 10, dtype=torch.float32))
    assert q.mean.shape == (2, 3, 6)
    torch.testing.assert_close(posteriors.project(q.covariance, family, block), q.covariance)
    assert model.decoder(q.mean).shape == (2, 3, 10)


def test_the_first_weights_depend_on_the_seed_alone():
    def weights(**options):
        return torch.nn.utils.parameters_to_vector(networks.mlp_vae(10, 6, **options).parameters())

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = weights(seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(weights(seed=1), first)
    assert not torch.equal(weights(seed=2), first)


def test_the_decoder_starts_alike_in_every_family():
    full, diagonal = (networks.mlp_vae(10, 6, family=f, seed=3).decoder for f in ("full", "diagonal"))
    assert all(torch.equal(a, b) for a, b in zip(full.parameters(), diagonal.parameters(), strict=True))


def test_bad_input_is_refused():
    with refused("'softpuls'", "Did you mean 'softplus'?"):
        networks.mlp([2, 2], "softpuls")
    with refused("input and its output", "[2]"):
        networks.mlp([2])
    with refused("layer size", "0"):
        networks.mlp([2, 0, 2])
    with refused("4 does not divide 6"):
        networks.mlp_vae(10, 6, family="block", block=4)
    with refused("'ful'", "Did you mean 'full'?"):
        networks.VAE(torch.nn.Identity(), torch.nn.Identity(), d=2, family="ful")
    with refused("d", "whole number"):
        networks.VAE(torch.nn.Identity(), torch.nn.Identity(), d=0)


@pytest.mark.parametrize("image_shape", [(28, 28), (28, 28, 3), (64, 64), (64, 64, 3)])
def test_conv_networks_map_rows_of_pixels_to_latents_and_back(image_shape):
    model = networks.conv_vae(image_shape, 5, width=4)
    x = normal(2, 3, math.prod(image_shape), dtype=torch.float32)
    with torch.no_grad():
        q = model.posterior(x)
        assert q.mean.shape == (2, 3, 5)
        assert model.decoder(q.mean).shape == x.shape
        torch.testing.assert_close(model.decoder(q.mean[1]), model.decoder(q.mean)[1])
        torch.testing.assert_close(model.posterior(x[0, 0]).mean, q.mean[0, 0])


def test_conv_networks_see_pictures_as_rows_then_columns_then_colours():
    """Only the pixels near a changed one may notice it in the first layer, in every colour."""
    model = networks.conv_vae((64, 64, 3), 2, width=4)
    first = torch.nn.Sequential(*model.encoder.body[:3])
    dark = torch.zeros(1, 64 * 64 * 3)
    lit = dark.clone()
    lit[0, (40 * 64 + 20) * 3 + 1] = 1.0  # row 40, column 20, green
    with torch.no_grad():
        changed = (first(lit) - first(dark)).abs().sum(1)[0].nonzero()
    assert set(changed[:, 0].tolist()) <= {19, 20}
    assert set(changed[:, 1].tolist()) <= {9, 10}
    assert len(changed)
    body = model.decoder.body
    picture = torch.arange(3 * 64 * 64.0).reshape(1, 3, 64, 64)
    assert body[-1](picture)[0, 40, 20, 1] == picture[0, 1, 40, 20]


def test_conv_networks_treat_each_example_on_its_own_and_have_jacobians():
    model = networks.conv_vae((28, 28), 3, width=2, activation="tanh").double()
    z = normal(2, 3)
    J = geometry.jacobian(model.decoder, z)
    expected = torch.stack([torch.autograd.functional.jacobian(model.decoder, row) for row in z])
    torch.testing.assert_close(J, expected)
    assert not any(isinstance(layer, torch.nn.modules.batchnorm._BatchNorm) for layer in model.modules())


def test_conv_seeds_and_bad_input():
    first, second = (networks.conv_vae((28, 28), 3, width=2, seed=s) for s in (1, 1))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    other = networks.conv_vae((28, 28), 3, width=2, seed=2)
    assert not torch.equal(next(first.decoder.parameters()), next(other.decoder.parameters()))
    for shape in ((32, 32), (28, 64), (64, 64, 4), (28,)):
        with refused("image_shape", "(28, 28) or (64, 64)"):
            networks.conv_vae(shape, 3)
    with refused("Did you mean 'relu'?"):
        networks.conv_vae((28, 28), 3, activation="rely")
    with refused("width", "whole number"):
        networks.conv_vae((28, 28), 3, width=0)
