# gelo: every target does its own set-up in .venv and is quick when that is there already.
#   make demo    the study in miniature, ends with a report
#   make check   lint, types and the fast tests, in two and a half minutes   make test    the tests, in twenty-five minutes
#   make long    those that take minutes each, before a release
#   make lint    ruff, codespell and mypy                                   make bench   the benchmarks
#   make docs    the pages of docs/ and the API as a site in site/          make clean   remove what make and gelo made here
#   make audit   known vulnerabilities of the pinned packages, where OSV answers
# PYTHON chooses the interpreter (3.11 to 3.13), VENV the folder; ARGS goes to the command: make demo ARGS="--set name=second"
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

unexport PYTHONDONTWRITEBYTECODE  # of the environment: hundreds of processes of the tests would each compile gelo anew

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1 && echo $$p && break; done)
ARGS ?=

.PHONY: help setup demo check test long lint docs bench audit clean

help:
	@sed -n 's/^# \?//; 1,8p' Makefile

setup: $(STAMP)

# The stamp is written last, so that an interrupted installation is done again.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "gelo needs Python 3.11, 3.12 or 3.13, found none; name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps clip-benchmark==1.6.2  # for one test: its lists of prompts
	@touch $@

demo: $(STAMP)
	$(BIN)/gelo run demo $(ARGS)

# A file's tests stay in one process; the slow ones, tests/e2e, come first. One thread each: they share the cores (a quarter faster).
# One process more than there are cores: a test of outages waits, and another works meanwhile.
test: $(STAMP)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest --numprocesses $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --maxprocesses 4 --dist loadfile --no-loadscope-reorder -m "not long" --durations 40 $(ARGS)

long: $(STAMP)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -m long $(ARGS)

# Before every commit. Tests with the mark slow, cluster or browser are left to `make test`.
check: lint
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m "not slow and not cluster and not browser and not long" $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy

# Strict: a link that leads nowhere fails it. To read it: python -m http.server -d site
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict $(ARGS)

# Writes docs/benchmarks.md. A quick look that writes nothing: make bench ARGS=--smoke
bench: $(STAMP)
	$(BIN)/python -m benchmarks $(ARGS)

audit: $(STAMP)
	$(BIN)/python .ci/audit $(ARGS)

# Removes out/ too: generated data, caches, sweeps and the tracking database of this folder.
clean:
	rm -rf $(VENV) out build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
