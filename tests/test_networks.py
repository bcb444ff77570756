"""Networks: shapes, activations, seeds."""

import pytest
import torch
from random_cases import FAMILIES, normal, refused

from gradelib import networks, posteriors


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
