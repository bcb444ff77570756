"""Chapter 9: how to train GRAE at the cost of a VAE?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradelib.marker.exercise import Choice, Exercise, Mistake

if TYPE_CHECKING:
    from torch import Tensor


def hadamard_bound(J: Tensor, beta: float) -> Tensor:
    """Upper bound (…) of log det(I + JᵀJ/β) from the column norms of J (…, n, d)."""
    return (1 + J.square().sum(-2) / beta).log().sum(-1)


EXERCISES = [
    Exercise(
        id="hadamard",
        prompt=(
            "Give the upper bound of log det(I + JᵀJ/β) that the product of the diagonal gives, for any number of "
            "latents, from the squared norms of the columns of J."
        ),
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
            Mistake(
                "d*log(1 + frob2(J)/(d*beta))", "That is an upper bound too, but a looser one. Keep one log per column."
            ),
            Mistake("sum(log(1 + beta*colnorm2(J)))", "As beta grows, the log det goes to zero. Does your bound?"),
            Mistake("prod(1 + colnorm2(J)/beta)", "That bounds the determinant. Which function of it is asked for?"),
            Mistake("sum(log(1 + colnorm2(J)/beta))/d", "Does Hadamard's inequality have a sum or a mean?"),
            Mistake("logdet(I_d + T(J)@J/beta)", "That is the quantity itself. The bound needs no determinant."),
        ),
    ),
    Exercise(
        id="column-estimator",
        prompt=(
            "A column i of J is drawn uniformly from d, and c is its squared norm. Give an estimate of the bound "
            "Σ log(1 + ‖J_i‖²/β), without the factor β/2 of the loss, that is right on average."
        ),
        inputs={"c": "pos", "beta": "pos", "d": "dim:d", "n": "dim:n"},
        answer="d*log(1 + c/beta)",
        also_right=("d*(log(beta + c) - log(beta))", "-d*log(beta/(beta + c))", "d*log((beta + c)/beta)"),
        mistakes=(
            Mistake("log(1 + c/beta)", "Average your estimate over all i: do you get the sum or the mean?"),
            Mistake(
                "beta/2*d*log(1 + c/beta)", "Estimate the bound of the log det alone, without the beta/2 of the loss."
            ),
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
        id="column-variance",
        prompt=(
            "The d columns of J are charged a_1, …, a_d. One of them, i, is drawn uniformly. "
            "Give the variance of the estimate d·a_i of their sum."
        ),
        inputs={"a": "posvector:d", "d": "dim:d"},
        answer="d*norm2(a) - sum(a)**2",
        also_right=(
            "d**2*(norm2(a)/d - (sum(a)/d)**2)",
            "d*sum((a - sum(a)/d)**2)",
            "norm2(d*a - sum(a))/d",
        ),
        mistakes=(
            Mistake("norm2(a)/d - (sum(a)/d)**2", "That is the variance of a_i. What does the factor d do to it?"),
            Mistake("norm2(a) - sum(a)**2/d", "A factor d multiplies the standard deviation by d. And the variance?"),
            Mistake(
                "d*(d*norm2(a) - sum(a)**2)/(d - 1)",
                "The d charges are all that there are, and no sample of more: by what do you divide?",
            ),
            Mistake("d*norm2(a)", "That is the mean of the square. What is subtracted from it?"),
            Mistake("d*norm2(a) - sum(a)", "The mean of the estimate is subtracted as a square."),
            Mistake("norm2(a) - sum(a)**2", "Each square (d·a_i)² comes with probability 1/d. What is their mean?"),
            Mistake("sqrt(d*norm2(a) - sum(a)**2)", "The variance or its root?"),
        ),
    ),
    Exercise(
        id="pass-count",
        prompt=(
            "A β-VAE step sends each example once through the encoder and once through the decoder. One pass through "
            "the decoder costs r times one through the encoder. Now, for each example in a share f of the batch, k "
            "columns of the Jacobian go through the decoder too, and each costs there what the code costs; for the "
            "others there are none. How many times as dear as a β-VAE step is such a step? "
            "Count three passes for whatever goes through a network, and neglect all else."
        ),
        inputs={"r": "pos", "k": "pos", "f": "unit"},
        answer="(1 + r*(1 + k*f))/(1 + r)",
        also_right=(
            "1 + r*k*f/(1 + r)",
            "(3 + 3*r + 3*r*k*f)/(3 + 3*r)",
            "(1 + r + r*k*f)/(1 + r)",
        ),
        mistakes=(
            Mistake("(1 + 2*r)/(1 + r)", "That is for one column on the whole batch."),
            Mistake("(1 + r*k*f)/(1 + r)", "The decoder still has to make the picture itself."),
            Mistake("(1 + r + k*f)/(1 + r)", "Through which of the two networks does a column travel?"),
            Mistake("1 + k*f", "Does the encoder work more than before?"),
            Mistake("1 + r*k*f", "In which unit do you count: passes, or steps of a β-VAE?"),
            Mistake("(1 + r*(1 + k))/(1 + r)", "Only a part of the batch travels with a column."),
            Mistake("(1 + r*(1 + k/f))/(1 + r)", "Does a smaller part of the batch cost more or less?"),
            Mistake(
                "(3 + 3*r + r*k*f)/(3 + 3*r)",
                "The derivative of the column is taken too: how many of its passes go backward?",
            ),
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
    Exercise(
        id="paired-seeds",
        prompt=(
            "Each of three seeds sets the starting weights and the batches of a training. With own columns the models "
            "of the three seeds end at 14.84, 15.08 and 15.32 nats. With a shared column, from the same three seeds, "
            "they end at 15.19, 15.52 and 15.56. What do these six numbers show about sharing the column, and why?"
        ),
        inputs={},
        choice=Choice(
            options={
                "higher": "From these starts, training with a shared column ends higher, by 0.2 to 0.5 nats.",
                "nothing": "Nothing yet: with three seeds on each side, chance explains the difference.",
                "biased": "A shared column trains another objective than own columns do.",
            },
            reasons={
                "paired": "Seed by seed the difference is positive, and it varies less than the seeds do.",
                "overlap": "The two ranges overlap.",
                "means": "The mean of the three losses is higher.",
            },
            right=("higher", "paired"),
            hints={
                ("higher", "overlap"): "Do overlapping ranges speak for a difference, or against one?",
                ("higher", "means"): "The means differ by less than a range is wide. What makes you believe them?",
                ("nothing", "paired"): "If every difference is about the same, what is left to chance?",
                ("nothing", "overlap"): "What do two losses of the same seed have in common?",
                ("nothing", "means"): "Is a higher mean a reason to see nothing?",
                ("biased", "paired"): "The difference is there. Do losses at the end say what the mean gradient was?",
                ("biased", "overlap"): "What is the mean of a shared draw? And what can a range say about it?",
                ("biased", "means"): "Can noise alone, around the right mean, leave a training higher?",
            },
        ),
    ),
]
