# make base: set up and run the main job.  make test: set up and pass the tests.  make setup: the environment alone.
# make pins: requirements.txt anew from pyproject.toml.  make oldest: tests with the oldest versions that pyproject.toml allows.
# make site: the documentation as a site, build/site/index.html.
# make browser: the report, the explorer's page and the site in a real browser (Debian: apt install chromium chromium-driver).
# make schema: write conf/schema.json, which editors complete conf/*.yaml from.
# make wheel: the wheel in a new environment.
# make gpu: what only a GPU can show: the same bits after a kill, recorded steps, the main job.
# make cluster: the job scripts and the launcher on a real SLURM cluster of this one machine (Debian, as root).
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
# Where this is set, each start of python compiles all of torch again: 16 seconds instead of 5.
export PYTHONDONTWRITEBYTECODE :=

# make real: 785 real captioned pictures from a Debian package (as root or with its lists), prepared, trained and measured.
.PHONY: base test real site browser cluster gpu wheel schema setup pins oldest
base: setup
	$(BIN)/python train.py experiment=base $(ARGS)

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n logical --maxprocesses 8 $(ARGS)

site: .venv/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

browser: setup site
	$(BIN)/python -m pytest tests/browser $(ARGS)

real: setup
	$(BIN)/python experiments/stamps/stamps.py outputs/tuxpaint
	rm -rf outputs/seen
	$(BIN)/python prepare.py data=folder source=outputs/tuxpaint show=outputs/seen
	$(BIN)/python train.py experiment=stamps $(ARGS)

# The wheel in a new environment and an empty folder: what the scripts do here, its console command does there.
SHORT := data.train=96 data.test=64 training.steps=3 training.batch=8 net=tiny sampler.steps=2 evaluation.samples=8 tracking=disabled
wheel: setup
	rm -rf build/empty build/venv build/lib build/bdist* build/*.whl && mkdir -p build/empty && $(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build .
	$(PYTHON) -m venv build/venv
	$(uv) pip install --quiet --python build/venv/bin/python --constraint requirements.txt build/*.whl || build/venv/bin/pip install --quiet --constraint requirements.txt build/*.whl
	cd build/empty && export PATH="$(CURDIR)/build/venv/bin:$$PATH" && \
		lightning-diff --version && lightning-diff sample prompt="a red mug" count=1 sampler.steps=2 && \
		lightning-diff doctor experiment=base $(SHORT) && lightning-diff prepare data=still_life data.train=96 data.test=64 && \
		lightning-diff train experiment=base $(SHORT) name=trial training.devices=2 training.accelerator=cpu && \
		lightning-diff evaluate run=trial guidance.scales=[2] && lightning-diff runs && lightning-diff export --help && \
		python -c 'import lightning_diff as ld; assert ld.load("outputs/trial")("a mug").size == (64, 64)'

gpu: setup
	$(BIN)/python -m pytest tests/gpu $(ARGS)

cluster: setup
	$(BIN)/python -m pytest -n 2 tests/cluster $(ARGS)

schema: setup
	$(BIN)/python -m lightning_diff.config.json_schema

setup: .venv/installed

# $(call install,WORDS): with uv, from the PATH or .venv, or with pip where there is none or it does not reach an index.
uv := PATH="$$PATH:$(BIN)" uv
install = { $(uv) --version >/dev/null 2>&1 && $(uv) pip install --quiet --compile-bytecode --python $(BIN)/python $(1); } || $(BIN)/pip install --quiet $(1)

.venv/installed: pyproject.toml requirements.txt requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit("python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	@uv --version >/dev/null 2>&1 || $(BIN)/pip install --quiet --require-hashes -r requirements-uv.txt >/dev/null 2>&1 || echo 'no uv to be had; pip takes some minutes'
	@sed -n '/^setuptools==/,/[^\\]$$/p' requirements.txt >.venv/setuptools.txt
	@$(call install,--require-hashes -r .venv/setuptools.txt)
	@echo 'installing requirements.txt'
	@$(call install,--require-hashes --no-build-isolation -r requirements.txt)
	@$(call install,--no-deps --no-build-isolation --editable .)
	@touch $@

.venv/site: .venv/installed requirements-docs.txt
	@$(call install,--require-hashes -r requirements-docs.txt)
	@touch $@

# Versions that still fit pyproject.toml stay; make pins ARGS=--upgrade takes the newest.
pins: setup
	@for words in "--extra test --group setup pyproject.toml -o requirements.txt" "--group uv -o requirements-uv.txt" "--group docs --constraint requirements.txt -o requirements-docs.txt"; do \
		UV_CUSTOM_COMPILE_COMMAND='make pins' $(uv) pip compile --quiet --universal --generate-hashes --python-version 3.11 $(ARGS) $$words || exit; \
	done

OLDEST := .venv-oldest
oldest: setup
	$(PYTHON) -m venv $(OLDEST)
	$(uv) pip install --quiet --python $(OLDEST)/bin/python --resolution lowest-direct --editable '.[test]'
	PYTHONPATH=. $(OLDEST)/bin/python -m pytest tests/diffusion tests/nets tests/data tests/tracking tests/test_config.py tests/test_private_doors.py \
		tests/pipeline/test_experiments.py::test_every_experiment_runs $(ARGS)
