# Needs Python 3.11 or newer and make; everything else is installed into .venv by the first target that is run.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Every file that pip gets here pins the SHA-256 of whatever it downloads. The locks are complete, so nothing is resolved:
# --no-deps also keeps pandas and pyarrow out, which chdb asks for and does not need here.
INSTALL := python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes

.PHONY: install install-test demo up test quick quick-gateway quick-others check fix docs soak guards bench bench-quick lock clean

install: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "axonstream needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(INSTALL) -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# What tests and checks need on top of what runs.
install-test: $(VENV)/.installed-test

$(VENV)/.installed-test: $(VENV)/.installed requirements-test.lock
	$(BIN)/$(INSTALL) -r requirements-test.lock
	@touch $@

demo: install
	@$(BIN)/axonstream demo

up: install
	@exec $(BIN)/axonstream up

# All tests run in JOBS processes at once. Each has a stack of its own and takes the next file when it is done with one.
# ARGS are pytest's, for one process: make test ARGS="tests/sinks -k refused"
ARGS ?=
JOBS ?= 2
AT_ONCE := --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder
test: install-test check
	$(BIN)/python -m pytest --durations=20 $(if $(strip $(ARGS)),$(ARGS),$(AT_ONCE))

# What needs no services and is soon done. Importing schemathesis alone takes longer than a fifth of the rest. Two halves at once.
QUICK := $(BIN)/python -m pytest -m "not services and not slow" --hypothesis-profile=quick -p no:schemathesis \
	--ignore=tests/gateway/test_schemathesis.py
quick: install-test
	@$(MAKE) --no-print-directory -j2 quick-gateway quick-others

quick-gateway:
	@$(QUICK) tests/gateway tests/sinks

quick-others:
	@$(QUICK) tests --ignore=tests/gateway --ignore=tests/sinks

check: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

fix: install-test
	$(BIN)/python scripts/generate_sync_client.py
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The tools that build the site have an environment of their own, as the peers of the benchmarks have.
DOCS_VENV := .venv-docs
$(DOCS_VENV)/.installed: docs/requirements.lock
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/$(INSTALL) -r docs/requirements.lock
	@touch $@

# The pages that are made of the program and of the list of guards; then the site, in build/site.
docs: install-test $(DOCS_VENV)/.installed
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/generate_schema.py
	$(BIN)/python tests/guards/guard_table.py
	$(BIN)/python docs/site_source.py
	$(DOCS_VENV)/bin/zensical build --strict --config-file build/site.yml
	@echo "look at it: $(DOCS_VENV)/bin/python -m http.server --bind 127.0.0.1 --directory build/site"

# Faults are injected in tests/faults, and where the part has tests of its own that do.
FAULTS := tests/faults tests/end_to_end tests/sinks/test_sink_on_kafka.py tests/cli/test_dead_letters_replay.py tests/local/test_idle_stack.py tests/deploy/test_installs.py tests/gateway/test_schemathesis.py
soak: install-test
	$(BIN)/python -m pytest $(FAULTS) --soak -v -o timeout=1800 --durations=0

guards: install-test
	$(BIN)/python tests/guards/remove_each_guard.py

# The peers of the benchmarks have an environment of their own: their requirements are none of the product's.
BENCH_VENV := .venv-bench
$(BENCH_VENV)/.installed: benchmarks/requirements.lock
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/$(INSTALL) -r benchmarks/requirements.lock
	@touch $@

bench: install-test $(BENCH_VENV)/.installed
	$(BIN)/python -m benchmarks

bench-quick: install-test $(BENCH_VENV)/.installed
	$(BIN)/python -m benchmarks --quick

# Writes the locks from pyproject.toml and its likes. Versions stay as they are: `make lock UPGRADE=--upgrade` moves them.
UV ?= uv
UPGRADE ?=
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --no-header $(UPGRADE)
LEFT_OUT := --no-emit-package pandas --no-emit-package pyarrow --no-emit-package numpy
CLIENTS := tests/compatibility/clients
lock:
	$(COMPILE) --extra kafka --extra server --extra local --group build $(LEFT_OUT) pyproject.toml -o requirements.lock
	$(COMPILE) --extra test --extra dev -c requirements.lock pyproject.toml -o requirements-test.lock
	$(COMPILE) benchmarks/requirements.txt -o benchmarks/requirements.lock
	$(COMPILE) docs/requirements.txt -o docs/requirements.lock
	for version in 0.0.1 0.0.5 0.0.9 0.0.19; do \
	  { echo "axonpush==$$version"; cat $(CLIENTS)/integrations.txt; } | $(COMPILE) - -o $(CLIENTS)/axonpush-$$version.lock || exit 1; \
	done

clean:
	rm -rf $(VENV) $(BENCH_VENV) $(DOCS_VENV)
