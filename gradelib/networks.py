"""Small encoders and decoders, and the pair of them that the objectives train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from gradelib import _input, geometry, posteriors
from gradelib._names import one_of
from gradelib.posteriors import Posterior

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
}

# The derivative of each layer at a; at a kink the one that torch takes, from the left.
SLOPES: dict[type[nn.Module], Callable[[Any, Tensor], Tensor]] = {
    nn.Softplus: lambda layer, a: torch.sigmoid(layer.beta * a),
    nn.Tanh: lambda layer, a: 1 - torch.tanh(a) ** 2,
    nn.ReLU: lambda layer, a: (a > 0).to(a.dtype),
    nn.LeakyReLU: lambda layer, a: (a > 0).to(a.dtype) * (1 - layer.negative_slope) + layer.negative_slope,
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

    def posterior(self, x: Tensor, *, check_values: bool = True) -> Posterior:
        """q(z | x) for each example: (…, n) → mean (…, d) and its factor."""
        return posteriors.from_encoder(self.encoder(x), self.d, self.family, self.block, check_values=check_values)


class MLP(nn.Sequential):
    """Linear layers with activations between them, which carries derivatives along with the values."""

    def push(self, z: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """What `geometry.push` asks for, layer after layer by the chain rule: (…, d), (k, …, d) → (…, n), (k, …, n)."""
        values, tangents = z.reshape(-1, z.shape[-1]), directions.reshape(len(directions), -1, z.shape[-1])
        count, shape = len(values), tangents.shape[:2]
        for layer in self:
            if isinstance(layer, nn.Linear):  # one product for both is much faster than two
                both = torch.cat([values, tangents.flatten(0, 1)]) @ layer.weight.mT
                values, tangents = both.split([count, len(both) - count])  # two slices would cost a backward pass more
                tangents = tangents.unflatten(0, shape)
                values = values if layer.bias is None else values + layer.bias
            elif type(layer) in SLOPES:
                slopes = SLOPES[type(layer)](layer, values[: shape[1]])
                values, tangents = layer(values), tangents * slopes
            else:
                values, tangents = geometry.push(layer, values, tangents, check_values=False)  # the caller did
        return values.reshape(*z.shape[:-1], -1), tangents.reshape(*directions.shape[:-1], -1)

    @property
    def is_per_example(self) -> bool:
        """Whether no layer mixes the examples of a batch, as batch normalisation would."""
        return all(isinstance(layer, nn.Linear) or type(layer) in SLOPES for layer in self)


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


class Images(nn.Module):
    """A network of images (batch, channels, height, width) that takes or gives them as rows (…, n) of pixels."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, rows: Tensor) -> Tensor:
        """Rows (…, n) or (…, d) to rows: the leading axes become one batch and come back."""
        return self.body(rows.reshape(-1, rows.shape[-1])).reshape(*rows.shape[:-1], -1)


def conv_vae(
    image_shape: Sequence[int],
    d: int,
    *,
    width: int = 32,
    activation: str = "softplus",
    family: str = "diagonal",
    block: int | None = None,
    seed: int = 0,
) -> VAE:
    """A VAE of two convolutional networks for pictures of 28×28 or 64×64 pixels, whose first weights depend on `seed`.

    `image_shape` is (28, 28), (64, 64) or either with 3 for colours behind it; examples are rows of n pixels in that
    order. Each layer halves or doubles the side and doubles or halves the channels, `width` next to the picture. There
    is no batch normalisation, which would mix examples. Raises ValueError for another shape or an unknown name.
    """
    one_of("activation", activation, ACTIVATIONS)
    if tuple(image_shape[:2]) not in ((28, 28), (64, 64)) or tuple(image_shape[2:]) not in ((), (3,)):
        raise ValueError(f"image_shape must be (28, 28) or (64, 64), with 3 behind it for colours, not {image_shape}.")
    side, colours = image_shape[0], image_shape[2] if len(image_shape) == 3 else 1
    channels = [colours, *(_input.whole("width", width) * 2**level for level in range(2 if side == 28 else 4))]
    small = side // 2 ** (len(channels) - 1)
    flat = channels[-1] * small**2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        up = [nn.Linear(d, flat), nn.Unflatten(-1, (channels[-1], small, small))]
        for inputs, outputs in pairwise(reversed(channels)):
            up += [ACTIVATIONS[activation](), nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)]
        down: list[nn.Module] = [nn.Unflatten(-1, (side, side, colours)), Permute(0, 3, 1, 2)]
        for inputs, outputs in pairwise(channels):
            down += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), ACTIVATIONS[activation]()]
        down += [nn.Flatten(), nn.Linear(flat, posteriors.encoder_outputs(d, family, block))]
    return VAE(
        Images(nn.Sequential(*down)), Images(nn.Sequential(*up, Permute(0, 2, 3, 1))), d=d, family=family, block=block
    )


class Permute(nn.Module):
    """Axes in another order."""

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        """The same entries, axes in `order`."""
        return x.permute(self.order)
