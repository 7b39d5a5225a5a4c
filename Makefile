# `make demo` shows it, `make test` proves it: both set up all they need in .venv, from Python 3.11+ and tmux.

# The first interpreter that runs and is new enough: one that is only named so (a version manager's stub) is not.
PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
VENV := .venv
PIP := $(VENV)/bin/python -m pip --quiet --disable-pip-version-check install
ARGS :=
PARALLEL := --numprocesses auto --dist worksteal

.PHONY: help demo test check lint bench bench-startup bench-dispatch soak detection-report lab fuzz kill-matrix clean tmux

help:
	@echo 'make demo    a pool of stand-in agents hits its limit on a private tmux server, and one check swaps the account'
	@echo 'make test    the test suite (ARGS="-k name" is handed to pytest)'
	@echo 'make check   lint, types, imports and the unit tests: in a minute'
	@echo 'make lint    ruff, mypy and the import contracts'
	@echo 'make bench   what a check costs, from one pane to a thousand, against its kin; into docs/performance.md'
	@echo 'make bench-startup   only its start-up time, tmux processes and memory, against their budget'
	@echo 'make bench-dispatch   what lifecycle and dispatch add to it, against their budget'
	@echo 'make soak    500 tasks, 20 sessions and two swaps, killed at random (ARGS="--seed 1 --tasks 50 --sessions 4")'
	@echo 'make lab     random faults against the real program, and the laws checked after each (ARGS="--steps N --seed S")'
	@echo 'make fuzz    random input to everything that reads (ARGS="--minutes N")'
	@echo 'make detection-report   what detection makes of every recording, and of ten thousand variations'
	@echo 'make kill-matrix   the check killed at each call that changes something, and recovered: an hour (ARGS="--stride 10")'
	@echo 'make clean   remove .venv and all caches'

demo: tmux $(VENV)/installed
	@$(VENV)/bin/failoverctl demo

test: tmux $(VENV)/installed-dev
	@$(VENV)/bin/python -m pytest $(PARALLEL) $(ARGS)

check: lint
	@$(VENV)/bin/python -m pytest $(PARALLEL) tests/unit tests/test_architecture.py $(ARGS)

lint: $(VENV)/installed-dev
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy --strict
	@$(VENV)/bin/lint-imports --no-logo

bench: bench-startup
	@$(VENV)/bin/python -m bench.sizes $(ARGS)

bench-startup: tmux $(VENV)/installed
	@$(VENV)/bin/python -m bench.startup

bench-dispatch: tmux $(VENV)/installed
	@$(VENV)/bin/python -m bench.dispatch $(ARGS)

soak: tmux $(VENV)/installed-dev
	@$(VENV)/bin/python -m verification.soak $(ARGS)

lab: tmux $(VENV)/installed-dev
	@$(VENV)/bin/python -m verification.faults $(ARGS)

fuzz: tmux $(VENV)/installed-dev
	@$(VENV)/bin/python -m verification.fuzz $(ARGS)

detection-report: $(VENV)/installed-dev
	@$(VENV)/bin/python -m verification.detection_report $(ARGS)

kill-matrix: tmux $(VENV)/installed-dev
	@$(VENV)/bin/python -m verification.kill_matrix $(ARGS)

clean:
	rm -rf $(VENV) .bench .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info

tmux:
	@command -v tmux >/dev/null || { echo 'tmux is not installed: apt install tmux' >&2; exit 1; }

# The venv is begun afresh: a half-made one (an interrupted run, a clone that moved) is not worth mending.
$(VENV)/created:
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer is not installed: apt install python3 python3-venv' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo '$(PYTHON) cannot make a venv: apt install python3-venv' >&2; exit 1; }
	@echo 'setting up $(VENV) (once)'
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/created pyproject.toml
	@$(PIP) -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/created pyproject.toml
	@$(PIP) -e '.[dev]'
	@touch $(VENV)/installed $@
