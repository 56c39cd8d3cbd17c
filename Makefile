# make demo: set up and run the main job. make test: set up and run every check.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Hundreds of processes would each compile what they import, the workers of Ray and Spark among them: images of
# containers often set this.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-fast test-faults pytest site lint setup clean

demo: $(STAMP)
	@$(BIN)/gnnscale run complete_journey

# Lint beside the tests, which leave a core idle now and then.
test: $(STAMP)
	@$(MAKE) --no-print-directory -j 2 pytest lint

pytest: $(STAMP)
	@$(BIN)/python -m tests.java_archive
	@$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

# What needs neither Spark nor Ray.
test-fast: $(STAMP) lint
	@$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile -m "not spark and not slow"

# Faults at random moments of every stage, for hours, at low priority; their table is written after each of them.
FAULTS ?= 200
SEED ?= 0
test-faults: $(STAMP)
	@nice -n 10 $(BIN)/python -m tests.faults.campaign --faults $(FAULTS) --seed $(SEED) --table build/faults.md

# The documentation, its links checked, in build/site.
site: $(STAMP)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt tools/setup.sh
	@bash tools/setup.sh $(VENV)
	@touch $@

clean:
	rm -rf lake build dist .mypy_cache .ruff_cache .pytest_cache
