"""In which order workers take test files: the long ones first, so that none is left alone with one at the end."""

from __future__ import annotations

# Those that wait, for a sandbox mostly, in turn with those that compute, so that they fill each other's pauses.
LONG = (
    "tests/classroom/test_sandbox.py",
    "tests/page_marker/test_playground_page.py",
    "tests/classroom/test_grade.py",
    "tests/notebooks/test_committed_notebooks.py",
    "tests/classroom/test_judge.py",
    "tests/site/test_pages_desktop.py",
    "tests/evidence/test_equation_report.py",
    "tests/classroom/test_budget.py",
    "tests/site/test_pages_phone.py",
    "tests/classroom/test_class_with_bank.py",
    "tests/page_marker/test_answer_fields.py",
    "tests/experiments/test_digits_long.py",
    "tests/site/test_pdf.py",
    "tests/marker/test_mutation.py",
)
# Thousands of short tests, for the end.
SHORT = ("tests/figures/", "tests/marker/", "tests/mathematics/")


def place(file: str) -> int:
    """Of a test file, by its path from the root; the smaller, the earlier."""
    if file in LONG:
        return LONG.index(file)
    return len(LONG) + file.startswith(SHORT)
