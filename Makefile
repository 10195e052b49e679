# make demo: trains a small model and shows it.   make test: every check, the same for a person and CI.
.PHONY: demo test check format clean

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

demo: .venv/.installed
	$(BIN)/unspool demo

test: .venv/.developing check
	$(BIN)/python -m pytest

check: .venv/.developing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: .venv/.developing
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) --editable .
	@touch $@

.venv/.developing: .venv/.installed
	$(PIP) --editable '.[dev]'
	@touch $@
