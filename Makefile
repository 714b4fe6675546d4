# `make demo` and `make test` do everything from a fresh clone: environment, install, the job itself.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test vandal lint bench clean

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
