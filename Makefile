# Everything a person runs. `make help` lists it.
SHELL := bash
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.local/venv/bin:$(PATH)
export TZ := UTC
export PYTHONDONTWRITEBYTECODE :=
export PYTHON TORCH_BACKEND BROWSER POSTGRES CLIENTS UPGRADE

# Driftloop's own commands take more arguments so: make demo ARGS='--seed 3'
ARGS ?=

PACKAGES = $(wildcard driftloop services loops tests feature_repo)

.PHONY: help setup protos lock check lint types imports vocabulary unit unit-shared unit-data unit-life test proofs demo demo-year stories up down status clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## all that driftloop needs, into .local (TORCH_BACKEND=cpu: no CUDA; for more tests BROWSER=1, POSTGRES=1, CLIENTS=1)
	@infra/setup/setup.sh

demo: setup ## the whole story on real flights, with a report in out/demo
	driftloop demo $(ARGS)

demo-year: setup ## the same on all flights of 2013, with a report in out/demo-year: fourteen to twenty minutes on two cores
	driftloop demo --plan demo-year $(ARGS)

stories: setup ## the story for several seeds and starting dates
	python -m loops.flights.simulate --table --seeds 5 --start 2012-12-31 2013-01-14 2013-01-28 $(ARGS)

up: setup ## start the system
	driftloop up $(ARGS)

down: ## stop the system
	driftloop down $(ARGS)

status: setup ## what runs, and how well
	driftloop status $(ARGS)

check: | setup ## what must hold before a commit, three parts at a time: about a minute
	@$(MAKE) --no-print-directory -j3 --output-sync=target types unit-data unit-life unit-shared lint imports vocabulary

lint types imports vocabulary unit: | setup

lint:
	ruff check .
	ruff format --check .

types:
	mypy --num-workers 2 $(PACKAGES)

imports:
	lint-imports

vocabulary: ## words that must not come back, with their replacements
	python -m tests.vocabulary

# The unit tests in parts, each of which imports only what it is about; alone, all of them in two processes.
UNIT_shared = tests/unit/driftloop
UNIT_data = $(addprefix tests/unit/,evaluation features ingestion monitoring)
UNIT_life = $(filter-out $(UNIT_shared) $(UNIT_data) %.py %__pycache__,$(wildcard tests/unit/*))

# Their hundreds of small databases stand in memory where the machine has a place for that.
unit unit-shared unit-data unit-life: export TMPDIR := $(or $(wildcard /dev/shm),$(TMPDIR))
unit:
	pytest -q -n 2 --dist loadscope tests/unit

unit-shared unit-data unit-life:
	nice pytest -q $($(subst -,_,$(subst unit,UNIT,$@)))

test: check ## check, contracts, real Kafka, Triton, Feast and MLflow, a slice of flights end to end (ALL=1: commands, page and documents)
	pytest -n 2 --dist loadscope --no-loadscope-reorder -m "not proof$(if $(ALL),, and not surface)" \
		tests/e2e tests/integration tests/browser tests/contract

proofs: setup ## whole systems and faults: several loops, the tutorial, kill -9, Ctrl-C, permuted outcomes: half an hour more
	pytest -n 2 --dist loadscope --no-loadscope-reorder -m proof tests/e2e tests/integration

protos: setup ## generate the contracts' code and the reference of loop.yaml again
	python -m driftloop.contracts.generate
	python -m driftloop.loop.reference

lock: setup ## compile the lock files again (UPGRADE=1 takes newer versions)
	infra/setup/lock.sh

clean: ## stop the system and remove all that set-up, runs and tests have made
	if [[ -d var ]]; then driftloop down || true; fi
	rm -rf .local var out .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
