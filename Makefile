# `make demo` and `make test` need Python 3.11, gcc and nothing else of ours; neither needs root.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := models datasets signatures dataplane learner enforcer evaluation ci_plugin

.DEFAULT_GOAL := help
.PHONY: help demo demo-docker test check lint types layers docs format \
	bench-dataplane bench-detection bench-signatures rule-sameness clean

help: ## Show what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

# The stamp is newer than pyproject.toml once everything that it names is installed.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(VENV)/installed ## Learn from recorded WordPress traffic, enforce, attack, explain
	$(BIN)/python demo/recorded.py

demo-docker: $(VENV)/installed ## The same against real containers (root, Docker engine)
	$(BIN)/python demo/containers.py

test: $(VENV)/installed ## All tests; those with containers where a Docker engine answers
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: lint types layers test ## Everything that CI asks for

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed
	MYPYPATH=.typing $(BIN)/mypy $(foreach package,$(PACKAGES),-p cnaf.$(package))

layers: $(VENV)/installed
	PYTHONPATH=.typing $(BIN)/lint-imports

docs: $(VENV)/installed ## Only the checks of the documents, which are part of test
	$(BIN)/python -m pytest tests/docs

format: $(VENV)/installed ## Format and sort
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-dataplane: $(VENV)/installed ## Raw HAProxy, protected, nginx with ModSecurity and CRS
	$(BIN)/python benchmarks/dataplane.py

bench-signatures: $(VENV)/installed ## The Core Rule Set here and in libmodsecurity (CRS4_DIR, CRS_TESTS)
	$(BIN)/python benchmarks/signatures.py $(SIGNATURES_ARGS)

rule-sameness: $(VENV)/installed ## Regression tests and 50,000 fuzzed requests: SAMENESS_ARGS='--data FOLDER'
	$(BIN)/python benchmarks/rule_sameness.py $(SAMENESS_ARGS)

bench-detection: $(VENV)/installed ## Attacks and false positives; data sets: EVALUATE_ARGS='--data FOLDER'
	$(BIN)/python benchmarks/detection.py $(EVALUATE_ARGS)

clean: ## Remove what make has made
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
