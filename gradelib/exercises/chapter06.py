"""Chapter 6: which posterior covariance is best?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradelib.marker.exercise import Choice, Exercise, Mistake

if TYPE_CHECKING:
    from torch import Tensor


def information(J: Tensor, curvature: Tensor) -> Tensor:
    """M = −JᵀHJ (…, d, d) from J (…, n, d) and the diagonal of H (…, n)."""
    return -(J.mT * curvature[..., None, :]) @ J


def optimal_variances(J: Tensor, curvature: Tensor, beta: float) -> Tensor:
    """Variances (…, d) of the best diagonal posterior: 1/(1 + M_ii/β)."""
    return 1 / (1 + information(J, curvature).diagonal(dim1=-2, dim2=-1) / beta)


def diagonal_of_full_optimum(J: Tensor, curvature: Tensor, beta: float) -> Tensor:
    precision = information(J, curvature) / beta
    precision.diagonal(dim1=-2, dim2=-1).add_(1)
    return precision.inverse().diagonal(dim1=-2, dim2=-1)


def summed_over_latents(J: Tensor, curvature: Tensor, beta: float) -> Tensor:
    return 1 / (1 - curvature * (J * J).sum(-1) / beta)


EXERCISES = [
    Exercise(
        id="opt-cov",
        prompt=(
            "Which covariance S maximises tr(JᵀHJ S)/2 − β KL(N(h, S) ‖ N(0, I))? "
            "Give a formula in J, H, beta and I_d, or a function of (J, H, beta) with H as a full matrix."
        ),
        inputs={"J": "matrix:n,d", "H": "negdiag:n", "beta": "pos", "I_d": "eye:d"},
        answer="inv(I_d - T(J)@H@J/beta)",
        also_right=(
            "beta*inv(beta*I_d - T(J)@H@J)",
            "inv(I_d + T(J)@(-H)@J/beta)",
            "I_d + T(J)@inv(beta*inv(H) - J@T(J))@J",
            "inv((beta*I_d - J.T@H@J)/beta)",
        ),
        mistakes=(
            Mistake(
                "I_d - T(J)@H@J/beta",
                "You found what the stationarity condition gives for the inverse of S. Which of the two was asked?",
            ),
            Mistake(
                "inv(I_d + T(J)@H@J/beta)",
                "H is negative definite. Should a curved likelihood widen or narrow the posterior?",
            ),
            Mistake("inv(I_d - beta*T(J)@H@J)", "As beta grows, the KL term wins. Which covariance does it want?"),
            Mistake(
                "inv(I_d - T(J)@H@J)", "At which value of beta would this be right? Follow the price of the KL term."
            ),
            Mistake("-beta*inv(T(J)@H@J)", "Where did the prior go? With a very large beta, S should be the prior's."),
            Mistake("inv(I_d + T(J)@J/beta)", "That holds for one noise model. What does H do for the others?"),
            Mistake("inv(beta*I_d - T(J)@H@J)", "Set J to zero: is your S the prior's covariance for every beta?"),
            Mistake("inv(I_d - T(J)@H@J/(2*beta))", "Both terms carry a half. Differentiate each one again."),
            Mistake("inv(I_n - J@T(J)@H/beta)", "Check the shape: a covariance of z has one row for each latent."),
        ),
    ),
    Exercise(
        id="opt-cov-gauss",
        prompt=(
            "For p(x|z) = N(g(z), I), which covariance S maximises tr(JᵀHJ S)/2 − β KL(N(h, S) ‖ N(0, I))? "
            "Give a formula in J, beta and I_d."
        ),
        inputs={"J": "matrix:n,d", "beta": "pos", "I_d": "eye:d", "I_n": "eye:n"},
        answer="inv(I_d + T(J)@J/beta)",
        also_right=(
            "beta*inv(beta*I_d + T(J)@J)",
            "I_d - T(J)@inv(beta*I_n + J@T(J))@J",
            "inv(I_d/beta@(beta*I_d + T(J)@J))",
        ),
        mistakes=(
            Mistake("inv(I_d - T(J)@J/beta)", "For this noise model, what is the sign of H?"),
            Mistake("inv(I_n + J@T(J)/beta)", "Check the shape: a covariance of z has one row for each latent."),
            Mistake("I_d + T(J)@J/beta", "That is what the stationarity condition gives for the inverse of S."),
            Mistake("inv(I_d + beta*T(J)@J)", "As beta grows, the posterior should come closer to the prior."),
            Mistake("inv(I_d + T(J)@J)", "At which value of beta would this be right?"),
            Mistake("beta*inv(T(J)@J)", "A direction that the decoder ignores should keep the prior's variance."),
            Mistake("inv(beta*I_d + T(J)@J)", "Set J to zero: is your S the prior's covariance for every beta?"),
        ),
    ),
    Exercise(
        id="opt-var-1d",
        prompt=(
            "One latent, one pixel, a linear decoder g = w z and Gaussian noise of variance 1. Which variance of q is "
            "best for the β-VAE at a given beta? Use w and beta."
        ),
        inputs={"w": "real", "beta": "pos"},
        answer="beta/(beta + w**2)",
        also_right=("1/(1 + w**2/beta)", "1 - w**2/(w**2 + beta)", "(1 + w*w/beta)**-1"),
        mistakes=(
            Mistake("1/(1 + beta*w**2)", "As beta grows, the variance should go to 1."),
            Mistake("beta/(beta - w**2)", "Your variance can be negative. Which sign does H have?"),
            Mistake("sqrt(beta/(beta + w**2))", "Is a variance or a standard deviation asked for?"),
            Mistake("1 + w**2/beta", "A more sensitive decoder should narrow the posterior. Variance or precision?"),
            Mistake("beta/(beta + w)", "Try w = −beta: what does a negative weight do to your variance?"),
            Mistake("1/(1 + w**2)", "That is the exact posterior of the model. What does the price beta change?"),
            Mistake("beta/w**2", "A decoder with w = 0 says nothing about z. Which variance should be left?"),
        ),
    ),
    Exercise(
        id="inverse-metric",
        prompt="Given the optimal covariance S for unit Gaussian noise, recover JᵀJ from S, beta and I_d.",
        inputs={"S": "contraction:d", "beta": "pos", "I_d": "eye:d"},
        answer="beta*(inv(S) - I_d)",
        also_right=("beta*inv(S) - beta*I_d", "beta*inv(S)@(I_d - S)", "-beta*(I_d - inv(S))"),
        mistakes=(
            Mistake("beta*(I_d - inv(S))", "JᵀJ has no negative eigenvalue, and S is at most the identity."),
            Mistake("beta*(S - I_d)", "Solve for the matrix inside the inverse first."),
            Mistake("(inv(S) - I_d)/beta", "Put your result back into the formula for S. Does beta cancel?"),
            Mistake("inv(S) - I_d", "At which value of beta would this be right?"),
            Mistake("beta*inv(S) - I_d", "When S is the identity, the decoder does not use z. What must come out?"),
            Mistake("beta*inv(S)", "When S is the identity, the decoder does not use z. What must come out?"),
            Mistake("beta*inv(S - I_d)", "The inverse of a difference is not the difference of inverses."),
        ),
    ),
    Exercise(
        id="optimal-variances",
        prompt=(
            "Write optimal_variances(J, curvature, beta): J (…, n, d), curvature (…, n) is the diagonal of H and "
            "negative, beta a number. Return the variances (…, d) of the best diagonal posterior."
        ),
        inputs={"J": "matrix:n,d", "curvature": "negvector:n", "beta": "pos"},
        function=optimal_variances,
        also_right=(
            lambda J, curvature, beta: beta / (beta - (J.square() * curvature[..., None]).sum(-2)),
            lambda J, curvature, beta: 1 / (1 + information(J, curvature / beta).diagonal(dim1=-2, dim2=-1)),
            lambda J, curvature, beta: (1 - (curvature[..., None, :] @ J.square()).squeeze(-2) / beta).reciprocal(),
        ),
        mistakes=(
            Mistake(
                diagonal_of_full_optimum,
                "These are the marginal variances of the best full covariance. A diagonal family keeps the diagonal "
                "of something else: of which matrix?",
            ),
            Mistake(
                lambda J, curvature, beta: 1 / (1 + J.square().sum(-2) / beta),
                "Your result does not depend on the curvature. For which noise model would that be right?",
                "curvature ignored",
            ),
            Mistake(
                lambda J, curvature, beta: optimal_variances(J, curvature, 1.0),
                "Your result does not depend on beta. Which term does beta price?",
                "beta dropped",
            ),
            Mistake(
                lambda J, curvature, beta: optimal_variances(J, curvature, 1 / beta),
                "As beta grows, the variances should go to those of the prior.",
                "beta inverted",
            ),
            Mistake(
                lambda J, curvature, beta: optimal_variances(J, curvature, beta).sqrt(),
                "Are variances or standard deviations asked for?",
                "standard deviations",
            ),
            Mistake(
                summed_over_latents,
                "You have one number for each pixel. Which axis of J counts the latents, and which one is summed over?",
            ),
            Mistake(
                lambda J, curvature, beta: optimal_variances(J, -curvature, beta),
                "Some of your variances are negative or above the prior's. Which sign does the curvature have?",
                "sign of the curvature",
            ),
            Mistake(
                lambda J, curvature, beta: 1 / optimal_variances(J, curvature, beta),
                "A more curved likelihood should narrow the posterior. Variance or precision?",
                "precisions",
            ),
        ),
    ),
    Exercise(
        id="which-comparison",
        prompt=(
            "An encoder with 8 latents uses 4 of them; the other 4 have variance 1 for every image. Over all latents "
            "and images, the median of learned over best variance is 1.00, and the two correlate at 0.99. Which "
            "comparison would test whether the encoder knows the best variances, and why?"
        ),
        inputs={},
        choice=Choice(
            options={
                "pooled": "The same median and correlation, over many more images.",
                "resolved": "How far the ratio is from 1, over the images and the 4 latents in use.",
                "images": "The mean learned variance of each latent beside its mean best variance.",
            },
            reasons={
                "unused": "A latent that the decoder does not use has the best variance 1, which is easily met.",
                "correlation": "A correlation near 1 says that the two numbers are equal.",
                "average": "Errors of single images cancel in the mean, which is all that matters.",
            },
            right=("resolved", "unused"),
            hints={
                ("pooled", "unused"): "If half of the entries are easily met, do more of them make the test harder?",
                (
                    "pooled",
                    "correlation",
                ): "Variances that are all twice too large: what is their correlation with the best?",
                ("pooled", "average"): "The price β KL(Σ ‖ Σ*) is paid image by image. Can it cancel?",
                ("resolved", "correlation"): "The comparison is right. But would its reason let you do with the 0.99?",
                ("resolved", "average"): "If only the mean mattered, would you look at each ratio?",
                (
                    "images",
                    "unused",
                ): "True of the unused ones. But does your comparison see whether single images are right?",
                (
                    "images",
                    "correlation",
                ): "Of single images you learn nothing. And is equality what a correlation shows?",
                ("images", "average"): "Too wide for one image and too narrow for another: is nothing paid?",
            },
        ),
    ),
]
