# What people type. Everything runs in .venv, which the first target that needs it makes from requirements.lock.
PYTHON ?= python3.11
# Annotated micrographs to train on beside synthetic ones.
REAL ?= ../shared/data/real
# Where `make studies` works.
STUDIES ?= runs/studies
# For `make faults`: 1 takes hours instead of minutes. SEED decides what dies when.
LONG ?=
SEED ?= 1
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Processes of this environment keep what they have compiled: each would otherwise take seconds to do it again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo up lab test test-pages check bench faults load bench-serve lock studies train clean

help:  ## say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 18

# --no-deps: the lock is complete, so pip has nothing to resolve. --no-compile: modules are compiled when they are
# first imported, which spares a minute on packages that most commands never touch.
$(READY): requirements.lock
	@echo "Setting up $(VENV) from requirements.lock: a few minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)  ## analyse the bundled micrograph and say where the results are
	$(BIN)/isletnet analyse samples --out demo --sample "Bundled sample" --overwrite

up: $(READY)  ## start the service and its pages on this machine, until Ctrl-C
	@$(BIN)/isletnet up

lab: $(READY)  ## open JupyterLab with the example notebooks and the studies
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks/examples/quickstart.ipynb

test: $(READY)  ## run the tests
	$(BIN)/python -m pytest --quiet

test-pages: $(READY)  ## run the tests of pages and notebooks alone, also those on a whole platform
	$(BIN)/python -m pytest --quiet -m browser

check: $(READY)  ## run the linters, the type check and the import contracts
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell isletnet serve tests docs *.md changes

bench: $(READY)  ## measure speed, memory and accuracy, with ratios against the classic ways
	$(BIN)/python -m tests.benchmarks

# What the ignored test sees is seen in a larger form here; `make test` has it.
faults: $(READY)  ## kill, fill, cut off and overload a real platform; print what was promised and measured
	FAULTS_LONG=$(LONG) FAULTS_SEED=$(SEED) $(BIN)/python -m pytest tests/faults -m "slow or not slow" --durations 12 --quiet \
		--ignore tests/faults/test_end_to_end.py

load: $(READY)  ## send a real platform three times what it can do
	$(BIN)/python -m tests.load --seed $(SEED)

bench-serve: $(READY)  ## measure the service over HTTP against the library in one process
	$(BIN)/python -m tests.benchmarks.serve

# The micrographs are drawn once; a second run does only what changed.
studies: $(READY)  ## make all figures and tables of a publication from 40 synthetic micrographs (minutes)
	test -f $(STUDIES)/drawn/truth.csv || $(BIN)/isletnet synth --out $(STUDIES)/drawn --count 40
	$(BIN)/isletnet study pipeline --images $(STUDIES)/drawn/images --truth $(STUDIES)/drawn/truth.csv \
		-p annotations=$(STUDIES)/drawn -p synthetic_stack=true --out $(STUDIES)/publication

train: $(READY)  ## make both bundled networks again (hours; see CONTRIBUTING.md)
	$(BIN)/isletnet train --work runs --out isletnet/networks/bundled --real $(REAL)

lock: $(READY)  ## pin every dependency again, with hashes; also writes environment.yml
	$(BIN)/uv pip compile pyproject.toml --all-extras --quiet --upgrade --generate-hashes --no-annotate \
		--no-emit-index-url --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
		--custom-compile-command "make lock" --output-file requirements.lock
	$(BIN)/python tools/environment.py

clean:  ## remove what was built, but not your results
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache demo
