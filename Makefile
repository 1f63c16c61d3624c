# Every habit is a target; `make` alone lists them.
SHELL := /bin/bash
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null)
PROTOS_VENV := .venv-protos
.DEFAULT_GOAL := help
.PHONY: help setup demo dev test check acceptance format lint imports types protos protos-check \
        docs docs-check openapi openapi-check migration lock bench clean

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

migration: setup ## write the next migration: make migration m="what changes"
	@$(BIN)/python -m forebay_server.db.migrate "$(m)"
	@$(BIN)/ruff format --quiet server/forebay_server/db/migrations/versions
