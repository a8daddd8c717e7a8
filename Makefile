# The two commands: `make run`, `make test`. Both set up what they need.
.DEFAULT_GOAL := help
.PHONY: help run test test-full lint bench gpu results docs clean

# the first Python from 3.11 to 3.13 that is here
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
AT_ONCE := --numprocesses 2 --dist worksteal

help:
	@echo "make run    sweep of three backends and two cells on the embedded digits, ends with the table"
	@echo "make test   the tests of a change: about eight minutes on two cores"
	@echo "make test-full  the tests that take longer: about twenty-two minutes more"
	@echo "make lint   ruff and mypy"
	@echo "make bench  the harness against bare loops, frameworks against one another, in twenty minutes"
	@echo "make gpu    on a machine with an NVIDIA GPU: tests, parity and speed there, in nine minutes"
	@echo "make results  everything that is published, measured anew: three hours on two cores"
	@echo "make docs   the documentation, in site/"

run: $(VENV)/.installed
	$(BIN)/python run.py -m +experiment=quickstart

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m "not long and not alone" $(AT_ONCE)
	$(BIN)/python -m pytest -m "not long and alone"

test-full: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m "long and not alone" $(AT_ONCE)
	$(BIN)/python -m pytest -m "long and alone"

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-test
	$(BIN)/python -m tests.bench.suite

# with PYTHON=… given, that interpreter as it is, and what tests/gpu/pack.py prepared
ifeq ($(origin PYTHON),file)
gpu: GPU_PYTHON := $(BIN)/python
gpu: $(VENV)/.installed-test
else
gpu: GPU_PYTHON := $(PYTHON)
endif
gpu:
	@$(GPU_PYTHON) -m tests.gpu $(ARGS)

results: $(VENV)/.installed-test
	$(BIN)/python results/publish.py

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo "open site/index.html"

clean:
	rm -rf $(VENV) build site *.egg-info

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "needs Python 3.11, 3.12 or 3.13; name one with PYTHON=/path/to/python"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	@touch $@
