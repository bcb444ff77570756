"""Chapter 1: what does a β-VAE maximise, and what does β buy?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradelib.marker.exercise import Choice, Exercise, Mistake

if TYPE_CHECKING:
    from torch import Tensor


def kl_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL( N(mean, diag(exp(log_variance))) ‖ N(0, I) ), one number (…) for each example (…, d)."""
    return 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).sum(-1)


EXERCISES = [
    Exercise(
        id="beta-objective",
        prompt="With logp = E_q log p(x|z) and K = KL(q ‖ p), which loss does a β-VAE minimise?",
        inputs={"logp": "real", "K": "pos", "beta": "pos"},
        answer="beta*K - logp",
        also_right=("-(logp - beta*K)", "-logp + K*beta", "beta*(K - logp/beta)"),
        mistakes=(
            Mistake(
                "logp - beta*K",
                "That is the objective we maximise; a loss goes down when the fit gets better.",
            ),
            Mistake("K - beta*logp", "beta should price the information in z, not the reconstruction."),
            Mistake("beta*(K - logp)", "Doubling your beta only doubles the loss, so it could not change the optimum."),
            Mistake("K - logp", "That is the loss of an ordinary VAE. Where is the price of information?"),
            Mistake("beta*K + logp", "A better fit should lower the loss. Does it lower yours?"),
            Mistake("K/beta - logp", "A larger beta should make information in z more expensive, not cheaper."),
            Mistake("(1 - beta)*K - logp", "Your loss rewards a large KL as soon as beta is above 1."),
        ),
    ),
    Exercise(
        id="gauss-loglik",
        prompt="Write log N(x; g, sigma² I) for x and g in Rⁿ; sigma > 0 is the standard deviation.",
        inputs={"x": "vector:n", "g": "vector:n", "sigma": "pos", "n": "dim:n"},
        answer="-n/2*log(2*pi*sigma**2) - norm2(x - g)/(2*sigma**2)",
        also_right=(
            "-n/2*log(2*pi) - n*log(sigma) - norm2(x - g)/(2*sigma**2)",
            "-(n*log(2*pi*sigma**2) + norm2((g - x)/sigma))/2",
            "-sum(log(2*pi*sigma**2) + (x - g)**2/sigma**2)/2",
        ),
        mistakes=(
            Mistake(
                "-log(2*pi*sigma**2)/2 - norm2(x - g)/(2*sigma**2)",
                "Your normalising constant is that of one coordinate. How many independent coordinates are there?",
            ),
            Mistake(
                "-n/2*log(2*pi*sigma**2) - norm2(x - g)/sigma**2",
                "Differentiate in x at n = 1 and compare with the gradient of a Gaussian's log-density.",
            ),
            Mistake("-norm2(x - g)/(2*sigma**2)", "Integrate the exponential of your answer over x: do you get 1?"),
            Mistake(
                "-n/2*log(2*pi*sigma) - norm2(x - g)/(2*sigma)", "Is sigma the variance or the standard deviation here?"
            ),
            Mistake(
                "n/2*log(2*pi*sigma**2) + norm2(x - g)/(2*sigma**2)",
                "Is the density largest or smallest where x equals g?",
            ),
            Mistake(
                "-n*log(2*pi*sigma**2) - norm2(x - g)/(2*sigma**2)",
                "The square root in the normalising constant becomes something in the log.",
            ),
            Mistake(
                "-n/2*log(2*pi*sigma**2) - norm2(x - g)/(2*sigma**2)/n",
                "The log-density of independent pixels adds up; nothing is averaged.",
            ),
            Mistake(
                "-n/2*log(2*pi) - norm2(x - g)/(2*sigma**2)",
                "How high is the peak of a very narrow Gaussian? Yours does not depend on the width.",
            ),
        ),
    ),
    Exercise(
        id="kl-gauss",
        prompt="Write KL( N(h, S) ‖ N(0, I_d) ).",
        inputs={"h": "vector:d", "S": "spd:d", "d": "dim:d", "I_d": "eye:d"},
        answer="(tr(S) + norm2(h) - d - logdet(S))/2",
        also_right=(
            "tr(S)/2 + norm2(h)/2 - d/2 - log(det(S))/2",
            "(tr(S - I_d) + norm2(h) + logdet(inv(S)))/2",
            "(tr(S) + T(h)@h - d)/2 - logdet(S)/2",
        ),
        mistakes=(
            Mistake(
                "tr(S) + norm2(h) - d - logdet(S)",
                "Check the case S = I with a density of your own: how does the KL grow with the length of h?",
            ),
            Mistake("(tr(S) + norm2(h) - logdet(S))/2", "What should the KL be when h = 0 and S = I?"),
            Mistake("(tr(S) + norm2(h) - d + logdet(S))/2", "A very narrow q should be far from the prior, not close."),
            Mistake("(tr(S) - d - logdet(S))/2", "Does it cost nothing to move the mean away from zero?"),
            Mistake("(tr(S) + norm2(h) - d - log(tr(S)))/2", "Which function of S says how much volume q fills?"),
            Mistake("(tr(S) + norm2(h) - d - det(S))/2", "The volume of q enters through a logarithm."),
            Mistake("(tr(S) + norm2(h) - 1 - logdet(S))/2", "What should the KL be when h = 0 and S = I, for any d?"),
            Mistake(
                "(tr(inv(S)) + T(h)@inv(S)@h - d + logdet(S))/2",
                "The KL divergence is not symmetric. Which of the two Gaussians takes the expectation?",
            ),
            Mistake("(d + logdet(S) - norm2(h) - tr(S))/2", "A KL divergence is never negative."),
        ),
    ),
    Exercise(
        id="kl-diag",
        prompt="The same KL for S = diag(exp(v)), where v is the log-variance that the encoder returns. One example.",
        inputs={"h": "vector:d", "v": "vector:d", "d": "dim:d"},
        answer="sum(exp(v) + h**2 - 1 - v)/2",
        also_right=(
            "-sum(1 + v - h**2 - exp(v))/2",
            "(sum(exp(v)) + norm2(h) - d - sum(v))/2",
            "(tr(diag(exp(v))) + norm2(h) - d - logdet(diag(exp(v))))/2",
        ),
        mistakes=(
            Mistake("sum(exp(v) + h**2 - 1 - v)", "Compare with the general formula at v = 0."),
            Mistake(
                "sum(exp(v) + h**2 - 1 - v)/(2*d)",
                "KL adds up over independent latents; averaging is for the batch.",
            ),
            Mistake("sum(exp(2*v) + h**2 - 1 - 2*v)/2", "Is v the log of the variance or of the standard deviation?"),
            Mistake(
                "sum(v + h**2 - 1 - log(exp(v)))/2", "v is a logarithm already. Which term needs the variance itself?"
            ),
            Mistake("sum(exp(v) + h**2 - 1 + v)/2", "A very narrow q should be far from the prior, not close."),
            Mistake("sum(exp(v) + h**2 - v)/2", "What should the KL be when h = 0 and v = 0?"),
            Mistake("sum(exp(v) + h - 1 - v)/2", "Does the sign of the mean matter for the distance to N(0, I)?"),
            Mistake("sum(1 + v - h**2 - exp(v))/2", "A KL divergence is never negative."),
        ),
    ),
    Exercise(
        id="kl-standard-normal",
        prompt=(
            "Write kl_standard_normal(mean, log_variance) for tensors (…, d): the KL divergence of "
            "N(mean, diag(exp(log_variance))) from N(0, I), one number (…) for each example."
        ),
        inputs={"mean": "vector:d", "log_variance": "vector:d"},
        function=kl_standard_normal,
        also_right=(
            lambda mean, log_variance: -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(dim=-1),
            lambda mean, log_variance: (log_variance.expm1() - log_variance + mean.square()).sum(-1) / 2,
            lambda mean, log_variance: (
                (log_variance.exp().sum(-1) + (mean * mean).sum(-1) - mean.shape[-1] - log_variance.sum(-1)) / 2
            ),
        ),
        mistakes=(
            Mistake(
                lambda mean, log_variance: kl_standard_normal(mean, log_variance) / mean.shape[-1],
                "KL adds up over independent latents; averaging is for the batch.",
                "mean over latents",
            ),
            Mistake(
                lambda mean, log_variance: kl_standard_normal(mean, log_variance).mean(),
                "Return one number for each example; the loss averages over the batch later.",
                "mean over the batch",
            ),
            Mistake(
                lambda mean, log_variance: kl_standard_normal(mean, log_variance).sum(),
                "Return one number for each example. Which axis holds the latents?",
                "sum over the batch",
            ),
            Mistake(
                lambda mean, log_variance: kl_standard_normal(mean, 2 * log_variance),
                "Does the encoder return the log of the variance or of the standard deviation?",
                "log of the standard deviation",
            ),
            Mistake(
                lambda mean, log_variance: 2 * kl_standard_normal(mean, log_variance),
                "Compare with the closed form at log_variance = 0.",
                "half dropped",
            ),
            Mistake(
                lambda mean, log_variance: -kl_standard_normal(mean, log_variance),
                "A KL divergence is never negative.",
                "sign",
            ),
            Mistake(
                lambda mean, log_variance: (log_variance.exp() + mean.square() - 1 - log_variance) / 2,
                "You have one number for each latent. What do independent latents do to the KL?",
                "not summed",
            ),
        ),
    ),
    Exercise(
        id="beta-scale",
        prompt=(
            "A β-VAE with price beta and unit noise was trained on pixels multiplied by c. Which standard deviation "
            "has the decoder's noise in an ordinary VAE (β = 1) on the original pixels with the same optimum?"
        ),
        inputs={"beta": "pos", "c": "pos"},
        answer="sqrt(beta)/c",
        also_right=("sqrt(beta/c**2)", "(beta/c**2)**(1/2)", "exp(log(beta)/2 - log(c))", "1/(c*beta**(-1/2))"),
        mistakes=(
            Mistake("beta/c**2", "That is the variance of the noise. The question is about its square root."),
            Mistake("c*sqrt(beta)", "The original pixels are the smaller ones if c is above 1. Is their noise larger?"),
            Mistake("sqrt(beta)", "That would be right on the multiplied pixels. What happens to noise divided by c?"),
            Mistake("beta/c", "You divided by c as a standard deviation wants, but is beta one?"),
            Mistake("sqrt(beta)/c**2", "Dividing pixels by c divides the variance of their noise by the square of c."),
            Mistake("beta", "On the multiplied pixels that is the variance. There are two steps from there."),
            Mistake("beta*c**2", "That is the price for pixels multiplied once more. You want to go back, and a root."),
            Mistake("sqrt(beta/c)", "The squared error changes by the square of c, not by c."),
        ),
    ),
    Exercise(
        id="below-the-yardstick",
        prompt=(
            "At one price, the best linear VAE has a loss of 24.2 nats on the training data. A network that contains "
            "every linear model was trained on the same data, with noisy gradients and for a fixed number of steps, "
            "and ended at 24.6. A colleague concludes that at this price curved decoders are of no use. What do you "
            "do, and why?"
        ),
        inputs={},
        choice=Choice(
            options={
                "accept": "Conclude, as the colleague does, that curved decoders are of no use at this price.",
                "longer": "Train the network further, and once from the best linear model on, before you conclude.",
                "lower": "Lower the price until the network wins, and report that price.",
            },
            reasons={
                "contain": "The network contains the linear models, so its best training loss is at most theirs.",
                "noise": "The loss is sampled, so that a difference of a few tenths may be chance.",
                "price": "A loss at one price does not say what the rate and the distortion are.",
            },
            right=("longer", "contain"),
            hints={
                ("longer", "noise"): "With enough draws the difference becomes certain. Which fact would still be odd?",
                ("longer", "price"): "Both losses belong to the same price. What cannot be right about them?",
                ("accept", "contain"): "If it contains the linear models, can its best loss be the higher one?",
                ("accept", "noise"): "If the difference may be chance, what can be concluded from it?",
                ("accept", "price"): "The claim is about the loss at this price. What else can make a loss too high?",
                ("lower", "contain"): "The claim is about this price. Would a victory at another price test it?",
                ("lower", "noise"): "Is a loss sampled with less noise at another price?",
                (
                    "lower",
                    "price",
                ): "You must know who is better at this price. Does the split into two terms say that?",
            },
        ),
    ),
]
