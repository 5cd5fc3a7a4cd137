# Each target makes the virtual environment first. Needs python3 (3.11 to 3.13), pip and make; not python3-venv.
# `make test PYTHON=python3.12` takes another Python, where `.venv` is not made yet (`make clean` removes it).
PYTHON ?= python3
BIN := .venv/bin
PIP := $(PYTHON) -m pip --python $(BIN)/python --quiet --quiet --disable-pip-version-check
# A lock is whole, so pip resolves nothing: its resolver looks for the newest `pydantic[email]` where the lock pins
# `pydantic` alone, and then refuses it for want of a hash.
INSTALL_LOCKED := $(PIP) install --require-hashes --no-deps --only-binary :all:
COMPILE := $(BIN)/uv pip compile pyproject.toml --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate

# Processes run the tests, three at a time: those that share one Ray, those that start their own and mostly wait, and two
# for all others.
TESTS := $(MAKE) --jobs 3 --output-sync=target --keep-going pytest-ray pytest-own-ray pytest-plain pytest-stores
STORES := tests/data tests/registry tests/storage tests/faults tests/report

.PHONY: demo test test-ci test-all pytest-ray pytest-own-ray pytest-plain pytest-stores check docs pictures bench lock clean

demo: .venv/.runtime              ## three feature tables become a gated, registered model with a report
	@test -e demo/flights.yaml || $(BIN)/ray-pipeline init flights demo
	$(BIN)/ray-pipeline run demo/flights.yaml

test: check .feast/.installed     ## all checks, and all tests that are neither slow nor long, in ten minutes
	$(TESTS) SELECT="and not slow and not long"

test-ci: check .feast/.installed  ## the slow tests too, whole runs most of them
	$(TESTS) SELECT="and not long"

test-all: check .feast/.installed ## all checks and all tests
	$(TESTS)

pytest-ray:
	$(BIN)/pytest -m "ray and not own_ray $(SELECT)"

pytest-own-ray:
	$(BIN)/pytest -m "own_ray $(SELECT)" -p no:cacheprovider

pytest-plain:
	$(BIN)/pytest -m "not ray $(SELECT)" -p no:cacheprovider $(STORES:%=--ignore=%)

pytest-stores:
	$(BIN)/pytest -m "not ray $(SELECT)" -p no:cacheprovider $(STORES)

check: .venv/.dev                 ## format, lint, types, layers, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/typos

docs: .venv/.dev                  ## builds the documentation site into site/; warnings are errors, nothing is fetched
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

pictures: .venv/.dev              ## makes the pictures of docs/ anew, from the runs of the tutorials
	UPDATE_PICTURES=1 $(BIN)/pytest tests/test_pages.py -k reading-a-report -p no:cacheprovider

bench: .venv/.dev                 ## the short benchmarks; flags a ratio that is 15 % worse than the recorded one
	$(BIN)/python benchmarks/quick.py

# The run-time lock takes its versions from the development lock, so both environments agree.
lock: .venv/.dev                  ## pins the newest version of each package, with hashes, in both locks
	$(PIP) install uv
	$(COMPILE) --extra catboost --extra lightgbm --extra ui --extra jobs --extra delta --extra iceberg --extra sign --extra sql --extra docs --extra onnx --extra dev --upgrade -o requirements-dev.lock
	$(COMPILE) --extra jobs --constraint requirements-dev.lock --upgrade -o requirements.lock

clean:
	rm -rf .venv .feast demo build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# pip works on the environment from outside, because Debian's python3 has no ensurepip.
$(BIN)/python:
	$(PYTHON) -m venv --without-pip .venv

.venv/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing the packages of requirements.lock into .venv (a few minutes, once)"
	$(INSTALL_LOCKED) -r requirements.lock
	$(PIP) install --no-deps --editable .
	@touch $@

# torch is outside the lock: each platform and accelerator has its own build with its own hashes.
TORCH ?= torch==2.13.*
.venv/.dev: requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo "installing the packages of requirements-dev.lock and torch into .venv (a few minutes, once)"
	$(INSTALL_LOCKED) -r requirements-dev.lock
	$(PIP) install --no-deps --editable .
	$(PIP) install "$(TORCH)"
	@touch .venv/.runtime $@

# Feast needs an older pandas, so it has its own environment.
.feast/.installed:
	$(PYTHON) -m venv --without-pip .feast
	$(PYTHON) -m pip --python .feast/bin/python --quiet --quiet --disable-pip-version-check install "feast==0.67.*"
	@touch $@
