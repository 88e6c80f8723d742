# make base: set up and run the main job.  make test: set up and pass the tests.  make setup: the environment alone.
# make browser: the report in a real browser (Debian: apt install chromium chromium-driver).
# make schema: write conf/schema.json, which editors complete conf/*.yaml from.
# make cluster: the job scripts and the launcher on a real SLURM cluster of this one machine (Debian, as root).
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: base test browser cluster schema setup
base: setup
	$(BIN)/python train.py experiment=base $(ARGS)

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(ARGS)

browser: setup
	$(BIN)/python -m pytest tests/browser

cluster: setup
	$(BIN)/python -m pytest tests/cluster $(ARGS)

schema: setup
	$(BIN)/python -m lightning_diff.config.json_schema

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@
