# `make demo` and `make test` each set up their own environment; the demo's has no torch.
SHELL = bash
PYTHON ?= python3
PIP = -m pip install --quiet --disable-pip-version-check -c constraints.txt
WORKERS ?= 2
SOURCES := $(shell find src -name '*.py' -o -name '*.safetensors' -o -name '*.bin' -o -name '*.xml')

.PHONY: demo test lint types layers unit coverage bench format setup synth-setup docs clean help

help: ; @grep -E '^[a-z-]+:[^;]*## ' Makefile | sed -E 's/:.*## /: /'

demo: .venv-demo/ready ## render examples/ into demo.mp4 with the base install (no torch)
	@.venv-demo/bin/pcavs animate --identity examples/face.jpg --audio examples/speech.wav --pose examples/pose.mp4 --out demo.mp4 --overwrite && echo "wrote $(CURDIR)/demo.mp4"

test: lint types layers unit ## all checks and tests; they must pass before every commit

lint: .venv/ready ## check style, spelling, dead code and unused dependencies
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/codespell && .venv/bin/vulture && .venv/bin/deptry src

types: .venv/ready ## check static types
	@.venv/bin/basedpyright --warnings

layers: .venv/ready ## check which package imports which (the layers in pyproject.toml)
	@.venv/bin/lint-imports --no-cache | sed -n '/^Contracts$$/,$$p'; exit $${PIPESTATUS[0]}

# One thread for each test worker, and for the processes that tests start: workers share the processors.
unit coverage: export OMP_NUM_THREADS ?= 1
unit coverage: export OPENCV_FOR_THREADS_NUM ?= 1

unit: .venv/ready ## run the tests
	@.venv/bin/pytest -n $(WORKERS) --dist worksteal

coverage: .venv/ready ## run the tests and list lines that they do not reach
	@.venv/bin/pytest -n $(WORKERS) --cov --cov-report=term:skip-covered

bench: .venv/ready ## measure speed and memory, and compare them with benchmarks/baseline.json (half an hour)
	@.venv/bin/python benchmarks/bench.py --out bench.json

format: .venv/ready ## format the code
	@.venv/bin/ruff check --fix . ; .venv/bin/ruff format .

setup: .venv/ready ## create the development environment in .venv

synth-setup: .venv/ready ## install Debian packages for rendering, synthetic voices and a browser (as root); their tests skip without
	@apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libegl1 libgl1-mesa-dri espeak-ng chromium >/dev/null

docs: .venv-docs/ready ## build the documentation as a site, in site/; broken links are errors
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet --clean && echo "wrote $(CURDIR)/site/index.html"

clean: ## remove all environments and caches
	@rm -rf .venv .venv-demo .venv-docs build dist site .pytest_cache .ruff_cache .hypothesis src/*.egg-info

.venv/ready: pyproject.toml constraints.txt
	@echo "creating .venv with torch and tools (a few minutes)" && $(PYTHON) -m venv .venv && .venv/bin/python $(PIP) -e '.[train,synth,serve,serve-postgres,live,dev]' && touch $@

.venv-demo/ready: pyproject.toml constraints.txt $(SOURCES)
	@echo "creating .venv-demo without torch" && rm -rf build && $(PYTHON) -m venv .venv-demo && .venv-demo/bin/python $(PIP) --force-reinstall --no-deps . && .venv-demo/bin/python $(PIP) . && touch $@

.venv-docs/ready: pyproject.toml
	@echo "creating .venv-docs" && $(PYTHON) -m venv .venv-docs && .venv-docs/bin/python $(PIP) -e '.[docs]' && touch $@
