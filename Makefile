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

# $(call install,WORDS): by uv, or by pip where uv is not to be had or does not reach the index that pip knows.
install = { PATH="$$PATH:$(BIN)" uv pip install --quiet --python $(BIN)/python $(1) || $(BIN)/pip install --quiet $(1); }

.venv/installed: pyproject.toml requirements.txt requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit("python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	@uv --version >/dev/null 2>&1 || $(BIN)/pip install --quiet --require-hashes -r requirements-uv.txt || true
	@sed -n '/^setuptools==/,/[^\\]$$/p' requirements.txt >.venv/setuptools.txt
	@$(call install,--require-hashes -r .venv/setuptools.txt)
	$(call install,--require-hashes --no-build-isolation -r requirements.txt)
	@$(call install,--no-deps --no-build-isolation --editable .)
	touch $@

# Keeps the versions that still fit pyproject.toml; PINS=--upgrade takes the newest.
PINS ?=
pins: export UV_CUSTOM_COMPILE_COMMAND = make pins
pins: setup
	PATH="$$PATH:$(BIN)" uv pip compile $(COMPILE) --extra test --group setup pyproject.toml --output-file requirements.txt
	PATH="$$PATH:$(BIN)" uv pip compile $(COMPILE) --group uv --output-file requirements-uv.txt
