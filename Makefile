# Two commands on a fresh machine: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
FUZZ ?= 100000
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check validate bench clean help

help:  ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "osteon needs Python 3.11 to 3.13, this is %d.%d. Its libraries are not built for others. Name one with: make PYTHON=python3.12 demo" % v)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.core
	$(PIP) --editable '.[test]'
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	$(PIP) --editable '.[test,dev]'
	@touch $@

$(VENV)/.bench: $(VENV)/.test
	$(PIP) --editable '.[test,bench]'
	@touch $@

# peers of the benchmarks that pin old libraries, in an environment of their own
$(PEERS)/.done: pyproject.toml $(BIN)/python
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check $$($(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["peers"])')
	@touch $@

demo: $(VENV)/.core  ## plan microwave ablation of the embedded phantom and write the report
	$(BIN)/osteon demo -o out/demo

test: $(VENV)/.test  ## run the tests
	scripts/test

check: $(VENV)/.dev  ## format, lint, types, import contracts, docstrings
	scripts/check

validate: $(VENV)/.test  ## slow tests, 100,000 spoiled files, and every reference case
	scripts/test -m slow
	NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python tests/robustness/fuzz.py $(FUZZ) --keep
	$(BIN)/osteon validate all

bench: $(VENV)/.bench $(PEERS)/.done  ## benchmarks: time and error, with the memory triad and the load on each line
	@for file in benchmarks/bench_*.py; do OSTEON_PEERS_PYTHON=$(PEERS)/bin/python $(BIN)/python $$file || exit 1; done

clean:  ## remove the environment and everything made
	rm -rf $(VENV) $(PEERS) out
