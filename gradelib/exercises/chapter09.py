"""Chapter 9: how to train GRAE at the price of a VAE?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradelib.answers.exercise import Exercise, Mistake

if TYPE_CHECKING:
    from torch import Tensor


def hadamard_bound(J: Tensor, beta: float) -> Tensor:
    """Upper bound (…) of log det(I + JᵀJ/β) from the column norms of J (…, n, d)."""
    return (1 + J.square().sum(-2) / beta).log().sum(-1)


EXERCISES = [
    Exercise(
        id="hadamard",
        prompt="Give the upper bound of log det(I + JᵀJ/β) that needs only the norms of the columns of J.",
        inputs={"J": "matrix:n,d", "beta": "pos", "I_d": "eye:d"},
        answer="sum(log(1 + colnorm2(J)/beta))",
        also_right=(
            "sum(log(diag(I_d + T(J)@J/beta)))",
            "log(prod(1 + colnorm2(J)/beta))",
            "sum(log(beta + colnorm2(J))) - d*log(beta)",
        ),
        mistakes=(
            Mistake("sum(log(1 + rownorm2(J)/beta))", "One term for each latent: how many should there be, d or n?"),
            Mistake("sum(log(1 + sqrt(colnorm2(J))/beta))", "Look at the diagonal of JᵀJ."),
            Mistake("log(1 + frob2(J)/beta)", "The bound is a sum of logs. Yours is the log of a sum."),
            Mistake("beta/2*sum(log(1 + colnorm2(J)/beta))", "The bound of the log det alone is asked for."),
            Mistake("sum(log(colnorm2(J)/beta))", "What does your bound do where the decoder ignores a latent?"),
            Mistake("frob2(J)/beta", "That is an upper bound too, but a looser one. Keep the log."),
            Mistake("sum(log(1 + beta*colnorm2(J)))", "As beta grows, the log det goes to zero. Does your bound?"),
            Mistake("prod(1 + colnorm2(J)/beta)", "That bounds the determinant. Which function of it is asked for?"),
            Mistake("sum(log(1 + colnorm2(J)/beta))/d", "Does Hadamard's inequality have a sum or a mean?"),
            Mistake("logdet(I_d + T(J)@J/beta)", "That is the quantity itself. The bound needs no determinant."),
        ),
    ),
    Exercise(
        id="column-estimator",
        prompt=(
            "A column i is drawn uniformly from d, and c is its squared norm. "
            "Give an unbiased estimate of the bound from this one column."
        ),
        inputs={"c": "pos", "beta": "pos", "d": "dim:d", "n": "dim:n"},
        answer="d*log(1 + c/beta)",
        also_right=("d*(log(beta + c) - log(beta))", "-d*log(beta/(beta + c))", "d*log((beta + c)/beta)"),
        mistakes=(
            Mistake("log(1 + c/beta)", "Average your estimate over all i: do you get the sum or the mean?"),
            Mistake("n*log(1 + c/beta)", "How many columns are there to choose from?"),
            Mistake("log(1 + d*c/beta)", "Average your estimate over all i: the log is not linear."),
            Mistake("log(1 + c/beta)/d", "Average your estimate over all i: is it too small or too large?"),
            Mistake("d*c/beta", "That estimates another bound. Where is the log?"),
            Mistake("d*log(1 + sqrt(c)/beta)", "c is a squared norm already."),
            Mistake("d*log(c/beta)", "What should the estimate be for a column of zeros?"),
            Mistake("d*log(1 + beta*c)", "As beta grows, the bound goes to zero. Does your estimate?"),
        ),
    ),
    Exercise(
        id="hadamard-bound",
        prompt=(
            "Write hadamard_bound(J, beta) for J (…, n, d) and a number beta: the upper bound (…) of "
            "log det(I + JᵀJ/β) from the norms of the columns."
        ),
        inputs={"J": "matrix:n,d", "beta": "pos"},
        function=hadamard_bound,
        also_right=(
            lambda J, beta: (J.square().sum(-2) / beta).log1p().sum(-1),
            lambda J, beta: (1 + (J.mT @ J).diagonal(dim1=-2, dim2=-1) / beta).log().sum(-1),
            lambda J, beta: (1 + (J * J).sum(dim=-2) / beta).prod(-1).log(),
        ),
        mistakes=(
            Mistake(
                lambda J, beta: hadamard_bound(J.mT, beta),
                "One term for each latent: how many should there be, d or n?",
                "rows for columns",
            ),
            Mistake(
                lambda J, beta: (1 + J.norm(dim=-2) / beta).log().sum(-1), "Look at the diagonal of JᵀJ.", "no square"
            ),
            Mistake(
                lambda J, beta: (1 + J.square().sum((-2, -1)) / beta).log(),
                "The bound is a sum of logs. Yours is the log of a sum.",
                "log of a sum",
            ),
            Mistake(
                lambda J, beta: hadamard_bound(J, beta) / J.shape[-1],
                "Does Hadamard's inequality have a sum or a mean?",
                "mean over columns",
            ),
            Mistake(
                lambda J, beta: (1 + J.square().mean(-2) / beta).log().sum(-1),
                "A squared norm adds up over pixels; nothing is averaged.",
                "mean over pixels",
            ),
            Mistake(
                lambda J, beta: hadamard_bound(J, 1 / beta),
                "As beta grows, the log det goes to zero. Does your bound?",
                "beta inverted",
            ),
            Mistake(
                lambda J, beta: hadamard_bound(J, beta) * beta / 2,
                "The bound of the log det alone is asked for.",
                "beta/2 in front",
            ),
            Mistake(
                lambda J, beta: hadamard_bound(J, beta).sum(),
                "Return one number for each Jacobian in the batch.",
                "sum over the batch",
            ),
        ),
    ),
]
