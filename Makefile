# Everything that Satomori needs is installed from here; a machine with Python 3.11, pip and make is enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STORE ?= duckdb
VAR ?= ./var
PORT ?= 8000
DEMO_FLAGS ?=
WEB_SOURCES := $(shell find dashboards/web -type f -not -path '*/node_modules/*' 2>/dev/null)

COMPILE := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header

.PHONY: demo test test-slow lint bench lock clean web-check

demo: $(VENV)/.installed
	bash tools/ensure-server.sh mosquitto $(BIN)/pip
	@if [ "$(STORE)" = influxdb ]; then bash tools/ensure-server.sh influxdb $(BIN)/pip; fi
	$(BIN)/satomori demo --var $(VAR) --port $(PORT) --store $(STORE) $(DEMO_FLAGS)

test: lint web-check
	$(BIN)/python -m pytest -q -m "not slow"

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q -m slow

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

web-check: $(VENV)/.installed-dev
	$(BIN)/python build_web.py check

bench: $(VENV)/.installed
	$(BIN)/satomori bench ingest --json

# Renew the lock files; they name versions and hashes, no servers.
lock: $(VENV)/.installed-dev
	$(BIN)/python -m pip install -q uv
	$(COMPILE) --upgrade --extra embedded-broker --group dev tools/build.in pyproject.toml -o requirements-dev.lock
	$(COMPILE) -c requirements-dev.lock tools/build.in pyproject.toml -o requirements.lock
	$(COMPILE) -c requirements-dev.lock --extra embedded-broker tools/build.in pyproject.toml -o requirements-embedded.lock

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV) || ($(PYTHON) -m pip install --user virtualenv && $(PYTHON) -m virtualenv $(VENV))

$(VENV)/.installed: $(VENV)/bin/python requirements.lock pyproject.toml $(WEB_SOURCES)
	$(BIN)/python -m pip install -q --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(BIN)/python -m pip install -q --require-hashes -r requirements-dev.lock
	touch $@

clean:
	rm -rf $(VENV) dashboards/static dashboards/web/node_modules .mypy_cache .ruff_cache .pytest_cache
