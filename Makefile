# Every habit is a target; `make` alone lists them.
SHELL := /bin/bash
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null)
PROTOS_VENV := .venv-protos
.DEFAULT_GOAL := help
.PHONY: help setup peers demo dev test check fast scenarios acceptance acceptance-both format lint imports types protos protos-check \
        docs docs-check openapi openapi-check migration lock lock-check bench reliability clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: $(VENV)/.installed ## make .venv with everything that development and the tests need

$(VENV)/.installed: pyproject.toml requirements.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
ifdef UV
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
else
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
endif
	@touch $@

# What the tests are checked against, each in an environment of its own because their libraries
# are not the server's: the real Prefect, and the clouds' stand-ins and API descriptions.
PEERS := prefect clouds

.venv-%/.installed: tests/peers/%.lock | setup
	@test -x .venv-$*/bin/python || $(PYTHON) -m venv .venv-$*
	$(BIN)/uv pip install --quiet --python .venv-$*/bin/python --require-hashes -r $<
	@touch $@

peers: $(PEERS:%=.venv-%/.installed) ## make the environments of the real Prefect and of the clouds' stand-ins

# --- protocol contracts ----------------------------------------------------------------------
# The generator has an environment of its own (see the dependency group `protos`). The mapping
# of the include path gives the generated modules package-qualified imports.
PB := provider/forebay_provider/pb
PROTOC = $(PROTOS_VENV)/bin/python -m grpc_tools.protoc -Iforebay_provider/pb=protos

$(PROTOS_VENV)/.installed: protos/requirements.lock
	@test -x $(PROTOS_VENV)/bin/python || $(PYTHON) -m venv $(PROTOS_VENV)
	$(PROTOS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

protos: $(PROTOS_VENV)/.installed ## regenerate the provider's messages from protos/
	$(PROTOC) --python_out=provider --pyi_out=provider protos/*.proto

protos-check: $(PROTOS_VENV)/.installed ## fail when the generated messages are not those of protos/
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(PROTOC) --python_out="$$folder" --pyi_out="$$folder" protos/*.proto && \
	diff -r -x __init__.py -x __pycache__ "$$folder/forebay_provider/pb" $(PB) && \
	echo "$(PB) is current"

# --- everyday -----------------------------------------------------------------------------------
demo: setup ## the whole way in one go: server, Terraform, worker, a run and its logs
	@$(BIN)/python examples/quickstart/demo.py

dev: setup ## a server on port 4200 in .dev/; start workers beside it
	@FOREBAY_HOME=$(CURDIR)/.dev FOREBAY_LOG_LEVEL=info $(BIN)/forebay server start

test: setup peers check ## everything that must hold: static checks, then every test
	@$(BIN)/pytest -n 2 --dist worksteal

fast: setup ## the tests that need no outside program
	@$(BIN)/pytest -n 2 --dist worksteal -m "not terraform and not postgres"

scenarios: setup peers ## what each worker type does in each scenario, as a table from the tests' results
	@$(BIN)/python -m tests.worker.scenarios -n 2

acceptance: setup peers ## real Terraform against a real server and a real worker
	@$(BIN)/pytest tests/acceptance

acceptance-both: setup peers ## all tests of Terraform, each that can on the real Prefect's server too
	@$(BIN)/pytest -n 2 --dist worksteal -m terraform --both-servers tests/acceptance

check: lint imports types protos-check openapi-check docs-check ## static checks

lint: setup ## format and lint, without changing anything
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .

format: setup ## format, and mend what the linter can mend
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

imports: setup ## who may import whom
	@$(BIN)/lint-imports

types: setup ## strict types
	@$(BIN)/mypy

# SECONDS= of one measurement; DB=sqlite; ONLY="delivery claims"; SERVERS=2 on one PostgreSQL;
# LARGE=1 for 5 million finished runs; PEER=1 for the original's server in turns with ours.
bench: setup $(if $(PEER),.venv-prefect/.installed) ## measure against targets, floors and, with PEER=1, the original
	@$(BIN)/python -m bench --keep bench/results \
	  $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SERVERS),--servers $(SERVERS)) \
	  $(DB:%=--db %) $(ONLY:%=--only %) $(if $(LARGE),--large) $(if $(PEER),--peer)

reliability: setup ## race, starve, cut off and kill on purpose: figures and their bounds; NIGHT=1 takes a night
	@$(BIN)/python -m tests.reliability $(if $(NIGHT),--tier night) $(if $(ONLY),--only "$(ONLY)")

# --- what is generated ---------------------------------------------------------------------------
migration: setup ## write the next migration: make migration m="what changes"
	@$(BIN)/python -m forebay_server.db.migrate "$(m)"
	@$(BIN)/ruff format --quiet server/forebay_server/db/migrations/versions

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
          --no-emit-index-url --no-emit-find-links --no-annotate --all-extras \
          --group pyproject.toml:dev --custom-compile-command "make lock" pyproject.toml

lock: ## resolve the dependencies anew into requirements.lock
	@$(COMPILE) --upgrade -o requirements.lock
	@for peer in $(PEERS); do \
	  $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-annotate \
	  --custom-compile-command "make lock" tests/peers/$$peer.in -o tests/peers/$$peer.lock; done

lock-check: ## fail when requirements.lock does not fit pyproject.toml
	@copy=$$(mktemp) && trap 'rm -f "$$copy"' EXIT && cp requirements.lock "$$copy" && \
	$(COMPILE) -o "$$copy" && diff -q requirements.lock "$$copy" || { echo "run: make lock"; exit 1; }

provider-release: setup ## zips, checksums and manifest for a registry, and a network mirror
	@$(BIN)/python -m forebay_provider.release --dir dist/provider --mirror dist/provider-mirror
	@echo "sign: gpg --detach-sign dist/provider/*_SHA256SUMS   (an RSA key; registries take no ECC)"

clean: ## remove what the targets above made
	rm -rf .venv .venv-protos $(PEERS:%=.venv-%) .dev .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

openapi: setup ## write protos/openapi.json and docs/api.md from the server's routes
	@$(BIN)/python -m forebay_server.openapi
	@$(BIN)/python -m forebay_server.api_page

openapi-check: setup ## fail when protos/openapi.json or docs/api.md is stale
	@$(BIN)/python -m forebay_server.openapi --check
	@$(BIN)/python -m forebay_server.api_page --check

docs: setup ## write the registry pages and those of worker types, from declarations and examples
	@$(BIN)/python -m forebay_provider.docs
	@$(BIN)/python -m forebay_worker.type_pages

docs-check: setup ## fail when one of these pages is stale
	@$(BIN)/python -m forebay_provider.docs --check
	@$(BIN)/python -m forebay_worker.type_pages --check
