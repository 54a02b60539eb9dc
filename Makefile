# The one interface to this project. Needs Python 3.11 or later, nothing else.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# Two spinning threads starve each other when tests and trainings share two cores.
test check bench: export OMP_NUM_THREADS ?= 1

.PHONY: demo test check lint types contracts unit snapshots bench format clean help

help:
	@echo "make demo       train a small model on built-in data and watch it"
	@echo "make test       everything that must pass: check, then all tests"
	@echo "make check      lint, types and import contracts only"
	@echo "make bench      run the benchmarks; prints their figures"
	@echo "make format     format the sources"
	@echo "make snapshots  draw the screens' snapshots anew (look at each one)"
	@echo "make clean      remove the virtual environment and caches"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "lvmtui needs Python 3.11 or later; this is %d.%d. Name another: make PYTHON=python3.12 …" % sys.version_info[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

demo: $(STAMP)
	$(BIN)/lvmtui demo

test: check unit

check: lint types contracts

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)
	$(BIN)/lint-imports

# Three workers for two cores: a test of a screen or of a process mostly waits. What they start is compiled once.
unit: $(STAMP)
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n 3

snapshots: $(STAMP)
	$(BIN)/python -m pytest tests/tui --snapshot-update

bench: $(STAMP)
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script; done

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
