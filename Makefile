# Every target sets up .venv first; the set-up is repeated only when pyproject.toml or constraints.txt change.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
# data sets of others for the tests that compare with them; those tests are skipped where it is empty
COLLM_TEST_DATA ?= $(abspath $(wildcard ../shared/data))
export COLLM_TEST_DATA

.PHONY: demo test slow bench lint
.DEFAULT_GOAL := demo

demo: $(READY)  ## two tiny models learn to build a word; a report in runs/demo/
	$(BIN)/collm demo

test: $(READY)  ## the tests, without the slow ones, two processes, and which ten took longest
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=10

slow: $(READY)  ## the slow tests
	$(BIN)/python -m pytest -m slow

bench: $(READY)  ## speed, on an otherwise idle machine
	$(BIN)/python -m pytest -m bench tests/bench

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@
