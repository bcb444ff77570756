"""Chapter 10: do the two objectives agree?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradelib.marker.exercise import Choice, Exercise, Mistake

if TYPE_CHECKING:
    from torch import Tensor


def beta_vae_batch_loss(x: Tensor, r: Tensor, h: Tensor, log_variance: Tensor, beta: float) -> Tensor:
    """β-VAE loss () of a batch with unit Gaussian noise: x, r (batch, n), h and log_variance (batch, d)."""
    return (half_squared_error(x, r) + beta * kl(h, log_variance)).mean()


def half_squared_error(x: Tensor, r: Tensor) -> Tensor:
    return (x - r).square().sum(-1) / 2


def kl(h: Tensor, log_variance: Tensor) -> Tensor:
    return (log_variance.exp() + h.square() - 1 - log_variance).sum(-1) / 2


EXERCISES = [
    Exercise(
        id="beta-vae-loss",
        prompt=(
            "Write the β-VAE loss of one example with unit Gaussian noise: r is the decoded sample, h the mean and v "
            "the log-variance of q. Leave out the constant n/2 log 2π."
        ),
        inputs={"x": "vector:n", "r": "vector:n", "h": "vector:d", "v": "vector:d", "beta": "pos"},
        answer="norm2(x - r)/2 + beta/2*sum(exp(v) + h**2 - 1 - v)",
        also_right=(
            "(norm2(r - x) + beta*(sum(exp(v)) + norm2(h) - d - sum(v)))/2",
            "sum((x - r)**2)/2 - beta*sum(1 + v - h**2 - exp(v))/2",
            "norm2(x - r)/2 + beta*(tr(diag(exp(v))) + norm2(h) - d - sum(v))/2",
        ),
        mistakes=(
            Mistake(
                "norm2(x - r) + beta/2*sum(exp(v) + h**2 - 1 - v)",
                "Where does the 1/2 in −log N(x; g, I) go?",
            ),
            Mistake(
                "norm2(x - r)/n + beta/2*sum(exp(v) + h**2 - 1 - v)",
                "Average over the batch, but add over pixels: otherwise beta changes meaning with image size.",
            ),
            Mistake(
                "norm2(x - r)/(2*n) + beta/2*sum(exp(v) + h**2 - 1 - v)",
                "Average over the batch, but add over pixels: otherwise beta changes meaning with image size.",
            ),
            Mistake(
                "norm2(x - r)/2 + beta/(2*d)*sum(exp(v) + h**2 - 1 - v)",
                "KL adds up over independent latents; averaging is for the batch.",
            ),
            Mistake(
                "norm2(x - r)/2 - beta/2*sum(exp(v) + h**2 - 1 - v)",
                "Should information in z be charged or rewarded?",
            ),
            Mistake("norm2(x - r)/2 + beta*sum(exp(v) + h**2 - 1 - v)", "Follow the 1/2 of the Gaussian KL."),
            Mistake("norm2(x - r)/2 + sum(exp(v) + h**2 - 1 - v)/2", "Where is the price of information?"),
        ),
    ),
    Exercise(
        id="grae-bound",
        prompt=(
            "Write the loss GRAE≈ of one example for unit Gaussian noise, without the constant n/2 log 2π: GRAE with "
            "the column-wise bound in place of the log det. r is the picture g(h), J the decoder's Jacobian at h."
        ),
        inputs={"x": "vector:n", "r": "vector:n", "h": "vector:d", "J": "matrix:n,d", "beta": "pos"},
        answer="norm2(x - r)/2 + beta/2*norm2(h) + beta/2*sum(log(1 + colnorm2(J)/beta))",
        also_right=(
            "(norm2(x - r) + beta*norm2(h) + beta*sum(log(1 + colnorm2(J)/beta)))/2",
            "norm2(x - r)/2 + beta/2*(norm2(h) + log(prod(1 + colnorm2(J)/beta)))",
            "norm2(r - x)/2 + beta/2*(T(h)@h + sum(log(diag(I_d + T(J)@J/beta))))",
        ),
        mistakes=(
            Mistake(
                "norm2(x - r)/2 + beta/2*norm2(h) + beta/2*logdet(I_d + T(J)@J/beta)",
                "That is GRAE itself. Which part of it is too expensive?",
            ),
            Mistake(
                "norm2(x - r)/2 + beta/2*norm2(h) + beta/2*sum(log(1 + rownorm2(J)/beta))",
                "One term for each latent: how many should there be, d or n?",
            ),
            Mistake(
                "norm2(x - r)/2 + beta/2*norm2(h) + sum(log(1 + colnorm2(J)/beta))/2",
                "The KL is multiplied by beta. Are all of your terms that come from it?",
            ),
            Mistake(
                "norm2(x - r)/(2*n) + beta/2*norm2(h) + beta/2*sum(log(1 + colnorm2(J)/beta))",
                "Average over the batch, but add over pixels: otherwise beta changes meaning with image size.",
            ),
            Mistake(
                "norm2(x - r) + beta/2*norm2(h) + beta/2*sum(log(1 + colnorm2(J)/beta))",
                "Where does the 1/2 in −log N(x; g, I) go?",
            ),
            Mistake(
                "norm2(x - r)/2 + beta/2*sum(log(1 + colnorm2(J)/beta))",
                "What keeps the codes near the prior?",
            ),
            Mistake(
                "norm2(x - r)/2 + beta/2*norm2(h) - beta/2*sum(log(1 + colnorm2(J)/beta))",
                "Should a steep decoder be charged or rewarded?",
            ),
        ),
    ),
    Exercise(
        id="beta-vae-batch-loss",
        prompt=(
            "Write beta_vae_batch_loss(x, r, h, log_variance, beta): x and decoded samples r (batch, n), h and "
            "log_variance (batch, d). Return one number: the β-VAE loss with unit Gaussian noise, without n/2 log 2π, "
            "in nats for each example on average."
        ),
        inputs={"x": "vector:n", "r": "vector:n", "h": "vector:d", "log_variance": "vector:d", "beta": "pos"},
        batches=((4,), (6,)),
        function=beta_vae_batch_loss,
        also_right=(
            lambda x, r, h, log_variance, beta: half_squared_error(x, r).mean() + beta * kl(h, log_variance).mean(),
            lambda x, r, h, log_variance, beta: (
                (((x - r) ** 2).sum() / 2 - beta / 2 * (1 + log_variance - h**2 - log_variance.exp()).sum())
                / x.shape[0]
            ),
            lambda x, r, h, log_variance, beta: sum(half_squared_error(x, r) + beta * kl(h, log_variance)) / len(x),
        ),
        mistakes=(
            Mistake(
                lambda x, r, h, log_variance, beta: (x - r).square().mean() + beta * kl(h, log_variance).mean(),
                "A mean over pixels divides the reconstruction by the image size, and so multiplies beta by it.",
                "mean squared error over pixels",
            ),
            Mistake(
                lambda x, r, h, log_variance, beta: (x - r).square().mean() / 2 + beta * kl(h, log_variance).mean(),
                "A mean over pixels divides the reconstruction by the image size, and so multiplies beta by it.",
                "mean over pixels",
            ),
            Mistake(
                lambda x, r, h, log_variance, beta: (half_squared_error(x, r) + beta * kl(h, log_variance)).sum(),
                "Your loss grows with the size of the batch. What is averaged?",
                "sum over the batch",
            ),
            Mistake(
                lambda x, r, h, log_variance, beta: (2 * half_squared_error(x, r) + beta * kl(h, log_variance)).mean(),
                "Where does the 1/2 in −log N(x; g, I) go?",
                "half of the reconstruction dropped",
            ),
            Mistake(
                lambda x, r, h, log_variance, beta: (
                    half_squared_error(x, r) + beta * kl(h, log_variance) / h.shape[-1]
                ).mean(),
                "KL adds up over independent latents; averaging is for the batch.",
                "mean over latents",
            ),
            Mistake(
                lambda x, r, h, log_variance, beta: beta_vae_batch_loss(x, r, h, log_variance, 1.0),
                "Your result does not depend on beta. Which term does beta price?",
                "beta dropped",
            ),
            Mistake(
                lambda x, r, h, log_variance, beta: beta_vae_batch_loss(x, r, h, 2 * log_variance, beta),
                "Does the encoder return the log of the variance or of the standard deviation?",
                "log of the standard deviation",
            ),
            Mistake(
                lambda x, r, h, log_variance, beta: half_squared_error(x, r) + beta * kl(h, log_variance),
                "You have one number for each example. What is asked for the batch?",
                "not averaged",
            ),
        ),
    ),
    Exercise(
        id="equivalent-price",
        prompt=(
            "A model was trained at the price beta, with unit Gaussian noise, on data of total variance V. Which price "
            "gives the same balance once the data have been scaled to the total variance W?"
        ),
        inputs={"beta": "pos", "V": "pos", "W": "pos"},
        answer="beta*W/V",
        also_right=("beta/(V/W)", "W*(beta/V)", "sqrt(W/V)**2*beta"),
        mistakes=(
            Mistake("beta*V/W", "Larger pixels make larger errors. Does each nat then need a higher or a lower price?"),
            Mistake("beta*sqrt(W/V)", "Pixels grow by a factor c. By which factor does their squared error grow?"),
            Mistake("beta*(W/V)**2", "Total variance already is a square. What is the factor c of the pixels?"),
            Mistake("beta + W - V", "Does scaling the pixels add something, or does it multiply?"),
            Mistake(
                "beta", "The divergence knows nothing of pixels, but the squared error does. What keeps the balance?"
            ),
        ),
    ),
    Exercise(
        id="length-control",
        prompt=(
            "Suppose that after 200 steps, for six values of β and three seeds each, the β-VAE loss of models trained "
            "with GRAE≈ is less than one per cent above their GRAE≈. A report concludes that the two objectives agree "
            "for these networks. Which further experiment could refute it most directly, and why?"
        ),
        inputs={},
        choice=Choice(
            options={
                "longer": "Train with GRAE≈ for 400, 800 and 1600 steps, each run annealed to its own end.",
                "seeds": "Train three more seeds for 200 steps, at every β.",
                "other": "Compute both losses of models that were trained as β-VAEs.",
            },
            reasons={
                "exploit": "The longer GRAE≈ is minimised, the more it can use what it leaves out.",
                "spread": "Three seeds leave a standard error, and more seeds make it smaller.",
                "neutral": "These models were never driven to where GRAE≈ is too low.",
            },
            right=("longer", "exploit"),
            hints={
                ("longer", "spread"): "Your experiment keeps the seeds and changes something else. What?",
                ("longer", "neutral"): "Which of the two losses do the longer trainings minimise?",
                ("seeds", "exploit"): "Do more seeds minimise GRAE≈ any further?",
                ("seeds", "spread"): "Eighteen models lie below one per cent. What is the same for all of them?",
                ("seeds", "neutral"): "Which of the two losses do these models minimise?",
                ("other", "exploit"): "Do these models minimise GRAE≈?",
                ("other", "spread"): "Does your experiment make the standard error smaller?",
                ("other", "neutral"): "Can models that do not look for the fault of a loss show that it has none?",
            },
        ),
    ),
]
