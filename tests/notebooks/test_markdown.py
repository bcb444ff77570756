"""Plain Markdown: words that stay words, and MyST that must not be left in it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from book.extensions.notebooks.markdown import escape, escape_line_starts, find_myst


@given(st.text(st.characters(codec="utf8", exclude_categories=["C"], include_characters="\n*_`$<>[]()\\#+-=~!&1.")))
@example("a_ b *c* `d` [e](f) [g]: h <i> j\n- k\n+ l\n# m\n> n\n1. o\n2) p\n===\n---\n\\* &amp; ~~q~~ __r__ ![s](t)")
def test_words_stay_words(words: str) -> None:
    """Whatever stands in a sentence, Markdown must read it as that sentence and nothing else."""
    words = "\n".join(line for line in (" ".join(line.split()) for line in words.splitlines()) if line)
    written = escape_line_starts(escape(words))
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(written)
    inline = [child for token in tokens for child in token.children or []]
    assert "".join("\n" if token.type == "softbreak" else token.content for token in inline) == words
    assert {token.type for token in tokens} <= {"paragraph_open", "inline", "paragraph_close"}
    assert {token.type for token in inline} <= {"text", "softbreak"}


@pytest.mark.parametrize(
    ("markdown", "found"),
    [
        ("See {eq}`eq-one`.", "a role: {eq}"),
        ("See {eq} `eq-one`.", "a role: {eq} "),
        ("::: note\nx", "a directive: :::"),
        ("Words\n:::{note}\nx", "a directive: :::"),
        ("```{note}\nx\n```", "a directive or a role in a block of code: ```{note}"),
        ("```\n{eq}`eq-one`\n```", "a directive or a role in a block of code: {eq}`eq-one`"),
        ("(sec-one)=", "a target: (sec-one)="),
        ("A line\n(sec-one)=\nand another", "a target: (sec-one)="),
        ("See {{ name }}.", "a substitution: {{"),
        ("See Fig. ??.", "an unresolved number: ??"),
        ("See Section %s.", "an unresolved number: %s"),
        ("See [](#sec).", "a link without words: #sec"),
        ("$x \\eqref{eq-one}$", "an unresolved number: x \\eqref{eq-one}"),
        ("$$x \\tag{}$$", "an unresolved number: x \\tag{}"),
        ("> - ::: note", "a directive: :::"),
    ],
)
def test_myst_syntax_and_unresolved_references_are_found(markdown: str, found: str) -> None:
    assert find_myst("Before.\n\n" + markdown) == [found]


@pytest.mark.parametrize(
    "markdown", ["{a} and `b`", "$\\{a\\} `b`$", "$$\nx \\tag{1.2}\n$$", "`{eq}`", "```python\nf'{x}'\n```", "f (x)=1"]
)
def test_plain_markdown_passes(markdown: str) -> None:
    assert find_myst(markdown) == []
