"""Small encoders and decoders, and the pair of them that the objectives train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from gradelib import _input, geometry, posteriors
from gradelib._names import one_of
from gradelib.posteriors import Posterior

LEAK = 0.2

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(LEAK),
}

# The derivative of each, beside it; at a kink the one that torch takes, from the left.
SLOPES: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.Softplus: torch.sigmoid,
    nn.Tanh: lambda a: 1 - torch.tanh(a) ** 2,
    nn.ReLU: lambda a: (a > 0).to(a.dtype),
    nn.LeakyReLU: lambda a: torch.where(a > 0, 1.0, LEAK).to(a.dtype),
}


class VAE(nn.Module):
    """An encoder, which gives q(z | x), and a decoder, which gives g(z).

    `encoder` maps (…, n) to (…, `posteriors.encoder_outputs(d, family, block)`), `decoder` maps (…, d) to (…, n).
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, *, d: int, family: str = "diagonal", block: int | None = None
    ) -> None:
        """Join the two; raises ValueError for an unknown family or a block size that does not divide d."""
        super().__init__()
        posteriors.block_size(family, _input.whole("d", d), block)
        self.encoder, self.decoder = encoder, decoder
        self.d, self.family, self.block = d, family, block

    def posterior(self, x: Tensor) -> Posterior:
        """q(z | x) for each example: (…, n) → mean (…, d) and its factor."""
        return posteriors.from_encoder(self.encoder(x), self.d, self.family, self.block)


class MLP(nn.Sequential):
    """Linear layers with activations between them, which carries derivatives along with the values."""

    def push(self, z: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """What `geometry.push` asks for, by the chain rule, layer after layer: (…, d), (k, …, d) → (…, n), (k, …, n)."""
        for layer in self:
            if isinstance(layer, nn.Linear):
                z, directions = layer(z), directions @ layer.weight.mT
            elif type(layer) in SLOPES:
                z, directions = layer(z), directions * SLOPES[type(layer)](z)
            else:
                z, directions = geometry.push(layer, z, directions)
        return z, directions


def mlp(sizes: Sequence[int], activation: str = "softplus") -> MLP:
    """A multilayer perceptron through layers of `sizes`, with `activation` between them and none at the end.

    Raises ValueError for fewer than two sizes or an unknown activation.
    """
    one_of("activation", activation, ACTIVATIONS)
    if len(sizes) < 2:
        raise ValueError(f"A network needs the sizes of its input and its output, but sizes is {list(sizes)}.")
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(_input.whole("a layer size", inputs), _input.whole("a layer size", outputs))]
        layers += [ACTIVATIONS[activation]()]
    return MLP(*layers[:-1])


def mlp_vae(
    n: int,
    d: int,
    *,
    hidden: Sequence[int] = (64, 64),
    activation: str = "softplus",
    family: str = "diagonal",
    block: int | None = None,
    seed: int = 0,
) -> VAE:
    """A VAE of two perceptrons, n–hidden–d and back, whose first weights depend on `seed` alone."""
    with torch.random.fork_rng(devices=[]):  # the reader's own random numbers go on as if nothing had happened
        torch.manual_seed(seed)
        decoder = mlp([d, *reversed(hidden), n], activation)  # first, so that it starts alike in every family
        encoder = mlp([n, *hidden, posteriors.encoder_outputs(d, family, block)], activation)
    return VAE(encoder, decoder, d=d, family=family, block=block)
