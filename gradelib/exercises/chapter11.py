"""Chapter 11: do the two objectives generate alike?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradelib.marker.exercise import Choice, Exercise, Mistake

if TYPE_CHECKING:
    from torch import Tensor


def frechet(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> Tensor:
    """Squared Fréchet distance (…) of two Gaussians with means (…, d) and covariances (…, d, d)."""
    return (mean_a - mean_b).square().sum(-1) + trace(cov_a) + trace(cov_b) - 2 * cross_term(cov_a, cov_b)


def trace(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1).sum(-1)


def cross_term(cov_a: Tensor, cov_b: Tensor) -> Tensor:
    """The trace of (AB)^½ (…). AB is similar to a positive matrix, so its eigenvalues are positive."""
    import torch

    lower = torch.linalg.cholesky(cov_a)
    return torch.linalg.eigvalsh(lower.mT @ cov_b @ lower).sqrt().sum(-1)


def real_eigenvalues(matrix: Tensor) -> Tensor:
    import torch

    return torch.linalg.eigvals(matrix).real


EXERCISES = [
    Exercise(
        id="two-clouds",
        prompt=(
            "Half of the data have the posterior N(a, s), the other half N(b, s), with one latent and the common "
            "variance s. Give the variance of the aggregated posterior."
        ),
        inputs={"a": "real", "b": "real", "s": "pos"},
        answer="s + (a - b)**2/4",
        also_right=(
            "s + (a**2 + b**2)/2 - ((a + b)/2)**2",
            "s + ((a - b)/2)**2",
            "(s + a**2)/2 + (s + b**2)/2 - (a + b)**2/4",
        ),
        mistakes=(
            Mistake("s", "Move the two means far apart. Does the variance of all draws together stay what it was?"),
            Mistake("(a - b)**2/4", "That is the variance of the means. What do the clouds themselves add?"),
            Mistake("s + (a - b)**2", "How far is each of the two means from the middle between them?"),
            Mistake("s + (a - b)**2/2", "That is what a sample of two would estimate; here the two are all there are."),
            Mistake("s/2 + (a - b)**2/4", "Let a and b be the same. Which variance must come out?"),
            Mistake("2*s + (a - b)**2/4", "Let a and b be the same. Which variance must come out?"),
            Mistake("s + (a**2 + b**2)/2", "That is the mean square of z. What is subtracted to get a variance?"),
            Mistake("s + (a + b)**2/4", "Shift both means by the same amount. May the variance change?"),
            Mistake("s**2 + (a - b)**2/4", "Here s is a variance already. Compare the units of the two terms."),
        ),
    ),
    Exercise(
        id="frechet-diagonal",
        prompt=(
            "Two Gaussians have the means a and b and diagonal covariances with the standard deviations sigma and tau. "
            "Give the square of their Fréchet (2-Wasserstein) distance."
        ),
        inputs={"a": "vector:d", "b": "vector:d", "sigma": "posvector:d", "tau": "posvector:d"},
        answer="norm2(a - b) + norm2(sigma - tau)",
        also_right=(
            "norm2(a - b) + sum(sigma**2 + tau**2 - 2*sigma*tau)",
            "sum((a - b)**2 + (sigma - tau)**2)",
            "norm2(b - a) + tr(diag(sigma**2) + diag(tau**2) - 2*diag(sigma)@diag(tau))",
        ),
        mistakes=(
            Mistake("norm2(a - b)", "Are two Gaussians with one mean always the same?"),
            Mistake("norm2(a - b) + norm2(sigma**2 - tau**2)", "Compare the units of the two terms."),
            Mistake("norm2(a - b) + sum(sigma**2 + tau**2)", "What is the distance of a Gaussian from itself?"),
            Mistake(
                "norm2(a - b) + sum(sigma**2 + tau**2 - sigma*tau)", "What is the distance of a Gaussian from itself?"
            ),
            Mistake("norm2(a - b) + sum(sigma**2 - tau**2)", "Can your squared distance be negative?"),
            Mistake("sqrt(norm2(a - b) + norm2(sigma - tau))", "The distance or its square?"),
            Mistake("norm2(sigma - tau)", "Does it cost nothing to move the mean?"),
            Mistake("(norm2(a - b) + norm2(sigma - tau))/d", "Does a distance in d dimensions add up or average?"),
        ),
    ),
    Exercise(
        id="standard-error",
        prompt=(
            "m independent runs with different seeds give scores whose sample variance is v. "
            "Give the standard error of their mean."
        ),
        inputs={"v": "pos", "m": "pos"},
        answer="sqrt(v/m)",
        also_right=("sqrt(v)/sqrt(m)", "(v/m)**(1/2)", "exp((log(v) - log(m))/2)"),
        mistakes=(
            Mistake("sqrt(v)", "That is the spread of a single run. What do more seeds do to the mean?"),
            Mistake("v/m", "Compare the units with those of the scores."),
            Mistake("sqrt(v)/m", "Variances of independent runs add up. What does that make of the mean?"),
            Mistake("sqrt(v*m)", "Should more seeds make the mean more or less certain?"),
            Mistake("sqrt(v/(m - 1))", "The sample variance v has used m − 1 already."),
            Mistake("v/sqrt(m)", "Compare the units with those of the scores."),
            Mistake(
                "2*sqrt(v/m)", "That is about the half-width of a 95 % interval. The standard error alone is asked for."
            ),
        ),
    ),
    Exercise(
        id="frechet",
        prompt=(
            "Write frechet(mean_a, cov_a, mean_b, cov_b): means (…, d), covariances (…, d, d). "
            "Return the squared Fréchet distance (…) of the two Gaussians."
        ),
        inputs={"mean_a": "vector:d", "cov_a": "spd:d", "mean_b": "vector:d", "cov_b": "spd:d"},
        function=frechet,
        also_right=(
            lambda mean_a, cov_a, mean_b, cov_b: frechet(mean_b, cov_b, mean_a, cov_a),
            lambda mean_a, cov_a, mean_b, cov_b: (
                (mean_a - mean_b).square().sum(-1)
                + trace(cov_a + cov_b)
                - 2 * real_eigenvalues(cov_a @ cov_b).sqrt().sum(-1)
            ),
            lambda mean_a, cov_a, mean_b, cov_b: (
                ((mean_a - mean_b) ** 2).sum(-1) + trace(cov_a) + trace(cov_b) - 2 * cross_term(cov_b, cov_a)
            ),
        ),
        mistakes=(
            Mistake(
                lambda mean_a, cov_a, mean_b, cov_b: frechet(mean_a, cov_a, mean_a, cov_b),
                "Does it cost nothing to move the mean?",
                "means ignored",
            ),
            Mistake(
                lambda mean_a, cov_a, mean_b, cov_b: (mean_a - mean_b).square().sum(-1),
                "Are two Gaussians with one mean always the same?",
                "covariances ignored",
            ),
            Mistake(
                lambda mean_a, cov_a, mean_b, cov_b: frechet(mean_a, cov_a, mean_b, cov_b) + cross_term(cov_a, cov_b),
                "What is the distance of a Gaussian from itself?",
                "factor 2 dropped",
            ),
            Mistake(
                lambda mean_a, cov_a, mean_b, cov_b: (
                    (mean_a - mean_b).square().sum(-1) + trace(cov_a + cov_b - 2 * (cov_a @ cov_b).abs().sqrt())
                ),
                "Is your square root that of a matrix, or of each entry?",
                "root of each entry",
            ),
            Mistake(
                lambda mean_a, cov_a, mean_b, cov_b: frechet(mean_a, cov_a, mean_b, cov_b).sqrt(),
                "The distance or its square?",
                "root",
            ),
            Mistake(
                lambda mean_a, cov_a, mean_b, cov_b: (
                    (mean_a - mean_b).square().sum(-1) + (cov_a - cov_b).square().sum((-2, -1))
                ),
                "Compare the units of the two terms.",
                "difference of covariances",
            ),
            Mistake(
                lambda mean_a, cov_a, mean_b, cov_b: (
                    (mean_a - mean_b).norm(dim=-1) + trace(cov_a + cov_b) - 2 * cross_term(cov_a, cov_b)
                ),
                "Compare the units of the two terms.",
                "means not squared",
            ),
        ),
    ),
    Exercise(
        id="which-control",
        prompt=(
            "A β-VAE and GRAE≈ were trained from the same first weights. For equal z their pictures are nearly equal. "
            "Somebody concludes that the charge on the Jacobian makes GRAE≈ do what the β-VAE does. Which further "
            "model tests this conclusion, and why?"
        ),
        inputs={},
        choice=Choice(
            options={
                "charge deleted": "GRAE≈ from the same weights, on the same batches, with the charge deleted.",
                "other seed": "A β-VAE from other first weights.",
                "longer": "GRAE≈ from the same weights, trained for twice as long.",
            },
            reasons={
                "one change": "It differs from GRAE≈ in the cause that is claimed, and in nothing else.",
                "chance": "It shows how far apart two trainings of one objective come by chance.",
                "plateau": "It shows whether the likeness is still changing.",
            },
            right=("charge deleted", "one change"),
            hints={
                ("charge deleted", "chance"): "Are these two trainings of one objective?",
                ("charge deleted", "plateau"): "Which length of training does this model change?",
                ("other seed", "one change"): "In how many things does it differ from GRAE≈?",
                ("other seed", "chance"): (
                    "True, but two objectives without any charge that share a start could also be alike. Would this "
                    "model tell?"
                ),
                ("other seed", "plateau"): "Is it trained any longer than the others?",
                ("longer", "one change"): "Is the length of training the cause that is claimed?",
                ("longer", "chance"): "What would have to be redrawn to see what chance does?",
                ("longer", "plateau"): (
                    "A good check of something else. If the likeness stays, do you know what keeps it?"
                ),
            },
        ),
    ),
]
