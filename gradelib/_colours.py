"""Colours by meaning, on a light and on a dark page. This is their one address in Python; `book.css` is held to it."""

# Of figures. Each differs from the others for colour-blind eyes too; the light ones can be read on black as well, so
# that a notebook without our style sheet shows them in either mode.
PALETTE = {
    "ink": ("#1f2328", "#d5dbe1"),
    "paper": ("#ffffff", "#14181e"),
    "muted": ("#6e7781", "#8b949e"),
    "faint": ("#c8ced5", "#3d4652"),
    "full": ("#2258dc", "#647cff"),
    "block": ("#25a29f", "#5ce8d4"),
    "diagonal": ("#ba8a13", "#f0e04a"),
    "isotropic": ("#8952ab", "#b387d0"),
    "learned": ("#ce2363", "#e9507a"),
    "other": ("#9f4a23", "#d99641"),
}

LINK = (PALETTE["full"][0], "#93a4ff")

# Of verdicts on answers. They colour bars; words stand in the page's own text colour, so that they can be read.
VERDICTS = {
    "correct": ("#2e8b57", "#4cb97f"),
    "incorrect": ("#d1495b", "#e8707f"),
    "unreadable": ("#b8860b", "#d9a72e"),
    "unanswered": ("#7a869a", "#8b98ac"),
    "unmarked": ("#c8ced5", "#4b5563"),
}
