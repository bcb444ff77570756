"""Chapter 8: what deterministic objective is the β-VAE in disguise?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradelib.marker.exercise import Choice, Exercise, Mistake

if TYPE_CHECKING:
    from torch import Tensor


def grae_loss(x: Tensor, r: Tensor, h: Tensor, J: Tensor, beta: float) -> Tensor:
    """GRAE loss (…) of each example: x, r (…, n), h (…, d), J (…, n, d)."""
    return (squared(x - r) + beta * squared(h) + beta * log_volume(J, beta)) / 2


def squared(vector: Tensor) -> Tensor:
    return vector.square().sum(-1)


def log_volume(J: Tensor, beta: float) -> Tensor:
    """The regulariser without its β/2: log det(I + JᵀJ/β)."""
    metric = J.mT @ J / beta
    return (metric + metric.new_ones(metric.shape[-1]).diag()).logdet()


def charge_of_columns(J: Tensor, beta: float) -> Tensor:
    """Hadamard's bound of `log_volume`: Σ log(1 + ‖J_i‖²/β)."""
    return (1 + squared(J.mT) / beta).log().sum(-1)


_COLUMNS_ALONE = "A diagonal posterior is charged for each column by itself. Where are the products of two columns?"
_LARGE_BETA = "That is what is left of it for a very large β. What stands there for any β?"

EXERCISES = [
    Exercise(
        id="regulariser",
        prompt=(
            "With unit Gaussian noise, put the best covariance S = (I + JᵀJ/β)⁻¹ into the β-VAE's second-order loss. "
            "Beside −log p(x|h) and (β/2)‖h‖² one term is left, to be minimised. Give it in terms of J and beta."
        ),
        inputs={"J": "matrix:n,d", "beta": "pos", "I_d": "eye:d", "I_n": "eye:n"},
        answer="beta/2*logdet(I_d + T(J)@J/beta)",
        also_right=(
            "beta/2*logdet(I_n + J@T(J)/beta)",
            "-beta/2*logdet(inv(I_d + T(J)@J/beta))",
            "beta*log(det(I_d + T(J)@J/beta))/2",
            "beta/2*(logdet(beta*I_d + T(J)@J) - d*log(beta))",
        ),
        mistakes=(
            Mistake("logdet(I_d + T(J)@J/beta)/2", "The KL is multiplied by beta. Is your term?"),
            Mistake("beta*logdet(I_d + T(J)@J/beta)", "Follow the 1/2 of the Gaussian KL."),
            Mistake("-beta/2*logdet(I_d + T(J)@J/beta)", "Should a steep decoder be charged or rewarded?"),
            Mistake("beta/2*logdet(I_d + beta*T(J)@J)", "Look at the optimal S once more: on which side is its beta?"),
            Mistake("beta/2*logdet(I_d + T(J)@J)", "Look at the optimal S once more: is there a beta in it?"),
            Mistake("beta/2*logdet(T(J)@J/beta)", "What does your term do where the decoder ignores a latent?"),
            Mistake("beta/2*tr(I_d + T(J)@J/beta)", "What becomes of the trace terms at the optimum?"),
            Mistake("beta/2*logdet(I_d - T(J)@J/beta)", "For this noise model, what is the sign of H?"),
            Mistake("beta/2*sum(log(1 + colnorm2(J)/beta))", _COLUMNS_ALONE),
            Mistake("frob2(J)/2", _LARGE_BETA),
        ),
    ),
    Exercise(
        id="grae",
        prompt=(
            "Write the GRAE loss of one example for unit Gaussian noise, from r = g(h), with h = h(x) and the Jacobian "
            "J at h. Leave out the constant (n/2) log 2π."
        ),
        inputs={
            "x": "vector:n",
            "r": "vector:n",
            "h": "vector:d",
            "J": "matrix:n,d",
            "beta": "pos",
            "I_d": "eye:d",
            "n": "dim:n",
        },
        answer="norm2(x - r)/2 + beta/2*norm2(h) + beta/2*logdet(I_d + T(J)@J/beta)",
        also_right=(
            "(norm2(r - x) + beta*norm2(h) + beta*logdet(I_d + T(J)@J/beta))/2",
            "sum((x - r)**2)/2 + beta*(T(h)@h + logdet(I_n + J@T(J)/beta))/2",
            "norm2(x - r)/2 + beta*norm2(h)/2 - beta*logdet(inv(I_d + J.T@J/beta))/2",
        ),
        mistakes=(
            Mistake(
                "norm2(x - r) + beta/2*norm2(h) + beta/2*logdet(I_d + T(J)@J/beta)",
                "Where does the 1/2 in −log N(x; g, I) go?",
            ),
            Mistake(
                "norm2(x - r)/(2*n) + beta/2*norm2(h) + beta/2*logdet(I_d + T(J)@J/beta)",
                "Average over the batch, but add over pixels: otherwise beta changes meaning with image size.",
            ),
            Mistake(
                "norm2(x - r)/2 + norm2(h)/2 + beta/2*logdet(I_d + T(J)@J/beta)",
                "Which term of the β-VAE does the norm of the code come from, and what is it multiplied by?",
            ),
            Mistake(
                "norm2(x - r)/2 + beta/2*logdet(I_d + T(J)@J/beta)",
                "What keeps the codes near the prior?",
            ),
            Mistake(
                "norm2(x - r)/2 + beta/2*norm2(h)",
                "What keeps the decoder from being steep?",
            ),
            Mistake(
                "norm2(x - r)/2 + beta/2*norm2(h) - beta/2*logdet(I_d + T(J)@J/beta)",
                "Should a steep decoder be charged or rewarded?",
            ),
            Mistake(
                "norm2(x - r)/2 + beta/2*norm2(h) + beta/2*logdet(I_d + T(J)@J)",
                "Look at the optimal S once more: is there a beta in it?",
            ),
            Mistake(
                "norm2(x - r)/2 + beta*norm2(h) + beta*logdet(I_d + T(J)@J/beta)",
                "Follow the 1/2 of the Gaussian KL.",
            ),
            Mistake(
                "-norm2(x - r)/2 + beta/2*norm2(h) + beta/2*logdet(I_d + T(J)@J/beta)",
                "A loss goes down when the fit gets better.",
            ),
            Mistake(
                "norm2(x - r)/2 + beta/2*norm2(h) + beta/2*logdet(I_d + T(J)@J/beta) + n/2*log(2*pi)",
                "All terms are there, and one of them was not asked for: it depends on no weight.",
            ),
            Mistake(
                "norm2(x - r)/2 + beta/2*norm2(h) + beta/2*sum(log(1 + colnorm2(J)/beta))",
                _COLUMNS_ALONE,
            ),
            Mistake("norm2(x - r)/2 + beta/2*norm2(h) + frob2(J)/2", _LARGE_BETA),
            Mistake(
                "norm2(x - r)/2 + beta/2*(norm2(h) - d) + beta/2*logdet(I_d + T(J)@J/beta)",
                "The divergence contains your last constant. What do the traces leave at the optimum?",
            ),
        ),
    ),
    Exercise(
        id="strongest-pull",
        prompt="For which singular value σ > 0 is the slope in σ of (β/2) log(1 + σ²/β) largest?",
        inputs={"beta": "pos"},
        answer="sqrt(beta)",
        also_right=("beta**(1/2)", "beta/sqrt(beta)", "1/sqrt(1/beta)"),
        mistakes=(
            Mistake("beta", "Which units has σ, if β has those of a squared pixel?"),
            Mistake("sqrt(beta)/2", "That is how large the slope is there. Where is it?"),
            Mistake("1/sqrt(beta)", "Does the peak move to the left or to the right when beta grows?"),
            Mistake("sqrt(beta/3)", "In the slope, is the denominator squared before you differentiate it?"),
            Mistake("2*sqrt(beta)", "Set the derivative of the slope to zero and solve for σ² first."),
            Mistake("sqrt(2*beta)", "Set the derivative of the slope to zero: does a factor 2 stay in it?"),
        ),
    ),
    Exercise(
        id="large-beta",
        prompt="What does β/2 log det(I + JᵀJ/β) tend to as β grows without bound?",
        inputs={"J": "matrix:n,d", "I_d": "eye:d"},
        answer="frob2(J)/2",
        also_right=("tr(T(J)@J)/2", "sum(colnorm2(J))/2", "sum(rownorm2(J))/2"),
        mistakes=(
            Mistake("frob2(J)", "Follow the half that stands in front of the log."),
            Mistake("0", "The log goes to zero, but what multiplies it?"),
            Mistake("logdet(I_d + T(J)@J)/2", "That is the value at β = 1. Expand the log for a small argument."),
            Mistake("sqrt(frob2(J))/2", "The norm or its square?"),
            Mistake("-frob2(J)/2", "The term is positive for every β."),
            Mistake("det(T(J)@J)/2", "To first order, which function of a small matrix A is log det(I + A)?"),
            Mistake("frob2(T(J)@J)/2", "The first order of log det(I + A) is linear in A."),
        ),
    ),
    Exercise(
        id="grae-loss",
        prompt=(
            "Write grae_loss(x, r, h, J, beta): x and r (…, n), h (…, d), J (…, n, d), beta a number. "
            "Return the GRAE loss (…) of each example."
        ),
        inputs={"x": "vector:n", "r": "vector:n", "h": "vector:d", "J": "matrix:n,d", "beta": "pos"},
        function=grae_loss,
        also_right=(
            lambda x, r, h, J, beta: squared(r - x) / 2 + beta / 2 * (squared(h) + log_volume(J, beta)),
            lambda x, r, h, J, beta: 0.5 * squared(x - r) + 0.5 * beta * squared(h) + beta / 2 * log_volume(J.mT, beta),
            lambda x, r, h, J, beta: beta * grae_loss(x / beta**0.5, r / beta**0.5, h, J / beta**0.5, 1.0),
        ),
        mistakes=(
            Mistake(
                lambda x, r, h, J, beta: grae_loss(x, r, h, J, beta) + squared(x - r) / 2,
                "Where does the 1/2 in −log N(x; g, I) go?",
                "half of the reconstruction dropped",
            ),
            Mistake(
                lambda x, r, h, J, beta: grae_loss(x, x, h, J, beta) + (x - r).square().mean(-1) / 2,
                "Average over the batch, but add over pixels: otherwise beta changes meaning with image size.",
                "mean over pixels",
            ),
            Mistake(
                lambda x, r, h, J, beta: grae_loss(x, x, h, J, beta) + (x - r).square().mean(-1),
                "Average over the batch, but add over pixels: otherwise beta changes meaning with image size.",
                "mean squared error",
            ),
            Mistake(
                lambda x, r, h, J, beta: grae_loss(x, r, h, J, beta).mean(),
                "Return one number for each example; the batch is averaged later.",
                "mean over the batch",
            ),
            Mistake(
                lambda x, r, h, J, beta: grae_loss(x, r, 0 * h, J, beta),
                "What keeps the codes near the prior?",
                "norm of the code dropped",
            ),
            Mistake(
                lambda x, r, h, J, beta: grae_loss(x, r, h, J, beta) + (1 - beta) / 2 * log_volume(J, beta),
                "The KL is multiplied by beta. Are all of your terms that come from it?",
                "log det without beta",
            ),
            Mistake(
                lambda x, r, h, J, beta: grae_loss(x, r, h, J * beta**0.5, beta),
                "Look at the optimal S once more: is there a beta in it?",
                "beta missing in the log det",
            ),
            Mistake(
                lambda x, r, h, J, beta: grae_loss(x, r, h, J, beta) - beta * log_volume(J, beta),
                "Should a steep decoder be charged or rewarded?",
                "sign of the log det",
            ),
            Mistake(
                lambda x, r, h, J, beta: grae_loss(x, r, h, 0 * J, beta) + beta / 2 * charge_of_columns(J, beta),
                _COLUMNS_ALONE,
                "columns one by one",
            ),
            Mistake(
                lambda x, r, h, J, beta: grae_loss(x, r, h, 0 * J, beta) + squared(J.flatten(-2)) / 2,
                _LARGE_BETA,
                "limit for large beta",
            ),
        ),
    ),
    Exercise(
        id="fair-loss",
        prompt=(
            "Two models have the same networks. One was trained as a β-VAE and reports its sampled loss. The other was "
            "trained by GRAE and reports its GRAE loss, which is lower. Which comparison tells which of the two is the "
            "better β-VAE, and why?"
        ),
        inputs={},
        choice=Choice(
            options={
                "sampled": "The sampled β-VAE loss of both, each with its own best covariance.",
                "deterministic": "The GRAE loss of both.",
                "reported": "The two numbers as they are reported.",
            },
            reasons={
                "flattered": (
                    "GRAE's number is an approximation, and training on it may have found where the approximation is "
                    "too low."
                ),
                "noise": "A loss without draws has no noise, so it is the more exact of the two.",
                "same minimum": "GRAE and the second-order objective have the same minimum over decoders and codes.",
            },
            right=("sampled", "flattered"),
            hints={
                ("sampled", "noise"): "If the loss without draws were the more exact one, why draw?",
                ("sampled", "same minimum"): "True of the second-order objective. Is that the β-VAE's loss?",
                ("deterministic", "flattered"): "If the approximation may be too low, can it be the judge?",
                ("deterministic", "noise"): "No scatter is one thing. Is there a bias?",
                ("deterministic", "same minimum"): "From the second-order objective to the β-VAE, what is left out?",
                ("reported", "flattered"): "If one of the numbers may be too low, can both be read as they are?",
                ("reported", "noise"): "Are the two numbers values of one and the same function?",
                ("reported", "same minimum"): "Are both models at a minimum, and is the approximation exact there?",
            },
        ),
    ),
]
