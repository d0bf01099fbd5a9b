# Everything runs in .venv, made from uv.lock: nothing is installed by hand but Python 3.11+ and make.
SHELL := /bin/bash
.DEFAULT_GOAL := help

UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.synced
PEERS := .venv-peers
PEERS_STAMP := $(PEERS)/.synced
VAE := .venv-vae
VAE_STAMP := $(VAE)/.synced
FUZZ := .venv-fuzz
FUZZ_STAMP := $(FUZZ)/.synced
# A version for which a small wheel without CUDA can be had: PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL say where.
TORCH := torch==2.13.0
ATHERIS := atheris==3.0.0
SEEDS ?= 0:5000
ARGS ?=
# Tests and benchmarks start hundreds of processes: none is to compile again what another has.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-vae fuzz test-cluster reliability wheel check format bench bench-durability bench-effects swarm model model-large model-behaviours clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv from the lock file

$(STAMP): uv.lock pyproject.toml
	@python=; for name in python3.13 python3.12 python3.11 python3 python; do \
	  if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; done; \
	if [ -z "$$python" ]; then echo "Ebbtide needs Python 3.11 or newer; none was found on the PATH." >&2; exit 1; fi; \
	[ -x $(BIN)/python ] || $$python -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv sync --frozen --quiet --inexact --compile-bytecode --python $(BIN)/python
	@touch $@

demo: setup ## the main job on real payments (ARGS="--backend local --kills 5 ...")
	@$(BIN)/ebbtide demo $(ARGS)

test: setup ## all tests but test-cluster, those on a real Ray included, three files at a time (ARGS="-n 0 tests/rules": one, and these)
	@$(BIN)/pytest -n 3 --dist loadfile --max-worker-restart 0 --ignore=tests/cluster $(ARGS)

test-vae: setup $(VAE_STAMP) ## the training of the autoencoder, in an environment with PyTorch besides
	@$(VAE)/bin/python -m pytest -rs tests/unit/peer/detectors/test_vae.py tests/unit/peer/detectors/test_vae_training.py $(ARGS)

# All but PyTorch is what .venv has: a path says so, and pip finds it there.
$(VAE_STAMP): uv.lock | $(STAMP)
	@$(BIN)/python -m venv $(VAE)
	@site='import sysconfig; print(sysconfig.get_path("purelib"))'; \
	$(BIN)/python -c "$$site" > "$$($(VAE)/bin/python -c "$$site")/ebbtide.pth"
	@$(VAE)/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	@touch $@

fuzz: setup $(FUZZ_STAMP) ## bytes from strangers, members and damaged disks, guided by coverage (ARGS="--minutes 60 --only host,wire"; --help)
	@$(FUZZ)/bin/python -m tests.fuzz $(ARGS)

# As for the autoencoder: atheris, and a path to all else.
$(FUZZ_STAMP): uv.lock | $(STAMP)
	@$(BIN)/python -m venv $(FUZZ)
	@site='import sysconfig; print(sysconfig.get_path("purelib"))'; \
	$(BIN)/python -c "$$site" > "$$($(FUZZ)/bin/python -c "$$site")/ebbtide.pth"
	@$(FUZZ)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: $(ATHERIS)
	@touch $@

wheel: setup ## what the nodes of a cluster install (cluster/): the wheel, and the versions of uv.lock, in dist/
	@rm -rf dist && $(BIN)/uv build --quiet --wheel --out-dir dist
	@$(BIN)/uv export --quiet --frozen --no-dev --no-emit-project --no-hashes --output-file dist/requirements.txt > /dev/null

test-cluster: setup ## `ray up` on three machines made of namespaces: as root, on Linux; else it is skipped, and says why
	@$(BIN)/pytest -rs tests/cluster $(ARGS)

reliability: setup ## what breaks, and what must hold: faults on three machines under load, as root on Linux (ARGS="--only killed,lost")
	@$(BIN)/python -m tests.cluster.reliability $(ARGS)

check: setup ## format, lint, types, layers
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet . && $(BIN)/pyright && \
	{ found=$$($(BIN)/lint-imports --no-cache) && echo "rooms and layers: kept" || { echo "$$found"; exit 1; }; }

format: setup ## format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: setup ## what things cost at scale, small (ARGS="run rollback" for one of them, whole: ebbtide bench --help)
	@$(BIN)/ebbtide bench $(or $(ARGS),all --quick)

bench-durability: setup $(PEERS_STAMP) ## durable steps, bytes and restores beside LangGraph, DBOS and Burr (ARGS=--quick: a look)
	@$(BIN)/python -m benchmarks.bench_durability --peers $(PEERS)/bin/python $(ARGS)

bench-effects: setup $(PEERS_STAMP) ## payments through kills and rollbacks beside LangGraph and DBOS (ARGS=--quick: a look)
	@$(BIN)/python -m benchmarks.bench_effects --peers $(PEERS)/bin/python $(ARGS)

$(PEERS_STAMP): benchmarks/peers/requirements.txt | $(STAMP)
	@$(BIN)/python -m venv --without-pip $(PEERS)
	@$(BIN)/uv pip install --quiet --python $(PEERS)/bin/python --requirement $<
	@touch $@

swarm: setup ## random histories against the oracle (SEEDS=0:5000)
	@$(BIN)/ebbtide sim --seeds $(SEEDS) $(ARGS)

model: setup ## check the protocol's models with TLC: small sizes, and rules switched off (needs Java 17; ARGS="--workers 1")
	@$(BIN)/python -m tests.model.check small $(ARGS)

model-large: setup ## the larger sizes (half an hour)
	@$(BIN)/python -m tests.model.check large $(ARGS)

model-behaviours: setup ## draw anew the model's behaviours that tests/model replays on the code
	@$(BIN)/python -m tests.model.draw $(ARGS)

clean: ## remove what was made
	rm -rf $(VENV) $(PEERS) $(VAE) $(FUZZ) out .pytest_cache .ruff_cache .hypothesis .import_linter_cache
