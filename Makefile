# Commands for developers and users. `make help` lists them.
SHELL := bash
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.local/venv/bin:$(PATH)
export TZ := UTC
export PYTHONDONTWRITEBYTECODE :=
export PYTHON TORCH_BACKEND BROWSER POSTGRES REDIS S3 CLUSTER RAY CLIENTS UPGRADE

# Arguments for driftloop's commands, such as: make demo ARGS='--seed 3'
ARGS ?=
SEEDS ?= 1000

PACKAGES = $(wildcard driftloop services loops tests feature_repo bench)

.PHONY: help setup protos lock check lint types imports vocabulary unit unit-shared unit-data unit-life test simulate proofs demo demo-year stories up cluster down status clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install all that driftloop needs into .local (TORCH_BACKEND=cpu: no CUDA; for more tests BROWSER=1, POSTGRES=1, REDIS=1, S3=1, CLUSTER=1, RAY=1, CLIENTS=1)
	@infra/setup/setup.sh

demo: setup ## replay the reference loop on real flights, with a report in out/demo
	driftloop demo $(ARGS)

demo-year: setup ## the same with all flights of 2013, with a report in out/demo-year: fourteen to twenty minutes on two cores
	driftloop demo --plan demo-year $(ARGS)

stories: setup ## simulate the demo for several seeds and start dates
	python -m loops.flights.simulate --table --seeds 5 --start 2012-12-31 2013-01-14 2013-01-28 $(ARGS)

up: setup ## start the system
	driftloop up $(ARGS)

cluster: export CLUSTER := 1
cluster: setup ## start a cluster on this machine: three Kafka nodes, PostgreSQL, Redis Cluster, S3, two instances of each service
	driftloop cluster up $(ARGS)

down: ## stop the system
	driftloop down $(ARGS)

status: setup ## show which parts run, and their state
	driftloop status $(ARGS)

check: | setup ## check everything before a commit, three jobs at a time: about two minutes
	@$(MAKE) --no-print-directory -j3 --output-sync=target types unit-data unit-life unit-shared lint imports vocabulary

lint types imports vocabulary unit: | setup

lint:
	ruff check .
	ruff format --check .

types:
	mypy --num-workers 2 $(PACKAGES)

imports:
	lint-imports

vocabulary: ## find words that must not come back, with their replacements
	python -m tests.vocabulary

# Unit tests in parts, so that each process imports only part of the packages. `make unit` runs all in two processes.
UNIT_shared = tests/unit/driftloop $(wildcard tests/unit/test_*.py)
UNIT_data = $(addprefix tests/unit/,evaluation features ingestion monitoring)
UNIT_life = $(filter-out $(UNIT_shared) $(UNIT_data) %.py %__pycache__,$(wildcard tests/unit/*))

# The tests create hundreds of small databases. Keep them in memory if the machine has /dev/shm.
unit unit-shared unit-data unit-life: export TMPDIR := $(or $(wildcard /dev/shm),$(TMPDIR))
unit:
	pytest -q -n 2 --dist loadscope tests/unit

unit-shared unit-data unit-life:
	nice pytest -q $($(subst -,_,$(subst unit,UNIT,$@)))

test: check ## check, then contracts, real Kafka, Triton, Feast and MLflow, a slice of flights end to end (ALL=1: also commands, page, documents, long faults)
	pytest -n 2 --dist loadscope --no-loadscope-reorder -m "not proof$(if $(ALL),, and not surface and not extended)" \
		tests/e2e tests/integration tests/browser tests/contract tests/simulation

proofs: setup ## test whole systems and faults: several loops, the tutorial, a plain producer, damaging input, kill -9, Ctrl-C, permuted outcomes (most of an hour)
	pytest -n 2 --dist loadscope --no-loadscope-reorder -m proof tests/e2e tests/integration

simulate: setup ## run the lifecycle services with crashes and lost messages, from SEEDS seeds (a seed always repeats)
	python -m tests.simulation --seeds $(SEEDS) $(ARGS)

protos: setup ## generate the code of the contracts and the reference of loop.yaml
	python -m driftloop.contracts.generate
	python -m driftloop.loop.reference

lock: setup ## compile the lock files (UPGRADE=1: choose newer versions)
	infra/setup/lock.sh

clean: ## stop the system and remove everything that set-up, runs and tests created
	if [[ -d var ]]; then driftloop down || true; fi
	if [[ -d var/cluster ]]; then driftloop cluster down || true; fi
	rm -rf .local var out .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
