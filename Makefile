# All commands for a newcomer. Each target sets up what it needs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := heic,int8,demo,docs,dev
# Rivals of `make bench`: half a gigabyte that no other target needs.
BENCH_EXTRAS := $(EXTRAS),bench

.PHONY: help setup programs demo docs test test-all lint types coverage subjects dist locks faults bench model-bench

help:
	@echo "make demo    judge sample uploads with real workers, then add a category in words"
	@echo "make docs    generate the references and build the documentation's site"
	@echo "make test    set up, lint, type-check and run the tests"
	@echo "make test-all  also the exhaustive tests: fuzzing, training, every page's snippets (half as long again)"
	@echo "make lint    ruff, mypy and the import contracts alone"
	@echo "make types   type-check the benchmarks and the tests too"
	@echo "make coverage  run every test and print which lines they reach"
	@echo "make dist    build the wheels and source archives of a release"
	@echo "make locks   choose the newest allowed versions of all dependencies (KEEP=1: keep the present ones)"
	@echo "make faults  kill, pause and flood real servers and workers, and count what is lost (half an hour; FAULTS=--list)"
	@echo "make bench   speed, latency, memory, against the alternatives (35 minutes; BENCH=--help)"
	@echo "make model-bench  accuracy of the bundled model (needs Debian packages, which it names)"

setup: $(VENV)/installed

# Every wheel is verified by its hash, except torch: each index has its own builds of it. A CPU build is enough;
# on a machine whose index serves CUDA builds, install torch first (README.md, "Installing").
$(VENV)/installed: pyproject.toml client/pyproject.toml demo/pyproject.toml locks/development.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	@echo "Installing into $(VENV): a few minutes the first time"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes --no-deps --requirement locks/development.txt
	$(BIN)/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable client --editable demo --editable .
	$(BIN)/pip check
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

# What is in no wheel: benchmarks strictly, tests as tests/mypy.ini says. It takes minutes without a cache, so
# `make test` leaves it out.
types: setup
	MYPYPATH=tests $(BIN)/mypy benchmarks examples
	$(BIN)/mypy --config-file tests/mypy.ini tests

# Three at once even on two processors, since many tests wait for servers. No reordering: the folders' order
# puts files with few, long tests first; xdist would leave them to the end.
PYTEST := $(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder
test: lint programs
	$(PYTEST) -m "not exhaustive"

# The same, with fuzzing, training, every page's snippets, and long runs whose parts other tests cover.
test-all: lint types programs
	$(PYTEST)

# What the tests run of the code, also in the processes that they start.
coverage: setup programs
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# The subjects of the commits that SINCE does not have: at most 72 characters.
SINCE ?= origin/main
subjects:
	@git log --format=%s $(SINCE)..HEAD | awk 'length > 72 { print "longer than 72 characters: " $$0; bad = 1 } END { exit bad }'

# The wheels and source archives of all three distributions. TAG, if set, must be the version's.
dist: setup
	@version=$$($(BIN)/moderate --version | cut -d" " -f2); \
	[ -z "$(TAG)" ] || [ "$(TAG)" = "v$$version" ] || { echo "the tag $(TAG) is not v$$version"; exit 1; }
	rm -rf dist
	for one in client demo .; do (cd $$one && $(CURDIR)/$(BIN)/hatchling build --directory $(CURDIR)/dist) || exit 1; done

# All versions anew, within the ranges of the pyproject.toml files; `make locks KEEP=1` keeps those of today.
LOCK_VENV := .venv-locks
LOCK := $(LOCK_VENV)/bin/uv pip compile - --quiet --universal --python-version 3.11 --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links $(foreach one,client demo worker,--no-emit-package moderation-$(one))
LOCK_WITH_HASHES := $(LOCK) --generate-hashes --constraint constraints.txt --override $(LOCK_VENV)/without-torch.txt
locks:
	$(PYTHON) -m venv $(LOCK_VENV)
	$(LOCK_VENV)/bin/pip install --quiet uv
	echo 'torch ; python_version < "3"' > $(LOCK_VENV)/without-torch.txt
	printf -- '-e %s\n' ./client ./demo '.[s3,$(BENCH_EXTRAS)]' \
	| $(LOCK) $(if $(KEEP),--constraint constraints.txt) --output-file $(LOCK_VENV)/constraints.txt
	cp $(LOCK_VENV)/constraints.txt constraints.txt
	printf -- '-e %s\n' ./client ./demo '.[$(EXTRAS)]' | $(LOCK_WITH_HASHES) --output-file locks/development.txt
	printf -- '-e %s\n' ./client ./demo '.[openvino,s3]' | $(LOCK_WITH_HASHES) --output-file locks/server.txt

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
