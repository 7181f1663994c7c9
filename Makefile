# Two commands do everything: `make demo` and `make test`. Each makes .venv on its first run, which needs the
# network, and needs it no more afterwards, until pyproject.toml changes.
#
#   PYTHON=python3.12      the interpreter that .venv is made with (3.10 or newer)
#   PEERS=auto|required|off  the tests against real Java stacks: where a JDK and Maven are (default), always, never;
#                          required: those with redis-server too
#   PYTEST_ARGS='-k …'     further arguments for pytest
#   SECONDS=600            how long `make soak` takes

PYTHON ?= python3
PEERS ?= auto
PYTEST_ARGS ?=
SECONDS ?= 600

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test grid lint types wheel-check docs-check bench soak memory clean

help:
	@echo 'make demo         the main job on the embedded service, narrated'
	@echo 'make test         all tests; with a JDK and Maven also against CXF, Metro and Rampart, with redis-server also with it'
	@echo 'make grid         every policy of the peers, every way, and the table in docs/interoperability.md anew'
	@echo 'make lint         ruff, formatting, and the direction of imports'
	@echo 'make types        mypy, strict'
	@echo 'make wheel-check  the wheel builds, installs in an empty environment and works without the extras'
	@echo 'make docs-check   runs the code blocks of README.md and docs/'
	@echo 'make bench        the benchmark against Apache CXF'
	@echo 'make soak         calls for ten minutes (SECONDS=…) under contexts that live for seconds; memory must stay'
	@echo 'make memory       100,000 calls and 10,000 contexts in one process, and what is left of them in memory'
	@echo 'make clean        removes what the above made'

demo: $(VENV)/.demo
	$(BIN)/zeep-secureconv demo

test: $(VENV)/.test
	ZEEP_SECURECONV_PEERS=$(PEERS) $(BIN)/python -m pytest $(PYTEST_ARGS)

grid: $(VENV)/.test
	ZEEP_SECURECONV_PEERS=required ZEEP_SECURECONV_WRITE_GRID=1 $(BIN)/python -m pytest tests/peers/test_grid.py tests/peers/test_presets.py $(PYTEST_ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

wheel-check: $(VENV)/.python
	scripts/check_wheel.sh $(BIN)/python

docs-check: $(VENV)/.test
	$(BIN)/python -m pytest tests/docs $(PYTEST_ARGS)

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks.calls $(BENCH_ARGS)

soak: $(VENV)/.demo
	SECONDS=$(SECONDS) $(BIN)/python scripts/soak.py

memory: $(VENV)/.test
	$(BIN)/python -m scripts.memory

clean:
	rm -rf $(VENV) .tox .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	rm -rf tests/peers/*/target
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What is installed is remembered by stamps, so that nothing is asked of the network a second time.

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	    || { echo 'Python 3.10 or newer is needed; say which with: make PYTHON=python3.12 …' >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) \
	    || { echo 'Python cannot make virtual environments; Debian and Ubuntu have that in python3-venv.' >&2; exit 1; }
	$(PIP) install --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.demo: $(VENV)/.python pyproject.toml
	$(PIP) install --editable '.[all]'
	@touch $@

$(VENV)/.test: $(VENV)/.demo
	$(PIP) install --group test
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	$(PIP) install --group dev
	@touch $@
