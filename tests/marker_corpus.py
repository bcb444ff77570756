"""Answers on which Python's marker and the page's must agree, and what Python makes of each."""

from __future__ import annotations

import ast
import json
import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from marker import test_hostile, test_inputs, test_language

from gradelib import exercises
from gradelib.marker.language import Name, Node, Number
from gradelib.marker.mutation import mutants
from gradelib.marker.parser import parse

BOOK = Path(__file__).parent.parent / "book"
FORMULAS = [exercise for exercise in exercises.every() if exercise.answer]
CHOICES = [exercise for exercise in exercises.every() if exercise.choice]
LONGEST = 100_000  # characters of a text, which is refused by its length anyway


_CHECKED_TEXT = re.compile(r'^check\("([\w-]+)",\s*((?:"[^"]*"\s*)+)\)', re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """An answer to an exercise, and where it comes from."""

    exercise: str
    text: str
    source: str


def as_data(node: Node) -> Any:
    """A tree as the page's reader has it."""
    if isinstance(node, Number):
        return {"value": node.value, "whole": type(node.value) is int}
    if isinstance(node, Name):
        return {"name": node.name}
    return {"op": node.op, "args": [as_data(child) for child in node.args]}


def right_forms() -> Iterator[Case]:
    for exercise in FORMULAS:
        for form in (exercise.answer, *exercise.also_right):
            assert isinstance(form, str)
            yield Case(exercise.id, form, "right form")


def known_mistakes() -> Iterator[Case]:
    for exercise in FORMULAS:
        for mistake in exercise.mistakes:
            assert isinstance(mistake.answer, str)
            yield Case(exercise.id, mistake.answer, "known mistake")


def solutions() -> Iterator[Case]:
    """What the solutions in the chapters hand to `check`."""
    of_formulas = {exercise.id for exercise in FORMULAS}
    for chapter in sorted(BOOK.glob("[0-9][0-9]-*.md")):
        for name, text in _CHECKED_TEXT.findall(chapter.read_text(encoding="utf8")):
            if name in of_formulas:
                yield Case(name, ast.literal_eval(f"({text})"), "solution")


@cache
def single_mutants() -> tuple[Case, ...]:
    """Every mutant of every right answer; it comes from the rule that is its source."""
    return tuple(
        Case(exercise.id, mutant.text, rule)
        for exercise in FORMULAS
        for rule, mutant in mutants(exercise.formula, exercise.inputs)
    )


def double_mutants(numbers: Iterable[int]) -> Iterator[Case]:
    """Mutants of mutants, drawn at random from all, one for each number."""
    for number in numbers:
        draw = random.Random(number)
        single = draw.choice(single_mutants())
        exercise = exercises.get(single.exercise)
        _, mutant = draw.choice(mutants(parse(single.text, exercise.names), exercise.inputs))
        yield Case(exercise.id, mutant.text, "double mutant")


def written_by_hand() -> Iterator[Case]:
    """The hostile and broken texts of the marker's own tests, and the inputs of real learners."""
    for text in test_hostile.TEXTS:
        yield Case("opt-cov", text[:LONGEST], "hostile text")
    for test in vars(test_language).values():
        for text in _first_parameters(test):
            for name in ("opt-cov", "kl-gauss", "step-length"):
                yield Case(name, text, "text of the language's tests")
    for case in test_inputs.INPUTS.values():
        if "answer" in case and exercises.get(case["exercise"]).function is None:
            yield Case(case["exercise"], case["answer"], "input of a learner")


def _first_parameters(test: Callable) -> Iterator[str]:
    """The texts that a test is parametrized with, if their name is `text`."""
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == "parametrize" and "text" in mark.args[0]:
            yield from (case[0] for case in mark.args[1])


_LETTERS = [*" ()[]{}*^/@+-.,'|=;:!\"#\\_0123456789eTjxnJS", *"αβλΣ·−²½ᵀ₁’，（٣é\u200b\ud800\t\n"]
_LETTERS += [
    "**",
    "||",
    "log",
    "inv",
    "T(",
    "I_d",
    "beta",
    "np.",
    ".T",
    "1,5",
    "]]",
    "^T",
    "dot(",
    "norm2",
    " if ",
    "==",
]


def broken_texts(numbers: Iterable[int]) -> Iterator[Case]:
    """Right forms and mistakes with up to three slips of the keyboard, one for each number."""
    forms = [*right_forms(), *known_mistakes()]
    for number in numbers:
        draw = random.Random(number)
        case = draw.choice(forms)
        text = case.text
        for _ in range(draw.randint(1, 3)):
            place = draw.randrange(len(text) + 1)
            text = text[:place] + draw.choice(["", draw.choice(_LETTERS)]) + text[place + draw.randint(0, 2) :]
        yield Case(case.exercise, text, "broken text")


def random_sums(numbers: Iterable[int]) -> Iterator[Case]:
    """Texts of operands and operators with few brackets, whose tree hangs on the order of operations alone.

    There is one for each number.
    """
    for number in numbers:
        yield Case("opt-cov", _random_sum(random.Random(number), 2), "order of operations")


def _random_sum(draw: random.Random, depth: int) -> str:
    parts = [_random_operand(draw, depth)]
    while len(parts) < 10 and draw.random() < 0.7:
        parts += [draw.choice(["+", "-", "*", "/", "@", " - ", "*-", "@-", "/+"]), _random_operand(draw, depth)]
    return "".join(parts)


def _random_operand(draw: random.Random, depth: int) -> str:
    sign = draw.choice(["", "", "", "-", "--", "+"])
    if depth and draw.random() < 0.2:
        inner = f"({_random_sum(draw, depth - 1)})"
    else:
        inner = draw.choice(["J", "H", "beta", "I_d", "d", "2", "0.5", "1e-3", "tr(J)", "inv(J)", "J.T", "[1, beta]"])
    return sign + inner + draw.choice(["", "", "", "**2", "**-1", "^2", "**-d", "^T", "**(1/2)"])


_SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.MatMult: "@", ast.Pow: "**"}


def python_tree(text: str) -> Any:
    """The tree of a text of `random_sums` as Python's own parser sees it."""
    return _from_ast(ast.parse(text.replace("^T", ".T").replace("^", "**"), mode="eval").body)


def _from_ast(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value):
            return {"value": value, "whole": type(value) is int}
        case ast.Name(name):
            return {"name": name}
        case ast.UnaryOp(sign, operand):
            inner = _from_ast(operand)
            return {"op": "neg", "args": [inner]} if isinstance(sign, ast.USub) else inner
        case ast.BinOp(left, sign, right):
            return {"op": _SIGNS[type(sign)], "args": [_from_ast(left), _from_ast(right)]}
        case ast.Attribute(value, name):
            return {"op": name, "args": [_from_ast(value)]}
        case ast.Call(ast.Name(name), args):
            return {"op": name, "args": [_from_ast(arg) for arg in args]}
        case ast.List(entries):
            return {"op": "[]", "args": [_from_ast(entry) for entry in entries]}
    raise AssertionError(ast.dump(node))


def as_json(value: object) -> str:
    """JSON in ASCII, so that lone surrogates travel too."""
    return json.dumps(value, ensure_ascii=True)
