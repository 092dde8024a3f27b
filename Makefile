# Two commands do everything on a fresh machine: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/sh
export PATH := $(CURDIR)/$(BIN):$(PATH)
# What the lab and the tests need on Debian; everything else is Python and comes from requirements.lock.
PACKAGES := mmdebstrap systemd-container debian-archive-keyring iproute2 kmod openssh-client openssh-server openssl git sudo

.PHONY: help demo test test-all unit lint docs docs-commands recording install setup packages inventory-check clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

# Where machines cannot be booted `make demo` ends with 1: with -q no recipe runs (one that failed would make it 2).
ifneq ($(filter demo,$(MAKECMDGOALS)),)
ifneq ($(shell test "$$(uname -s)" = Linux && id -u),0)
$(info make demo boots machines in namespaces and needs Linux and root; nothing was changed.)
$(info $() $() On a Debian machine:   sudo make demo)
$(info $() $() Without (macOS, user): make install, then rzp-bootstrap lab start --backend record)
MAKEFLAGS += -q
endif
endif

demo: setup ## the main job on the embedded lab: VMs, K3s, Argo CD, and a second run that changes nothing
	@tests/demo

test: setup ## ruff, mypy, and all tests; as root on Linux also the end-to-end runs on real machines
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/pytest -q -n 4 --dist worksteal -m "not e2e"
	@$(BIN)/pytest -q -m e2e

test-all: export RZP_ALL := 1
test-all: test ## the same, with the long runs

unit: setup ## only the unit tests: no lab, no machines
	@$(BIN)/pytest -q -m "not e2e and not lab"

lint: setup ## ruff and mypy
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

docs: setup ## write what is generated in docs/
	@$(BIN)/python -m tests.docs

docs-commands: setup ## the command blocks of the handbook: which test runs each, or why none does
	@$(BIN)/python -m tests.docs.listing

recording: setup ## docs/demo.txt and docs/demo.svg anew, from a run of the demo (Linux and root)
	@$(BIN)/python -m tests.docs.recording

install: setup ## the road to your own Proxmox: installs, and says how to get the commands on PATH
	@echo; echo "Installed. Put the commands on your PATH:"; echo
	@echo "  export PATH=\"$(CURDIR)/$(BIN):\$$PATH\"      # rzp-bootstrap and pyinfra"; echo
	@echo "Then: edit bootstrap/config/site.py, run rzp-bootstrap doctor --print-setup staging,"
	@echo "and after that rzp-bootstrap doctor staging. docs/runbook.md goes through it step by step."

setup: packages .venv/.ready

# Debian packages, only as root and only what is missing.
packages:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	  missing=""; for p in $(PACKAGES); do \
	    dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	  $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	  if [ -n "$$missing" ]; then echo "apt-get install$$missing"; \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; } \
	      > .apt.log 2>&1 || { cat .apt.log; exit 1; }; rm -f .apt.log; fi; fi

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is older than 3.11; type: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "making .venv from requirements.lock"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch .venv/.ready

lock: ## make requirements.lock anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --all-extras --upgrade pyproject.toml -o requirements.lock

clean: ## stop the lab, forget it, and remove .venv
	-@[ -x $(BIN)/rzp-bootstrap ] && $(BIN)/rzp-bootstrap lab reset
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
