# make help lists what can be made.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
STAMP := .venv/.installed
DEMO := .demo
RUN := $(DEMO)/run
TAVLO := $(BIN)/tavlo

# The first Python on PATH that starts, is new enough and can make environments (a pyenv shim may exist and not start).
FIND_PYTHON = for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done

.PHONY: help setup demo search ablations peers weights test test-slow lint bench fuzz clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv and install the project in it (about 5 GB with CUDA libraries); at once when up to date
	@echo "setup: .venv is up to date"

$(STAMP): pyproject.toml constraints.txt
	@python=$$($(FIND_PYTHON)); \
	if [ -x $(BIN)/python ]; then echo "setup: updating .venv"; \
	elif [ -z "$$python" ]; then echo "setup: no Python 3.11 or newer with venv on PATH (Debian: apt install python3.11-venv)"; exit 2; \
	else echo "setup: making .venv with $$python ($$($$python --version))"; $$python -m venv .venv; fi
	@echo "setup: installing the tested versions; torch with its CUDA libraries is a download of some GB"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(RUN)/test/results.json $(DEMO)/predict/.done ## write a small world, train on it, test per scenario, write films into .demo/
	@echo "demo: checkpoints and curves in $(RUN), table in $(RUN)/test, films in $(DEMO)/predict"

$(DEMO)/world/.done: | $(STAMP)
	$(TAVLO) data synth --out $(DEMO)/world --frame_rate 12 --clips_per_scenario 30 --val_clips_per_scenario 12
	@touch $@

$(RUN)/.done: $(DEMO)/world/.done configs/exp/demo.yaml
	$(TAVLO) fit -c configs/exp/demo.yaml --out $(RUN) --overwrite
	@touch $@

$(RUN)/test/results.json: $(RUN)/.done
	$(TAVLO) test --ckpt_path $(RUN)/checkpoints/best.ckpt

$(DEMO)/predict/.done: $(RUN)/.done
	$(TAVLO) predict --ckpt_path $(RUN)/checkpoints/best.ckpt --data.root $(DEMO)/world/test/video --out $(DEMO)/predict
	@touch $@

weights: $(RUN)/test/results.json ## renew the ready checkpoint of the package by the demo's; then its card, tavlo_pl/weights/world.md
	$(BIN)/python -c "from tavlo_pl.predict.checkpoint import release; \
	release('$(RUN)/checkpoints/best.ckpt', 'tavlo_pl/weights/world.safetensors')"

# The demo's world and network, two runs at a time, one processor each; where variants are many, half of its training.
COMPARE = $(TAVLO) sweep --base configs/exp/demo.yaml --jobs 2 --quick $(or $(QUICK),false)
HALF = --settings "['--trainer.max_epochs=2']"
SHOWN = --page docs/results.md

search: $(DEMO)/world/.done ## compare the objectives of configs/search, three seeds each; resumable, QUICK=true for a look
	$(COMPARE) $(HALF) --variants "['configs/search/*.yaml']" --out $(DEMO)/search$(if $(QUICK),-quick)

ablations: $(DEMO)/world/.done ## compare the ablations of configs/ablation, three seeds each; resumable, QUICK=true for a look
	$(COMPARE) $(HALF) --variants "['configs/ablation/*.yaml']" --out $(DEMO)/ablations$(if $(QUICK),-quick, $(SHOWN))

peers: $(DEMO)/world/.done ## compare TAVLO with its image-level peers and untrained rows, in docs/results.md; resumable, QUICK=true for a look
	$(COMPARE) --variants "['configs/demo_peers/*.yaml','configs/ablation/reference.yaml']" \
		--untrained "['configs/untrained/motion_*.yaml']" --out $(DEMO)/peers$(if $(QUICK),-quick, $(SHOWN))

test: $(STAMP) ## all tests that take seconds (under 5 minutes on 2 cores)
	$(BIN)/python -m pytest

test-slow: $(STAMP) ## all tests, also those that take minutes
	$(BIN)/python -m pytest -m 'slow or not slow'

lint: $(STAMP) ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

BENCHMARKS := decode index shards metrics startup attention memory step scaling predict gpu

bench: $(STAMP) ## timings and memory, as ratios: docs/performance/*.json, and the tables of docs/performance.md
	@for name in $(BENCHMARKS); do echo "bench: $$name"; $(BIN)/python -m benchmarks.$$name || exit 1; done
	$(BIN)/python -m benchmarks.report

fuzz: $(STAMP) ## read 10,000 damaged files of all kinds and 300 damaged videos; what is not refused in a sentence is a bug
	$(BIN)/python -m tests.fuzz.run
	$(BIN)/python -m tests.fuzz.guided

clean: ## remove what demo and the tools left; keeps .venv and runs/
	rm -rf $(DEMO) .pytest_cache .mypy_cache .ruff_cache build dist *.egg-info
