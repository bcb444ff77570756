"""Formulas are marked where torch is not installed at all; only the marking of functions needs it."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

NO_TORCH = """
import sys


class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")


sys.meta_path.insert(0, NoTorch())
"""


def run(program: str) -> str:
    """What a program prints in a Python of its own."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "statement",
    [
        "import gradelib",
        "import gradelib.marker",
        "import gradelib.marker.check",
        "from gradelib import check, exercises; exercises.ids()",
        "from gradelib import check; check('free-energy', '1')",
    ],
)
def test_loads_neither_torch_nor_sympy(statement):
    assert run(f"{statement}\nimport sys\nprint({{'torch', 'sympy'}} & set(sys.modules))") == "set()"


def test_every_formula_of_every_chapter_is_marked_without_torch():
    """The right answer is right, each known mistake gets its hint, and there are some in every chapter."""
    program = """
    from gradelib import check, exercises

    for chapter in exercises.CHAPTERS:
        formulas = [exercise for exercise in exercises.of_chapter(chapter) if exercise.answer is not None]
        assert formulas, chapter
        for exercise in formulas:
            assert check(exercise.id, exercise.answer), exercise.id
            for mistake in exercise.mistakes:
                if isinstance(mistake.answer, str):
                    found = check(exercise.id, mistake.answer)
                    assert found.state == "incorrect" and mistake.hint in found.text, (exercise.id, mistake.answer)
    assert "torch" not in __import__("sys").modules
    print("all")
    """
    assert run(NO_TORCH + textwrap.dedent(program)) == "all"


def test_a_function_without_torch_gets_one_sentence():
    program = """
    from gradelib import check, exercises

    asked = next(e for e in exercises.of_chapter(5) if e.function is not None)
    print(check(asked.id, lambda *inputs: inputs[0]).text)
    """
    said = run(NO_TORCH + textwrap.dedent(program))
    assert "torch" in said, said
    assert "\n" not in said
