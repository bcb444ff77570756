"""Chapter 4: what is left of log p(x|z) when q is narrow?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradelib.marker.exercise import Choice, Exercise, Mistake

if TYPE_CHECKING:
    from torch import Tensor


def taylor_expectation(f0: Tensor, hessian: Tensor, S: Tensor) -> Tensor:
    """E_q[f] (…) to second order, from f (…) and its Hessian (…, d, d) at the mean, and the covariance S (…, d, d)."""
    return f0 + 0.5 * (hessian * S).sum((-2, -1))


EXERCISES = [
    Exercise(
        id="taylor-expectation",
        prompt=(
            "Expand f to second order around the mean h of q: f0 = f(h), gradient Jf and Hessian H at h. "
            "What is E_q[f] to second order when q has the covariance S? Not every letter has to occur."
        ),
        inputs={"f0": "real", "Jf": "vector:d", "H": "sym:d", "S": "spd:d", "h": "vector:d"},
        answer="f0 + tr(H@S)/2",
        also_right=("f0 + tr(S@H)/2", "(2*f0 + tr(T(S)@H))/2", "f0 + sum(diag(H@S))/2"),
        mistakes=(
            Mistake("f0 + tr(H@S)", "Look again at the coefficient of the quadratic term of a Taylor expansion."),
            Mistake("tr(H@S)/2", "What is left when the covariance shrinks to zero?"),
            Mistake("f0", "A curved function has another mean than its value at the mean. Which term says so?"),
            Mistake("f0 + Jf@h + tr(H@S)/2", "What is the expectation of z − h under q?"),
            Mistake("f0 + T(h)@H@h/2", "The expansion is in z − h, not in z. What is E[(z − h)(z − h)ᵀ]?"),
            Mistake("f0 + tr(H@inv(S))/2", "What should happen to the correction when q gets narrow?"),
            Mistake("f0 - tr(H@S)/2", "A convex f lies above its tangent. Should its mean lie above f(h) or below?"),
            Mistake("f0 + tr(H)*tr(S)/2", "The trace of a product is not the product of the traces."),
            Mistake("f0 + sum(diag(H)*diag(S))/2", "That holds for a diagonal S. Which entries did you leave out?"),
        ),
    ),
    Exercise(
        id="second-moment",
        prompt="What is E_q ‖z‖² for q = N(h, S)? Use h and S.",
        inputs={"h": "vector:d", "S": "spd:d"},
        answer="norm2(h) + tr(S)",
        also_right=("tr(S + h@T(h))", "T(h)@h + sum(diag(S))", "sum(h**2 + diag(S))"),
        mistakes=(
            Mistake("norm2(h)", "Even with h = 0, does z have no length?"),
            Mistake("tr(S)", "What if S is almost zero, but the mean is far away?"),
            Mistake("norm2(h) + tr(S)/2", "Compute it for one latent: what is E[z²]?"),
            Mistake("norm2(h) + sum(S)", "Which entries of S belong to squares of one coordinate?"),
            Mistake("norm2(h) - tr(S)", "Does uncertainty make z longer or shorter on average?"),
            Mistake("norm2(h) + frob2(S)", "Compare the units of the two terms."),
            Mistake("norm2(h) + det(S)", "Variances of the coordinates add up. Which function of S does that?"),
        ),
    ),
    Exercise(
        id="quadratic-expectation",
        prompt="What is E_q[zᵀ H z] for q = N(h, S) and a symmetric H? Use h, H and S. Nothing is approximated.",
        inputs={"h": "vector:d", "H": "sym:d", "S": "spd:d"},
        answer="T(h)@H@h + tr(H@S)",
        also_right=("tr(H@(S + h@T(h)))", "h@H@h + tr(S@H)", "sum(diag(H@S)) + T(H@h)@h"),
        mistakes=(
            Mistake("T(h)@H@h", "That is the value at the mean. What does the spread of z add?"),
            Mistake("tr(H@S)", "That holds for h = 0. What does the mean add?"),
            Mistake("T(h)@H@h + tr(H@S)/2", "There is no half in this quadratic form. Where does yours come from?"),
            Mistake("T(h)@H@h - tr(H@S)", "Take H = I: does uncertainty make z longer or shorter on average?"),
            Mistake("T(h)@H@h + tr(H)*tr(S)", "The trace of a product is not the product of the traces."),
            Mistake("T(h)@H@h + T(h)@S@h", "Where does H go in the second term?"),
        ),
    ),
    Exercise(
        id="next-term",
        prompt=(
            "q = N(h, s²) has one latent, and f4 is the fourth derivative of f at h. To leading order in s, "
            "how far is E_q[f] above its Taylor value f(h) + f''(h) s²/2? Use f4 and s."
        ),
        inputs={"f4": "real", "s": "pos"},
        answer="f4*s**4/8",
        also_right=("3*s**4*f4/24", "(s**2/2)**2*f4/2", "0.125*f4*s**4", "f4/2*(s*s)**2/4"),
        mistakes=(
            Mistake("f4*s**4/24", "The Taylor coefficient is right. What is the fourth moment of a standard Gaussian?"),
            Mistake("f4*s**4/4", "Take the coefficient of the fourth-order term and the moment apart. Which is which?"),
            Mistake("f4*s**4/2", "Divide by the factorial of four, not of another number."),
            Mistake("f4*s**4/6", "Divide by the factorial of four, not of another number, and look up the moment."),
            Mistake("f4*s**2/8", "If q becomes ten times narrower, by which factor does the fourth moment fall?"),
            Mistake("-f4*s**4/8", "Which of the two numbers is subtracted from the other? Try f = z⁴."),
            Mistake("f4*s**4", "The Taylor expansion divides the fourth derivative by something."),
            Mistake("3*f4*s**4", "The moment is right. What divides the fourth derivative in a Taylor expansion?"),
        ),
    ),
    Exercise(
        id="pairs-needed",
        prompt=(
            "f is a parabola in one latent, and q is a Gaussian with the mean h. The trace term is estimated by the "
            "average over independent pairs h ± u. How many pairs must be drawn until the standard error, relative to "
            "the trace term, is tau?"
        ),
        inputs={"tau": "unit"},
        answer="2/tau**2",
        also_right=("2*(1/tau)**2", "1/(tau**2/2)", "2/tau/tau", "(1/tau**2)*2"),
        mistakes=(
            Mistake("1/tau**2", "What is the variance of the square of a standard Gaussian number?"),
            Mistake("sqrt(2)/tau", "The standard error falls with the square root of the number of pairs."),
            Mistake("2/tau", "The standard error falls with the square root of the number of pairs."),
            Mistake("4/tau**2", "Did you count single draws? Count pairs."),
            Mistake("3/tau**2", "That is the fourth moment. What must be taken off to get a variance?"),
            Mistake("1/(2*tau**2)", "The half in front of the trace term stands in its noise, too. Does it cancel?"),
            Mistake("tau**2/2", "Does a smaller error need fewer pairs, or more?"),
        ),
    ),
    Exercise(
        id="taylor-expectation-function",
        prompt=(
            "Write taylor_expectation(f0, hessian, S): f0 (…), hessian and S (…, d, d). "
            "Return E_q[f] (…) to second order around the mean of q."
        ),
        inputs={"f0": "real", "hessian": "sym:d", "S": "spd:d"},
        function=taylor_expectation,
        also_right=(
            lambda f0, hessian, S: f0 + (hessian @ S).diagonal(dim1=-2, dim2=-1).sum(-1) / 2,
            lambda f0, hessian, S: f0 + (S.mT * hessian).flatten(-2).sum(-1) / 2,
            lambda f0, hessian, S: f0 + (S @ hessian).diagonal(dim1=-1, dim2=-2).sum(-1) * 0.5,
        ),
        mistakes=(
            Mistake(
                lambda f0, hessian, S: 2 * taylor_expectation(f0, hessian, S) - f0,
                "Look again at the coefficient of the quadratic term of a Taylor expansion.",
                "half dropped",
            ),
            Mistake(
                lambda f0, hessian, S: taylor_expectation(f0, hessian, S) - f0,
                "What is left when the covariance shrinks to zero?",
                "value dropped",
            ),
            Mistake(
                lambda f0, hessian, S: f0 + (hessian @ S).sum((-2, -1)) / 2,
                "You add up all entries of a matrix product. Which of them make a trace?",
                "sum for trace",
            ),
            Mistake(
                lambda f0, hessian, S: f0 + 0.5 * (hessian * S).diagonal(dim1=-2, dim2=-1).sum(-1),
                "That holds for a diagonal S. Which entries did you leave out?",
                "diagonal only",
            ),
            Mistake(
                lambda f0, hessian, S: f0 - 0.5 * (hessian * S).sum((-2, -1)),
                "A convex f lies above its tangent. Should its mean lie above f(h) or below?",
                "sign of the correction",
            ),
            Mistake(
                lambda f0, hessian, S: f0 + 0.5 * (hessian * S).sum(),
                "Return one number for each example: your sum also runs over the batch.",
                "sum over the batch",
            ),
            Mistake(
                lambda f0, hessian, S: taylor_expectation(f0, hessian, S.inverse()),
                "What should happen to the correction when q gets narrow?",
                "precision for covariance",
            ),
        ),
    ),
    Exercise(
        id="alarming-check",
        prompt=(
            "E_q f ≈ f(h) + tr(∇²f(h) S)/2 is checked for a Gaussian q and a smooth f whose gradient at h is not zero, "
            "with 2000 independent draws of f at each width. At a tenth of the width the two sides differ by ten times "
            "as large a share of the trace term. What should be done next, and why?"
        ),
        inputs={},
        choice=Choice(
            options={
                "reject": "Reject the formula for narrow q.",
                "remainder": "Average f less its second-order expansion over pairs of draws, at both widths.",
                "draws": "Repeat the check with 4000 draws at each width.",
            },
            reasons={
                "noise": "The noise of such draws falls like the width, and the trace term like its square.",
                "fourth": "The error of the formula falls like the fourth power of the width.",
                "bias": "Too few draws put the average systematically too low.",
            },
            right=("remainder", "noise"),
            hints={
                ("remainder", "fourth"): "That is true of the formula. Does it explain why the difference grew?",
                ("remainder", "bias"): "What is the mean of an average of independent draws?",
                ("reject", "noise"): "If the difference is noise, what does it say about the formula?",
                ("reject", "fourth"): "Your reason says that the formula gets better. What, then, got worse?",
                (
                    "reject",
                    "bias",
                ): "If the average were too low, would that speak against the formula or against the check?",
                ("draws", "noise"): "By how much do twice as many draws lower it, and by how much did it grow?",
                ("draws", "fourth"): "Your reason says what to expect of the formula. Can 4000 draws see that?",
                (
                    "draws",
                    "bias",
                ): "The mean of an average of draws is that of one draw. What does their number change?",
            },
        ),
    ),
]
