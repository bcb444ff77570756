"""Chapter 12: what does this explain, and what not?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradelib.marker.exercise import Choice, Exercise, Mistake

if TYPE_CHECKING:
    from torch import Tensor


def weighted_contraction(J: Tensor, curvature: Tensor) -> Tensor:
    """−tr(JᵀHJ)/2 (…) from J (…, n, d) and the diagonal of H (…, n)."""
    return -(curvature[..., None] * J.square()).sum((-2, -1)) / 2


EXERCISES = [
    Exercise(
        id="denoising-penalty",
        prompt=(
            "A deterministic autoencoder f gets x + ε with ε ~ N(0, s² I_n) and has the n × n Jacobian A at x. "
            "To first order in f, which term does the noise add to E‖x − f(x + ε)‖²?"
        ),
        inputs={"A": "matrix:n,n", "s": "pos"},
        answer="s**2*frob2(A)",
        also_right=("s**2*tr(T(A)@A)", "frob2(s*A)", "s**2*sum(colnorm2(A))", "tr(A@(s**2*I_n)@T(A))"),
        mistakes=(
            Mistake("s*frob2(A)", "Is s a variance or a standard deviation?"),
            Mistake("s**2*tr(A)", "The expected squared length of A ε is quadratic in A."),
            Mistake("s**2*frob2(A)/2", "No half stands before this squared error."),
            Mistake("frob2(A)", "What if there is no noise?"),
            Mistake("s**2*sqrt(frob2(A))", "The norm or its square?"),
            Mistake("s**2*frob2(A)/n", "Is the squared error a sum or a mean over pixels?"),
            Mistake("n*s**2", "Does it not matter how steep f is?"),
        ),
    ),
    Exercise(
        id="linear-column-norm",
        prompt=(
            "A linear β-VAE with unit noise and a diagonal posterior is trained to its optimum, and lam > beta is one "
            "of the d largest eigenvalues of the data's covariance. How long is the decoder's column in that "
            "direction? Give its squared norm."
        ),
        inputs={"lam": "pos", "beta": "pos"},
        answer="lam - beta",
        also_right=("lam*(1 - beta/lam)", "-(beta - lam)", "beta*(lam/beta - 1)"),
        mistakes=(
            Mistake("lam", "That is plain PCA. How much of the variance does the model leave to the noise?"),
            Mistake("lam - 1", "That is probabilistic PCA with unit noise. What does beta do to the noise level?"),
            Mistake("sqrt(lam - beta)", "The norm or its square?"),
            Mistake("lam + beta", "Signal and noise together make up the variance of the data."),
            Mistake("lam - beta**2", "Is beta a variance or a standard deviation of the noise here?"),
            Mistake("lam/beta", "At which eigenvalue does a latent collapse? The column should vanish there."),
            Mistake("lam - 1/beta", "Should a larger beta make more latents collapse, or fewer?"),
            Mistake("beta - lam", "A squared norm is never negative."),
        ),
    ),
    Exercise(
        id="linear-posterior-variance",
        prompt=(
            "A linear β-VAE with unit noise and a diagonal posterior is at its optimum, and lam > beta is one of the "
            "d largest eigenvalues of the data's covariance. What is the posterior variance of the latent that codes "
            "this direction?"
        ),
        inputs={"lam": "pos", "beta": "pos"},
        answer="beta/lam",
        also_right=("1/(lam/beta)", "1 - (lam - beta)/lam", "beta*lam**-1", "1/(1 + (lam - beta)/beta)"),
        mistakes=(
            Mistake("lam/beta", "A strong direction of the data should be encoded sharply."),
            Mistake("1/lam", "That is the case of beta = 1. What should happen as beta reaches lam?"),
            Mistake(
                "beta/(lam + beta)", "Which squared norm has the column at the optimum? Put it into the formula for S."
            ),
            Mistake("beta/(lam - beta)", "At the point of collapse the posterior should be the prior."),
            Mistake("1 - beta/lam", "At the point of collapse the posterior should be the prior."),
            Mistake("sqrt(beta/lam)", "Is a variance or a standard deviation asked for?"),
            Mistake("1", "That is a collapsed latent. This one is in use."),
        ),
    ),
    Exercise(
        id="weighted-contraction",
        prompt=(
            "For a large beta, GRAE's penalty tends to −tr(JᵀHJ)/2, a contractive penalty weighted by the curvature. "
            "Write weighted_contraction(J, curvature): J (…, n, d), curvature (…, n) the diagonal of H. Return (…)."
        ),
        inputs={"J": "matrix:n,d", "curvature": "negvector:n"},
        function=weighted_contraction,
        also_right=(
            lambda J, curvature: -(J.mT @ (curvature[..., None] * J)).diagonal(dim1=-2, dim2=-1).sum(-1) / 2,
            lambda J, curvature: ((-curvature).sqrt()[..., None] * J).square().sum((-1, -2)) / 2,
            lambda J, curvature: -0.5 * (curvature * J.square().sum(-1)).sum(-1),
        ),
        mistakes=(
            Mistake(
                lambda J, curvature: J.square().sum((-2, -1)) / 2,
                "That is the unweighted penalty. For which noise model would it be right?",
                "curvature ignored",
            ),
            Mistake(
                lambda J, curvature: -weighted_contraction(J, curvature),
                "A penalty charges a steep decoder. Which sign does the curvature have?",
                "sign",
            ),
            Mistake(
                lambda J, curvature: 2 * weighted_contraction(J, curvature),
                "Follow the half in the question.",
                "half dropped",
            ),
            Mistake(
                lambda J, curvature: weighted_contraction(J, curvature) / J.shape[-2],
                "Is log p a sum or a mean over pixels?",
                "mean over pixels",
            ),
            Mistake(
                lambda J, curvature: (curvature[..., None] * J).square().sum((-2, -1)) / 2,
                "How often does H stand in the trace?",
                "curvature squared",
            ),
            Mistake(
                lambda J, curvature: -(curvature[..., None] * J.square()).sum(-2) / 2,
                "You have one number for each latent. What does a trace do with them?",
                "not summed",
            ),
            Mistake(
                lambda J, curvature: weighted_contraction(J, curvature).sum(),
                "Return one number for each Jacobian in the batch.",
                "sum over the batch",
            ),
        ),
    ),
    Exercise(
        id="what-is-left-free",
        prompt=(
            "A linear autoencoder with decoder W, encoder B and d latents is trained to a global minimum of exact "
            "GRAE, with the full log-determinant. All variances of the data differ, and the d largest are above beta. "
            "What is settled by then, and why?"
        ),
        inputs={},
        choice=Choice(
            options={
                "nothing": "The subspace of the first d principal directions, and no axis in it.",
                "pictures": "The first d principal directions among the pictures, but no axis of the code.",
                "both": "The first d principal directions, and each latent goes along with one of them.",
            },
            reasons={
                "distinct": (
                    "WB's nonzero eigenvalues differ, and WR with RᵀB gives the same loss for every rotation R."
                ),
                "columns": "The loss contains the length of each column of W.",
                "product": "The loss depends on W and B through sums of squares, which no rotation changes.",
            },
            right=("pictures", "distinct"),
            hints={
                ("nothing", "distinct"): "What do distinct eigenvalues of WB say about its eigenvectors?",
                ("nothing", "columns"): "Does log|I + WᵀW/β| need the columns one by one?",
                ("nothing", "product"): (
                    "No rotation of the latents changes them. What does a rotation of the pictures do to the error?"
                ),
                ("pictures", "columns"): "Is that the loss of GRAE, or of GRAE≈?",
                ("pictures", "product"): (
                    "That is why the latents are free. Why are the directions among the pictures not free as well?"
                ),
                ("both", "distinct"): "If WR does as well as W, what do its columns look like?",
                ("both", "columns"): "You have answered for GRAE≈. Which of the two was asked for?",
                ("both", "product"): "If no rotation changes the loss, what can tie a latent to a direction?",
            },
        ),
    ),
]
