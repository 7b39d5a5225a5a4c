# `make demo` shows the program at work, `make test` tests it. Both need only Python 3.11+ and tmux; they set up .venv.

# The first interpreter that runs and is new enough. A version manager's stub has the name but does not run.
PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
VENV := .venv
PIP := $(VENV)/bin/python -m pip --quiet --disable-pip-version-check install
ARGS :=
PARALLEL := --numprocesses auto --dist worksteal

.PHONY: help demo test check lint bench bench-startup bench-dispatch soak detection-report lab fuzz kill-matrix clean tmux

help:
	@echo 'make demo              show a pool of fake agents hit a limit, and a check swap the account, on a private tmux'
	@echo 'make test              run the test suite (ARGS="-k name" goes to pytest)'
	@echo 'make check             run lint, types, import contracts and the unit tests; takes a minute'
	@echo 'make lint              run ruff, mypy and the import contracts'
	@echo 'make bench             measure a check at 1 to 1,000 panes and its alternatives; writes docs/performance.md'
	@echo 'make bench-startup     measure start-up time, tmux processes and memory against their budget'
	@echo 'make bench-dispatch    measure what lifecycle and dispatch add, against their budget'
	@echo 'make soak              run 500 tasks in 20 sessions, with kills and two swaps (ARGS="--seed 1 --tasks 50")'
	@echo 'make lab               run the fault lab: random faults, laws checked after each (ARGS="--steps N --seed S")'
	@echo 'make fuzz              feed random input to every parser (ARGS="--minutes N")'
	@echo 'make detection-report  classify every recording and ten thousand variations of them'
	@echo 'make kill-matrix       kill a check at every call that changes something; takes half an hour (ARGS="--stride 10")'
	@echo 'make clean             remove .venv and all caches'

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

# The venv is always created from scratch: a partial one (an interrupted run, a moved clone) cannot be trusted.
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
