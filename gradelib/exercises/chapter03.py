"""Chapter 3: how can the variational family choose one of them?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradelib.marker.exercise import Choice, Exercise, Mistake

if TYPE_CHECKING:
    from torch import Tensor


def mean_field_cost(S: Tensor, R: Tensor) -> Tensor:
    """Least KL(q ‖ p) (…) over Gaussians q with a diagonal covariance, for p = N(·, R S Rᵀ), S (…, d, d)."""
    precision = R @ S.inverse() @ R.mT
    return 0.5 * (precision.diagonal(dim1=-2, dim2=-1).log().sum(-1) + S.logdet())


def _rotated(S: Tensor, R: Tensor) -> Tensor:
    return R @ S @ R.mT


def kl_the_other_way(S: Tensor, R: Tensor) -> Tensor:
    return 0.5 * (_rotated(S, R).diagonal(dim1=-2, dim2=-1).log().sum(-1) - S.logdet())


EXERCISES = [
    Exercise(
        id="mean-field-variances",
        prompt=(
            "A model has the posterior p = N(h, S). Among Gaussians q with a diagonal covariance, one has the least "
            "KL(q ‖ p). Give the vector of its variances."
        ),
        inputs={"S": "spd:d"},
        answer="1/diag(inv(S))",
        also_right=("diag(inv(S))**-1", "exp(-log(diag(inv(S))))", "diag(inv(diag(diag(inv(S)))))"),
        mistakes=(
            Mistake("diag(S)", "Those are the marginal variances, best for KL(p ‖ q). Which one is minimised here?"),
            Mistake("diag(inv(S))", "Are these variances or precisions?"),
            Mistake("1/diag(S)", "For a diagonal S, the best q is p itself."),
            Mistake("sqrt(1/diag(inv(S)))", "Are variances or standard deviations asked for?"),
            Mistake(
                "inv(diag(diag(inv(S))))", "That is the whole covariance. Which part of it is a vector of variances?"
            ),
            Mistake("sqrt(diag(S))", "For a diagonal S, the best q is p itself."),
        ),
    ),
    Exercise(
        id="mean-field-kl",
        prompt=(
            "A model has the posterior p = N(h, S). How large is the least KL(q ‖ p) in nats, over all Gaussians q "
            "with a diagonal covariance?"
        ),
        inputs={"S": "spd:d"},
        answer="(sum(log(diag(inv(S)))) + logdet(S))/2",
        also_right=(
            "(sum(log(diag(inv(S)))) - logdet(inv(S)))/2",
            "sum(log(diag(inv(S))))/2 + log(det(S))/2",
            "log(prod(diag(inv(S)))*det(S))/2",
        ),
        mistakes=(
            Mistake(
                "(sum(log(diag(S))) - logdet(S))/2",
                "That is the least KL(p ‖ q). In which order does the bound of a VAE take the two?",
            ),
            Mistake("sum(log(diag(inv(S)))) + logdet(S)", "Follow the half of the Gaussian KL."),
            Mistake(
                "(sum(log(diag(inv(S)))) - logdet(S))/2",
                "For a diagonal S the family holds p itself. What is the least KL?",
            ),
            Mistake("(-sum(log(diag(inv(S)))) - logdet(S))/2", "A KL divergence is never negative."),
            Mistake(
                "(log(tr(inv(S))) + logdet(S))/2",
                "One term for each latent: what is done to each before they are added?",
            ),
            Mistake("logdet(S)/2", "For a diagonal S the family holds p itself. What is the least KL?"),
            Mistake(
                "(sum(diag(inv(S))) + logdet(S))/2", "Put the best variances into the KL once more. Which term stays?"
            ),
        ),
    ),
    Exercise(
        id="mean-field-cost",
        prompt=(
            "Write mean_field_cost(S, R) for tensors (…, d, d): after z′ = R z with R orthogonal, the posterior has "
            "covariance R S Rᵀ. Return the least KL(q ‖ p) (…) over Gaussians q with a diagonal covariance."
        ),
        inputs={"S": "spd:d", "R": "orth:d"},
        function=mean_field_cost,
        also_right=(
            lambda S, R: mean_field_cost(_rotated(S, R), S.new_ones(S.shape[-1]).diag()),
            lambda S, R: (
                (_rotated(S, R).inverse().diagonal(dim1=-2, dim2=-1).log().sum(-1) + _rotated(S, R).logdet()) / 2
            ),
            lambda S, R: ((R @ S.inverse() * R).sum(-1).prod(-1) * S.det()).log() / 2,
        ),
        mistakes=(
            Mistake(
                kl_the_other_way,
                "That is the least KL(p ‖ q). In which order does the bound of a VAE take the two?",
            ),
            Mistake(
                lambda S, R: mean_field_cost(S, R.mT),
                "You rotate the other way round. Write E[z′ z′ᵀ] and substitute z′ = R z.",
                "wrong way round",
            ),
            Mistake(
                lambda S, R: mean_field_cost(S, R @ R.inverse()),
                "Your result does not depend on the rotation. Which matrix has to be diagonal?",
                "rotation ignored",
            ),
            Mistake(lambda S, R: 2 * mean_field_cost(S, R), "Follow the half of the Gaussian KL.", "half dropped"),
            Mistake(lambda S, R: -mean_field_cost(S, R), "A KL divergence is never negative.", "sign"),
            Mistake(
                lambda S, R: mean_field_cost(S, R).sum(),
                "Return one number for each matrix in the batch.",
                "sum over the batch",
            ),
        ),
    ),
    Exercise(
        id="worst-angle",
        prompt=(
            "With d = 2, a Gaussian posterior p has a precision with the eigenvalues a and b, whose eigenvectors stand "
            "at 45 degrees to the axes. How large is the least KL(q ‖ p) in nats, over all Gaussians q with a diagonal "
            "covariance?"
        ),
        inputs={"a": "pos", "b": "pos"},
        answer="log((a + b)/(2*sqrt(a*b)))",
        also_right=(
            "log((a + b)**2/(4*a*b))/2",
            "log(1 + (a - b)**2/(4*a*b))/2",
            "log(a + b) - log(2) - (log(a) + log(b))/2",
            "log((sqrt(a/b) + sqrt(b/a))/2)",
        ),
        mistakes=(
            Mistake("log((a + b)**2/(4*a*b))", "Follow the half of the Gaussian KL."),
            Mistake("log((a + b)/sqrt(a*b))", "Equal eigenvalues make a circle. What does turning a circle cost?"),
            Mistake("log(2*sqrt(a*b)/(a + b))", "A KL divergence is never negative."),
            Mistake("(a - b)**2/(8*a*b)", "That is the cost while a and b are close. Where did the logarithm go?"),
            Mistake("(a + b)/(2*sqrt(a*b))", "A cost in nats is asked for. What is done to the ratio?"),
            Mistake("log((a + b)/2)", "Which determinant is the product of the diagonal compared with?"),
            Mistake("1 + (a - b)**2/(4*a*b)", "A cost in nats is asked for. What is done to the ratio of products?"),
        ),
    ),
    Exercise(
        id="mean-field-volume",
        prompt=(
            "A model has the posterior p = N(h, S). Take the Gaussian q with a diagonal covariance that has the least "
            "KL(q ‖ p). What is the determinant of its covariance divided by det S, a number of at most 1?"
        ),
        inputs={"S": "spd:d"},
        answer="1/(prod(diag(inv(S)))*det(S))",
        also_right=(
            "det(inv(S))/prod(diag(inv(S)))",
            "prod(1/diag(inv(S)))/det(S)",
            "exp(-sum(log(diag(inv(S)))) - logdet(S))",
        ),
        mistakes=(
            Mistake(
                "prod(diag(inv(S)))*det(S)",
                "The cost is never negative. Is your ratio at most 1?",
            ),
            Mistake(
                "det(S)/prod(diag(S))", "You compare with the marginal variances. Which ones does the best q have?"
            ),
            Mistake(
                "prod(diag(S))/det(S)", "You compare with the marginal variances. Which ones does the best q have?"
            ),
            Mistake("1/prod(diag(inv(S)))", "That is one of the two determinants. What is it compared with?"),
            Mistake("-sum(log(diag(inv(S)))) - logdet(S)", "A ratio is asked for, not its logarithm."),
            Mistake("sqrt(1/(prod(diag(inv(S)))*det(S)))", "A ratio of determinants is asked for, not of volumes."),
        ),
    ),
    Exercise(
        id="agreeing-runs",
        prompt=(
            "Ten runs of a β-VAE with a diagonal posterior, from ten random starts, end at the same latents up to "
            "order and sign. From this a colleague infers that these latents are the factors that made the data. Which "
            "further experiment could refute the inference, and why?"
        ),
        inputs={},
        choice=Choice(
            options={
                "planted": (
                    "The same training on data made from known factors that do not move the pixels in orthogonal "
                    "directions; compare its latents with these factors."
                ),
                "more": "Ninety more runs from other random starts; see whether they agree, too.",
                "full": "The same training with a full posterior; see whether the runs still agree.",
            },
            reasons={
                "family": "The family has axes of its own, on which runs agree whatever the factors are.",
                "starts": "Ten runs may share an accident of their starts.",
                "loss": "The better description of the data has the lower loss.",
            },
            right=("planted", "family"),
            hints={
                (
                    "planted",
                    "starts",
                ): "Your experiment is right. Does it look at the starts, or at what runs agree on?",
                (
                    "planted",
                    "loss",
                ): "Two models that differ by a turn can have one likelihood. What does a loss then tell?",
                ("more", "family"): "If runs agree whatever the factors are, what can more runs refute?",
                ("more", "starts"): "Suppose that all hundred agree. Are the latents then the factors?",
                ("more", "loss"): "All runs end at the same loss. Which of them does it speak for?",
                ("full", "family"): (
                    "That shows where the axes come from. Does it show whether the factors lie on them?"
                ),
                ("full", "starts"): "A full posterior has no axes of its own. What does that say about the factors?",
                ("full", "loss"): "With one shared covariance both families reach the same loss. What is then refuted?",
            },
        ),
    ),
]
