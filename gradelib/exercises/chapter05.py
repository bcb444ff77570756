"""Chapter 5: why does only the decoder's Jacobian matter?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradelib.marker.exercise import Choice, Exercise, Mistake

if TYPE_CHECKING:
    from torch import Tensor


def decoder_curvature(J: Tensor, curvature: Tensor) -> Tensor:
    """JᵀHJ (…, d, d) from J (…, n, d) and the diagonal of H (…, n)."""
    return (J.mT * curvature[..., None, :]) @ J


EXERCISES = [
    Exercise(
        id="gauss-newton",
        prompt=(
            "f(z) = log p(x; g(z)). J is the n × d Jacobian of g, H the n × n Hessian of log p in g. "
            "Give the Hessian of f in z without the term that has second derivatives of g. Use J and H."
        ),
        inputs={"J": "matrix:n,d", "H": "negdiag:n"},
        answer="T(J)@H@J",
        also_right=("T(H@J)@J", "J.T@H@J", "T(T(J)@H@J)", "T(J)@(H@J)"),
        mistakes=(
            Mistake("J@H@T(J)", "Check the shape: z has d coordinates, so this Hessian is d × d."),
            Mistake(
                "T(J)@J",
                "You lost the curvature of log p in g. For which noise model would H be the identity (up to sign)?",
            ),
            Mistake("-T(J)@H@J", "At a peak of log p, has the Hessian positive or negative eigenvalues?"),
            Mistake("T(J)@H@J/2", "The half belongs to the Taylor expansion, not to the Hessian."),
            Mistake("T(J)@inv(H)@J", "A more curved log p in g makes f more curved in z."),
            Mistake("T(J)@H@H@J", "The chain rule uses H once and the inner derivative twice."),
            Mistake("-T(J)@J", "That holds for one noise model only. Where did H go?"),
            Mistake("H@J", "The inner derivative comes in once for each of the two derivatives."),
        ),
    ),
    Exercise(
        id="hess-gauss",
        prompt="Give the Hessian of log N(x; g, s² I_n) in g. Use s and I_n.",
        inputs={"s": "pos", "n": "dim:n", "I_n": "eye:n"},
        answer="-I_n/s**2",
        also_right=("-inv(s**2*I_n)", "-s**-2*I_n", "-1/(s*s)*I_n"),
        mistakes=(
            Mistake("I_n/s**2", "Is the log-density concave or convex in g?"),
            Mistake("-I_n/s", "The exponent has the variance in it, not the standard deviation."),
            Mistake("-s**2*I_n", "A narrow Gaussian is sharply curved. Is yours?"),
            Mistake("-I_n/(2*s**2)", "Differentiate the square once more: what happens to the half?"),
            Mistake("-1/s**2", "That is one entry. A Hessian in g is a matrix."),
            Mistake("-I_n", "For which s would this be right?"),
            Mistake("-n*I_n/s**2", "Differentiate in one coordinate. Do the other ones come in?"),
            Mistake("-I_d/s**2", "How many coordinates does g have?"),
        ),
    ),
    Exercise(
        id="hess-bern",
        prompt="Give the second derivative of x log g + (1 − x) log(1 − g) in the mean g, for 0 < g < 1. Use x and g.",
        inputs={"x": "unit", "g": "unit"},
        answer="-x/g**2 - (1 - x)/(1 - g)**2",
        also_right=(
            "-(x/g**2 + (1 - x)/(1 - g)**2)",
            "-(x*(1 - g)**2 + (1 - x)*g**2)/(g*(1 - g))**2",
            "(x - 1)/(1 - g)**2 - x*g**-2",
        ),
        mistakes=(
            Mistake("x/g - (1 - x)/(1 - g)", "That is the gradient; differentiate once more."),
            Mistake("x/g**2 + (1 - x)/(1 - g)**2", "The log-likelihood is concave in g."),
            Mistake("-x/g**2 + (1 - x)/(1 - g)**2", "Mind the chain rule in the second term: it gives a sign twice."),
            Mistake("-1/(g*(1 - g))", "That is the mean over x drawn from the model. Here x is given."),
            Mistake("-g*(1 - g)", "That is the second derivative in the logit. In what do we differentiate here?"),
            Mistake("-x/g - (1 - x)/(1 - g)", "What is the derivative of 1/g?"),
            Mistake("-x/g**2", "That is right for a white pixel only. What if x is 0?"),
        ),
    ),
    Exercise(
        id="hess-bern-logit",
        prompt=(
            "Give the second derivative of x log σ(a) + (1 − x) log(1 − σ(a)) in the logit a, with "
            "σ(a) = 1/(1 + exp(−a)). Use a, x and exp."
        ),
        inputs={"x": "unit", "a": "real"},
        answer="-exp(a)/(1 + exp(a))**2",
        also_right=(
            "-exp(-a)/(1 + exp(-a))**2",
            "-1/(1 + exp(-a))*(1 - 1/(1 + exp(-a)))",
            "-1/(exp(a/2) + exp(-a/2))**2",
        ),
        mistakes=(
            Mistake("exp(a)/(1 + exp(a))**2", "The log-likelihood is concave in the logit."),
            Mistake("x - 1/(1 + exp(-a))", "That is the gradient in a. Once more."),
            Mistake("-1/(1 + exp(-a))", "Differentiate the sigmoid itself: its slope vanishes at both ends."),
            Mistake("exp(a)*(exp(a) - 1)/(1 + exp(a))**3", "You have differentiated once too often."),
            Mistake("-x*exp(a)/(1 + exp(a))**2", "Look at the gradient first. Does x survive the second derivative?"),
            Mistake("-a*(1 - a)", "What stands in the place of the mean when a is the logit?"),
            Mistake("-exp(a)/(1 + exp(2*a))", "Expand the square in the denominator again."),
        ),
    ),
    Exercise(
        id="frobenius",
        prompt=(
            "−tr(JᵀHJ S) is the squared Frobenius norm of one matrix. Write this number with J, R = (−H)^½ and Q = S^½ "
            "(or give any formula with the same value)."
        ),
        inputs={"J": "matrix:n,d", "H": "negdiag:n", "S": "spd:d", "R": "sqrtneg:H", "Q": "sqrt:S"},
        answer="frob2(R@J@Q)",
        also_right=("-tr(T(J)@H@J@S)", "frob2(Q@T(J)@R)", "tr(Q@T(J)@R@R@J@Q)", "sum(colnorm2(R@J@Q))"),
        mistakes=(
            Mistake("frob2(R@J@inv(Q))", "Expand the trace of M Mᵀ for your M: does S or its inverse come out?"),
            Mistake("frob2(R@J)", "What happened to S? A wide posterior should be charged more."),
            Mistake("frob2(J@Q)", "What happened to H? A curved likelihood should charge more."),
            Mistake("frob2(R@J@S)", "Expand the trace of M Mᵀ for your M: how often does S come out?"),
            Mistake("frob2(H@J@Q)", "Expand the trace of MᵀM for your M: how often does H come out?"),
            Mistake("-frob2(R@J@Q)", "H is negative definite. Which sign has the quantity in the question?"),
            Mistake("frob2(R@J@Q)/2", "The half belongs to the Taylor expansion. Is it in the question?"),
            Mistake("frob2(inv(R)@J@Q)", "A more curved likelihood should charge more, not less."),
            Mistake("sqrt(frob2(R@J@Q))", "The norm or its square?"),
            Mistake("frob2(R@J)*frob2(Q)", "The norm of a product is not the product of the norms."),
        ),
    ),
    Exercise(
        id="decoder-curvature",
        prompt=(
            "Write decoder_curvature(J, curvature): J (…, n, d), curvature (…, n) is the diagonal of H. "
            "Return JᵀHJ (…, d, d) without building an n × n matrix, if you can."
        ),
        inputs={"J": "matrix:n,d", "curvature": "negvector:n"},
        function=decoder_curvature,
        also_right=(
            lambda J, curvature: J.mT @ (curvature[..., :, None] * J),
            lambda J, curvature: J.mT @ curvature.diag_embed() @ J,
            lambda J, curvature: (J[..., :, :, None] * J[..., :, None, :] * curvature[..., None, None]).sum(-3),
        ),
        mistakes=(
            Mistake(lambda J, curvature: J.mT @ J, "Where did the curvature of log p go?", "curvature ignored"),
            Mistake(
                lambda J, curvature: -decoder_curvature(J, curvature),
                "At a peak of log p, has the Hessian positive or negative eigenvalues?",
                "sign",
            ),
            Mistake(
                lambda J, curvature: J @ J.mT * curvature[..., None, :],
                "Check the shape: z has d coordinates, so this Hessian is d × d.",
                "pixels for latents",
            ),
            Mistake(
                lambda J, curvature: J.mT @ curvature.square().diag_embed() @ J,
                "Scale only one of the two factors J with the curvature.",
                "curvature twice",
            ),
            Mistake(
                lambda J, curvature: (curvature[..., None] * J.square()).sum(-2),
                "You have the diagonal only. Which entries couple two latents?",
                "diagonal only",
            ),
            Mistake(
                lambda J, curvature: decoder_curvature(J, curvature) / 2,
                "The half belongs to the Taylor expansion, not to the Hessian.",
                "half",
            ),
            Mistake(
                lambda J, curvature: decoder_curvature(J, curvature) / J.shape[-2],
                "Is log p a sum or a mean over pixels?",
                "mean over pixels",
            ),
        ),
    ),
    Exercise(
        id="exact-curvature",
        prompt=(
            "One latent, two pixels: g(z) = (w z, c z²/2), noise N(0, I), x = (0, r). Give the exact second derivative "
            "of log p(x | z) in z at z = 0. Use w, c and r."
        ),
        inputs={"w": "real", "c": "real", "r": "real"},
        answer="c*r - w**2",
        also_right=("-w**2 + r*c", "-(w*w - c*r)", "-(w**2) - (0 - r)*c"),
        mistakes=(
            Mistake("-w**2", "That is JᵀHJ alone. What does the curvature of the second pixel add?"),
            Mistake("-w**2 - c*r", "The slope of log p in g is x − g. Which sign has it here?"),
            Mistake("-w**2 + c*r/2", "What is the second derivative of c z²/2?"),
            Mistake(
                "w**2 - c*r", "With x = g the log-likelihood peaks at z = 0. Which sign has its second derivative?"
            ),
            Mistake("-w**2 + c", "The second derivative of g is weighted by the slope of log p. How large is that?"),
            Mistake("-w + c*r", "The inner derivative comes in once for each of the two derivatives."),
            Mistake("c*r", "You lost the first term of the chain rule. What does the first pixel do?"),
            Mistake("-w**2 - c**2/4 + c*r", "At z = 0 the second pixel does not move to first order."),
        ),
    ),
    Exercise(
        id="signed-or-absolute",
        prompt=(
            "For each held-out image a reader finds the error of the second-order loss with JᵀHJ against the "
            "β-VAE's own loss, at the encoder's Σ. The mean of its absolute value is a fifth of the mean trace term. "
            "“So a decoder trained on the second-order loss minimises something that is wrong by a fifth of that "
            "term.” Which number would test this sentence, and why?"
        ),
        inputs={},
        choice=Choice(
            options={
                "signed": "The mean of the error with its sign, beside its standard error.",
                "absolute": "The mean of the absolute value, over many more images.",
                "ratio": "The median over images of the dropped term's norm at the code, divided by that of JᵀHJ.",
            },
            reasons={
                "mean": "The loss is a mean over images, in which errors of opposite signs cancel.",
                "each": "A mean over images can be right only where it is right for each image.",
                "point": "What holds at the code holds for every point of the cloud.",
            },
            right=("signed", "mean"),
            hints={
                ("signed", "each"): "If every image had to be right, which sign would matter?",
                ("signed", "point"): "The number fits. But a cloud is wider than its code: what is averaged over?",
                ("absolute", "mean"): "If opposite signs cancel in the loss, do they cancel in this number?",
                ("absolute", "each"): "Errors of +1 and −1 for two images: what do they change in the mean loss?",
                (
                    "absolute",
                    "point",
                ): "This number was taken over the cloud already. What does its sign do in the mean?",
                ("ratio", "mean"): "A ratio of norms has no sign. Can it show that anything cancels?",
                ("ratio", "each"): "Let the error be +1 for one image and −1 for another: is the mean loss wrong?",
                ("ratio", "point"): "A ReLU decoder has the ratio 0. Is its average over a cloud exact?",
            },
        ),
    ),
]
