# Two commands do everything on a fresh machine with Python 3.11 or newer: `make book` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
unexport PYTHONDONTWRITEBYTECODE  # or each of some hundred processes would compile the package anew
RUN := $(shell find gradelib -name '*.py' -o -name '*.json' -o -name '*.npz') book/extensions/notebooks/execution.py
READ := _config.yml _toc.yml $(wildcard book/*.* _build/pdf/*.pdf)
WRITTEN := $(shell find book/extensions book/_static book/_templates -type f -not -name '*.pyc')

.DEFAULT_GOAL := help
.PHONY: help install book pdf test test-all quick notebooks words experiments bench gpu pages lint clean

help:  ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(INSTALLED)  ## make .venv with all that the book needs

book: _build/.built  ## build the HTML book into _build/html
	@echo "Open $(CURDIR)/_build/html/index.html in a browser."

pdf:  ## make the whole book one PDF (it says what it needs of LaTeX)
	@$(PYTHON) -m book.extensions.pdf.make --check
	@$(MAKE) --no-print-directory _build/.written
	$(BIN)/python -m book.extensions.pdf.make

test: $(INSTALLED)  ## run the tests, the notebooks included, in minutes
	$(BIN)/python -m pytest --nbval

test-all: test  ## then what takes half an hour: three engines, whole corpora, installs, cold builds
	$(BIN)/python -m pytest -m "engines or slow or sampled" --whole-corpus

quick: lint  ## after an edit: lint, the tests of what changed since main, the notebook of an edited chapter
	$(BIN)/python -m tools.quick

notebooks: _build/.written  ## write book/*.ipynb from book/*.md, with the outputs of the book
	$(BIN)/jupyter-book build . --warningiserror --keep-going --nitpick --builder custom --custom-builder notebooks
	cp _build/notebooks/book/*.ipynb book

words: $(INSTALLED)  ## write them again after a change of words alone, running nothing
	$(BIN)/python -m book.extensions.notebooks.export --keep-outputs

experiments: $(INSTALLED)  ## do the recorded runs that are missing (SOURCE=folder of MNIST, MINUTES=60)
	$(BIN)/gradelib experiment run $(if $(SOURCE),--source "$(SOURCE)") $(if $(MINUTES),--minutes $(MINUTES))

bench: $(INSTALLED)  ## measure speed and memory, as ratios
	$(BIN)/python -m benchmarks

gpu: $(INSTALLED)  ## measure on a GPU for at most eight minutes, into gpu.json (SOURCE=folder of MNIST for rows, too)
	$(BIN)/python -m benchmarks.gpu $(if $(SOURCE),--source "$(SOURCE)")

pages: book  ## measure every page in headless Chromium
	$(BIN)/python -m benchmarks.page_audit

lint: $(INSTALLED)  ## look at the style and the types of the code, Python and JavaScript
	$(BIN)/ruff check .
	$(BIN)/ruff check --preview --select PLW1514 .  # a file without its encoding is read in another one on Windows
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/oxlint --deny-warnings book/_static

clean:  ## remove the built book and the environment
	rm -rf _build $(VENV)

# The stamp is written last, so that an install that was cut off is done again.
$(INSTALLED): requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

# Stored outputs know nothing of the code that made them: when it changes, every chapter is run anew.
_build/.run: $(INSTALLED) $(RUN)
	rm -rf _build
	mkdir -p _build
	touch $@

# Nor do stored pages know of the extensions and the style: when these change, every page is written anew.
_build/.written: _build/.run $(WRITTEN)
	rm -rf _build/html _build/.doctrees
	touch $@

# Where nothing that a page is made of has changed, there is nothing to do.
_build/.built: _build/.written $(READ)
	$(BIN)/jupyter-book build . --warningiserror --keep-going --nitpick
	touch $@
