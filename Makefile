# Everything that Satomori needs is installed from here; a machine with Python 3.11, pip and make is enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STORE ?= duckdb
VAR ?= ./var
PORT ?= 8000
DEMO_FLAGS ?=
MINUTES ?= 10
TARGET ?=
TEST_FLAGS ?=
BENCH_FLAGS ?=
MINUTES ?= 60
SEED ?=
WEB_SOURCES := $(shell find dashboards/web -type f -not -path '*/node_modules/*' 2>/dev/null)

PIP := $(BIN)/python -m pip --disable-pip-version-check
COMPILE := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header

.PHONY: demo test test-slow chaos lint bench bench-all lock audit clean web-check

demo: $(VENV)/.installed
	bash tools/ensure-server.sh mosquitto $(BIN)/pip
	@if [ "$(STORE)" = influxdb ]; then bash tools/ensure-server.sh influxdb $(BIN)/pip; fi
	$(BIN)/satomori demo --var $(VAR) --port $(PORT) --store $(STORE) $(DEMO_FLAGS)

test: lint web-check
	$(BIN)/python -m pytest -q -m "not slow" $(TEST_FLAGS)

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q -m slow $(TEST_FLAGS)

# Calamities at random under load; SEED=… repeats a plan, which is printed first.
chaos: $(VENV)/.installed-dev
	SATOMORI_CHAOS_MINUTES=$(MINUTES) SATOMORI_CHAOS_SEED=$(SEED) \
	  $(BIN)/python -m pytest -q -s -m slow $(TEST_FLAGS) tests/system/test_chaos.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/licences.py requirements.lock requirements-embedded.lock requirements-dev.lock

web-check: $(VENV)/.installed-dev
	$(BIN)/python build_web.py check

bench: $(VENV)/.installed
	$(BIN)/satomori bench ingest --json

# Everything in docs/performance.md, on a machine that does nothing else: about 25 minutes, with
# BENCH_FLAGS=--long ten more; BENCH_FLAGS=--quick only sees whether all of it runs. What is in the
# file already is not run again.
bench-all: $(VENV)/.installed
	$(BIN)/python -m bench.campaign $(VAR)/bench.jsonl $(BENCH_FLAGS)
	$(BIN)/python -m bench.campaign $(VAR)/bench.jsonl --table

# Fuzz a target of tests/fuzz guided by coverage; without TARGET all of them, one after the other.
fuzz: $(VENV)/.installed-dev
	$(PIP) install -q --require-hashes -r requirements-fuzz.lock
	for target in $(or $(TARGET),$$($(BIN)/python -m tests.fuzz.targets)); do \
		$(BIN)/python -m tests.fuzz.run $$target --minutes $(MINUTES) || exit 1; done

# Known vulnerabilities of what the locks pin; needs the network.
audit: $(VENV)/.installed-dev
	$(BIN)/pip-audit -r requirements.lock
	$(BIN)/pip-audit -r requirements-dev.lock

# Renew the lock files; they name versions and hashes, no servers.
lock: $(VENV)/.installed-dev
	$(PIP) install -q uv
	$(COMPILE) --upgrade --extra embedded-broker --group dev tools/build.in pyproject.toml -o requirements-dev.lock
	$(COMPILE) -c requirements-dev.lock tools/build.in pyproject.toml -o requirements.lock
	$(COMPILE) -c requirements-dev.lock --extra embedded-broker tools/build.in pyproject.toml -o requirements-embedded.lock

# Debian ships venv without ensurepip; then the machine's pip puts a pip there.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; this is " + sys.version + "\nmake PYTHON=/path/to/python3.11 …")'
	$(PYTHON) -m venv $(VENV) >/dev/null || { $(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $@ install -q pip; }

$(VENV)/.installed: $(VENV)/bin/python requirements.lock pyproject.toml build_web.py $(WEB_SOURCES)
	@echo "installing into $(VENV) and building the web app: about a minute"
	$(PIP) install -q --require-hashes -r requirements.lock
	$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(PIP) install -q --require-hashes -r requirements-dev.lock
	@touch $@

clean:
	rm -rf $(VENV) dashboards/static dashboards/web/node_modules .mypy_cache .ruff_cache .pytest_cache
