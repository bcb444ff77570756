"""Systematic mutants of a formula: the formula with one thought gone wrong.

They serve three times: the marker's detectors compare a wrong answer with the mutants of the right one, the marker's
own tests count how many mutants it refuses, and the register of equations shows that the check of each can fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from gradelib.marker.domains import ALWAYS, NOTATION, split
from gradelib.marker.language import Formula, Name, Node, Number, Op

Rewrite = tuple[str, Node]

_SQUARE = ("spd", "sym", "negdiag", "orth", "contraction", "sqrt", "sqrtneg")
_SIZES = {"n": "d", "d": "n", "I_n": "I_d", "I_d": "I_n"}
_SWAPPED = {"+": "-", "-": "+", "*": "/", "/": "*"}
_RELATED = {
    "tr": ("det",),
    "det": ("tr",),
    "logdet": ("det", "tr"),
    "colnorm2": ("rownorm2",),
    "rownorm2": ("colnorm2",),
    "sum": ("prod",),
    "prod": ("sum",),
}
_HALF, _TWO, _ONE = Op("/", (Number(1), Number(2))), Number(2), Number(1)


def mutants(formula: Formula, domains: Mapping[str, str] = NOTATION) -> list[tuple[str, Formula]]:
    """All mutants that differ from `formula` in one place, each with the name of what was done to it.

    The names: `sign`, `sign of a term`, `factor`, `dropped term`, `dropped factor`, `inverse`, `transpose`,
    `beta inverted`, `beta dropped`, `mean for sum`, `n for d`, `order`, `function`, `function dropped`, `number`,
    `exponent`.
    A mutant may have shapes that do not fit, or happen to equal the formula: compare before you count it.
    `domains` says which inputs are square matrices.
    """
    spec = {**ALWAYS, **domains}
    found = {(name, root) for name, root in _mutate(formula.root, spec) if root != formula.root}
    whole = [("sign", Op("neg", (formula.root,)))]
    return [(name, Formula(root)) for name, root in [*whole, *sorted(found, key=_order)]]


def _order(rewrite: Rewrite) -> tuple[str, str]:
    return rewrite[0], Formula(rewrite[1]).text


def _mutate(node: Node, domains: Mapping[str, str]) -> Iterator[Rewrite]:
    """The node with one change in itself or in one of its descendants."""
    for rule in _RULES:
        yield from rule(node, domains)
    if isinstance(node, Op):
        for place, child in enumerate(node.args):
            for name, changed in _mutate(child, domains):
                yield name, Op(node.op, (*node.args[:place], changed, *node.args[place + 1 :]))


def _signs(node: Node, domains: Mapping[str, str]) -> Iterator[Rewrite]:
    if isinstance(node, Op) and node.op == "neg":
        yield "sign of a term", node.args[0]
    elif isinstance(node, Op) and node.op in "+-":
        yield "sign of a term", Op(_SWAPPED[node.op], node.args)
        yield "sign of a term", Op("-" if node.op == "+" else "+", (Op("neg", (node.args[0],)), node.args[1]))
    elif isinstance(node, Op) and node.op == "**":
        yield "sign of a term", Op("**", (node.args[0], Op("neg", (node.args[1],))))


def _factors(node: Node, domains: Mapping[str, str]) -> Iterator[Rewrite]:
    if isinstance(node, Name) or (isinstance(node, Op) and node.op not in ("neg", "[]")):
        for factor in (_TWO, _HALF):
            yield "factor", Op("*", (factor, node))


def _numbers(node: Node, domains: Mapping[str, str]) -> Iterator[Rewrite]:
    if isinstance(node, Number):
        yield "number", Number(node.value + 1)
        yield "number", Number(node.value / 2 if node.value > 1 else 0)


def _drops(node: Node, domains: Mapping[str, str]) -> Iterator[Rewrite]:
    if not isinstance(node, Op):
        return
    left = node.args[0]
    if node.op in ("+", "-"):
        yield "dropped term", left
        yield "dropped term", node.args[1] if node.op == "+" else Op("neg", (node.args[1],))
    elif node.op in ("*", "@", "max"):
        yield "dropped factor", left
        yield "dropped factor", node.args[1]
    elif node.op in ("/", "**"):
        yield "dropped factor", left
    elif len(node.args) == 1 and node.op not in ("neg", "T"):
        yield "function dropped", left


def _inverses(node: Node, domains: Mapping[str, str]) -> Iterator[Rewrite]:
    if isinstance(node, Op) and node.op == "inv":
        yield "inverse", node.args[0]
    elif isinstance(node, Op) and node.op in ("*", "/"):
        yield "inverse", Op(_SWAPPED[node.op], node.args)
    elif isinstance(node, Name) and split(domains.get(node.name, ""))[0] in _SQUARE:
        yield "inverse", Op("inv", (node,))


def _transposes(node: Node, domains: Mapping[str, str]) -> Iterator[Rewrite]:
    if isinstance(node, Op) and node.op == "T":
        yield "transpose", node.args[0]
    elif isinstance(node, Name) and split(domains.get(node.name, ""))[0] in ("matrix", "orth"):
        yield "transpose", Op("T", (node,))
    elif isinstance(node, Op) and node.op == "@":
        yield "order", Op("@", node.args[::-1])


def _betas(node: Node, domains: Mapping[str, str]) -> Iterator[Rewrite]:
    if node == Name("beta"):
        yield "beta inverted", Op("/", (_ONE, node))
        yield "beta dropped", _ONE


def _exponents(node: Node, domains: Mapping[str, str]) -> Iterator[Rewrite]:
    if isinstance(node, Name) and split(domains.get(node.name, ""))[0] in ("pos", "real"):
        yield "exponent", Op("**", (node, _TWO))


def _sizes(node: Node, domains: Mapping[str, str]) -> Iterator[Rewrite]:
    if isinstance(node, Name) and node.name in _SIZES:
        yield "n for d", Name(_SIZES[node.name])


def _functions(node: Node, domains: Mapping[str, str]) -> Iterator[Rewrite]:
    if isinstance(node, Op):
        for other in _RELATED.get(node.op, ()):
            yield "function", Op(other, node.args)
    if isinstance(node, Op) and node.op in ("sum", "tr", "norm2", "frob2", "logdet"):
        for size in ("d", "n"):
            yield "mean for sum", Op("/", (node, Name(size)))


_RULES: tuple[Callable[[Node, Mapping[str, str]], Iterator[Rewrite]], ...] = (
    _signs,
    _factors,
    _numbers,
    _drops,
    _inverses,
    _transposes,
    _betas,
    _exponents,
    _sizes,
    _functions,
)
