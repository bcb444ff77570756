r"""Formulas as TeX, in the book's symbols: what a check computes, beside the equation that it stands under.

tex(parse("beta/2*logdet(I_d + S)"))     \frac{\beta}{2}\,\log\lvert I + \Sigma\rvert
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gradelib.marker.domains import NOTATION, split
from gradelib.marker.language import Formula, Name, Node, Number

_GREEK = ("alpha", "beta", "gamma", "delta", "epsilon", "eta", "theta", "kappa", "mu", "nu", "rho", "sigma", "tau")
SYMBOLS = {name: rf"\{name}" for name in _GREEK} | {
    "lam": r"\lambda",
    "S": r"\Sigma",
    "I_d": "I",
    "I_n": "I",
    "pi": r"\pi",
    "logp": r"\log p",
}
_FENCED = {
    "tr": r"\operatorname{{tr}}({0})",
    "det": r"\lvert {0}\rvert",
    "logdet": r"\log\lvert {0}\rvert",
    "diag": r"\operatorname{{diag}}({0})",
    "norm": r"\lVert {0}\rVert",
    "norm2": r"\lVert {0}\rVert^2",
    "frob2": r"\lVert {0}\rVert_F^2",
    "colnorm2": r"\lVert ({0})_{{:,i}}\rVert^2",
    "rownorm2": r"\lVert ({0})_{{i,:}}\rVert^2",
    "abs": r"\lvert {0}\rvert",
    "sqrt": r"\sqrt{{{0}}}",
    "exp": r"e^{{{0}}}",
    "log": r"\log({0})",
    "max": r"\max({0},\,{1})",
    "mean": r"\operatorname{{mean}}({0})",
}
_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(1, 6)


def tex(formula: Formula, symbols: Mapping[str, str] | None = None, domains: Mapping[str, str] = NOTATION) -> str:
    """The formula as TeX. `symbols` maps names to what the book calls them; roots are named after their squares."""
    return _Writer({**SYMBOLS, **(symbols or {})}, domains).write(formula.root, 0)


def symbol_of(name: str, symbols: Mapping[str, str], domains: Mapping[str, str]) -> str:
    """What the book calls a name: sqrt:S is Σ^{1/2}, and u1 or J_2 has an index."""
    if name in symbols:
        return symbols[name]
    kind, argument = split(domains.get(name, ""))
    if kind == "sqrt":
        return symbol_of(argument, symbols, domains) + "^{1/2}"
    if kind == "sqrtneg":
        return f"[-{symbol_of(argument, symbols, domains)}]^{{1/2}}"
    indexed = re.fullmatch(r"([A-Za-z]+?)_?(\d+)", name)
    stem = indexed[1] if indexed else name
    letter = symbols.get(stem, stem if len(stem) == 1 else rf"\text{{{stem.replace('_', ' ')}}}")
    return f"{letter}_{{{indexed[2]}}}" if indexed else letter


class _Writer:
    def __init__(self, symbols: Mapping[str, str], domains: Mapping[str, str]) -> None:
        self.symbols, self.domains = symbols, domains

    def write(self, node: Node, least: int) -> str:
        """The node's TeX, in brackets if it binds less tightly than `least`."""
        text, bind = self._write(node)
        return rf"\left({text}\right)" if bind < least else text

    def _write(self, node: Node) -> tuple[str, int]:
        if isinstance(node, Number):
            return f"{node.value:g}", _ATOM
        if isinstance(node, Name):
            text = symbol_of(node.name, self.symbols, self.domains)
            return text, _POWER if "^" in text else _ATOM
        op, args = node.op, node.args
        if op == "neg":
            return "-" + self.write(args[0], _SIGN), _SUM
        if op in "+-":
            return f"{self.write(args[0], _SUM)} {op} {self.write(args[1], _PRODUCT)}", _SUM
        if op == "/":
            return rf"\frac{{{self.write(args[0], 0)}}}{{{self.write(args[1], 0)}}}", _PRODUCT
        if op in ("*", "@", "dot"):
            left, right = self.write(args[0], _PRODUCT), self.write(args[1], _SIGN)
            return left + (r"\cdot " if right[0].isdigit() else r"\,") + right, _PRODUCT
        if op == "**":
            return f"{self.write(args[0], _ATOM)}^{{{self.write(args[1], 0)}}}", _POWER
        if op in ("T", "inv"):
            return self.write(args[0], _ATOM) + (r"^\top" if op == "T" else "^{-1}"), _POWER
        if op in ("sum", "prod"):
            return rf"\{op}\nolimits_i {self.write(args[0], _SIGN)}", _PRODUCT
        if op == "[]":
            return r"\bigl[" + r",\ ".join(self.write(child, 0) for child in args) + r"\bigr]", _ATOM
        inner = [self.write(child, 0) for child in args]
        if op in _FENCED:
            return _FENCED[op].format(*inner), _POWER if op in ("norm2", "frob2", "exp") else _ATOM
        return rf"\operatorname{{{op}}}({', '.join(inner)})", _ATOM
