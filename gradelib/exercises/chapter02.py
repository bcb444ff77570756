"""Chapter 2: which models can the data never tell apart?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradelib.marker.exercise import Choice, Exercise, Mistake

if TYPE_CHECKING:
    from torch import Tensor


def nats_of_a_turn(S: Tensor, R: Tensor) -> Tensor:
    """The divergence (…) of R z, where z has the covariance S (…, d, d), from the product of its marginals."""
    turned = R @ S @ R.mT
    return (turned.diagonal(dim1=-2, dim2=-1).log().sum(-1) - S.logdet()) / 2


EXERCISES = [
    Exercise(
        id="rotation",
        prompt="z has posterior covariance S, and we use z′ = R z with R orthogonal. What is the covariance of z′?",
        inputs={"S": "spd:d", "R": "orth:d"},
        answer="R@S@T(R)",
        also_right=("R@S@inv(R)", "T(R@T(R@S))", "R@T(R@S)"),
        mistakes=(
            Mistake("T(R)@S@R", "Write E[z′ z′ᵀ] and substitute z′ = R z."),
            Mistake("S", "The prior is invariant. Is this posterior?"),
            Mistake("R@S", "Is your result symmetric, as every covariance is?"),
            Mistake("R@S@R", "Is your result symmetric, as every covariance is?"),
            Mistake("S@R", "Is your result symmetric, as every covariance is?"),
            Mistake("R@inv(S)@T(R)", "With R = I you should get back the covariance of z."),
            Mistake("R@T(R)", "That is the covariance of z′ under the prior. And under this posterior?"),
        ),
    ),
    Exercise(
        id="rotated-jacobian",
        prompt=(
            "A decoder g has the Jacobian J at z. With z′ = R z, R orthogonal, the decoder g′(z′) = g(Rᵀ z′) gives the "
            "same images. What is its Jacobian at z′?"
        ),
        inputs={"J": "matrix:n,d", "R": "orth:d"},
        answer="J@T(R)",
        also_right=("J@inv(R)", "T(R@T(J))", "T(inv(T(R))@T(J))"),
        mistakes=(
            Mistake("J@R", "Apply the chain rule to g(Rᵀ z′). Which matrix is the inner derivative?"),
            Mistake("R@J", "Check the shape: the rotation acts on the latents, not on the pixels."),
            Mistake("J", "The images stay, but a step along the first new axis is not one along the first old axis."),
            Mistake("T(R)@J@R", "That is how a square matrix changes its basis. What maps latents to pixels?"),
            Mistake("R@T(J)", "A Jacobian has one row for each pixel."),
        ),
    ),
    Exercise(
        id="rotated-metric",
        prompt=(
            "A decoder g has the Jacobian J at z, with JᵀJ = M. The decoder g′(z′) = g(Rᵀ z′), R orthogonal, has the "
            "Jacobian J′ at z′ = R z. Which matrix is J′ᵀJ′?"
        ),
        inputs={"M": "spd:d", "R": "orth:d"},
        answer="R@M@T(R)",
        also_right=("R@M@inv(R)", "R@T(R@M)", "T(T(R))@M@T(R)"),
        mistakes=(
            Mistake("M", "The lengths of steps stay, but the step has new coordinates."),
            Mistake("T(R)@M@R", "Start from J′ and form the product. Which side does R stand on?"),
            Mistake("R@M", "Is your result symmetric, as every metric is?"),
            Mistake("M@T(R)", "Is your result symmetric, as every metric is?"),
            Mistake("R@inv(M)@T(R)", "With R = I you should get M back."),
        ),
    ),
    Exercise(
        id="cross-cumulant",
        prompt=(
            "z_1 and z_2 are independent with mean zero and fourth cumulants k1 and k2. They are turned into "
            "u_1 = c z_1 - s z_2 and u_2 = s z_1 + c z_2. What is the fourth cumulant cum(u_1, u_2, u_2, u_2)?"
        ),
        inputs={"c": "unit", "s": "unit", "k1": "real", "k2": "real"},
        answer="c*s**3*k1 - s*c**3*k2",
        also_right=("c*s*(s**2*k1 - c**2*k2)", "c*s**3*k1 + (-s)*c**3*k2", "-(c**3*s*k2 - c*s**3*k1)"),
        mistakes=(
            Mistake("c*s**3*k1 + s*c**3*k2", "One of the four coefficients of the second latent is negative."),
            Mistake("c**3*s*k1 - c*s**3*k2", "Count how often each of the two new latents occurs."),
            Mistake("c**2*s**2*k1 + c**2*s**2*k2", "Count how often each of the two new latents occurs."),
            Mistake("c*s**3*k1", "Both latents contribute, each with its own cumulant."),
            Mistake("c*s**3*(k1 + k2)", "The two latents enter with coefficients of their own."),
            Mistake("0", "It vanishes if the new latents are independent. Are they?"),
        ),
    ),
    Exercise(
        id="lost-nats",
        prompt=(
            "q is Gaussian with covariance S, which need not be diagonal. What is the divergence of q, in nats, from "
            "the product of its own marginals?"
        ),
        inputs={"S": "spd:d"},
        answer="(sum(log(diag(S))) - logdet(S))/2",
        also_right=(
            "log(prod(diag(S))/det(S))/2",
            "log(prod(diag(S)))/2 - logdet(S)/2",
            "sum(log(diag(S)))/2 - log(det(S))/2",
        ),
        mistakes=(
            Mistake("sum(log(diag(S))) - logdet(S)", "The entropy of a Gaussian has half a logarithm."),
            Mistake("(logdet(S) - sum(log(diag(S))))/2", "A divergence is never negative. Is yours?"),
            Mistake(
                "(sum(log(diag(inv(S)))) + logdet(S))/2",
                "That is the cost of another factorised stand-in. What is the variance of one latent alone?",
            ),
            Mistake(
                "(tr(S) - d - logdet(S))/2", "That is the way to the prior. The marginals have variances of their own."
            ),
            Mistake("-logdet(S)/2", "Only right where all variances are 1. What do the marginals add?"),
        ),
    ),
    Exercise(
        id="nats-of-a-turn",
        prompt=(
            "Write nats_of_a_turn(S, R) for tensors (…, d, d): z is Gaussian with covariance S, and z′ = R z with R "
            "orthogonal. Return the divergence (…) of each z′, in nats, from the product of its own marginals."
        ),
        inputs={"S": "spd:d", "R": "orth:d"},
        function=nats_of_a_turn,
        also_right=(
            lambda S, R: ((R @ S * R).sum(-1).log().sum(-1) - S.logdet()) / 2,
            lambda S, R: (R @ S @ R.mT).diagonal(dim1=-2, dim2=-1).sqrt().log().sum(-1) - S.logdet() / 2,
            lambda S, R: ((R @ S @ R.mT).diagonal(dim1=-2, dim2=-1).prod(-1) / (R @ S @ R.mT).det()).log() / 2,
        ),
        mistakes=(
            Mistake(
                lambda S, R: nats_of_a_turn(S, R.mT), "Write E[z′ z′ᵀ] and substitute z′ = R z.", "wrong way round"
            ),
            Mistake(
                lambda S, R: (S.diagonal(dim1=-2, dim2=-1).log().sum(-1) - S.logdet()) / 2,
                "Those are the marginals before the turn.",
                "not turned",
            ),
            Mistake(
                lambda S, R: 2 * nats_of_a_turn(S, R), "The entropy of a Gaussian has half a logarithm.", "half dropped"
            ),
            Mistake(lambda S, R: -nats_of_a_turn(S, R), "A divergence is never negative. Is yours?", "sign"),
            Mistake(
                lambda S, R: nats_of_a_turn(S.inverse(), R),
                "That is the cost of another factorised stand-in. What is the variance of one latent alone?",
                "precisions for variances",
            ),
            Mistake(
                lambda S, R: nats_of_a_turn(S, R).sum(),
                "Return one number for each Gaussian. Which axes hold its latents?",
                "sum over the batch",
            ),
        ),
    ),
    Exercise(
        id="which-evidence",
        prompt=(
            "Ada's first latent is the slant of a stroke, and her second is its thickness. Bob turns both latents by "
            "45° and lets his decoder turn them back, so that each of his latents is a blend. Ada claims that her "
            "latents are the factors of the pictures, and that Bob's are not. Which evidence can decide, and why?"
        ),
        inputs={},
        choice=Choice(
            options={
                "more": "A hundred times as many pictures from the same source.",
                "held out": "The likelihood that the two models give to pictures that neither was trained on.",
                "measured": "A few hundred pictures whose slant has been measured in another way.",
            },
            reasons={
                "same": "The two models give each picture the same probability, so pictures count for both alike.",
                "sample": "A larger sample tells two models apart, however small the difference between them.",
                "overfit": "A model with the wrong latents explains only the pictures that it has seen.",
            },
            right=("measured", "same"),
            hints={
                ("measured", "sample"): "Your evidence is of another kind, not more of the same. Why is that needed?",
                (
                    "measured",
                    "overfit",
                ): "Bob's model explains new pictures as well as Ada's. So why measure the slant?",
                ("more", "same"): "If pictures count for both alike, what do a hundred times as many do?",
                ("more", "sample"): "How large is the difference between the two probabilities of one picture?",
                ("more", "overfit"): "Compute both probabilities of a new picture, with the decoder that turns back.",
                ("held out", "same"): "Your reason holds for pictures that neither has seen. What will you find?",
                ("held out", "sample"): "Is there any difference between the two likelihoods that a sample could show?",
                ("held out", "overfit"): "Bob did not train anything. Which pictures can his model explain worse?",
            },
        ),
    ),
]
