# `make repro` and `make test` set up all they need, in .venv, once.
PYTHON ?= python3.11
SYSTEM ?= ft_bt
# Tests are checked inside too, without a demand for annotations on each.
RELAXED := --allow-untyped-defs --allow-incomplete-defs --allow-untyped-calls --allow-any-generics \
	--no-warn-return-any --implicit-reexport --disable-error-code func-returns-value
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONPATH := stages

DAYS ?= 30

.PHONY: help repro test lint preset translate leakage tm-stats tm-prune bench clean

help:
	@echo 'make repro                  rebuild what is out of date, print the table of the four systems'
	@echo 'make preset NAME=smoke      put presets/smoke.yaml in the place of params.yaml'
	@echo 'make translate SYSTEM=ft    source in, translation out; reads a terminal or standard input'
	@echo 'make leakage                hold everything that is learnt from to the test sets'
	@echo 'make tm-stats               what the translation memory holds, by model'
	@echo 'make tm-prune DAYS=30       forget what no run has used for so many days: translations, cut-off and half-written work'
	@echo 'make bench                  train, decode and score with this project and its peers, in turns; writes bench.json'
	@echo 'make test                   all tests, the smoke preset through a real `dvc repro` among them'
	@echo 'make lint                   ruff and mypy'
	@echo 'make clean                  remove the environment and what the stages made'

.venv/installed: pyproject.toml constraints.txt
	@echo 'Setting up .venv with $(PYTHON) (once; a few minutes)'
	$(PYTHON) -m venv .venv
	python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch .venv/installed

repro: .venv/installed
	@python tools/preset.py check
	@python tools/repro.py
	@python tools/table.py metrics/summary.json

# Two tests at a time, each on a core of its own: more threads than cores only wait for one another. Memory in large pages.
test: .venv/installed
	env OMP_NUM_THREADS=1 GLIBC_TUNABLES=glibc.malloc.hugetlb=1 PYTHONMALLOC=malloc \
		python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

bench: .venv/installed
	python bench/peers.py --out bench.json

lint: .venv/installed
	ruff check .
	ruff format --check .
	mypy stages tools bench fuzz
	mypy $(RELAXED) tests

preset: .venv/installed
	@python tools/preset.py use "$(NAME)"

translate: .venv/installed
	@python tools/interactive.py "$(SYSTEM)"

leakage: .venv/installed
	dvc repro leakage
	@python tools/leaks.py data/leakage/metrics.json

tm-stats: .venv/installed
	@python tools/memory.py stats

tm-prune: .venv/installed
	@python tools/memory.py prune "$(DAYS)"

clean:
	rm -rf .venv .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf data/raw data/prepared data/comet data/synthetic data/train data/leakage data/training data/hyps data/scores
	rm -rf models/source models/encoder models/lid models/reverse models/comet models/base
	find models/adapters -mindepth 1 -maxdepth 1 ! -name baseline -exec rm -rf {} +
