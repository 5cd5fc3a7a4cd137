# Every target makes the virtual environment first. Needs python3 (3.11 or newer), pip and make; not python3-venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(PYTHON) -m pip --python $(BIN)/python --quiet --quiet --disable-pip-version-check

.PHONY: demo test test-all check bench lock clean

demo: .venv/.installed            ## three Parquet tables become a gated, registered model with a report
	@test -e demo/flights.yaml || $(BIN)/ray-pipeline init flights demo
	$(BIN)/ray-pipeline run demo/flights.yaml

test: check .feast/.installed     ## everything but the long tests: at most 15 minutes on 2 cores
	$(BIN)/pytest -m "not long"

test-all: check .feast/.installed ## the long ones too: at most 60
	$(BIN)/pytest

check: .venv/.torch               ## lint, types, layers, spelling
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/typos

bench: .venv/.installed           ## one JSON line: our wall time against a plain script's
	$(BIN)/python benchmarks/bench_run.py

lock: .venv/.installed            ## pins every package anew, with hashes
	$(PIP) install uv
	$(BIN)/uv pip compile pyproject.toml --extra ui --extra jobs --extra delta --extra iceberg --extra dev --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate --upgrade -o requirements.lock

clean:
	rm -rf .venv .feast demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# pip works on the environment from outside, so that Debian's python3 without ensurepip will do.
.venv/.installed: requirements.lock pyproject.toml
	@echo "installing the locked packages into .venv (a few minutes, once)"
	$(PYTHON) -m venv --without-pip .venv
	$(PIP) install --require-hashes --only-binary :all: -r requirements.lock
	$(PIP) install --no-deps --editable .
	@touch $@

# Outside the lock: each platform and accelerator has a build of its own, with hashes of its own.
TORCH ?= torch==2.13.*
.venv/.torch: .venv/.installed
	$(PIP) install "$(TORCH)"
	@touch $@

# Feast needs an older pandas, so it has an environment of its own.
.feast/.installed:
	$(PYTHON) -m venv --without-pip .feast
	$(PYTHON) -m pip --python .feast/bin/python --quiet --quiet --disable-pip-version-check install "feast==0.67.*"
	@touch $@
