# make help lists the targets.
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

.PHONY: help setup demo results recommended search ablations peers material material-results weights world-weights test test-slow lint docs notebook bench fuzz clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP) ## create .venv and install the project in it (about 5 GB with CUDA libraries)
	@echo "setup: .venv is up to date"

$(STAMP): pyproject.toml constraints.txt
	@python=$$($(FIND_PYTHON)); \
	if [ -x $(BIN)/python ]; then echo "setup: updating .venv"; \
	elif [ -z "$$python" ]; then echo "setup: no Python 3.11 or newer with venv on PATH (Debian: apt install python3.11-venv)"; exit 2; \
	else echo "setup: creating .venv with $$python ($$($$python --version))"; $$python -m venv .venv; fi
	@echo "setup: installing the tested versions; torch with its CUDA libraries is a download of some GB"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(RUN)/test/results.json $(DEMO)/predict/.done ## generate procedural videos, train, test, and write overlay videos, all in .demo/
	@echo "demo: checkpoints and curves in $(RUN), table in $(RUN)/test, overlay videos in $(DEMO)/predict"

$(DEMO)/world/.done: | $(STAMP)
	$(TAVLO) data synth --out $(DEMO)/world --frame_rate 12 --train_clips 1200 --clips_per_scenario 30 --val_clips_per_scenario 12
	@touch $@

$(RUN)/.done: $(DEMO)/world/.done configs/exp/demo.yaml
	$(TAVLO) fit -c configs/exp/demo.yaml --out $(RUN) --overwrite
	@touch $@

$(RUN)/test/results.json: $(RUN)/.done
	$(TAVLO) test --ckpt_path $(RUN)/checkpoints/best.ckpt

$(DEMO)/predict/.done: $(RUN)/.done
	$(TAVLO) predict --ckpt_path $(RUN)/checkpoints/best.ckpt --data.root $(DEMO)/world/test/video --out $(DEMO)/predict
	@touch $@

world-weights: $(RUN)/test/results.json ## replace the small checkpoint of the tests by that of the demo; its card: tavlo_pl/weights/world.md
	$(BIN)/python -c "from tavlo_pl.predict.checkpoint import release; \
	release('$(RUN)/checkpoints/best.ckpt', 'tavlo_pl/weights/world.safetensors')"

# The experiments of docs/results.md: two runs at a time with one processor each. A finished run leaves a small record in
# docs/results, from which tables are made; runs with a record of the same configuration are not repeated.
RESULTS := .results
SWEEP = $(TAVLO) sweep --base configs/exp/results.yaml --jobs 2 --quick $(or $(QUICK),false)
PAGE = docs/results.md
BASELINES = --untrained "['configs/untrained/motion_*.yaml']" \
	--predictions "['$(RESULTS)/world/test/oracles/*']" --annotations $(RESULTS)/world/test
PAGED = $(if $(QUICK),--out $(RESULTS)/$@-quick,--out $(RESULTS)/$@ --records docs/results --page $(PAGE))

$(RESULTS)/world/.done: | $(STAMP)
	$(TAVLO) data synth --out $(RESULTS)/world --frame_rate 12 --train_clips 3000 --clips_per_scenario 40 --val_clips_per_scenario 24
	@touch $@

results: recommended peers ablations ## make all tables of docs/results.md, about 30 hours on 2 cores; resumable
	@echo "results: records in docs/results, tables in docs/results.md"

recommended: $(RESULTS)/world/.done ## train and test the recommended configuration with five seeds, oracles and motion
	$(SWEEP) $(PAGED) --seeds "[0,1,2,3,4]" $(BASELINES) \
		--variants "['configs/ablation/reference.yaml']"

peers: $(RESULTS)/world/.done ## train and test the image-level peers, three seeds each
	$(SWEEP) $(PAGED) $(BASELINES) --variants "['configs/peers/*.yaml','configs/ablation/reference.yaml']"

ablations: $(RESULTS)/world/.done ## train and test the ablations of configs/ablation, three seeds each
	$(SWEEP) $(PAGED) $(BASELINES) --variants "['configs/ablation/*.yaml']"

search: PAGE = docs/research.md
search: $(RESULTS)/world/.done ## train and test the objectives of configs/search, three seeds each
	$(SWEEP) $(PAGED) --variants "['configs/search/*.yaml']"

# Real images and recordings with frozen pretrained encoders. SPRITES has one folder a class (docs/data.md), WEIGHTS the files
# of EfficientNet-lite0 and YAMNet. Every tenth class of the composites is persons who speak.
MATERIAL := $(RESULTS)/material
SPRITES = ../shared/material
WEIGHTS = ../shared/weights
ENCODERS = --model.init_args.visual.init_args.weights $(WEIGHTS)/efficientnet_lite0.safetensors $(STORED)
COMPONENTS = --model.init_args.visual.init_args.encoder.init_args.weights $(WEIGHTS)/efficientnet_lite0.safetensors \
	--model.init_args.visual.init_args.weights $(MATERIAL)/components.safetensors $(STORED)
STORED = --model.init_args.audio.init_args.weights $(WEIGHTS)/yamnet.safetensors \
	--model.init_args.visual.init_args.cache $(MATERIAL)/features --model.init_args.audio.init_args.cache $(MATERIAL)/features

$(RESULTS)/sprites/.done: | $(STAMP)
	$(BIN)/python -m benchmarks.material --material $(SPRITES) --out $(RESULTS)/sprites --people 10
	@touch $@

$(MATERIAL)/.done: | $(RESULTS)/sprites/.done
	$(TAVLO) data synth --out $(MATERIAL) --sprites $(RESULTS)/sprites --seed 1 --frame_rate 8 --width 640 --height 360 \
		--train_clips 2000 --clips_per_scenario 40 --val_clips_per_scenario 16
	$(TAVLO) data shard --source tavlo_pl.data.datasets.VGGSound --source.root $(MATERIAL)/train --out $(MATERIAL)/shards \
		--segments 4 --frames_per_segment 1 --duration_s 4 --image_size 448 --quality 90
	@touch $@

# TAVLO learns from four frames a second, of whose features 384 principal components are stored (5 GB).
$(MATERIAL)/components.safetensors: $(MATERIAL)/.done
	$(TAVLO) data components --source tavlo_pl.data.datasets.VGGSound --source.root $(MATERIAL)/train --duration_s 4 \
		--model configs/model/tavlo_lite0_yamnet.yaml --visual_weights $(WEIGHTS)/efficientnet_lite0.safetensors --out $@

$(MATERIAL)/run/.done: $(MATERIAL)/.done configs/exp/material.yaml configs/model/tavlo_lite0_yamnet.yaml
	$(TAVLO) fit -c configs/exp/material.yaml $(ENCODERS) --out $(MATERIAL)/run --overwrite
	$(BIN)/python -m benchmarks.release $(MATERIAL)/run/checkpoints/last.ckpt $(MATERIAL)/run/weights.safetensors
	@touch $@

material: $(MATERIAL)/run/.done ## train on real images and recordings (SPRITES, WEIGHTS) and test on others
	$(TAVLO) test --ckpt_path $(MATERIAL)/run/checkpoints/best.ckpt --data.clip.segments 8
	$(BIN)/python -m benchmarks.stills --sprites $(SPRITES) --ckpt_path $(MATERIAL)/run/weights.safetensors

# Features of the frozen encoders are stored by the first run that needs them.
MATERIAL_SWEEP = $(TAVLO) sweep --base configs/exp/material.yaml --out $(RESULTS)/material-runs --records docs/results/material

# configs/material names the files of weights here.
$(RESULTS)/weights/.done: | $(STAMP)
	mkdir -p $(RESULTS)/weights && cp $(WEIGHTS)/efficientnet_lite0.safetensors $(WEIGHTS)/yamnet.safetensors $(RESULTS)/weights
	@touch $@

material-results: $(MATERIAL)/components.safetensors $(RESULTS)/weights/.done ## train and test TAVLO, the published form and the peers on the material, three seeds each
	$(MATERIAL_SWEEP) --variants "['configs/material/tavlo.yaml']" --seeds "[0]"
	$(MATERIAL_SWEEP) --jobs 2 --variants "['configs/material/*.yaml']" --untrained "['configs/untrained/motion_*.yaml','configs/untrained/sound_tag.yaml']" \
		--predictions "['$(MATERIAL)/test/oracles/*']" --annotations $(MATERIAL)/test --page $(PAGE)

# Each step of the packaged checkpoint begins with the weights of the one before.
WEIGHTS_OF = $(BIN)/python -c "import sys; from tavlo_pl.predict.checkpoint import release; release(*sys.argv[1:])"

$(MATERIAL)/videos_run/.done: $(MATERIAL)/components.safetensors $(RESULTS)/weights/.done configs/exp/material.yaml configs/material/tavlo.yaml
	$(TAVLO) fit -c configs/exp/material.yaml -c configs/material/tavlo.yaml --out $(MATERIAL)/videos_run --overwrite
	$(WEIGHTS_OF) $(MATERIAL)/videos_run/checkpoints/last.ckpt $(MATERIAL)/videos_run/weights.safetensors
	@touch $@

$(MATERIAL)/stills_run/.done: $(MATERIAL)/videos_run/.done configs/exp/material_stills.yaml configs/model/tavlo_lite0_yamnet_temporal.yaml
	$(TAVLO) fit -c configs/exp/material_stills.yaml $(COMPONENTS) --ckpt_path $(MATERIAL)/videos_run/weights.safetensors \
		--out $(MATERIAL)/stills_run --overwrite
	$(WEIGHTS_OF) $(MATERIAL)/stills_run/checkpoints/last.ckpt $(MATERIAL)/stills_run/weights.safetensors
	@touch $@

weights: $(MATERIAL)/stills_run/.done ## replace the packaged checkpoint: videos, stills beside them, then of all files; card: tavlo_pl/weights/real.md
	$(TAVLO) fit -c configs/exp/material_all.yaml $(COMPONENTS) --ckpt_path $(MATERIAL)/stills_run/weights.safetensors \
		--out $(MATERIAL)/all --overwrite
	$(BIN)/python -m benchmarks.release $(MATERIAL)/all/checkpoints/last.ckpt tavlo_pl/weights/real.safetensors

test: $(STAMP) ## run the fast tests on all cores, at most 8 (under 5 minutes on 2)
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal --timeout 120 --timeout-method thread

test-slow: $(STAMP) ## run all tests, including those that take minutes
	$(BIN)/python -m pytest -m 'slow or not slow'

lint: $(STAMP) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

DOCS := .venv/.docs

$(DOCS): $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

docs: $(DOCS) ## build the documentation site in build/site; a warning or a broken link is an error
	$(BIN)/python .ci/site.py pages
	rm -rf build/site
	$(BIN)/zensical build --strict
	$(BIN)/python .ci/site.py links
	@echo "docs: python3 -m http.server -b 127.0.0.1 -d build/site shows them, with the search"

notebook: $(DOCS) ## execute examples/own_video.ipynb in build/notebook
	mkdir -p build/notebook && cp examples/own_video.ipynb build/notebook
	$(BIN)/jupyter execute --timeout=600 build/notebook/own_video.ipynb

BENCHMARKS := decode index annotate proposals shards engine metrics startup attention memory step scaling predict command gpu

bench: $(STAMP) ## measure time and memory; writes docs/performance/*.json and the tables of docs/performance.md
	@for name in $(BENCHMARKS); do echo "bench: $$name"; $(BIN)/python -m benchmarks.$$name || exit 1; done
	$(BIN)/python -m benchmarks.report

fuzz: $(STAMP) ## read 10,000 damaged files, 20,000 files of odd content and 300 videos; anything but a one-sentence error is a bug
	$(BIN)/python -m tests.fuzz.run
	$(BIN)/python -m tests.fuzz.guided

clean: ## remove .demo, caches and build files; keeps .venv, .results and runs/
	rm -rf $(DEMO) .pytest_cache .mypy_cache .ruff_cache build dist *.egg-info
