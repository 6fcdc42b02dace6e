# Needs Python 3.11 or newer and make; everything else is installed into .venv by the first target that is run.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install demo up test quick check soak guards bench bench-quick clean

install: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "axonstream needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

demo: install
	@$(BIN)/axonstream demo

up: install
	@exec $(BIN)/axonstream up

test: install check
	$(BIN)/python -m pytest

# Without what schemathesis draws: importing it and asking every call takes longer than a fifth of the rest.
quick: install
	$(BIN)/python -m pytest -m "not services" --hypothesis-profile=quick -p no:schemathesis --ignore=tests/gateway/test_schemathesis.py

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# Faults are injected in tests/faults, and where the part has tests of its own that do.
FAULTS := tests/faults tests/end_to_end tests/sinks/test_sink_on_kafka.py tests/deploy/test_dead_letters_replay.py tests/gateway/test_schemathesis.py
soak: install
	$(BIN)/python -m pytest $(FAULTS) --soak -v -o timeout=1800 --durations=0

guards: install
	$(BIN)/python tests/guards/remove_each_guard.py

# The peers of the benchmarks have an environment of their own: their requirements are none of the product's.
BENCH_VENV := .venv-bench
$(BENCH_VENV)/.installed: benchmarks/requirements.txt
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@

bench: install $(BENCH_VENV)/.installed
	$(BIN)/python -m benchmarks

bench-quick: install $(BENCH_VENV)/.installed
	$(BIN)/python -m benchmarks --quick

clean:
	rm -rf $(VENV) $(BENCH_VENV)
