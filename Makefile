# flynet-tiny. `make` lists the targets; each sets up what it needs.
SHELL := /bin/bash
.DEFAULT_GOAL := help

BIN := .venv/bin
SOURCES := $(shell git ls-files -- '*.py' '*.j2' '*.c' '*.h' '*.json' '*.ld' ':!tests' 2>/dev/null)
TRAINING := $(wildcard flynet/*.py flynet/*/*.py)
DEMO := build/demo
CHECKPOINT := $(DEMO)/digits.pt
DEMO_OUT := $(DEMO)/stm32f412

WITH := with-torch with-test with-lint with-tensorflow

.PHONY: $(WITH) help setup demo test test-slow test-tensorflow fuzz lint bench models ablation rounding golden docs clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: ## system packages, and .venv with all that the targets here need (but TensorFlow)
	@scripts/setup.sh

$(WITH): with-%:
	@scripts/setup.sh $*

demo: with-torch $(DEMO_OUT)/report.json ## train on digits, export for an STM32F412, run it emulated, print the verdict
	@$(BIN)/flynet-tiny report $(DEMO_OUT)

$(CHECKPOINT): $(TRAINING) | with-torch
	$(BIN)/flynet-tiny train --data digits --width 0.4 --heads 3 --resolution 32 --out $@

$(DEMO_OUT)/report.json: $(CHECKPOINT) $(SOURCES) | with-torch
	$(BIN)/flynet-tiny export --checkpoint $(CHECKPOINT) --calibration digits --target stm32f412 --out $(DEMO_OUT)

test: with-test ## the tests
	$(BIN)/python -m pytest -n 2 -m "not slow and not tensorflow"

test-slow: with-test ## the long sweeps
	$(BIN)/python -m pytest -n 2 -m slow

test-tensorflow: with-tensorflow ## cross-check with TensorFlow (installs it, 1.3 GB)
	$(BIN)/python -m pytest -m tensorflow

fuzz: with-test ## 200,000 broken files for the reader, 1,000 drawn graphs through all judges (an hour on 2 cores)
	$(BIN)/python -m tests.fuzz

lint: with-lint ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p build/lint && ln -sfn ../.. build/lint/flynet_tiny
	$(BIN)/mypy

bench: with-torch ## instructions of the peers' layers and of whole networks -> build/bench; MODELS=DIR: of that folder's .tflite files
	$(BIN)/flynet-tiny bench --target stm32f412 --out build/bench
	$(if $(MODELS),$(BIN)/flynet-tiny bench --target stm32f412 --models "$(MODELS)" --out build/bench-models)

models: with-torch ## measure flash and SRAM of every network that --model names (10 to 20 minutes)
	$(BIN)/flynet-tiny models --measure

ablation: with-torch ## heads, reductions and residuals on the digits, with their spread (15 minutes)
	@$(BIN)/python -m flynet_tiny.studies.ablation

rounding: with-torch ## what int8 loses on the digits, and what fine-tuning gives back (7 minutes)
	@$(BIN)/python -m flynet_tiny.studies.rounding

golden: with-test ## rewrite the golden files (never counts as a pass)
	FLYNET_TINY_WRITE_GOLDEN=1 $(BIN)/python -m pytest -q tests -k golden || true
	git status --short tests

docs: with-torch ## rewrite SUPPORTED_OPS.md
	$(BIN)/python -c "from flynet_tiny.codegen.supported_ops import as_markdown; print(as_markdown(), end='')" > SUPPORTED_OPS.md

clean: ## remove build/
	rm -rf build
