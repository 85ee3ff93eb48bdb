# Thin: each target is one command that may be typed by hand. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup dev pypy demo test lint format soak docs reference readability lock deb sbom advisories bare-root clean
PY := .venv/bin/python
ARGS :=

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20
	@echo "ARGS=\"…\" is handed to demo (options), test and soak (pytest's arguments)."

setup: ## .venv with the command .venv/bin/coldloop
	@sh deploy/setup.sh run

dev: ## the same, with what tests, linters and type checks need
	@sh deploy/setup.sh dev

pypy: ## .pypy with the same command, on which campaigns take half the time
	@sh deploy/peers.sh pypy3 pypy3-venv
	@sh deploy/setup.sh pypy

demo: setup ## the main job, live: agent, emulated row and broker; no hardware, no root
	@.venv/bin/coldloop demo $(ARGS)

test: dev ## installs missing peers where it may, then runs the gates and all tests
	@sh deploy/peers.sh
	@$(PY) -m tests $(ARGS)

lint: dev ## the gates alone: syntax and imports on MicroPython, ruff, types, import contracts
	@$(PY) -m pytest -q tests/repository/test_gates.py

format: dev ## rewrites the code as the gates want it, where a tool can
	@.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format .

soak: dev ## the long tests, by hand: campaigns, fuzzing, installs from nothing
	@sh deploy/peers.sh
	-@$(MAKE) --no-print-directory pypy
	@$(PY) -m pytest -m soak $(ARGS)

docs: dev ## the site of the documents, checked, into build/docs
	@sh deploy/docs.sh

reference: dev ## the pages of docs/reference that are made from the code
	@$(PY) docs/tools/reference.py

readability: dev ## how easy the documents are to read, a line a file
	@$(PY) docs/tools/readability.py $(ARGS)

lock: ## resolves the dependencies anew into requirements/
	@sh deploy/lock.sh

deb: dev ## the Debian package, from the locked hashes, into dist/
	@$(PY) -m deploy.debian.build $(ARGS)

sbom: ## the bill of materials (CycloneDX) into dist/sbom.cdx.json
	@$(PY) -m deploy.release.sbom

advisories: ## asks whether anything pinned has a known weakness; before each release
	@$(PY) -m deploy.release.advisories $(ARGS)

bare-root: ## proves demo and test in a bare Debian root (root, debootstrap)
	@sh deploy/prove-bare-root.sh

clean: ## takes away the environment, caches and outputs
	@rm -rf .venv .pypy build dist out *.egg-info .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .hypothesis
	@find . -name __pycache__ -prune -exec rm -rf {} +
