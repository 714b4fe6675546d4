# `make demo`, `make test` and `make docs` do everything from a fresh clone: environment, install, the job itself.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test docs vandal lint bench clean

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install
	$(BIN)/interp demo

test: install
	$(BIN)/pytest -n auto --dist worksteal -m 'not slow'

# The site is build/docs/index.html; it needs no server and no network, and neither does its search.
docs: install
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	rm -rf build/docs build/pages
	mkdir -p build
	cp -r docs build/pages
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -c docs/site -b html build/pages build/docs

# Real runs are spoiled in every way, for twenty minutes; `make vandal ARGS="--help"` says what can be asked for.
vandal: install
	PYTHONPATH=tests $(BIN)/python -m vandal $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	$(BIN)/python benchmarks/publish.py
	$(BIN)/python benchmarks/measures.py

clean:
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
