# Each target is one command. `make help` lists the targets.
.DEFAULT_GOAL := help
.PHONY: help setup agent dev pypy demo test lint format soak mutation digests fmea hazard-table docs reference readability lock deb bundle compiled sbom vex advisories bare-root clean
PY := .venv/bin/python
ARGS :=

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20
	@echo "ARGS=\"…\" passes options to demo and mutation, and arguments of pytest to test and soak."

setup: ## .venv with the command .venv/bin/coldloop: agent, bench, operators' commands
	@sh deploy/setup.sh run

agent: ## .venv with the agent and the diagnostic commands only
	@sh deploy/setup.sh agent

dev: ## as setup, with tools for tests, lint, types and documents
	@sh deploy/setup.sh dev

pypy: ## .pypy with the same command; campaigns take half the time
	@sh deploy/test-programs.sh pypy3 pypy3-venv
	@sh deploy/setup.sh pypy

demo: setup ## agent, emulated row and broker, live; needs no hardware and no root
	@.venv/bin/coldloop demo $(ARGS)

test: ## as dev, and missing test programs if possible; then the gates and all tests
	@sh deploy/test-programs.sh & programs=$$!; sh deploy/setup.sh dev; code=$$?; \
		wait $$programs; exit $$code
	@$(PY) -m tests $(ARGS)

lint: dev ## the gates: MicroPython, ruff, types, import contracts
	@$(PY) -m pytest -q tests/repository/test_gates.py

format: dev ## formats the code and fixes lint errors that ruff can fix
	@.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format .

soak: dev ## the long tests: campaigns, fuzzing, installations
	@sh deploy/test-programs.sh
	@sh deploy/test-programs.sh debootstrap qemu-user qemu-system-x86 squashfs-tools cmake
	-@$(MAKE) --no-print-directory pypy
	@$(PY) -m pytest -m soak $(ARGS)

digests: dev ## writes the digests of the shipped scenarios (after a wanted change)
	@$(PY) -m tests.hil.digests.write '$(REASON)'

fmea: dev ## measures the rows of the failure mode and effects analysis
	@.venv/bin/coldloop hil hazard --fmea docs/reference/fmea.md
	@.venv/bin/coldloop hil hazard --before-after docs/reference/before_after.md

hazard-table: dev ## measures the acceptance table of the hazard analysis on both interpreters
	@.venv/bin/coldloop hil hazard --acceptance docs/reference/hazard_table.md --compare

mutation: dev ## mutation tests, mutmut; SUBJECT=laws selects a subject, N=200 the number of mutants
	@$(PY) -m benchmarks.mutation.run $(SUBJECT:%=--subject %) $(N:%=--count %) $(ARGS)

docs: dev ## builds and checks the site of the documents in build/docs
	@sh docs/tools/site.sh

reference: dev ## writes docs/reference and docs/config.schema.json from the code
	@$(PY) docs/tools/reference.py

readability: dev ## prints sentence lengths of the documents
	@$(PY) docs/tools/readability.py $(ARGS)

lock: ## resolves the dependencies into requirements/
	@sh deploy/lock.sh

deb: dev ## builds the Debian package in dist/
	@$(PY) -m deploy.debian.build $(ARGS)

compiled: dev ## a copy of the packages with compiled modules in build/compiled; about twice as fast
	@$(PY) -m deploy.release.compiled $(ARGS)

bundle: ## builds the update of a server, without the bench, into dist/
	@$(PY) -m deploy.release.bundle

sbom: ## writes the bill of materials (CycloneDX), dist/sbom.cdx.json
	@$(PY) -m deploy.release.sbom

vex: dev ## writes which known vulnerabilities affect it (CycloneDX VEX), dist/vex.cdx.json
	@$(PY) -m deploy.release.vex

advisories: ## checks the pinned packages for known vulnerabilities; before each release
	@$(PY) -m deploy.release.advisories $(ARGS)

bare-root: ## runs demo and test in a bare Debian root (needs root, debootstrap)
	@sh deploy/debian/prove-bare-root.sh

clean: ## deletes the environment, caches and outputs
	@rm -rf .venv .pypy build dist out *.egg-info .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .hypothesis
	@find . -name __pycache__ -prune -exec rm -rf {} +
