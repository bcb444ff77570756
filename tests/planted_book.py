"""A planted book with one of each construct, without the real one's extensions and style."""

from __future__ import annotations

from pathlib import Path

from small_book import FRONT

CONFIG = """\
title: A planted book
only_build_toc_files: true
exclude_patterns: ["**/*.ipynb"]
bibtex_bibfiles: [book/references.bib]
execute: {execute_notebooks: cache, raise_on_error: true}
parse:
  myst_enable_extensions: [amsmath, colon_fence, deflist, dollarmath, substitution]
repository: {url: https://github.com/someone/planted, branch: main}
sphinx:
  recursive_update: true
  config:
    extensions:
      - myst_nb
      - jupyter_book
      - sphinx_external_toc
      - sphinx_design
      - sphinx_book_theme
      - sphinx_comments
      - sphinx_exercise
      - sphinx_proof
      - sphinxcontrib.bibtex
      - book.extensions.notebooks.builder
      - book.extensions.notebooks.execution
"""
TOC = """\
format: jb-book
root: book/index
options: {numbered: true}
chapters:
  - file: book/01-first
  - file: book/02-second
  - file: book/back
"""
SECOND = "# Second\n\n(sec-there)=\n## There\n\n$$ a = b $$ (eq-there)\n"
BACK = """\
# Back

```{glossary}
latent
  A hidden variable.
```

```{bibliography}
```
"""
BIB = "@book{someone2020, author={Someone, Ann}, title={A book}, publisher={P}, year={2020}}\n"
PAGES = "https://someone.github.io/planted/book"

FIRST = r"""# First: $\beta$

See {ref}`sec-more`, {numref}`Part %s <sec-more>`, {eq}`eq-one`, {eq}`eq-there`, {doc}`02-second`,
{cite:p}`someone2020`, {term}`latent`, {numref}`fig-drawn`, {numref}`fig-file`, {numref}`tab-one`, {prf:ref}`thm-one`,
{ref}`ex-one` and a footnote[^one]. Plain: 2 * 3 * 4 <b_ \$5 a_b `c|d`.

$$
\Sigma &= a \\
&= b
$$ (eq-one)

\begin{align}
u &= v
\end{align}

```{code-cell} ipython3
from IPython.display import display

def glue(name, value):
    prefix = "application/papermill.record/"
    about = {"scrapbook": {"name": name, "mime_prefix": prefix}}
    display({prefix + "text/plain": repr(value)}, raw=True, metadata=about)

glue("answer", 41.996)
display({"text/html": "<p>no words</p>"}, raw=True)
```

The answer is {glue:text}`answer:.2f`.

```{code-cell} ipython3
:tags: [remove-cell]
hidden = 1
```

(sec-more)=
## More

````{note}
In a box {eq}`eq-box`:

$$
a \\
b
$$ (eq-box)

- in a list
  ```{tip}
  in a box {eq}`eq-one`
  ```
````

1. First

   ```{admonition} Titled $x$
   Indented {ref}`sec-more`.
   ```
2. Second

```{prf:theorem} Nice
:label: thm-one
It holds.
```

```{prf:proof}
By {prf:ref}`thm-one`.
```

```{figure} x.png
:name: fig-file
:alt: One grey pixel.

The caption.
```

```{list-table} Things
:name: tab-one
:header-rows: 1
* - A
  - B $|x|$
* - `a|b`
  - {eq}`eq-one`
```

Term
: Its meaning.

```{exercise-start} Do it
:label: ex-one
```
Write `f`.

```{code-cell} ipython3
f = ...
f
```

```{exercise-end}
```

```{solution-start} ex-one
:class: dropdown
```
It is one:

```{code-cell} ipython3
f = 1
f
```

as we said.

```{solution-end}
```

```{code-cell} ipython3
---
tags: [hide-input]
mystnb:
  figure: {name: fig-drawn, caption: What was drawn.}
---
from html import escape
display({"image/png": "iVBORw0KGgo=", "text/html": "<p>", "text/plain": "A drawing."}, raw=True)
```

[^one]: The footnote.
"""


def plant(root: Path, *, first: str = FIRST, second: str = SECOND, execute: str = "cache") -> Path:
    """A small book with these texts of its chapters; with `execute="off"` no kernel starts."""
    pages = {"index": "# A book\n", "back": BACK, "01-first": FRONT + first, "02-second": FRONT + second}
    config = CONFIG.replace("execute_notebooks: cache", f"execute_notebooks: '{execute}'")
    files = {f"book/{name}.md": text for name, text in pages.items()}
    for name, text in {**files, "_config.yml": config, "_toc.yml": TOC, "book/references.bib": BIB}.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf8")
    (root / "book/x.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return root
