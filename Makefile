# Every command a person needs. The other targets call `make install` by themselves when it is due.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# How many processes run the tests.
WORKERS ?= 2
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install
LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --only-binary :all: --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: install
install: $(STAMP) ## Make .venv with the command .venv/bin/stackledger (PYTHON=... picks the interpreter)

# The locked wheels, each checked against its hash, then this tree in place. Any python3 of at least 3.11 will do.
$(STAMP): pyproject.toml requirements/dev.txt requirements/tools.txt
	@python=""; \
	for candidate in $${PYTHON:-python3 python3.13 python3.12 python3.11}; do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Stackledger needs Python 3.11 or newer, and found: $$($${PYTHON:-python3} --version 2>&1 || true)" >&2; \
	  echo "Install one, or name it: make install PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	echo "Installing into $(VENV) with $$("$$python" --version 2>&1) ..."; \
	[ -x $(BIN)/python ] && $(BIN)/python -m pip --version >/dev/null 2>&1 || "$$python" -m venv --clear $(VENV)
	@$(PIP) --require-hashes --only-binary :all: -r requirements/dev.txt
	@$(PIP) --require-hashes --only-binary :all: --no-deps -r requirements/tools.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@
	@echo "Installed. Next: make demo"

.PHONY: demo
demo: $(STAMP) ## A whole platform on this machine: no cluster, no Docker (Ctrl-C stops)
	@$(BIN)/stackledger demo

.PHONY: lint
lint: $(STAMP) ## Style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.PHONY: test
test: lint ## Everything that can be checked without a cluster
	@$(BIN)/python -m pytest -n $(WORKERS)

# Errors, deaths and other actors at every call; of the rarer kinds one in THIN (1: all of them). Which third it is moves
# on with every commit; PART=1, 2 or 3 chooses. (A clone cut off at depth n counts n: give PART there.)
THIN ?= 3
PART ?= $(shell git rev-list --count HEAD 2>/dev/null || echo 1)
.PHONY: faults
faults: $(STAMP) ## A fault at every call of ten workloads, in the simulator (four minutes); THIN=1 tries every kind everywhere
	@$(BIN)/python -m tests.simulation --every --thin $(THIN) --part $(PART) --processes $(WORKERS)

# SEEDS seeds from FROM on: as many orders of everything, with pairs and triples of faults.
SEEDS ?= 20
FROM ?= 1
.PHONY: soak
soak: $(STAMP) ## SEEDS=n: n random orders of every workload, with pairs and triples of faults drawn by each
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --seed $(FROM) --processes $(WORKERS)

.PHONY: bench
bench: $(STAMP) ## Speed against the peers, in one run; fails when a bar is missed
	@$(BIN)/python -m benchmarks

.PHONY: bench-cluster
bench-cluster: $(STAMP) ## The operator's speed on a real control plane, beside a bare client (half an hour)
	@$(BIN)/python -m tests.controlplane.build
	@$(BIN)/python -m benchmarks.cluster

.PHONY: test-cluster
test-cluster: $(STAMP) ## Emulator and operator against a real Kubernetes API server (built from source the first time)
	@[ -n "$${STACKLEDGER_TEST_KUBECONFIG:-}" ] || $(BIN)/python -m tests.controlplane.build
	@$(BIN)/python -m pytest -n $(WORKERS) --control-plane tests/contract tests/cluster

# For each server: sandbox, apiserver, or both (the real one only where there is one, or Go to build it with).
MINUTES ?= 10
SERVER ?= both
.PHONY: chaos
chaos: $(STAMP) ## Processes killed, connections cut, servers away, for MINUTES=10; SEED=n SERVER=sandbox|apiserver|both
	@$(BIN)/python -m tests.chaos --minutes $(MINUTES) --server $(SERVER) $(if $(SEED),--seed $(SEED))

.PHONY: lock
lock: $(STAMP) ## Resolve the newest dependencies again and pin them by hash
	@$(LOCK) --upgrade pyproject.toml -o requirements/runtime.txt
	@$(LOCK) --upgrade --constraints requirements/runtime.txt --group dev pyproject.toml -o requirements/dev.txt
	@$(LOCK) --upgrade --constraints requirements/dev.txt --group pyproject.toml:build -o requirements/build.txt
	@$(LOCK) --upgrade --no-deps --group pyproject.toml:tools -o requirements/tools.txt
	@$(LOCK) --upgrade --no-deps --group pyproject.toml:go -o requirements/go.txt

.PHONY: clean
clean: ## Remove what was installed and cached
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build
