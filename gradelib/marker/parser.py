"""From text to a formula: characters, then tokens, then a tree by precedence climbing. Nothing is ever executed.

    formula   = [ name [ "(" names ")" ] "=" ] sum
    sum       = product { ("+" | "-") product }
    product   = unary { ("*" | "/" | "@") unary }
    unary     = ("+" | "-") unary | power
    power     = postfix [ ("**" | "^") unary ]                 a power binds to the right, as in Python
    postfix   = atom { "." name [ arguments ] }                 J.T, x.sum()
    atom      = number | name | name arguments | "(" sum ")" | "[" sum { "," sum } "]" | "{" sum "}"
    arguments = "(" sum { "," sum } ")"                         or in square or curly brackets

Each refusal has a code; its sentence stands in `language.json` with all tables that are used here, so that a reader
written in another language refuses the same texts with the same words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import TypeVar

from gradelib.marker.language import (
    Formula,
    Name,
    Node,
    Number,
    Op,
    known_exponent,
    known_name,
    known_number,
    limit_nodes,
    near_function,
    product_of_names,
)
from gradelib.marker.vocabulary import FUNCTIONS, LANGUAGE, LIMITS, UnreadableError, character, phrase, shown

_CHARACTERS = LANGUAGE["characters"]
_LIKE = {sign: target for target, signs in _CHARACTERS["like"].items() for sign in signs}
_IGNORED = frozenset(_CHARACTERS["ignored"])
_TRANSPOSED = frozenset(_CHARACTERS["transposed"])
_SUPER, _SUB, _FRACTIONS = (_CHARACTERS[name] for name in ("superscripts", "subscripts", "fractions"))
_FOREIGN, _KEYWORDS, _DEFINITIONS = (LANGUAGE[name] for name in ("foreign", "keywords", "definitions"))
_SAME_NAMES = LANGUAGE["same_names"]

_TOKEN = re.compile(
    r"(?P<number>(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>\*\*|//|==|!=|<=|>=|<>|:=|->|\|\||[^\sA-Za-z0-9_])"
)
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_BINDS = {"+": 1, "-": 1, "*": 2, "/": 2, "@": 2}
_Read = TypeVar("_Read")
_BELL_TO_FORM_FEED = "\a\b\v\f"  # what Python makes of \alpha, \beta, \vec, \frac outside raw strings
# The same of \t, \n and \r, which may also be honest white space: only before what is left of a LaTeX command.
_LOST_BACKSLASH = re.compile("|".join(f"{sign}(?:{rest})" for sign, rest in LANGUAGE["lost_backslashes"].items()))


def parse(text: str, names: Iterable[str] | None = None, *, more: Iterable[str] = ()) -> Formula:
    """Read a formula; with `names`, only these inputs may occur in it.

    `more` names functions of two arguments that the arithmetic has and answers have not, such as `max`.
    Raises `UnreadableError` with one sentence that says what to change.
    """
    known = None if names is None else sorted({*names})
    plain = ascii_text(text)
    try:
        formula = Formula(_Parser(plain, known, more=more).formula())
        limit_nodes(formula.root)
    except UnreadableError as error:
        if _LOST_BACKSLASH.search(text):
            raise UnreadableError("latex") from None
        mended = (
            _Parser(_mended(plain), known).suggested() if error.code in ("prime", "bars", "decimal_comma") else None
        )
        raise (error.meant(mended[0]) if mended else error) from None
    return formula


def _mended(text: str) -> str:
    """The text with T(J) for J', norm(x) for ||x||, and points in decimal numbers."""
    text = re.sub(r"\b([A-Za-z_]\w*)'", r"T(\1)", text)
    text = re.sub(r"\|\|([^|]+)\|\|\s*(?:\^|\*\*)\s*(?:2|\(2\))", r"norm2(\1)", text)
    text = re.sub(r"\|\|([^|]+)\|\|", r"norm(\1)", text)
    text = re.sub(r"\blog\s*\(\s*\|([^|]+)\|\s*\)", r"logdet(\1)", text)
    text = re.sub(r"\blog\s*\|([^|]+)\|", r"logdet(\1)", text)
    return re.sub(r"(?<![\w.])(\d+),(\d)", r"\1.\2", text)


# --- characters


def ascii_text(text: str) -> str:
    """The text in the language's own characters: look-alikes replaced, comments and an outer pair of quotes gone."""
    if len(text) > LIMITS["characters"]:
        raise UnreadableError("long", most=LIMITS["characters"], count=len(text))
    if any(c in _BELL_TO_FORM_FEED for c in text):
        raise UnreadableError("latex")
    if not text.isascii():
        text = "".join(_script(kind, "".join(run)) for kind, run in groupby(text, _kind))
    text = re.sub(r"#[^\n]*|\\[ \t]*\n", " ", text).strip()
    text = re.sub(r"(?<=\w)_\{(\w+)\}", r"_\1", text)  # I_{d}
    quoted = re.fullmatch(r"(['\"`])([^'\"`]*)\1", text)
    text = re.sub(r"[\s;.,]+$", "", quoted[2].strip() if quoted else text)
    if strange := next((c for c in text if not (" " <= c <= "~" or c in "\n\t\r")), None):
        raise UnreadableError("strange", character=character(strange))
    return text


def _kind(sign: str) -> str:
    if sign in _TRANSPOSED:
        return "transposed"
    return "super" if sign in _SUPER else "sub" if sign in _SUB else "plain"


def _script(kind: str, run: str) -> str:
    """A run of characters that are all raised, all lowered or all plain, in ASCII as far as it can be."""
    if kind == "transposed":
        return ".T " * len(run)
    if kind == "super":
        return f"**({''.join(_SUPER[c] for c in run)})"
    if kind == "sub":
        return "_" + "".join(_SUB[c] for c in run)
    parts = [_plain(c) for c in run]
    return "".join(
        part + " " if len(part) > 1 and part[0].isalpha() and re.match("[A-Za-z]", after) else part
        for part, after in zip(parts, [*parts[1:], ""], strict=True)
    )


def _plain(sign: str) -> str:
    """One character in ASCII, or itself where nothing is like it."""
    if sign <= "~" or sign in _IGNORED:
        return sign if sign <= "~" else ""
    if sign in _FRACTIONS:
        return "({}/{})".format(*_FRACTIONS[sign])
    folded = unicodedata.normalize("NFKC", sign)
    for candidate in (sign, folded):
        if candidate in _LIKE:
            return _LIKE[candidate]
    if len(folded) == 1 and folded <= "~":
        return folded
    digit = next((ord(sign) - ord(zero) for zero in _CHARACTERS["zeros"] if 0 <= ord(sign) - ord(zero) < 10), None)
    return sign if digit is None else str(digit)


# --- tokens


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # number, name, sign or end
    text: str
    start: int
    end: int


def _tokens(text: str) -> list[_Token]:
    found = [_Token(m.lastgroup or "", m[0], m.start(), m.end()) for m in _TOKEN.finditer(text)]
    return [*found, _Token("end", "", len(text), len(text))]


def _refuse_foreign(tokens: list[_Token], known: list[str] | None) -> None:
    """Raise for what belongs to another language than formulas: LaTeX, bars, primes, comparisons, keywords."""
    for token in tokens:
        code = _FOREIGN.get(token.text) if token.kind == "sign" else _KEYWORDS.get(token.text)
        if code and not (known and token.text in known):
            in_square = token.text == ":" and any(before.text == "[" for before in tokens[: tokens.index(token)])
            raise UnreadableError("entry" if in_square else code, character=character(token.text[0]))


def _refuse_unmatched(tokens: list[_Token]) -> None:
    """Raise where brackets do not match."""
    open_ones: list[str] = []
    for token in tokens:
        if token.text in _CLOSING:
            open_ones.append(token.text)
        elif token.text in _CLOSING.values():
            if not open_ones:
                raise UnreadableError("more_closing")
            if _CLOSING[opened := open_ones.pop()] != token.text:
                raise UnreadableError("brackets", opened=shown(opened), closed=shown(token.text))
    if open_ones:
        raise UnreadableError("more_opening")


# --- the tree


class _Parser:
    """Reads one text. With `products` it notes where an operator is missing, and goes on as if it stood there."""

    def __init__(
        self,
        text: str,
        known: list[str] | None,
        products: list[tuple[int, str]] | None = None,
        more: Iterable[str] = (),
    ) -> None:
        self.text, self.known, self.products = text, known, products
        self.binary = {*LANGUAGE["binary"], *more}
        self.tokens = _tokens(text)
        self.place = self.depth = 0

    def formula(self) -> Node:
        if len(self.tokens) == 1:
            raise UnreadableError("nothing")
        _refuse_foreign(self.tokens, self.known)
        _refuse_unmatched(self.tokens)
        self._skip_left_side()
        root = self._sum(1)
        if self._accept(","):  # a single one at the end is gone already
            raise self._comma("tuple")
        if self._now.kind != "end":
            raise UnreadableError("two_operators", left=self._before, right=shown(self._now.text))
        return _without_singles(root)

    # Moving on

    @property
    def _now(self) -> _Token:
        return self.tokens[self.place]

    @property
    def _before(self) -> str:
        return shown(self.tokens[self.place - 1].text) if self.place else phrase("beginning")

    def _accept(self, *signs: str) -> str | None:
        """The sign that comes next, if it is one of these; it is passed."""
        if self._now.kind == "sign" and self._now.text in signs:
            self.place += 1
            return self.tokens[self.place - 1].text
        return None

    def _skip_left_side(self) -> None:
        """Pass `return`, `name =` and `f(x) =`; raises where the left side says more than a name."""
        if self._now.text == "return":
            self.place += 1
        depth, equals = 0, []
        for index, token in enumerate(self.tokens):
            depth += (token.text in _CLOSING) - (token.text in _CLOSING.values())
            if token.text in ("=", ":=") and token.kind == "sign":
                if depth:
                    raise UnreadableError("options")
                equals.append(index)
        if not equals:
            return
        left = self.tokens[self.place : equals[0]]
        name = left[0].text if left else ""
        of_something = len(left) > 1 and left[1].text == "(" and left[-1].text == ")"  # f(x) = …, S(beta) = …
        is_new = not left or (len(left) == 1 and left[0].kind == "name" and name not in (self.known or ()))
        if len(equals) > 1 or not (is_new or (of_something and left[0].kind == "name" and name not in FUNCTIONS)):
            raise UnreadableError("equation")
        self.place = equals[0] + 1

    # Operators

    def _sum(self, least: int) -> Node:
        """Operators that bind at least as tightly as `least`: 1 for sums, 2 for products."""
        node = self._unary()
        while True:
            sign = self._now.text if self._now.kind == "sign" else ""
            if sign not in _BINDS and self._starts_operand():
                sign = self._missing_sign()
                if least > 2:
                    return node
                node = Op(sign, (node, self._sum(3)))
            elif _BINDS.get(sign, 0) >= least:
                self.place += 1
                node = Op(sign, (node, self._sum(_BINDS[sign] + 1)))
            else:
                return node

    def _unary(self) -> Node:
        if sign := self._accept("+", "-"):
            with_sign = self._nested(self._unary)
            return Op("neg", (with_sign,)) if sign == "-" else with_sign
        return self._power()

    def _power(self) -> Node:
        node = self._postfix(self._atom())
        while self._accept("**", "^"):
            if not self._is_transpose():
                return Op("**", (node, known_exponent(_without_singles(self._nested(self._unary)))))
            node = self._postfix(Op("T", (node,)))
        return node

    def _is_transpose(self) -> bool:
        """Whether T stands as an exponent, as in J^T or J^{T}; it is passed."""
        words = [token.text for token in self.tokens[self.place : self.place + 3]]
        bracketed = words[0] in _CLOSING and words[1:] == ["T", _CLOSING[words[0]]]
        if "T" in (self.known or ()) or not (bracketed or (words[0] == "T" and words[1:2] not in (["("], ["["]))):
            return False
        self.place += 3 if bracketed else 1
        return True

    # Operands

    def _postfix(self, node: Node) -> Node:
        while self._now.text == "." and self.tokens[self.place + 1].kind == "name":
            name = self.tokens[self.place + 1].text
            self.place += 2
            if self._now.text == "(":
                node = self._call(name, [node, *self._arguments()])
            elif name in ("T", "mT", "H", "mH"):
                node = Op("T", (node,))
            else:
                raise UnreadableError("attribute", name=shown("." + name))
        if self.tokens[self.place - 1].kind == "name" and re.match(
            r"\[\s*-?[0-9]+\s*[],]", self.text[self._now.start :]
        ):
            raise UnreadableError("entry")
        if self._now.text == "." and self.tokens[self.place + 1].text in ("*", "/", "^", "**"):
            self.place += 1  # .* ./ .^ of other languages
        return node

    def _atom(self) -> Node:
        token = self._now
        if token.kind == "number":
            self.place += 1
            return self._number(token)
        if token.kind == "name":
            self.place += 1
            return self._name(token)
        if opened := self._accept("(", "[", "{"):
            return self._nested(lambda: self._bracket(opened))
        if token.kind == "end":
            raise UnreadableError("incomplete", left=self._before) if self.place else UnreadableError("nothing")
        if token.text == "." and self.tokens[self.place + 1].text == ".":
            raise UnreadableError("dots")
        if token.text == ",":
            raise UnreadableError("comma")
        raise UnreadableError("two_operators", left=self._before, right=shown(token.text))

    def _number(self, token: _Token) -> Node:
        if self._now.text in ("j", "1j") and self._now.start == token.end and "j" not in (self.known or ()):
            raise UnreadableError("real")
        text = token.text.replace("_", "")
        return known_number(int(text) if text.isdecimal() else float(text))

    def _bracket(self, opened: str) -> Node:
        """What is in brackets: one formula, or a vector or matrix in square ones."""
        items = self._items(opened)
        if opened == "[":
            return Op("[]", tuple(items))
        if len(items) > 1:
            raise self._comma("tuple")
        return items[0]

    def _items(self, opened: str) -> list[Node]:
        if self._accept(_CLOSING[opened]):
            raise UnreadableError("empty")
        items = [self._sum(1)]
        while self._accept(","):
            if self._now.text != _CLOSING[opened]:
                items.append(self._sum(1))
        if not self._accept(_CLOSING[opened]):
            raise UnreadableError("two_operators", left=self._before, right=shown(self._now.text))
        return items

    def _arguments(self) -> list[Node]:
        """The arguments in the brackets that come next, none for ()."""
        opened = self._accept(*_CLOSING)
        assert opened
        if self._accept(_CLOSING[opened]):
            return []
        return self._nested(lambda: self._items(opened))

    def _nested(self, read: Callable[[], _Read]) -> _Read:
        """What `read` reads one level further in."""
        self.depth += 1
        if self.depth > LIMITS["depth"]:
            raise UnreadableError("deep")
        found = read()
        self.depth -= 1
        return found

    # Names and functions

    def _name(self, token: _Token) -> Node:
        name = token.text
        if name in LANGUAGE["modules"] and name not in (self.known or ()) and self._now.text == ".":
            self.place += 1
            token = self._now
            if token.kind != "name":
                raise UnreadableError("module", name=shown(name))
            self.place += 1
            return self._name(token)
        if self._now.text == "(" or (self._now.text in ("[", "{") and name in FUNCTIONS):
            if self.known and any(name in group and {*group} & {*self.known} for group in (self.known, *_SAME_NAMES)):
                return self._product_of(name)
            return self._call(name, self._arguments())
        if name.endswith("_") and self._now.text == "{":
            raise UnreadableError("latex")
        return known_name(name, self.known)

    def _product_of(self, name: str) -> Node:
        """A name with a bracket behind it: the missing sign is found on the way out; without a suggestion, say why."""
        if self.products is None and self.suggested() is None:
            raise UnreadableError("name_not_function", name=name)
        return known_name(name, self.known)

    def _call(self, name: str, arguments: list[Node]) -> Node:
        if name in LANGUAGE["transparent"] and len(arguments) == 1:
            return arguments[0]
        if name in LANGUAGE["identities"] and len(arguments) == 1:
            if isinstance(arguments[0], Name):
                return known_name(f"I_{arguments[0].name}", self.known)
            raise UnreadableError("name_near", name=shown(f"{name}(…)"), near=phrase("identities"))
        if name in FUNCTIONS or name in self.binary:
            self._expect(name, arguments, 2 if name in self.binary else 1)
            return Op(name, tuple(arguments))
        if name in _DEFINITIONS:
            body = _definition(name)
            self._expect(name, arguments, 2 if "b" in Formula(body).names else 1)
            return _filled(body, arguments)
        if near := near_function(name):
            raise UnreadableError("function_near", name=shown(name), near=near)
        raise UnreadableError("function_unknown", name=shown(name), known=", ".join(FUNCTIONS))

    def _expect(self, name: str, arguments: list[Node], count: int) -> None:
        if name == "log" and len(arguments) == 2:
            raise self._comma("log_base")
        if count == 1 and len(arguments) == 2 and _is_axis(arguments[1]):
            raise self._comma("options")
        if len(arguments) != count:
            wanted = phrase("one" if count == 1 else "two")
            raise self._comma("function_arguments", name=name, wanted=wanted, count=len(arguments))

    def _comma(self, code: str, **fields: object) -> UnreadableError:
        """The reason for a comma too many: if it stands between digits, it was meant as a point."""
        if found := re.search(r"(?<![\w.])(\d+),(\d+)(?![\d.]*,)", self.text):
            return UnreadableError("decimal_comma", text=shown(found[0]), instead=f"{found[1]}.{found[2]}")
        return UnreadableError(code, **fields)

    # Missing operators

    def _starts_operand(self) -> bool:
        return self._now.kind in ("number", "name") or self._now.text in _CLOSING

    def _missing_sign(self) -> str:
        """The operator that is missing here; raises, with the corrected text, where none is to be assumed."""
        left, right = self.tokens[self.place - 1], self._now
        if self.products is None:
            raise self._product_error(left, right)
        turned = left.text in ("T", "mT") or (left.text == ")" and self._is_matrix_like(self.place - 1))
        both = self._is_matrix_like(self.place - 1) and self._is_matrix_like(self.place)
        sign = "@" if right.kind == "name" and (turned or both) else "*"
        if not self.products or self.products[-1][0] != right.start:
            self.products.append((right.start, sign))
        return sign

    def _split_name(self, found: re.Match[str]) -> str:
        """An unknown name that is made of known ones, as their product: HJ as H@J."""
        name, known = found[0], self.known or []
        ours = {*known, *FUNCTIONS, *_DEFINITIONS, *LANGUAGE["binary"], *LANGUAGE["modules"], "pi", "mT"}
        return name if name in ours else product_of_names(name, known) or name

    def _product_error(self, left: _Token, right: _Token) -> UnreadableError:
        fields = {"left": shown(left.text), "right": shown(right.text)}
        suggested = self.suggested()
        if suggested is None:
            return UnreadableError("product", **fields)
        text, formula = suggested
        code = "product_meant" if formula.explicit == formula.text else "product_read"
        return UnreadableError(code, **fields, text=text, read=formula.explicit)

    def _is_matrix_like(self, place: int) -> bool:
        """Whether a matrix seems to begin or end with this token: a capital letter, T(…) or inv(…)."""
        token = self.tokens[place]
        if token.text == ")":
            depth, place = 1, place - 1
            while place and depth:
                depth += (self.tokens[place].text == ")") - (self.tokens[place].text == "(")
                place -= 1
            return self.tokens[place].text in ("T", "inv")
        return token.kind == "name" and (token.text[0].isupper() or token.text == "inv")

    def suggested(self) -> tuple[str, Formula] | None:
        """The text with the operators that are missing, and how it is read; None if that does not mend it."""
        products: list[tuple[int, str]] = []
        try:
            text = re.sub(r"[A-Za-z_]\w*", self._split_name, self.text)
            _Parser(text, self.known, products).formula()
            for place, sign in sorted(products, reverse=True):
                text = text[:place].rstrip() + sign + text[place:]
            return text, Formula(_Parser(text, self.known).formula())
        except UnreadableError:
            return None


def _is_axis(node: Node) -> bool:
    return isinstance(node, Number) or (isinstance(node, Op) and node.op == "neg" and isinstance(node.args[0], Number))


@lru_cache(maxsize=256)
def _definition(name: str) -> Node:
    return _Parser(_DEFINITIONS[name], ["a", "b"]).formula()


def _filled(node: Node, arguments: list[Node]) -> Node:
    """The body of a definition with its arguments, each of which stands in it once, in the place of a and b."""
    if isinstance(node, Name):
        return arguments["ab".index(node.name)]
    return Op(node.op, tuple(_filled(child, arguments) for child in node.args)) if isinstance(node, Op) else node


def _without_singles(node: Node, in_list: bool = False) -> Node:
    """A list of one entry is that entry, [x] as (x), except where it is a row or a column of a matrix."""
    if not isinstance(node, Op):
        return node
    if node.op == "[]" and len(node.args) == 1 and not in_list:
        [child] = node.args
        if not (isinstance(child, Op) and child.op == "[]" and len(child.args) > 1):
            return _without_singles(child)
    return Op(node.op, tuple(_without_singles(child, node.op == "[]") for child in node.args))
