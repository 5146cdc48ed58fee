# `make demo` and `make test` set up what they need, each in its own environment; the demo's holds no torch.
SHELL = bash
PYTHON ?= python3
PIP = -m pip install --quiet --disable-pip-version-check -c constraints.txt
WORKERS ?= 2
SOURCES := $(shell find src -name '*.py' -o -name '*.safetensors' -o -name '*.bin' -o -name '*.xml')

.PHONY: demo test lint types floors unit coverage format setup synth-setup clean help

help: ; @grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /: /'

demo: .venv-demo/ready ## render examples/ into demo.mp4 with the base install (no torch)
	@.venv-demo/bin/pcavs animate --identity examples/face.jpg --audio examples/speech.wav --pose examples/pose.mp4 --out demo.mp4 --overwrite && echo "the film is $(CURDIR)/demo.mp4"

test: lint types floors unit ## everything that must be green before a commit

lint: .venv/ready ## style, spelling, dead code, unused dependencies
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/codespell && .venv/bin/vulture && .venv/bin/deptry src

types: .venv/ready ## static types
	@.venv/bin/basedpyright --warnings

floors: .venv/ready ## who may import whom
	@.venv/bin/lint-imports --no-cache | sed -n '/^Contracts$$/,$$p'; exit $${PIPESTATUS[0]}

unit: .venv/ready ## the tests
	@.venv/bin/pytest -n $(WORKERS) --dist worksteal

coverage: .venv/ready ## the tests, and which lines they never reach
	@.venv/bin/pytest -n $(WORKERS) --cov --cov-report=term:skip-covered

format: .venv/ready ## put the code into the house's form
	@.venv/bin/ruff check --fix . ; .venv/bin/ruff format .

setup: .venv/ready ## the development environment in .venv

synth-setup: .venv/ready ## what rendering and synthetic voices need of Debian (as root); their tests skip without it
	@apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libegl1 libgl1-mesa-dri espeak-ng >/dev/null

clean: ## remove both environments and every cache
	@rm -rf .venv .venv-demo build dist .pytest_cache .ruff_cache .hypothesis src/*.egg-info

.venv/ready: pyproject.toml constraints.txt
	@echo "setting up .venv (torch and tools, a few minutes)" && $(PYTHON) -m venv .venv && .venv/bin/python $(PIP) -e '.[train,synth,dev]' && touch $@

.venv-demo/ready: pyproject.toml constraints.txt $(SOURCES)
	@echo "setting up .venv-demo (no torch)" && rm -rf build && $(PYTHON) -m venv .venv-demo && .venv-demo/bin/python $(PIP) --force-reinstall --no-deps . && .venv-demo/bin/python $(PIP) . && touch $@
