"""The form of a chapter: short for a first reader, with folds for the rest, and no code between two thoughts."""

from __future__ import annotations

import pytest
from chapter_form import LEAST_OPTIONAL, MOST_CODE, MOST_WORDS, ROOT, faults, form_of, title_and_label

from book.extensions import chapter_sources

SOURCES = {path.stem: path.read_text(encoding="utf8") for path in chapter_sources(ROOT)}
TITLES = {label: title for title, label in map(title_and_label, SOURCES.values())}


@pytest.mark.parametrize("chapter", SOURCES)
def test_a_chapter_has_the_form(chapter):
    assert faults(SOURCES[chapter], TITLES) == []


def test_every_chapter_has_a_label_and_a_title():
    assert all(label and title for label, title in TITLES.items())
    assert len(TITLES) == len(SOURCES)


# --- the rules themselves

WORDS, OPTIONAL = "one two three four five " * 160, "six seven " * 200
CHAPTER = f"""\
---
kernelspec: {{name: python3}}
---

(ch-one)=
# What is one?

{WORDS}

```{{optional}} More of it
:class: wide
{OPTIONAL}
```

## The next

Short.
"""
CODE = "```{code-cell} ipython3\n:tags: [TAG]\n" + "a = 1\n\n" * MOST_CODE + "b = 2\n```\n"
RULES = {"ch-one": "What is one?", "ch-two": "Which of the two?"}


def test_a_short_chapter_is_right():
    assert faults(CHAPTER, RULES) == []
    assert form_of(CHAPTER).prose[800:] == ["More", "of", "it", "Short."]
    assert len(form_of(CHAPTER).optional) == 400


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (f"{WORDS * 5}\n\n:::{{tip}}\n:class: dropdown\n{OPTIONAL * 5}\n:::\n", f"at most {MOST_WORDS}"),
        (f"```{{optional}} Too much\n{WORDS * 2}\n```\n", "of the words are optional"),
        (CODE.replace("TAG", "output_scroll"), f"{MOST_CODE + 1} lines of open code below 'The next'"),
        ("As {ref}`ch-two` said.", "a link that shows the title of a chapter: ch-two"),
        ("As [](#ch-two) said.", "a link that shows the title of a chapter: ch-two"),
        ("In *Which of\nthe two?* it was said.", "a chapter named by its title: Which of the two?"),
    ],
)
def test_each_rule_is_kept(more, fault):
    [found] = faults(CHAPTER + more, RULES)
    assert fault in found


def test_what_may_be_skipped_is_folded():
    [found] = faults(CHAPTER.replace(OPTIONAL, "Little."), RULES)
    assert f"not {LEAST_OPTIONAL:.0%}" in found


@pytest.mark.parametrize(
    "more",
    [
        *(CODE.replace("TAG", tag) for tag in ("hide-input", "hide-cell", "exercise", "solution")),
        f"````{{solution-start}} ex-one\n:class: dropdown\n````\n{CODE}\n{WORDS * 9}\n````{{solution-end}}\n````\n",
        f"### A digression\n\n```{{optional}} The rest\n```\n\n{CODE}\n#### With a part\n\n{CODE}",
        f"$$\n{WORDS * 9}\n$$\n",
        "As {ref}`chapter 2 <ch-two>` said, and [chapter 2](#ch-two).",
        "### Again\n\n" + CODE.replace("b = 2\n", "") + "\n### And again\n\n" + CODE.replace("b = 2\n", ""),
    ],
)
def test_what_is_folded_or_no_prose_does_not_count(more):
    assert faults(CHAPTER + more, RULES) == []


def test_the_rest_of_a_section_is_optional_and_no_more():
    form = form_of("# A\n\n## B\n\n```{optional} c d\n```\n\ne f\n\n### G\n\nh\n\n## I\n\nj k l\n")
    assert (form.prose, form.optional) == (["j", "k", "l"], ["c", "d", "e", "f", "h"])


def test_a_formula_and_a_number_of_an_equation_are_a_word_each():
    form = form_of("By {eq}`eq-a`, $a + b$ is `c d` {cite:p}`e` and {ref}`one f <g>` — {prf:ref}`h` [i j](k).\n")
    assert form.prose[2:6] == ["formula", "is", "c", "d"]
    assert len(form.prose) == 13
