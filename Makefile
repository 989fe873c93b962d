# make bench   set up, compare a VAE and jigsaw puzzles on bundled handwriting, say where the report is
# make test    set up and run the tests
# make lint    formatting, style, types, and the GitHub Action by its schema
# make check   lint, and the fast tests until one fails
# make wheel   build a wheel, install it alone into a new environment, and run a bench from there
# make gate    is this working folder as good and as fast as its base (BASE=..., by default where it left main)?
# make faults  misbehaving plugins, damaged files, hostile runs and folders: the tests of tests/faults, slow ones too
#              (HARNESS_INPUTS=20000 inputs of each kind, HARNESS_KILLS=200 kills)
# make slow    the checks that take minutes
# make oldest  the fast tests with the oldest versions of what Harness depends on (torch and torchvision aside)
# make gpu     the tests that want a CUDA GPU
# make speed   measurements, side by side with other libraries
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

SUITES := benchmarks/suites

.PHONY: bench test lint check wheel gate faults slow oldest gpu speed clean

bench: $(VENV)/.installed
	$(BIN)/harness bench --plugins vae,jigsaw

test: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n logical

lint: $(VENV)/.installed-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows docs/ci/*.yml

check: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n logical -x -q

wheel: | $(BIN)/python
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(PYTHON) -m venv dist/venv
	dist/venv/bin/python -m pip install --quiet dist/*.whl
	cd dist && venv/bin/harness bench --plugins vae --seeds 1 --budget '20 steps' --out run
	rm -rf dist/venv

gate: $(VENV)/.installed
	$(BIN)/harness gate $(SUITES)/gate.toml --margins benchmarks/gate/margins.toml --minutes 4 $(if $(BASE),--base $(BASE))

faults: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/faults -m "slow or not slow" -n logical

slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m slow

oldest:
	$(PYTHON) -m venv $(VENV)-oldest
	$(PYTHON) tests/oldest.py > $(VENV)-oldest/constraints.txt
	$(VENV)-oldest/bin/python -m pip install --quiet --editable '.[test]' --constraint $(VENV)-oldest/constraints.txt
	OMP_NUM_THREADS=1 $(VENV)-oldest/bin/python -m pytest -m "not slow" -n logical -W default

gpu: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/gpu -m "not slow" -n 8

speed: $(VENV)/.installed-benchmarks
	$(BIN)/python -m pytest benchmarks/speed benchmarks/peers -o addopts="" -s

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-check: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[test,check]'
	touch $@ $(VENV)/.installed $(VENV)/.installed-test

$(VENV)/.installed-benchmarks: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[test,benchmarks]'
	touch $@ $(VENV)/.installed $(VENV)/.installed-test

clean:
	rm -rf $(VENV) $(VENV)-oldest build dist *.egg-info
