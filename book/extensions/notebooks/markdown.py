"""Plain Markdown, as Jupyter, Colab and GitHub read it: blocks, escapes, and what must not be left in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import zip_longest

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin


def join_blocks(blocks: Iterable[str]) -> str:
    return "\n\n".join(block for block in blocks if block)


def one_line(text: str) -> str:
    return " ".join(text.split())


def list_item(mark: str, text: str) -> str:
    """A list item: the mark before the first line, the others indented to it."""
    indent = " " * (len(mark) + 1)
    first, *rest = text.split("\n")
    return "\n".join([f"{mark} {first}", *(indent + line if line else "" for line in rest)])


def quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def details(summary: str, body: str, anchor: str = "") -> str:
    """A block that is folded until it is clicked."""
    return f"{anchor}<details>\n<summary>{summary}</summary>\n\n{body}\n\n</details>"


def fence(code: str, language: str = "") -> str:
    ticks = "`" * max([3, *(len(run) + 1 for run in re.findall("`{3,}", code))])
    return f"{ticks}{language}\n{code}\n{ticks}"


def code_span(code: str) -> str:
    ticks = "`" * (max([0, *(len(run) for run in re.findall("`+", code))]) + 1)
    pad = " " if code.startswith("`") or code.endswith("`") else ""
    return f"{ticks}{pad}{one_line(code)}{pad}{ticks}"


def escape_url(url: str) -> str:
    return url.replace(" ", "%20").replace("(", "%28").replace(")", "%29")


def escape(text: str) -> str:
    """Plain words stay plain words: nothing in them may become mark-up."""
    text = re.sub(r"([\\`*<$~]|&(?=#?\w+;))", r"\\\1", text)
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)  # inside a word an underscore is safe
    return re.sub(r"\[(?=\^)|\](?=[(:\[])", lambda match: f"&#{ord(match[0])};", text)


def escape_line_starts(text: str) -> str:
    """A wrapped line that begins like a list, a heading or a quote must stay a line of the paragraph."""
    text = re.sub(r"^(>|(?:[-+]|#{1,6}|=+|-+)(?=\s|$))", r"\\\1", text, flags=re.MULTILINE)
    return re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", text, flags=re.MULTILINE)


# --- what plain Markdown does not have

_PARSER = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, double_inline=True)
_IN_CODE = re.compile(r"^[ \t]*(`{3,}|:{3,})[ \t]*\{.*\}|\{[a-zA-Z][\w:+.-]*\}`[^`]+`", re.MULTILINE)
_IN_TEXT = {
    "a role": re.compile(r"\{[a-zA-Z][\w:+.-]*\}\s*\Z"),
    "a directive": re.compile(r"^(:{3,}|`{3,}|~{3,})", re.MULTILINE),
    "a target": re.compile(r"^\([\w:.-]+\)=", re.MULTILINE),
    "a substitution": re.compile(r"\{\{"),
    "an unresolved number": re.compile(r"\?\?|%s|\{(number|name)\}"),
}


def find_myst(markdown: str) -> list[str]:
    """The MyST syntax and the unresolved references in a text that should be plain Markdown with maths."""
    found = []
    for token in _PARSER.parse(markdown):
        if token.type == "fence" and (match := _IN_CODE.search(f"```{token.info}\n{token.content}")):
            found.append(f"a directive or a role in a block of code: {match[0].strip()}")
        found += _find_inline(token.children or [token])
    return found


def _find_inline(tokens: list[Token]) -> list[str]:
    found = []
    for token, after in zip_longest(tokens, tokens[1:]):
        if token.type.startswith("math") and re.search(r"\\(eq)?ref\b|\\label\b|\\tag\{\D*\}", token.content):
            found.append(f"an unresolved number: {token.content}")
        if token.type == "link_open" and after.type == "link_close":
            found.append(f"a link without words: {token.attrGet('href')}")
        if token.type != "text":
            continue
        for name, pattern in _IN_TEXT.items():
            # A role is a name in braces with code behind it; braces alone are words.
            role_without_code = name == "a role" and (after is None or after.type != "code_inline")
            if (match := pattern.search(token.content)) and not role_without_code:
                found.append(f"{name}: {match[0]}")
    return found
