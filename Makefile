# Regulars, by hand. Every target sets up what it needs; a second call is quick.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
INSTALLED := $(VENV)/.installed
MARIADB := /usr/sbin/mariadbd
MANIFEST := dbt_project/target/manifest.json
DATABASE := $(VENV)/airflow.db
MODELS := $(shell find dbt_project -path dbt_project/target -prune -o -type f -print)

.PHONY: help install manifest docs demo up down test lint audit sbom bench lock clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(INSTALLED) ## install everything into .venv from the lock

$(VENV)/bin/python:
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { ./install-debian-packages && $(PYTHON) -m venv --clear $(VENV); }

$(INSTALLED): requirements.txt pyproject.toml plugins/regulars_airflow/provider.py | $(VENV)/bin/python
	@echo "Installing the locked packages into $(VENV) (about 1.2 GB) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check $$(grep -oE '^uv==[^ ]+' requirements.txt)
	@$(UV) pip sync --quiet --require-hashes --compile-bytecode --python $(BIN)/python requirements.txt
	@$(UV) pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	@touch $@

manifest: $(MANIFEST) ## have dbt list its models for Airflow; after each change of dbt_project

$(MANIFEST): $(MODELS) | $(INSTALLED)
	@$(BIN)/regulars dbt --quiet parse --target-path target
	@test -s $@ && touch $@

$(DATABASE): $(INSTALLED)
	@mkdir -p $(VENV)/airflow && rm -f $(VENV)/airflow/airflow.db
	@AIRFLOW_HOME=$(abspath $(VENV)/airflow) \
		AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=sqlite:///$(abspath $(VENV))/airflow/airflow.db \
		$(BIN)/airflow db migrate >$(VENV)/airflow/migrate.log 2>&1 || { cat $(VENV)/airflow/migrate.log; exit 1; }
	@mv $(VENV)/airflow/airflow.db $@

docs: $(INSTALLED) ## one page that describes every model; says where it is
	@$(BIN)/regulars docs

demo: $(MANIFEST) $(DATABASE) ## real orders through the real Airflow into the sandbox, once, with a summary
	@$(BIN)/regulars local demo

up: $(MANIFEST) $(DATABASE) ## start Airflow, the sandbox and its page on loopback, and leave them running
	@$(BIN)/regulars local up

down: $(INSTALLED) ## stop what `up` started
	@$(BIN)/regulars local down

lint: $(INSTALLED) ## ruff, import-linter, mypy, sqlfluff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	REGULARS_WAREHOUSE=:memory: DO_NOT_TRACK=1 $(BIN)/sqlfluff lint --processes 2 dbt_project/models

$(MARIADB):
	@./install-debian-packages

test: lint $(MANIFEST) $(DATABASE) | $(MARIADB) ## everything CI runs
	$(BIN)/pytest -n 2 --dist loadfile

audit: sbom ## look what is locked up among the known vulnerabilities (asks the network)
	$(BIN)/pip-audit --requirement requirements.txt --require-hashes --disable-pip --strict

sbom: $(INSTALLED) ## write the bill of materials of what is locked (CycloneDX)
	@mkdir -p build && $(BIN)/python .ci/sbom.py requirements.txt build/sbom.cdx.json

bench: $(INSTALLED) ## the side-by-side benchmarks
	@$(BIN)/regulars bench

lock: $(INSTALLED) ## compile requirements.in into the lock
	$(UV) pip compile --quiet --generate-hashes --python-version 3.11 --no-header \
		--no-emit-index-url --no-emit-find-links requirements.in --output-file requirements.txt

clean: ## remove the environment and all local data
	rm -rf $(VENV) .regulars
