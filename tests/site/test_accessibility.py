"""Accessibility of the written HTML: alt text, unique ids, landmarks, roles and labels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import small_book
from bs4 import BeautifulSoup

from benchmarks.page_audit import parse

PAGE = """\
# A page

| | head |
|---|---|
| | cell |

```{code-cell}
:tags: [hide-input]
print("hidden")
```

```{exercise} One
:label: ex-one
Which?
```

```{solution} ex-one
One.
```

```{exercise} Two
:label: ex-two
Which?
```

```{solution} ex-two
Two.
```

See {cite}`kumar2020implicit`.

```{bibliography}
```
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> BeautifulSoup:
    """A page with what Sphinx and MyST-NB give untrue roles, labels and ids."""
    root: Path = tmp_path_factory.mktemp("book")
    small_book.write_configuration(root, "format: jb-book\nroot: book/index\n")
    (root / "book/index.md").write_text(small_book.FRONT + PAGE, encoding="utf8")
    built = small_book.build(root)
    assert built.returncode == 0, built.stderr
    return parse(root / "_build/html/book/index.html")


def test_an_empty_cell_is_no_header(page):
    cells = page.select("article thead tr > *")
    assert [(cell.name, cell.get_text()) for cell in cells] == [("td", ""), ("th", "head")]
    assert len(page.select("article tbody td")) == 2


def test_an_entry_of_the_bibliography_has_no_role(page):
    [entry] = page.select(".citation-list > .citation")
    assert not entry.has_attr("role")
    assert not entry.parent.has_attr("role")


def test_folded_code_is_labelled_by_its_own_words(page):
    [summary] = page.select("details.hide > summary")
    assert not summary.has_attr("aria-label")
    assert summary.get_text().startswith("Code")
    assert summary.parent.select("pre")


def test_ids_are_unique(page):
    assert [name for name, times in Counter(tag["id"] for tag in page.find_all(id=True)).items() if times > 1] == []


def test_the_side_bar_is_a_named_landmark(page):
    [landmark] = page.select('#pst-primary-sidebar > [role="complementary"]')
    assert landmark["aria-label"] == "The book"
    assert landmark.select(".navbar-brand")
