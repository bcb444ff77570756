"""Of each kind of input that learners hand in, hundreds of members, made from Unicode's data and a grammar by a seed.

Characters are chosen here by their names and decompositions, not from the marker's own tables.
"""

from __future__ import annotations

import ast
import itertools
import random
import re
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from corpora import some_of

from gradelib import check, exercises, geometry, networks, objectives, training
from gradelib.marker import guard
from gradelib.marker.check import mark
from gradelib.marker.exercise import Exercise
from gradelib.marker.language import Name, Node, Number, Op
from gradelib.marker.parser import parse
from gradelib.marker.reading import is_blank, outside_names
from gradelib.marker.result import Result
from gradelib.marker.vocabulary import LANGUAGE

FORMULAS = [exercise for exercise in exercises.every() if exercise.answer]
FUNCTIONS = [exercise for exercise in exercises.every() if exercise.function]
RIGHT = [(exercise, form) for exercise in FORMULAS for form in (exercise.answer, *exercise.also_right)]
MEMBERS = 200
NAMES = {chr(n): unicodedata.name(chr(n), "") for n in range(0x80, 0x20000) if not 0xD800 <= n < 0xF900}
UNICODE = [c for c in NAMES if NAMES[c]]


def right_ones(result: Callable[[Exercise, Any], Result], members: list[tuple[Exercise, Any]]) -> None:
    assert len(members) >= MEMBERS
    wrong = [(exercise.id, answer, result(exercise, answer)) for exercise, answer in members]
    assert [case for case in wrong if not case[2]] == []


def sampled(seed: int, many: int = 400) -> Iterator[tuple[Exercise, str, random.Random]]:
    draw = random.Random(seed)
    for _ in range(many):
        exercise, form = draw.choice(RIGHT)
        yield exercise, form, draw


# Characters


MEANS: dict[str, list[str]] = {}
for character in UNICODE:
    MEANS.setdefault(unicodedata.normalize("NFKC", character), []).append(character)


def named(pattern: str) -> list[str]:
    matches = re.compile(pattern).fullmatch
    return [c for c in UNICODE if matches(NAMES[c])]


def same_by_decomposition(sign: str) -> list[str]:
    """Fullwidth, small and mathematical forms; what is raised or lowered means something else."""
    return [c for c in MEANS.get(sign, []) if not re.search("<su(per|b)>", unicodedata.decomposition(c))]


LOOK_ALIKES = {
    "-": named("(MODIFIER LETTER |HEAVY )?MINUS SIGN|(EN|EM|FIGURE) DASH|(NON-BREAKING )?HYPHEN|HORIZONTAL BAR"),
    "*": named("MULTIPLICATION SIGN|(DOT|BULLET|ASTERISK) OPERATOR|BULLET|(KATAKANA )?MIDDLE DOT|(LOW )?ASTERISK"),
    "/": named("(HEAVY )?DIVISION SIGN|(DIVISION|FRACTION|BIG) (SLASH|SOLIDUS)"),
    "+": named("(HEAVY |MODIFIER LETTER )?PLUS SIGN"),
    "(": named("(MATHEMATICAL LEFT FLATTENED|LEFT WHITE|MEDIUM LEFT|FULLWIDTH LEFT|SMALL LEFT) PARENTHESIS"),
    ")": named("(MATHEMATICAL RIGHT FLATTENED|RIGHT WHITE|FULLWIDTH RIGHT|SMALL RIGHT) PARENTHESIS"),
    " ": [c for c in UNICODE if unicodedata.category(c) == "Zs"],
    "": [c for c in UNICODE if unicodedata.category(c) == "Cf" and "ARABIC" not in unicodedata.name(c)][:60],
}
LOOK_ALIKES["("] = [c for c in LOOK_ALIKES["("] if unicodedata.category(c) == "Ps"]
LOOK_ALIKES[""] = [c for c in LOOK_ALIKES[""] if re.search("ZERO WIDTH|MARK|ISOLATE|JOINER", unicodedata.name(c))]
for letter in "xhdnJHSRTI0123456789+-*/()":
    LOOK_ALIKES.setdefault(letter, []).extend(same_by_decomposition(letter))


def disguised(form: str, draw: random.Random) -> str:
    """The text with a third of its characters replaced by others that look the same."""
    text = re.sub(r"\*\*", "^", form)
    parts = [draw.choice(LOOK_ALIKES[c]) if LOOK_ALIKES.get(c) and draw.random() < 0.35 else c for c in text]
    return "".join(part + (draw.choice(LOOK_ALIKES[""]) if draw.random() < 0.05 else "") for part in parts)


def test_each_look_alike_is_read() -> None:
    signs = [(sign, c) for sign, likes in LOOK_ALIKES.items() for c in likes if sign in "-*/+() "]
    forms = {" ": "beta{}/ (1 + beta)", "(": "beta*{}1 + beta)", ")": "beta*(1 + beta{}"}
    for sign, c in signs:
        form = forms.get(sign, "beta {} (1 + beta)") if sign else "be{}ta"
        plain = parse(form.format(sign)).root
        assert parse(form.format(c)).root == plain, (sign, c, unicodedata.name(c))


def test_the_table_of_characters_is_what_the_tool_makes_of_unicodes_data() -> None:
    if LANGUAGE["characters"]["unicode"] != unicodedata.unidata_version:
        pytest.skip("this Python has the data of another version of Unicode")
    tool = Path(__file__).parents[2] / "tools" / "lookalikes.py"
    assert subprocess.run([sys.executable, str(tool), "--check"], check=False).returncode == 0


def test_right_forms_in_disguise() -> None:
    right_ones(mark, [(exercise, disguised(form, draw)) for exercise, form, draw in sampled(1)])


GREEK = {
    name: named(f"GREEK SMALL LETTER {letter}|GREEK {letter} SYMBOL|MATHEMATICAL [A-Z -]*SMALL {letter}")
    for name, letter in {"beta": "BETA", "lam": "LAMDA", "sigma": "SIGMA", "mu": "MU", "pi": "PI"}.items()
}


def greek(name: str, draw: random.Random) -> str:
    return draw.choice(GREEK[name])


def test_greek_letters_of_all_alphabets() -> None:
    members = []
    for exercise, form, draw in sampled(2, 900):
        if re.search(r"\b(beta|lam|pi)\b", form):
            members.append((exercise, re.sub(r"\b(beta|lam|pi)\b", lambda m, draw=draw: greek(m[0], draw), form)))
    right_ones(mark, members)
    letters = Exercise("sum", "?", {"beta": "pos", "sigma": "pos", "mu": "real"}, answer="beta + sigma*mu")
    right_ones(mark, [(letters, f"{b}+{s}*{m}") for b in GREEK["beta"] for s in GREEK["sigma"] for m in GREEK["mu"]])


def test_greek_names_in_sympy_and_as_parameters() -> None:
    members: list[tuple[Exercise, Any]] = []
    variance, norm = exercises.get("opt-var-1d"), exercises.get("linear-column-norm")
    for b, w in itertools.product(GREEK["beta"], ["w", "𝑤", "ｗ", "𝐰", "𝗐", "𝚠", "𝒘", "𝓌", "𝔴", "𝕨", "𝖜", "𝘄", "𝘸"]):
        beta, other = sympy.symbols([b, w], positive=True)
        members.append((variance, beta / (beta + other**2)))
        members.append((variance, 1 / (1 + other**2 / sympy.Symbol(b))))
    members += [(norm, sympy.Symbol(a) - sympy.Symbol(b)) for a in (*GREEK["lam"], "lambda") for b in GREEK["beta"]]
    right_ones(mark, members)
    for letter in GREEK["beta"]:
        scope: dict[str, Any] = {}
        exec(f"def f({letter}, w): return {letter}/({letter} + w**2)", scope)
        assert mark(variance, scope["f"]), letter


# Brackets and containers


def test_other_brackets_group_too() -> None:
    members = []
    for exercise, form, draw in sampled(3, 900):
        places = [m.start() for m in re.finditer(r"(?<![A-Za-z0-9_])\(", form)]
        if not places:
            continue
        text = list(form)
        for place in places:
            depth, end = 1, place
            while depth:
                end += 1
                depth += (form[end] == "(") - (form[end] == ")")
            text[place], text[end] = draw.choice(["[]", "{}", "()", "[]"])
        members.append((exercise, "".join(text)))
    right_ones(mark, members)


def test_containers_of_one_entry() -> None:
    wrappers: list[Callable[[Any], Any]] = [lambda a: [a], lambda a: (a,), lambda a: [[a]], lambda a: {"s": a}]
    members = [(exercise, wrap(form)) for exercise, form, draw in sampled(4, 200) for wrap in [draw.choice(wrappers)]]
    half = Exercise("half", "?", {}, answer="1/2")
    numbers = (0.5, np.float32(0.5), np.array(0.5), sympy.Rational(1, 2), "1/2", torch.tensor(0.5), np.array([[0.5]]))
    members += [(half, wrap(number)) for number in numbers for wrap in wrappers]
    members += [
        (half, {sympy.Rational(1, 2)}),
        (half, sympy.FiniteSet(sympy.Rational(1, 2))),
        (half, sympy.Matrix([0.5])),
    ]
    right_ones(mark, members)


def test_several_solutions_are_to_be_chosen_from() -> None:
    names = sympy.symbols("a b beta w")
    for first, second in itertools.permutations(
        [*names, *(name**2 for name in names), *(1 + name for name in names)], 2
    ):
        for container in ([first, second], (first, second), {first, second}, {"x": first, "y": second}):
            result = check("opt-var-1d", container)
            assert result.state == "unreadable"
            assert "take the right one out" in result.text


# Reasons


def test_decimal_commas_are_named() -> None:
    draw = random.Random(5)
    for _ in range(MEMBERS):
        whole, part = draw.randrange(100), draw.choice(["5", "25", "125", "75", "1"])
        name = draw.choice(["beta", "(beta + w)", "log(beta)", "w**2"])
        text = draw.choice(["{w},{p}*{n}", "{n}*{w},{p}", "exp(-{w},{p}*{n})", "{n}/({w},{p} + w)", "w - {w},{p}"])
        result = check("opt-var-1d", text.format(w=whole, p=part, n=name))
        assert result.state == "unreadable"
        assert f"write {whole}.{part}" in result.text, (text, result)


def test_a_missing_product_is_offered_back() -> None:
    """Where leaving out * changes nothing but the sign itself, the corrected text is right, or read otherwise."""
    refused = offered = whole = right = 0
    for exercise, form, draw in sampled(6, 600):
        places = [m.start() for m in re.finditer(r"(?<!\*)\*(?!\*)", form)]
        if not places:
            continue
        place = draw.choice(places)
        text = form[:place] + draw.choice(["", " "]) + form[place + 1 :]
        result = mark(exercise, text)
        if result.state == "correct":  # a name grew together, such as logp
            continue
        refused += 1
        assert result.state == "unreadable", (text, result)
        offered += "did you mean" in result.text.lower()
        if found := re.search(r"Did you mean (.+?)(\?|, which)", result.text):
            whole += 1
            assert "with *" in result.text
            right += bool(mark(exercise, found[1]))
    assert refused >= MEMBERS
    assert offered > 0.9 * refused
    assert right > 0.9 * whole


def test_left_sides_are_dropped() -> None:
    lefts = [
        "KL = {}",
        "y={}",
        "return {}",
        "f(x) = {}",
        "loss := {}",
        "= {}",
        "answer = {}",
        "s_opt = {}",
        "L(x, y) = {}",
    ]
    right_ones(mark, [(exercise, draw.choice(lefts).format(form)) for exercise, form, draw in sampled(7)])


def test_equations_in_the_inputs_are_told() -> None:
    for (exercise, form, draw), sign in itertools.product(sampled(8, 120), ["=", "=="]):
        name = draw.choice(sorted(exercise.inputs))
        result = mark(exercise, f"{name} {sign} {form}")
        assert result.state == "unreadable"
        assert "right side" in result.text or "right of the equals sign" in result.text


def test_line_breaks_comments_and_ends() -> None:
    members = []
    for exercise, form, draw in sampled(9):
        text = re.sub(" ", lambda m, draw=draw: draw.choice([" ", "\n", "\n  ", "\t", " \\\n", "  # so far\n"]), form)
        members.append(
            (exercise, draw.choice(["{}", "\n{}\n", "  {}"]).format(text) + draw.choice(["", ";", ".", " ;", "\n"]))
        )
    right_ones(mark, members)


def test_powers() -> None:
    raised = str.maketrans("0123456789-+()/nd", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺⁽⁾/ⁿd")
    members = []
    for exercise, form, draw in sampled(10, 900):
        if "**" in form:
            text = re.sub(
                r"\*\*(\d+)",
                lambda m, draw=draw: draw.choice(["^{0}", "^{{{0}}}", "{1}", "**({0})", "^({0})"]).format(
                    m[1], m[1].translate(raised)
                ),
                form,
            )
            members.append((exercise, text))
        inverse = re.sub(
            r"inv\((\w+)\)",
            lambda m, draw=draw: draw.choice(["{0}^-1", "({0})^(-1)", "{0}⁻¹", "[{0}]^{{-1}}", "{0}**-1"]).format(m[1]),
            form,
        )
        if inverse != form:
            members.append((exercise, inverse))
        turned = re.sub(
            r"T\((\w+)\)",
            lambda m, draw=draw: draw.choice(["{0}^T", "{0}.T", "{0}ᵀ", "{0}^{{T}}", "{0}.mT", "{0}⊤"]).format(m[1]),
            form,
        )
        if turned != form:
            members.append((exercise, turned))
    right_ones(mark, members)


# LaTeX


def latex(node: Node) -> str:
    if isinstance(node, Number):
        return str(node.value)
    if isinstance(node, Name):
        return {"beta": r"\beta", "lam": r"\lambda", "pi": r"\pi", "I_d": "I_d", "I_n": "I_n"}.get(node.name, node.name)
    parts = [latex(child) for child in node.args]
    if node.op == "/":
        return rf"\frac{{{parts[0]}}}{{{parts[1]}}}"
    if node.op == "*":
        return rf"{parts[0]} \cdot {parts[1]}"
    if node.op in ("+", "-", "@"):
        return f"{parts[0]} {node.op.replace('@', '')} {parts[1]}"
    if node.op == "neg":
        return f"-{parts[0]}"
    written = {"T": rf"{parts[0]}^\top", "inv": rf"{parts[0]}^{{-1}}", "sqrt": rf"\sqrt{{{parts[0]}}}"}
    written |= {
        "**": f"{parts[0]}^{{{parts[-1]}}}",
        "norm2": rf"\lVert {parts[0]} \rVert^2",
        "det": rf"\det {parts[0]}",
    }
    return written.get(node.op, rf"\mathrm{{{node.op}}}({parts[0]})")


def test_latex_is_recognised_with_and_without_its_backslashes() -> None:
    recognised = 0
    for exercise, form in RIGHT:
        text = latex(parse(form, exercise.names).root)
        if "\\" not in text:
            continue
        lost = ast.literal_eval('"' + text.replace('"', "") + '"') if "\\N" not in text and "\\x" not in text else text
        for written in (text, f"${text}$", lost):
            if re.search(r"[\\$\a\b\f\v]|\t(?=op)", written):
                result = mark(exercise, written)
                assert (result.state, "LaTeX" in result.text) == ("unreadable", True), (written, result)
                recognised += 1
    assert recognised >= MEMBERS


# Functions


SYNONYMS = {
    "log": ["np.log", "torch.log", "math.log", "sympy.log", "ln", "sp.log"],
    "exp": ["np.exp", "torch.exp", "sp.exp"],
    "sqrt": ["np.sqrt", "math.sqrt", "torch.sqrt", "sympy.sqrt"],
    "tr": ["trace", "np.trace", "torch.trace", "sp.Trace", "Tr"],
    "inv": ["np.linalg.inv", "torch.linalg.inv", "torch.inverse", "inverse", "sympy.Inverse"],
    "det": ["np.linalg.det", "torch.det", "torch.linalg.det", "sp.Determinant"],
    "logdet": ["torch.logdet", "logabsdet"],
    "diag": ["np.diag", "torch.diag", "torch.diagonal"],
    "sum": ["np.sum", "torch.sum"],
    "prod": ["np.prod", "torch.prod"],
    "T": ["transpose", "np.transpose", "torch.t", "sp.Transpose"],
}


def test_functions_of_libraries_by_their_own_names() -> None:
    members = []
    for exercise, form, draw in sampled(11, 700):
        text = re.sub(r"\b(\w+)\(", lambda m, draw=draw: draw.choice([m[1], *SYNONYMS.get(m[1], [])]) + "(", form)
        text = re.sub(r"\b(norm2)\((\w)\)", r"dot(\2, \2)", text) if draw.random() < 0.5 else text
        text = re.sub(
            r"(?<![.\w])(\w+)\(([a-zA-Z])\)",
            lambda m, draw=draw: (
                f"{m[2]}.{m[1]}()"
                if m[1] in ("sum", "trace", "inverse", "det", "logdet", "exp", "log", "sqrt", "prod", "transpose")
                else m[0]
            ),
            text,
        )
        if text != form:
            members.append((exercise, text))
    right_ones(mark, members)


MEANINGS = {
    "log": "natural log|logarithm|log e",
    "logdet": "log determinant|log det|slog det",
    "det": "matrix determinant|det of",
    "tr": "matrix trace|trace of|nan trace",
    "inv": "matrix inverse|inverse matrix|p inverse|inv of|pinv|inverted matrix",
    "norm": "vector norm of|two norm|l2 norm|euclidean norm|matrix norm",
    "norm2": "squared norm|norm squared|sum of squares|norm sq|squared length",
    "frob2": "frobenius norm|squared frobenius|fro norm",
    "colnorm2": "column norm|col norm squared|column squares|column norms",
    "rownorm2": "row norm|row norm squared|row norms",
    "T": "matrix transpose|transposed matrix|conj transpose",
    "diag": "diagonal matrix|diag embed|diag part|block diag",
    "sum": "nan sum|cum sum|summation|total sum|sum over",
    "prod": "nan prod|cum prod|prod of|total product",
    "mean": "nan mean|average of|mean of|expected value",
    "exp": "exponential|matrix exp|exp of|exponentiate",
    "sqrt": "square root|sqrt of|matrix sqrt",
    "square": "squared|sqr",
    "abs": "absolute value|abs value|abs of",
    "sigmoid": "logistic function|log sigmoid|hard sigmoid",
    "softplus": "log add exp|soft plus of",
    "tanh": "hyperbolic tangent|hard tanh|tanh of",
    "dot": "inner product|scalar product|dot product|vec dot|tensor dot|v dot",
    "@": "matrix product|matrix multiply|multi dot|bmm",
}
STYLES: list[Callable[[list[str]], str]] = [
    "_".join,
    "".join,
    lambda words: words[0] + "".join(word.capitalize() for word in words[1:]),
    lambda words: "".join(word.capitalize() for word in words),
    lambda words: "np." + "_".join(words),
    lambda words: "torch.linalg." + "_".join(words),
]


def test_what_has_no_name_here_is_answered_with_what_is_near_in_meaning() -> None:
    """A learner's name for a function, in every style of writing names, leads to the function, by whatever name."""
    definitions, members, far = LANGUAGE["definitions"], 0, []
    same = {name: definitions.get(name, "").removesuffix("(a)") for name in definitions}
    for near, phrases in MEANINGS.items():
        for words, style in itertools.product(phrases.split("|"), STYLES):
            name = style(words.split())
            text = check("opt-cov", f"{name}(J)").text
            if "no function" not in text:  # a name that is known after all
                continue
            members += 1
            found = re.search(r"did you mean (.+)\?", text)
            if not found or (near not in (found[1], same.get(found[1])) and definitions.get(found[1]) != f"a{near}b"):
                far.append((name, near, text))
    assert members >= MEMBERS
    assert far == []


def test_a_misspelt_function_is_answered_with_the_one_that_was_meant() -> None:
    draw, offered = random.Random(19), 0
    names = [name for name in LANGUAGE["functions"] if len(name) > 3]
    for _ in range(MEMBERS):
        name = draw.choice(names)
        place = draw.randrange(len(name) - 1)
        swapped = name[:place] + name[place + 1] + name[place] + name[place + 2 :]
        misspelt = draw.choice([swapped, name[:place] + name[place:].replace(name[place], 2 * name[place], 1)])
        if misspelt != name:
            offered += f"did you mean {name}?" in check("opt-cov", f"{misspelt}(J)").text
    assert offered > 0.85 * MEMBERS


def test_elementwise_products_are_told_from_matrix_products() -> None:
    entries = Exercise("entries", "?", {"J": "matrix:n,d", "S": "spd:d", "R": "orth:d"}, answer="frob2(J)")
    assert all(mark(entries, text) for text in ("sum(J*J)", "sum(square(J))", "np.sum(J * J)", "norm(J)**2"))
    product = Exercise("product", "?", {"S": "spd:d", "R": "orth:d", "H": "sym:d"}, answer="R@S@T(R)@H")
    for signs in itertools.product("*@", repeat=3):
        if "*" in signs:
            result = mark(product, "R{}S{}T(R){}H".format(*signs))
            assert result.state == "unreadable"
            assert "did you mean the matrix product @?" in result.text


def test_the_answer_says_how_it_was_read_where_that_can_surprise() -> None:
    kl = "kl-gauss"
    assert "Read as (1/2)*norm2(h)." in check(kl, "1/2*norm2(h)").text
    assert check(kl, "1/2*norm2(h)").read_as == "(1/2)*norm2(h)"
    assert "Read as -(d**2)." in check(kl, "-d**2").text
    assert "entry by entry" in check(kl, "sum(S*S)/5").text
    assert "Read as" not in check(kl, "norm2(h)*7 + d").text
    assert check(kl, "norm2(h)").read_as == "norm2(h)"
    assert check(kl, "1/2norm2(h)").text.endswith("Did you mean 1/2*norm2(h), which is read as (1/2)*norm2(h)?")


# Read as


def surprising(node: ast.AST) -> Iterator[ast.expr]:
    """The parts of a formula that the order of operations puts in brackets which nobody sees."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.UnaryOp) and isinstance(inner.operand, ast.BinOp):
            yield inner.operand
        if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Pow):
            yield from [inner.right] if isinstance(inner.right, ast.BinOp) else []
        if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Mult | ast.Div | ast.MatMult):
            yield from [inner.left] if isinstance(inner.left, ast.BinOp) and isinstance(inner.left.op, ast.Div) else []


def without_brackets(draw: random.Random, depth: int) -> str:
    """A formula of numbers without any bracket, but those of functions."""
    if depth == 0:
        return draw.choice(["a", "b", "c", "2", "3", "0.5"])
    parts = [without_brackets(draw, depth - 1) for _ in range(draw.randint(2, 3))]
    kind = draw.randrange(8)
    if kind == 0:
        return "log(1 + {})".format(draw.choice(["a", "b/2*c", "a**2"]))
    if kind == 1:
        return f"-{draw.choice('abc')}**2"
    if kind == 2:
        return f"{draw.choice('abc')}**{draw.choice('ab')}"
    return "".join(part + draw.choice(["*", "/", "/", " + ", " - "]) for part in parts[:-1]) + parts[-1]


def test_the_answer_says_how_it_was_read_just_where_that_can_surprise() -> None:
    """Python's own parser tells where; and in what is told, the brackets stand there."""
    draw, said = random.Random(20), 0
    exercise = Exercise("numbers", "?", {"a": "pos", "b": "pos", "c": "pos"}, answer="sqrt(a + 7*b + c/9)")
    for _ in range(3 * MEMBERS):
        text = without_brackets(draw, draw.randint(1, 2))
        result = mark(exercise, text)
        surprises = [*surprising(ast.parse(text, mode="eval"))]
        told = re.search(r"Read as (.+)\.$", result.text)
        assert bool(told) == bool(surprises), (text, result)
        assert result.read_as
        if told:
            said += 1
            assert told[1] == result.read_as
        inner = [*surprising(ast.parse(result.read_as, mode="eval"))]
        assert all(result.read_as[node.col_offset - 1] == "(" for node in inner), (text, result.read_as)
        values = {"a": 1.25, "b": 0.75, "c": 2.5, "log": np.log}
        assert np.isclose(eval(result.read_as, values), eval(text, values))
    assert said >= MEMBERS


def test_products_entry_by_entry_are_read_so_and_a_slip_is_told() -> None:
    """A formula with @ in some places and * in others is right where it means the same, else the slip is named."""
    draw, slips, entrywise = random.Random(21), 0, 0
    inputs = {"S": "spd:d", "R": "orth:d", "H": "sym:d"}
    for _ in range(2 * MEMBERS):
        names = draw.choices(["S", "R", "H", "T(R)", "inv(S)", "(S + H)"], k=draw.randint(2, 4))
        signs = draw.choices("*@", k=len(names) - 1)
        product = Exercise("product", "?", inputs, answer="@".join(names))
        result = mark(product, "".join(name + sign for name, sign in zip(names, [*signs, ""], strict=True)))
        if "*" not in signs or result:
            assert result
            continue
        slips += 1
        assert result.state == "unreadable"
        assert "did you mean the matrix product @?" in result.text
        both = Exercise("both", "?", inputs, answer=f"sum({'*'.join(names[:2])})")
        assert mark(both, f"sum({'*'.join(names[:2])})")
        assert mark(both, f"tr({names[0]}@T({names[1]}))")
        entrywise += 1
    assert slips >= MEMBERS


def test_bars_and_primes_are_named_and_mended() -> None:
    draw = random.Random(22)
    names = {"x": "vector:n", "z": "vector:n", "J": "matrix:n,d", "S": "spd:d", "beta": "pos"}
    right = {"||{v}||^2": "norm2({v})", "||{v}||": "norm({v})", "log|S|": "logdet(S)", "tr(J'@J)": "frob2(J)"}
    for _ in range(MEMBERS):
        written = draw.choice([*right])
        vector = draw.choice(["x", "z", "x - z", "2*x + z"])
        around = draw.choice(["beta*{}", "{} + beta", "{}/2", "1 - {}", "{}"])
        exercise = Exercise("bars", "?", names, answer=around.format(right[written].format(v=vector)))
        result = mark(exercise, around.format(written.format(v=vector)))
        assert result.state == "unreadable"
        assert ("prime" if "'" in written else "Bars") in result.text
        found = re.search(r"Did you mean (.+)\?", result.text)
        assert found, (written, result)
        assert mark(exercise, found[1]), found[1]


# Sympy


def in_sympy(form: str, names: tuple[str, ...]) -> sympy.Expr | None:
    """A formula of numbers as a sympy expression; None where there are vectors or matrices."""
    scope = {name: sympy.Symbol(name, positive=True) for name in names}
    try:
        return sympy.sympify(re.sub(r"\blam\b", "lam", form), locals=scope)
    except (sympy.SympifyError, TypeError, AttributeError, SyntaxError):
        return None


def test_sympy_expressions_in_every_form() -> None:
    """What sympy makes of right answers: expanded, factored, with hyperbolic functions, as equations, in matrices."""
    scalar = {"real", "pos", "unit"}
    members: list[tuple[Exercise, Any]] = []
    changes: list[Callable[[Any], Any]] = [
        lambda e: e,
        sympy.expand,
        sympy.together,
        sympy.factor,
        lambda e: e.replace(sympy.exp, lambda x: sympy.sinh(x) + sympy.cosh(x)),
        lambda e: e.replace(sympy.exp, lambda x: (1 + sympy.tanh(x / 2)) / (1 - sympy.tanh(x / 2))),
        lambda e: e.replace(sympy.exp, lambda x: sympy.exp(x, evaluate=False)),
        lambda e: sympy.Eq(sympy.Symbol("answer"), e),
        lambda e: sympy.Matrix([e]),
        lambda e: sympy.cosh(e) / sympy.cosh(e) * e,
        lambda e: e + sympy.cosh(2) ** 2 - sympy.sinh(2) ** 2 - 1,
        lambda e: e * sympy.coth(3, evaluate=False) * sympy.tanh(3),
        lambda e: sympy.Mul(e, sympy.sech(1), sympy.cosh(1), evaluate=False),
        lambda e: sympy.Mul(e, sympy.Abs(sympy.Symbol("beta")) / sympy.Symbol("beta"), evaluate=False),
    ]
    for exercise, form in RIGHT:
        if {*exercise.inputs.values()} <= scalar:
            written = in_sympy(form, exercise.names)
            if isinstance(written, sympy.Expr):
                usable = changes if "beta" in exercise.inputs else changes[:-1]
                members += [(exercise, change(written)) for change in usable]
    right_ones(mark, members)


# Functions handed in


ATTRIBUTES = sorted(name for name in dir(torch.Tensor) if name.isidentifier() and not name.startswith("_"))


def test_attributes_are_no_globals() -> None:
    assert len(ATTRIBUTES) >= MEMBERS
    for name in ATTRIBUTES:
        scope: dict[str, Any] = {}
        exec(f"def uses(x): return x.{name}\ndef reads(x): return {name} + x", scope)
        assert name not in outside_names(scope["uses"])
        assert name in outside_names(scope["reads"])


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


STATES: list[Callable[[], AbstractContextManager[Any]]] = [
    torch.no_grad,
    torch.inference_mode,
    lambda: torch.set_grad_enabled(False),
    lambda: torch.device("meta"),
    lambda: torch.autograd.set_detect_anomaly(True),
    lambda: np.errstate(all="raise"),
    *(lambda dtype=dtype: default_dtype(dtype) for dtype in (torch.float16, torch.bfloat16, torch.float32)),
]


@pytest.mark.sampled
def test_what_is_set_in_torch_elsewhere_changes_no_verdict() -> None:
    members = [*itertools.product(FUNCTIONS, range(17))]
    assert len(members) >= MEMBERS
    for exercise, number in some_of(members, 24):
        draw = random.Random(f"{exercise.id} {number}")
        right = draw.random() < 0.6
        function = draw.choice(exercise.also_right) if right else draw.choice(exercise.mistakes).answer
        before = mark(exercise, function)
        states = draw.sample(STATES, draw.randint(1, 3))
        with ExitStack() as stack:
            for state in states:
                stack.enter_context(state())
            result = mark(exercise, function)
        assert (result.state, result.mistake, result.text) == (before.state, before.mistake, before.text), exercise.id
        assert bool(result) == right


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_tensor_without_a_dtype_is_as_exact_as_the_inputs(dtype: torch.dtype) -> None:
    """Written into `torch.zeros`, a result has the default dtype, which is the book's and not the kernel's."""

    def optimal_variances(J, curvature, beta):  # type: ignore[no-untyped-def]
        out = torch.zeros(*J.shape[:-2], J.shape[-1])
        out[...] = 1 / (1 - (J.square() * curvature.unsqueeze(-1)).sum(-2) / beta)
        return out

    with default_dtype(dtype):
        assert mark(exercises.get("optimal-variances"), optimal_variances)


def test_a_number_near_that_of_a_mistake_is_not_that_mistake() -> None:
    exercise = exercises.get("opt-var-1d")
    for mistake in exercise.mistakes:
        assert mark(exercise, mistake.answer).mistake == str(mistake)
        for factor in ("1.000001", "1.1", "0.9"):
            assert mark(exercise, f"{factor}*({mistake.answer})").mistake != str(mistake)


BODIES = [
    "'''What to do.'''",
    "pass",
    "...",
    "raise NotImplementedError",
    "raise NotImplementedError()",
    "return ...",
    "return None",
]
BODIES += [
    "raise NotImplementedError('later')",
    "return",
    "result = ...\n    return result",
    "out = None\n    return out",
]
BODIES += [
    "'''Docs.'''\n    ...",
    "return NotImplemented",
    "answer = ...  # here\n    return answer",
    "...\n    return ...",
]


def test_stubs_of_every_habit_are_unanswered() -> None:
    tried = 0
    for exercise, first, last in itertools.product(FUNCTIONS[:3], [*BODIES[:3], "# TODO"], BODIES):
        for head in ("def f({})", "def f({}, *more)"):
            scope: dict[str, Any] = {}
            exec(f"{head.format(', '.join(exercise.inputs))}:\n    {first}\n    {last}\n", scope)
            assert is_blank(scope["f"])
            tried += 1
    for text in ("...", "…", " . . . ", "'...'", '"..."', "?", "____", "TODO", "pass", "None", "", "\n", "“…”"):
        assert check("opt-cov", text).state == "unanswered", text
    for value in (None, ..., NotImplemented, [...], (None,), {...}, lambda: ..., lambda *_: None):
        assert check("opt-cov", value).state == "unanswered", value
    assert tried >= MEMBERS


@pytest.mark.parametrize(
    "body",
    ["return x", "return 1", "return x.mean()", "raise ValueError", "y = x\n    return y", "return 'beta'", "print()"],
)
def test_what_does_something_is_no_stub(body: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def f(x):\n    {body}\n", scope)
    assert not is_blank(scope["f"])


def test_a_stub_that_raises_after_some_work_is_unanswered() -> None:
    def started(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
        half = 0.5 * mean
        raise NotImplementedError(half)

    assert check("kl-standard-normal", started).state == "unanswered"


@pytest.mark.sampled
@pytest.mark.parametrize("fork", some_of([True, False, None], 1))  # None: in place, outside the main thread
def test_imports_are_not_the_learners_time(fork: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for number in range(3):
        busy = "import time\nend = time.process_time() + .6\nwhile time.process_time() < end: pass\n"
        (tmp_path / f"slow_{fork}_{number}.py").write_text(busy)

    def work() -> str:
        import importlib

        for number in range(3):
            importlib.import_module(f"slow_{fork}_{number}")
        return "done"

    if fork is not None:
        assert guard.run(work, 0.3, fork=fork and guard.can_fork()) == "done"
        return
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(guard.run(work, 0.3, fork=False)))
    thread.start()
    thread.join()
    assert found == ["done"]


BUSY = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\ninside = 1\n"
IMPORTS = [
    "import {m}",
    "import {m} as other",
    "from {m} import inside",
    "from {m} import *",
    "import importlib\nimportlib.import_module('{m}')",
    "from importlib import import_module\nimport_module('{m}')",
    "__import__('{m}')",
    "import builtins\nbuiltins.__import__('{m}', fromlist=['inside'])",
    "import {m}.part",
    "from {m} import part",
    "from {m}.part import inside",
    "try:\n    import {m}\nexcept ImportError:\n    pass",
    "def inner():\n    import {m}\ninner()",
    "[__import__(name) for name in ('{m}', '{m}.part')]",
    "eval('__import__(\"{m}\")')",
    "exec('import {m}')",
    "import sys\nif '{m}' not in sys.modules:\n    import {m}",
]
WAYS = [*itertools.product(IMPORTS, range(1, 4), ["module first", "part first"], [True, False])]


@pytest.mark.slow
@pytest.mark.sampled
def test_imports_of_every_kind_are_not_the_learners_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes more CPU time to import than the trial has; in a child, and in place."""
    assert len(WAYS) >= MEMBERS
    monkeypatch.setattr(guard, "WALL", 200)  # of a trial as short as these, a busy machine may take all
    monkeypatch.syspath_prepend(str(tmp_path))
    for number, (statement, many, order, fork) in enumerate(some_of(WAYS, 8)):
        names = [f"slow_{number}_{place}" for place in range(many)]
        for name in names:
            (tmp_path / name).mkdir()
            start = f"from {name} import part\n" if order == "part first" else ""
            (tmp_path / name / "__init__.py").write_text(start + BUSY.format(0.1))
            (tmp_path / name / "part.py").write_text(BUSY.format(0.1))

        def work(statement: str = statement, names: list[str] = names) -> str:
            for name in names:
                exec(statement.format(m=name), {})
            return "done"

        assert guard.run(work, 0.08, fork=fork and guard.can_fork()) == "done", statement


def test_what_is_computed_beside_imports_is_the_learners_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "slow_beside.py").write_text(BUSY.format(0.1))

    def work() -> None:
        import slow_beside  # noqa: F401

        exec(BUSY.format(60))

    for fork in (True, False):
        with pytest.raises(guard.TimeLimitError, match="of computing"):
            guard.run(work, 0.08, fork=fork and guard.can_fork())


def test_every_way_to_call_check_gives_a_result() -> None:
    draw = random.Random(13)
    values = ["opt-cov", "opt-var-1d", "beta", 3, None, ..., [], {}, object(), Exception, "kl-gauss", lambda x: x]
    names = ["exercise_id", "answer", "exercise", "id", "seed", "ans", "self", "cls", "run"]
    for _ in range(2 * MEMBERS):
        arguments = draw.choices(values, k=draw.randrange(5))
        options = {draw.choice(names): draw.choice(values) for _ in range(draw.randrange(4))}
        assert isinstance(check(*arguments, **options), Result)
    assert check(answer="beta/(beta + w**2)", exercise_id="opt-var-1d")


def test_a_wrong_number_is_not_right_up_to_a_constant() -> None:
    draw = random.Random(14)
    for _ in range(MEMBERS):
        right, wrong = draw.randint(1, 60), draw.randint(61, 99)
        answer = draw.choice([f"{right}", f"{right}/7", f"sqrt({right})", f"log({right} + 1)"])
        result = mark(Exercise("number", "?", {}, answer=answer), draw.choice([wrong, f"{wrong}/5", float(wrong)]))
        assert result.state == "incorrect"
        assert "constant factor" not in result.text


def test_what_is_not_finite_is_never_right() -> None:
    draw, spoilt = random.Random(15), ["log(-1)", "1/0", "exp(999)", "sqrt(-beta)", "0**-1", "inf", "nan", "log(0)"]
    for _ in range(MEMBERS):
        exercise, form = draw.choice(RIGHT)
        text = draw.choice(["({f}) + 0*({s})", "({s})*({f})", "({f})/(1 + ({s})*0)"]).format(
            f=form, s=draw.choice(spoilt)
        )
        assert not mark(exercise, text)
    for exercise, value in itertools.product(FUNCTIONS, (float("nan"), float("inf"))):
        assert not mark(exercise, lambda *inputs, r=exercise.reference, v=value: r(*inputs) * v)


# The grammar against Python's own


def python_tree(node: ast.expr) -> Node:
    if isinstance(node, ast.Constant):
        return Number(node.value)
    if isinstance(node, ast.Name):
        return Name(node.id)
    if isinstance(node, ast.UnaryOp):
        inner = python_tree(node.operand)
        return Op("neg", (inner,)) if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp):
        sign = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.MatMult: "@", ast.Pow: "**"}[type(node.op)]
        return Op(sign, (python_tree(node.left), python_tree(node.right)))
    if isinstance(node, ast.Call):
        return Op(node.func.id, tuple(map(python_tree, node.args)))
    assert isinstance(node, ast.Attribute)
    return Op("T", (python_tree(node.value),))


def random_text(draw: random.Random, depth: int) -> str:
    if depth == 0 or draw.random() < 0.15:
        return draw.choice(["a", "J", "beta", "2", "0.5", "1e-3", "3."])
    kind = draw.randrange(10)
    inner = random_text(draw, depth - 1)
    if kind < 6:
        sign = draw.choice(["+", "-", "*", "/", "@"])
        return f"{inner}{draw.choice(['', ' '])}{sign} {random_text(draw, depth - 1)}"
    if kind == 6:
        return f"{draw.choice('-+')}{inner}"
    if kind == 7:
        return f"{draw.choice(['log', 'T', 'sum', ''])}({inner})"
    if kind == 8:
        exponent = draw.choice(["2", "n", "(a + 1)", "0.5", "-2", "-n", "-(a + 1)"])
        return f"{draw.choice(['a', f'({inner})', '2'])}**{exponent}"
    return draw.choice(["J.T", f"({inner}).T"])


def test_precedence_is_pythons() -> None:
    draw = random.Random(16)
    for _ in range(3000):
        text = random_text(draw, draw.randint(1, 4))
        assert parse(text).root == python_tree(ast.parse(text, mode="eval").body), text


# The library


def test_mixtures_of_examples_are_refused() -> None:
    draw, layer = random.Random(17), torch.nn.Linear(2, 5, dtype=torch.float64)
    over = [torch.mean, torch.sum, torch.std, torch.var, torch.logsumexp, torch.prod]
    for _ in range(MEMBERS):
        reduce, size, share = draw.choice(over), draw.choice([2, 3, 8]), draw.uniform(0.01, 2)
        where = draw.choice(["pixels", "latents"])
        z = torch.randn(size, 2, dtype=torch.float64)

        def mixed(q: torch.Tensor, reduce=reduce, share=share, where=where) -> torch.Tensor:
            if where == "pixels":
                return layer(q) + share * reduce(layer(q), 0)
            return layer(q + share * reduce(q, 0))

        with pytest.raises(ValueError, match="each example on its own"):
            geometry.jacobian(mixed, z)


def test_a_checkpoint_that_was_cut_anywhere_is_named(tmp_path: Path) -> None:
    path, x = tmp_path / "run.pt", torch.randn(8, 3)
    training.fit(networks.mlp_vae(3, 1, hidden=(2,)), x, beta=0.1, steps=1, checkpoint=path)
    whole, draw = path.read_bytes(), random.Random(18)
    for _ in range(MEMBERS):
        path.write_bytes(whole[: draw.randrange(len(whole) - 1)])
        with pytest.raises(ValueError, match="no whole checkpoint"):
            training.fit(networks.mlp_vae(3, 1, hidden=(2,)), x, beta=0.1, steps=1, checkpoint=path)


# Numpy scalars


NUMBERS = [kind for kind in {*np.sctypeDict.values()} if issubclass(kind, np.integer | np.floating)]
NUMBERS = sorted((kind for kind in NUMBERS if kind is not np.timedelta64), key=str)


def test_numpy_scalars_are_numbers_to_the_marker() -> None:
    members = []
    for kind, value in itertools.product(NUMBERS, [1, 2, 3, 5, 7, 11, 100]):
        exercise = Exercise("value", "?", {}, answer=f"{value}")
        members += [(exercise, written) for written in (kind(value), [kind(value)], np.array(kind(value)))]
    for kind, value in itertools.product([k for k in NUMBERS if issubclass(k, np.floating)], [0.5, 0.25, 1.75, 6.5]):
        members += [(Exercise("value", "?", {}, answer=f"{value}"), kind(value))]
    right_ones(mark, members)


def test_numpy_scalars_are_numbers_to_the_library() -> None:
    """Every number that a function of the library takes may come from numpy, and gives what a plain one gives."""
    x = torch.linspace(-1, 1, 24, dtype=torch.float64).reshape(8, 3)
    half = torch.full((4,), 0.5, dtype=torch.float64)
    square = torch.full((4, 1, 1), 0.5, dtype=torch.float64)

    def fitted(**options: Any) -> torch.Tensor:
        torch.manual_seed(0)
        model = networks.mlp_vae(3, 1, hidden=(2,)).double()
        return training.fit(model, x, **{"beta": 0.5, "steps": 1, "batch_size": 4, **options}).losses

    def sizes(n: Any, d: Any, hidden: Any) -> torch.Tensor:
        torch.manual_seed(0)
        return torch.cat([p.flatten() for p in networks.mlp_vae(n, d, hidden=(hidden,)).parameters()])

    whole: list[Callable[[Any], torch.Tensor]] = [
        lambda n: sizes(n, 2, 2),
        lambda n: sizes(3, n, 2),
        lambda n: sizes(3, 2, n),
        lambda n: fitted(steps=n),
        lambda n: fitted(batch_size=n),
        lambda n: fitted(seed=n),
        lambda n: fitted(noise_seed=n),
        lambda n: fitted(beta=n),
        lambda n: objectives.beta_vae(half, half, n),
    ]
    real: list[Callable[[Any], torch.Tensor]] = [
        lambda r: fitted(beta=r),
        lambda r: fitted(learning_rate=r),
        lambda r: objectives.beta_vae(half, half, r),
        lambda r: objectives.taylor(half, -square, half[:, None], square, r),
        lambda r: objectives.grae(half, -square, half[:, None], r),
        lambda r: objectives.grae_isotropic(half, -half, half[:, None], r),
    ]
    tried = 0
    for kind in NUMBERS:
        numbers, calls = ((2, 3), whole) if issubclass(kind, np.integer) else ((0.5, 0.25), real)
        for number, call in itertools.product(numbers, calls):
            assert torch.equal(call(kind(number)), call(number)), (kind, number)
            tried += 1
    assert tried >= MEMBERS
