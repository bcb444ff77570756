"""What a trained model is judged by: how far the objectives part, what its Jacobian looks like, how well it samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gradelib import _input, geometry, objectives, posteriors
from gradelib.likelihoods import Gaussian, Likelihood
from gradelib.networks import VAE, mlp
from gradelib.posteriors import Posterior


def standard_error(values: Sequence[float]) -> float | None:
    """That of the mean of `values`; None where there is one value only."""
    if (count := len(values)) < 2:
        return None
    moved = [value - values[0] for value in values]  # so that equal values have none, in spite of rounding
    mean = math.fsum(moved) / count  # statistics.stdev computes in fractions, which takes twenty times as long
    return math.sqrt(math.fsum((value - mean) ** 2 for value in moved) / (count * (count - 1)))


@dataclass(frozen=True)
class Gap:
    """A deterministic objective and the β-VAE objective that it stands for, both in nats at the same codes and weights.

    `error` is the standard error of `sampled`, hence of their difference too, which comes from the draws from q alone:
    another set of examples would move both further.
    """

    deterministic: float
    sampled: float
    error: float

    @property
    def difference(self) -> float:
        """How much worse the β-VAE objective is than the deterministic one promises, in nats."""
        return self.sampled - self.deterministic


@torch.no_grad()
def beta_vae_loss(
    model: VAE,
    x: Tensor,
    *,
    beta: float,
    q: Posterior | None = None,
    likelihood: Likelihood | None = None,
    samples: int = 64,
    seed: int = 0,
) -> tuple[float, float]:
    """The β-VAE loss of the rows of x (examples, n) in nats, and its standard error over `samples` draws from q.

    q is the model's own posterior unless another is given, N(h, LLᵀ) with one row for each example. The draws come in
    pairs h ± Lε, which cancel every odd term. Raises ValueError for β ≤ 0, NaN or an odd number of samples.
    """
    _input.finite(x=x)
    likelihood, q = likelihood or Gaussian(), q or model.posterior(x)
    pairs = _pairs(model, x, q, likelihood, _noise(q.mean, samples, seed))
    return float(objectives.beta_vae(pairs.mean(0), q.kl(), beta)), _standard_error(pairs)


@torch.no_grad()
def gap(
    model: VAE,
    x: Tensor,
    *,
    beta: float,
    family: str = "diagonal",
    likelihood: Likelihood | None = None,
    samples: int = 64,
    seed: int = 0,
) -> Gap:
    """How far GRAE ("full") or GRAE≈ ("diagonal") is from the β-VAE loss with the covariance that is best for it.

    Both losses are taken at the codes h of the rows of x (examples, n), in nats. They differ in the blur alone
    (`eq-gap`): log p(x|h) − E log p(x|z), less the predicted ½ tr(MΣ), where M = −JᵀHJ is (examples, d, d). A draw
    u = z − h has the predicted blur ½uᵀMu, whose mean is ½ tr(MΣ). So we average log p(x|h) − log p(x|z) − ½uᵀMu, and
    add the mean to the deterministic loss. This control variate moves no mean. It takes the more of the scatter away
    the better the prediction holds, and all of it where log p(x|z) is quadratic in z. The slope is gone already: the
    draws come in pairs, as in `beta_vae_loss`, and the error is that of `samples`/2 pairs, inf for one of them. Raises
    ValueError for β ≤ 0, NaN, another family or an odd number of samples.
    """
    if family not in ("full", "diagonal"):
        raise ValueError(f"GRAE goes with the full and GRAE≈ with the diagonal family, not with {family!r}.")
    likelihood = likelihood or Gaussian()
    _input.finite(x=x)
    h = model.posterior(x).mean
    g, J = geometry.linearise(model.decoder, h)
    hessian, log_prob = geometry.gauss_newton(J, likelihood.curvature(x, g)), likelihood.log_prob(x, g)
    if family == "full":
        deterministic = objectives.grae(log_prob, hessian, h, beta)
    else:
        deterministic = objectives.grae_bound(log_prob, hessian.diagonal(dim1=-2, dim2=-1), h, beta)
    q = Posterior(h, torch.linalg.cholesky(posteriors.optimal_covariance(hessian, beta, family)))
    noise = _noise(h, samples, seed)
    u = q.sample(noise) - h
    predicted = -0.5 * (u * (hessian @ u.unsqueeze(-1)).squeeze(-1)).sum(-1)  # ½uᵀMu, the same for u and −u
    beyond = log_prob - _pairs(model, x, q, likelihood, noise) - predicted
    return Gap(float(deterministic), float(deterministic + beyond.mean()), _standard_error(beyond))


def fitted_posterior(
    model: VAE,
    x: Tensor,
    *,
    beta: float,
    q: Posterior | None = None,
    codes: bool = False,
    likelihood: Likelihood | None = None,
    steps: int = 300,
    samples: int = 8,
    seed: int = 0,
) -> Posterior:
    """N(h, diag(s)) for each row of x (examples, n), with the s that is best for the β-VAE loss itself.

    The best s is β/(β + m), m being the mean over q of the second derivatives of −log p(x | z) (`eq-exact-optimum`).
    The formula takes those at h. Each step here estimates m from `samples` draws in pairs h ± Lε, and moves the
    precision 1/s towards 1 + m/β by a share that falls to zero: variational online Newton (Khan et al. 2018). It starts
    at q, by default at the codes of the model's encoder with the formula's variances. With `codes`, h moves too, down
    the mean slope, by a share of σ at most, in all by 0.1 σ · `steps`; where the formula is far off, fit the variances
    first and give them as q. Either way the end lies near the start and need not be the lowest minimum. To judge it,
    take `beta_vae_loss` with another seed. Raises ValueError for β ≤ 0, NaN, an odd number of samples, or a q that is
    not diagonal or has not one row for each of x.
    """
    likelihood = likelihood or Gaussian()
    _input.positive("beta", beta)
    _input.finite(x=x)
    q = q or _formula(model, x, beta, likelihood)
    if not q.is_diagonal:
        raise ValueError("The fit starts at a q with one standard deviation for each latent, but its L is a matrix.")
    _input.same_size(rows_of_q=len(q.mean), rows_of_x=len(x))
    h, s = q.mean.detach(), q.variances.detach()
    noise = _noise(h.expand(_input.whole("steps", steps), *h.shape), samples, seed)
    for step, drawn in enumerate(noise.unbind(1)):
        share = 0.1 * (1 + math.cos(math.pi * step / steps))  # from a fifth to 0
        slope, curvature = _averages(model, x, Posterior(h, s.sqrt()), likelihood, drawn)
        growth = 1 - share + share * s * (1 + curvature / beta)  # of the precision
        s = s / growth.clamp(0.5, 2)  # one wild draw moves it by a factor of 2 at most
        if codes:
            move = s.sqrt() * (h + slope / beta)  # in units of σ
            h = h - share * s.sqrt() * move / move.norm(dim=-1, keepdim=True).clamp(min=1)
    return Posterior(h, s.sqrt())


def block_cosines(J: Tensor, block: int) -> tuple[float, float]:
    """How parallel the columns of J are inside and outside the diagonal blocks: the means of |E_x cos(J_i, J_j)|.

    `J` is (examples, n, d). The cosines keep their sign until they are averaged over the examples: |cos| alone would
    hide the effect. Raises ValueError for NaN, a shape that is no Jacobian's, or a block size that leaves nothing on
    one side.
    """
    metric = geometry.metric(J)
    d = metric.shape[-1]
    same = posteriors.same_block(d, posteriors.block_size("block", d, block), J.device)
    lengths = metric.diagonal(dim1=-2, dim2=-1).sqrt()
    cosine = (metric / (lengths[..., None] * lengths[..., None, :])).reshape(-1, d, d).mean(0).abs()
    inside, outside = same & ~torch.eye(d, dtype=torch.bool, device=J.device), ~same
    if not (inside.any() and outside.any()):
        raise ValueError(f"Blocks of {block} among {d} latents leave no pair inside or none outside of them.")
    return float(cosine[inside].mean()), float(cosine[outside].mean())


def nats_between_blocks(hessian: Tensor, beta: float, family: str = "block", block: int | None = None) -> Tensor:
    """What a family loses against the full one, ½(log|Π(I − hessian/β)| − log|I − hessian/β|) ≥ 0: (…, d, d) → (…).

    Π keeps what the family keeps; for blocks this is Fischer's gap, for the diagonal Hadamard's (`eq-fischer-gap`).
    It is the divergence of the family's best posterior from the best full one, in nats. Raises what
    `posteriors.optimal_covariance` raises.
    """
    best, restricted = (posteriors.optimal_covariance(hessian, beta, *f) for f in (("full",), (family, block)))
    return 0.5 * (posteriors.log_determinant(best) - posteriors.log_determinant(restricted))


def rotation_error(A: Tensor, W: Tensor) -> float:
    """‖A R − W‖_F/‖W‖_F at the best orthogonal R: how far two maps (n, d) are apart if the axes of z do not matter.

    Raises ValueError for NaN or different shapes.
    """
    _check_maps(A, W)
    U, _, Vh = torch.linalg.svd(A.mT @ W)
    return float((A @ U @ Vh - W).norm() / W.norm())


def permutation_error(A: Tensor, W: Tensor) -> float:
    """‖A P − W‖_F/‖W‖_F at the best signed permutation P: how far two maps (n, d) are apart if the axes do matter.

    Raises ValueError for NaN or different shapes.
    """
    from scipy.optimize import linear_sum_assignment

    _check_maps(A, W)
    overlap = A.mT @ W  # ‖A P − W‖² is least where the chosen |overlaps| add up to most
    rows, columns = linear_sum_assignment(overlap.abs().cpu().numpy(), maximize=True)
    matched = torch.zeros_like(W)
    matched[:, columns] = A[:, rows] * overlap[rows, columns].sign()
    return float((matched - W).norm() / W.norm())


@torch.no_grad()
def samples(
    model: VAE,
    count: int,
    *,
    likelihood: Likelihood | None = None,
    moments: tuple[Tensor, Tensor] | None = None,
    seed: int = 0,
) -> Tensor:
    """Mean pictures of `count` draws of z: (count, n). z comes from N(0, I), or from N(m, V) with `moments` = (m, V).

    With the mean (d) and the covariance (d, d) of the aggregated posterior, cov(h) + E Σ, they repair a prior that it
    does not follow; the covariance of the codes h alone would be too narrow. Raises ValueError for NaN or other shapes,
    and LinAlgError for a V that is not positive definite.
    """
    reference = next(model.parameters())
    generator = _input.generator(seed)
    z = torch.randn(_input.whole("count", count), model.d, generator=generator, dtype=reference.dtype)
    z = z.to(reference.device)
    if moments is not None:
        mean, covariance = moments
        _input.finite(mean=mean, covariance=covariance)
        if mean.shape != (model.d,) or covariance.shape != (model.d, model.d):
            raise ValueError(
                f"A Gaussian over {model.d} latents has moments of shape ({model.d},) and ({model.d}, {model.d}), but "
                f"these have {tuple(mean.shape)} and {tuple(covariance.shape)}."
            )
        z = mean + z @ torch.linalg.cholesky(covariance).mT
    return (likelihood or Gaussian()).mean(model.decoder(z))


def unlikeness(a: Tensor, b: Tensor) -> float:
    """The mean squared distance of row i of a from row i of b, as a share of that of rows i and j ≠ i, all (count, n).

    It is 0 for the same pictures, and about 1 where the pictures of one draw have no more in common than others. Raises
    ValueError for NaN, different shapes or fewer than two rows.
    """
    _check_sets(a, b)
    _input.same_size(rows_of_a=len(a), rows_of_b=len(b))
    squared = torch.cdist(a, b).square()
    same = squared.diagonal()
    others = (squared.sum() - same.sum()) / (squared.numel() - len(same))
    return float(same.mean() / others)


def classifier(x: Tensor, labels: Tensor, *, width: int = 32, steps: int = 600, seed: int = 0) -> nn.Sequential:
    """A small network trained to tell the classes of x (examples, n) apart by its labels (examples).

    All of it but the last layer, `classifier(…)[:-1]`, gives `width` features of a picture, in which a distance means
    something. Raises ValueError for NaN or labels that do not fit x.
    """
    _input.finite(x=x)
    _input.same_size(examples=len(x), labels=len(labels))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = mlp([x.shape[-1], 4 * width, width, int(labels.max()) + 1], "relu").to(x)
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    generator = _input.generator(seed)
    for _ in range(_input.whole("steps", steps)):
        rows = torch.randint(len(x), (128,), generator=generator).to(x.device)
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x[rows]), labels[rows]).backward()
        optimiser.step()
    return net.requires_grad_(False)


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """The squared Fréchet distance of the Gaussians fitted to two sets of features (examples, k).

    It is ‖μ_a − μ_b‖² + tr(C_a + C_b − 2(C_a C_b)^½). Raises ValueError for NaN, different k or fewer than two
    examples.
    """
    _check_sets(a, b)
    a, b = a.double(), b.double()
    mean = ((a.mean(0) - b.mean(0)) ** 2).sum()
    covariances = a.mT.cov(), b.mT.cov()
    root = _square_root(covariances[0])
    shared = torch.linalg.eigvalsh(root @ covariances[1] @ root).clamp(min=0).sqrt().sum()
    return float(mean + covariances[0].trace() + covariances[1].trace() - 2 * shared)


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """The share of fake features (examples, k) among the real ones, and of real among the fake: fidelity and variety.

    A point counts as among a set if it is no farther from some member than that member's k-th nearest neighbour in the
    set. Raises ValueError for NaN, different sizes of the features, or sets of k or fewer.
    """
    _check_sets(real, fake)
    if min(len(real), len(fake)) <= _input.whole("k", k):
        raise ValueError(f"Each set needs more than k = {k} examples, but they have {len(real)} and {len(fake)}.")
    return _covered(fake, real, k), _covered(real, fake, k)


def _noise(mean: Tensor, samples: int, seed: int) -> Tensor:
    """One half of the draws from N(0, I) for each example: (…, d) → (samples/2, …, d). The other half is its mirror."""
    if _input.whole("samples", samples, least=2) % 2:
        raise ValueError(f"samples must be even, for they come in pairs, but it is {samples}.")
    generator = _input.generator(seed)
    return torch.randn(samples // 2, *mean.shape, generator=generator, dtype=mean.dtype).to(mean.device)


def _pairs(model: VAE, x: Tensor, q: Posterior, likelihood: Likelihood, noise: Tensor) -> Tensor:
    """The mean of log p(x | z) over z = h ± Lε, for each ε in `noise`: (pairs, examples, d) → (pairs, examples)."""
    return torch.stack([likelihood.log_prob(x, model.decoder(q.sample(side))) for side in (noise, -noise)]).mean(0)


@torch.no_grad()
def _formula(model: VAE, x: Tensor, beta: float, likelihood: Likelihood) -> Posterior:
    """N(h, diag(s)) at the encoder's codes, with the variances that are best for the second-order loss."""
    h = model.posterior(x).mean
    g, J = geometry.linearise(model.decoder, h)
    hessian = geometry.gauss_newton(J, likelihood.curvature(x, g))
    best = posteriors.optimal_covariance(hessian, beta, "diagonal")
    return Posterior(h, best.diagonal(dim1=-2, dim2=-1).sqrt())


@torch.enable_grad()
def _averages(model: VAE, x: Tensor, q: Posterior, likelihood: Likelihood, noise: Tensor) -> tuple[Tensor, Tensor]:
    """The means over q of the slopes of −log p(x | z) and of its second derivatives in each latent: (examples, d) each.

    The second come from the first by parts: E f″(z) = E f′(z) ε/σ for z = h + σε.
    """
    z = torch.stack([q.sample(noise), q.sample(-noise)]).requires_grad_()
    (slopes,) = torch.autograd.grad(-likelihood.log_prob(x, model.decoder(z)).sum(), z)
    curvature = (slopes[0] - slopes[1]) * noise / (2 * q.factor)
    return slopes.mean((0, 1)), curvature.mean(0)


def _standard_error(pairs: Tensor) -> float:
    """That of the mean over all of `pairs` (pairs, examples); inf for one pair."""
    return float(pairs.mean(-1).std()) / len(pairs) ** 0.5 if len(pairs) > 1 else math.inf


def _covered(points: Tensor, members: Tensor, k: int) -> float:
    radius = torch.cdist(members, members).kthvalue(k + 1, dim=-1).values  # the nearest of all is the member itself
    return float((torch.cdist(points, members) <= radius).any(-1).double().mean())


def _square_root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp(min=0).sqrt() @ vectors.mT


def _check_maps(A: Tensor, W: Tensor) -> None:
    _input.finite(A=A, W=W)
    if A.ndim != 2 or A.shape != W.shape:
        raise ValueError(f"A and W must both be (n, d), but they are {tuple(A.shape)} and {tuple(W.shape)}.")


def _check_sets(a: Tensor, b: Tensor) -> None:
    _input.finite(a=a, b=b)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            f"Two sets of features must be (examples, k) with one k and two examples or more, but they are "
            f"{tuple(a.shape)} and {tuple(b.shape)}."
        )
