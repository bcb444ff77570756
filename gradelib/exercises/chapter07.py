"""Chapter 7: how does a restricted covariance shape the decoder?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradelib.marker.exercise import Choice, Exercise, Mistake

if TYPE_CHECKING:
    from torch import Tensor


def off_diagonal_share(J: Tensor) -> Tensor:
    """Share (…) of the squared entries of JᵀJ that stands off its diagonal, for J (…, n, d)."""
    squares = (J.mT @ J).square()
    return 1 - squares.diagonal(dim1=-2, dim2=-1).sum(-1) / squares.sum((-2, -1))


def share_of(matrix: Tensor) -> Tensor:
    return 1 - matrix.diagonal(dim1=-2, dim2=-1).sum(-1) / matrix.sum((-2, -1))


EXERCISES = [
    Exercise(
        id="hadamard-gap",
        prompt=(
            "By Hadamard's inequality, log det(I + JᵀJ/β) is at most a sum over columns. Give the sum less the log "
            "det, without a half: at least 0, and 0 exactly if JᵀJ is diagonal."
        ),
        inputs={"J": "matrix:n,d", "beta": "pos", "I_d": "eye:d"},
        answer="sum(log(1 + colnorm2(J)/beta)) - logdet(I_d + T(J)@J/beta)",
        also_right=(
            "sum(log(diag(I_d + T(J)@J/beta))) - log(det(I_d + T(J)@J/beta))",
            "log(prod(1 + colnorm2(J)/beta)/det(I_d + T(J)@J/beta))",
            "sum(log(beta + colnorm2(J))) - logdet(beta*I_d + T(J)@J)",
            "sum(log(1 + colnorm2(J)/beta)) - logdet(I_n + J@T(J)/beta)",
        ),
        mistakes=(
            Mistake(
                "logdet(I_d + T(J)@J/beta) - sum(log(1 + colnorm2(J)/beta))",
                "Test a 2 × 2 positive matrix with a large off-diagonal: which is larger, the determinant or the "
                "product of the diagonal?",
            ),
            Mistake(
                "prod(1 + colnorm2(J)/beta) - det(I_d + T(J)@J/beta)",
                "Right idea on the scale of determinants. On which scale are nats?",
            ),
            Mistake(
                "prod(1 + colnorm2(J)/beta)/det(I_d + T(J)@J/beta)",
                "What is your value when JᵀJ is diagonal?",
            ),
            Mistake(
                "sum(log(1 + rownorm2(J)/beta)) - logdet(I_d + T(J)@J/beta)",
                "One term for each latent: how many should there be, d or n?",
            ),
            Mistake(
                "sum(log(colnorm2(J)/beta)) - logdet(I_d + T(J)@J/beta)",
                "Compare the two matrices: which one does your sum take the diagonal of?",
            ),
            Mistake(
                "(sum(log(1 + colnorm2(J)/beta)) - logdet(I_d + T(J)@J/beta))/2",
                "The inequality itself has no half; that comes with the objective.",
            ),
            Mistake(
                "tr(I_d + T(J)@J/beta) - logdet(I_d + T(J)@J/beta)",
                "Is your value 0 when JᵀJ is diagonal?",
            ),
        ),
    ),
    Exercise(
        id="metric",
        prompt="Which matrix turns a small step v in the latents into the squared length of its image, as vᵀ M v?",
        inputs={"J": "matrix:n,d"},
        answer="T(J)@J",
        also_right=("J.T@J", "T(T(J)@J)", "T(J)@I_n@J", "T(J@I_d)@J"),
        mistakes=(
            Mistake("J@T(J)", "Check the shape: v has d coordinates."),
            Mistake("J", "A length is quadratic in the step. What is the squared norm of the image?"),
            Mistake("inv(T(J)@J)", "A decoder that stretches more gives longer images."),
            Mistake("I_d + T(J)@J", "The prior has no part in a length between images."),
            Mistake("-T(J)@J", "A squared length is never negative."),
            Mistake("T(J)@J/n", "Is the squared distance of two images a sum or a mean over pixels?"),
        ),
    ),
    Exercise(
        id="step-length",
        prompt="A small step v is made in the latents. What is the squared length of its image under the Jacobian J?",
        inputs={"J": "matrix:n,d", "v": "vector:d"},
        answer="norm2(J@v)",
        also_right=("T(v)@T(J)@J@v", "T(J@v)@(J@v)", "sum((J@v)**2)", "tr(J@v@T(v)@T(J))"),
        mistakes=(
            Mistake("sqrt(norm2(J@v))", "The length or its square?"),
            Mistake("norm2(v)", "That is the length in the latents. Where is the decoder?"),
            Mistake("frob2(J)*norm2(v)", "That is an upper bound. The direction of the step matters too."),
            Mistake("norm2(J@v)/n", "Is the squared distance of two images a sum or a mean over pixels?"),
            Mistake("sum(J@v)", "What makes a squared length positive?"),
            Mistake("norm2(J@v)/2", "The half belongs to the Gaussian log-density. Is it in a length?"),
            Mistake("sum(colnorm2(J)*v**2)", "That holds if the columns are orthogonal. Which terms are missing?"),
        ),
    ),
    Exercise(
        id="off-diagonal-share",
        prompt=(
            "Write off_diagonal_share(J) for J (…, n, d): the sum of squares of the entries of JᵀJ off its diagonal, "
            "as a share (…) of the sum of squares of all its entries."
        ),
        inputs={"J": "matrix:n,d"},
        function=off_diagonal_share,
        also_right=(
            lambda J: 1 - J.square().sum(-2).square().sum(-1) / (J.mT @ J).square().sum((-2, -1)),
            lambda J: share_of((J.mT @ J).pow(2)),
            lambda J: (
                (J.mT @ J - (J.mT @ J).diagonal(dim1=-2, dim2=-1).diag_embed()).square().sum((-2, -1))
                / (J.mT @ J).square().sum((-2, -1))
            ),
        ),
        mistakes=(
            Mistake(
                lambda J: 1 - off_diagonal_share(J),
                "What should come out for orthogonal columns: none of it or all of it?",
                "share on the diagonal",
            ),
            Mistake(
                lambda J: share_of((J.mT @ J).abs()),
                "Of what are the shares taken: of entries or of squares?",
                "no squares",
            ),
            Mistake(
                lambda J: share_of(J.mT @ J),
                "Entries of both signs cancel in your sum. What prevents that?",
                "signed sum",
            ),
            Mistake(
                lambda J: off_diagonal_share(J.mT), "Do the columns of J belong to latents or to pixels?", "JJᵀ for JᵀJ"
            ),
            Mistake(
                lambda J: off_diagonal_share(J) / (1 - off_diagonal_share(J)),
                "You compare with the diagonal. A share compares with the whole.",
                "ratio for share",
            ),
            Mistake(lambda J: off_diagonal_share(J).sqrt(), "A share of squares, or its root?", "root"),
        ),
    ),
    Exercise(
        id="what-training-leaves",
        prompt=(
            "A VAE with a block-diagonal posterior and a non-linear decoder is trained until nothing changes any more. "
            "Let P(x) = I − JᵀHJ/β, with the decoder's Jacobian J at the code of x. What is then true of P(x), and why?"
        ),
        inputs={},
        choice=Choice(
            options={
                "every image": "P(x) is block-diagonal for every image x.",
                "on average": "P(x) has entries off the blocks, but their mean over the images must be zero.",
                "may stay": "P(x) may have entries off the blocks, and their mean need not be zero.",
            },
            reasons={
                "free rotation": "A rotation of the latents makes all P(x) block-diagonal at once, and costs nothing.",
                "trade": (
                    "A single rotation has to serve all images; another way to lower the price can cost more "
                    "than it saves."
                ),
                "determinant": "The determinant of P(x) is the same in all rotated latents.",
            },
            right=("may stay", "trade"),
            hints={
                ("every image", "free rotation"): "Do the matrices P(x) of two images commute if the decoder bends?",
                (
                    "every image",
                    "trade",
                ): "If lowering the price costs something, does an optimum pay it in full?",
                ("every image", "determinant"): "Does the determinant of P(x) alone say anything about its blocks?",
                (
                    "on average",
                    "free rotation",
                ): "Your reason would do more than make a mean zero. Does it hold?",
                ("on average", "trade"): "Which term of the loss looks at a mean over images before it is squared?",
                ("on average", "determinant"): "A determinant belongs to one image. Where would a mean come from?",
                ("may stay", "free rotation"): "With such a rotation, would an optimum leave anything off the blocks?",
                ("may stay", "determinant"): (
                    "That is true, and shows that the full family does not care. Who pays in the block family?"
                ),
            },
        ),
    ),
    Exercise(
        id="axes-or-shape",
        prompt=(
            "What a decoder owes is the price, in nats, of a posterior with blocks. One decoder "
            "was trained with a posterior with blocks, and owes little. The same network, trained with a full "
            "posterior, owes much. Do the two differ by a rotation of the latents only, or by more? "
            "Which comparison can tell, and why?"
        ),
        inputs={},
        choice=Choice(
            options={
                "best rotation": (
                    "What both owe after the latents of each are turned by the one rotation that is best for all its "
                    "images together."
                ),
                "more seeds": "What both owe as they were trained, on average over many seeds.",
                "inside": "The mean cosines of the columns inside the blocks of both.",
            },
            reasons={
                "arbitrary": (
                    "The loss with a full posterior does not change under a rotation, so it did not choose the axes in "
                    "which training leaves this decoder."
                ),
                "chance": "Two trainings differ by chance, and a mean over seeds removes what is due to chance.",
                "uncharged": "A block posterior does not charge for what stands inside a block.",
            },
            right=("best rotation", "arbitrary"),
            hints={
                ("best rotation", "chance"): "What does a rotation remove that a mean over seeds would not?",
                ("best rotation", "uncharged"): "True, but which of the two decoders has axes that nothing chose?",
                ("more seeds", "arbitrary"): "If no loss chose the axes, what does a mean over seeds say of them?",
                ("more seeds", "chance"): "Is it by chance that a decoder whose axes nothing chose owes more?",
                ("more seeds", "uncharged"): "Your reason is about single blocks. What would more seeds tell about it?",
                ("inside", "arbitrary"): "For the block decoder, can the axes inside a block be turned at no cost?",
                ("inside", "chance"): "Do the cosines inside a block change when its two latents are turned?",
                ("inside", "uncharged"): "What is not charged is free to be anything. Does it then say something?",
            },
        ),
    ),
]
