# All commands for a newcomer. Each target sets up what it needs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# A CPU build of torch is enough; on a machine whose index serves CUDA builds, see README.md, "Installing".
EXTRAS := heic,int8,demo,docs,dev
# Rivals of `make bench`: half a gigabyte that no other target needs.
BENCH_EXTRAS := $(EXTRAS),bench

.PHONY: help setup programs demo docs test lint faults bench model-bench

help:
	@echo "make demo    judge sample uploads with real workers, then add a category in words"
	@echo "make docs    generate the references and build the documentation's site"
	@echo "make test    set up, lint, type-check and run every test"
	@echo "make lint    ruff, mypy and the import contracts alone"
	@echo "make faults  kill, pause and flood real servers and workers, and count what is lost (half an hour; FAULTS=--list)"
	@echo "make bench   speed, latency, memory, against the alternatives (35 minutes; BENCH=--help)"
	@echo "make model-bench  accuracy of the bundled model (needs Debian packages, which it names)"

setup: $(VENV)/installed

$(VENV)/installed: pyproject.toml client/pyproject.toml demo/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	@echo "Installing into $(VENV): a few minutes the first time"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable client --editable demo --editable ".[$(EXTRAS)]"
	touch $@

# Programs that no package index has: the tests drive a real Chromium, and a real PgBouncer.
programs:
	@missing=""; \
	command -v chromium chromium-browser google-chrome chrome >/dev/null || missing="chromium"; \
	PATH="$$PATH:/usr/sbin" command -v pgbouncer >/dev/null || missing="$$missing pgbouncer"; \
	[ -z "$$missing" ] \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "Installing $$missing" \
	     && apt-get update -qq && apt-get install -qq -y --no-install-recommends $$missing >/dev/null; } \
	|| echo "Not installed: $$missing. The tests that need it skip, or fail where CI is set"

demo: setup
	$(BIN)/moderate demo

docs: setup
	$(BIN)/python -m docgen
	$(BIN)/zensical build --clean --strict
	@echo "The documentation: $(CURDIR)/site/index.html"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Three at once even on two processors, since many tests wait for servers. No reordering: the folders' order
# puts files with few, long tests first; xdist would leave them to the end.
test: lint programs
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

# For example: make faults FAULTS="--only SIGTERM --database sqlite"
faults: setup
	PYTHONPATH=tests $(BIN)/python -m faults $(FAULTS)

# For example: make bench BENCH="--only throughput --rounds 2"
bench: $(VENV)/bench-installed
	$(BIN)/python benchmarks/suite.py $(BENCH)

$(VENV)/bench-installed: $(VENV)/installed
	@echo "Installing the rivals of the benchmarks"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable client --editable demo --editable ".[$(BENCH_EXTRAS)]"
	touch $@

model-bench: setup
	$(BIN)/python benchmarks/sticker_model.py
