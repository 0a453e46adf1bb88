# `make demo` and `make test` do their own set-up: any Python 3.11+ with pip is enough. JOBS= says how many tests run at once.

JOBS ?= auto
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
READY := .venv/.ready
MADE := .venv/.made
INSTALL = $(BIN)/python -m pip install -c constraints.txt

# Where a wheel of torch without CUDA is: a tenth of the size, and on a processor it is as fast. TORCH_INDEX= for the usual one.
TORCH_INDEX ?= $(if $(filter Darwin,$(shell uname -s)),,https://download.pytorch.org/whl/cpu)
TORCH = .venv/.torch

.PHONY: help setup demo axe test test-engines lint format docs site notebooks bench figures tables clean

help:
	@echo "make demo     installs what that needs, trains on embedded data and says where the reports are"
	@echo "make test     the whole test suite"
	@echo "make test-engines   predicting on Ray, Spark and Dask, tuning over PostgreSQL (ENGINES=\"ray dask\" for some)"
	@echo "make lint     ruff and pyright"
	@echo "make docs     renews docs/commands, stubs and the file tables of ARCHITECTURE.md"
	@echo "make site     the documentation as a site: open build/site/index.html"
	@echo "make notebooks  the four tutorials as executed notebooks, in build/notebooks"
	@echo "make bench    the kernels against their peers on this machine"
	@echo "make figures  the figures of texts, characters and series, measured again: an hour on two cores"
	@echo "make tables   the long tables of docs/, measured again: hours"

setup: $(READY)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "gatework needs Python 3.11 or newer on the path (or: make PYTHON=/path/to/python)"; exit 1; }
	"$(PYTHON)" -m venv .venv || { "$(PYTHON)" -m venv --clear --without-pip .venv && "$(PYTHON)" -m pip --python $@ install pip; }
	@touch $(MADE)

# What torch itself needs comes later, from the usual index; and torch too where its own cannot be reached.
$(TORCH): | $(BIN)/python
	@test -z "$(TORCH_INDEX)" || $(INSTALL) --no-compile --no-deps --retries 1 --timeout 20 --index-url "$(TORCH_INDEX)" torch \
		|| echo "torch comes from the usual index, which on Linux brings CUDA, too: 4 GB more"
	@touch $@

$(READY): pyproject.toml constraints.txt | $(TORCH)
	$(BIN)/python -m pip install -e '.[train,keras,dev]' -c constraints.txt
	@touch $@

# Without what a demo has no use for: byte code of all modules, the programs that test torch, and the tests of packages (180 MB);
# but for a .venv that somebody else made, who may have put more into it. One that holds everything is brought up to date as such.
.venv/.demo: pyproject.toml constraints.txt $(wildcard $(READY)) | $(TORCH)
	@test -e $(READY) || $(INSTALL) --no-compile -e '.[demo]'
	@test -e $(READY) || test ! -e $(MADE) || find .venv \( -name __pycache__ -o -path '*/site-packages/*/tests' -o -path '*/torch/test' \
		-o -path '*/torch/bin/*[tT]est*' -o -path '*/torch/bin/protoc*' \) -prune -exec rm -rf {} +
	@touch $@

demo: .venv/.demo
	$(BIN)/gatework demo

test: $(READY)
	$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 4 --dist worksteal

# The engines stand in an environment of their own, on top of what .venv holds.
ENGINES ?= ray dask spark postgres
NEEDS_ray := 'ray[data]>=2.44'
NEEDS_dask := 'dask[dataframe]>=2025.2' 'distributed>=2025.2'
NEEDS_spark := 'pyspark>=4.0'
NEEDS_postgres := 'psycopg2-binary>=2.9'
BASE := 'import sysconfig; print(sysconfig.get_path("purelib"))'

.venv-engines/bin/python: | $(READY)
	$(BIN)/python -m venv --without-pip .venv-engines
	echo "import site; site.addsitedir('$$($(BIN)/python -c $(BASE))')" > "$$($@ -c $(BASE))/base.pth"

.venv-engines/%: constraints.txt | .venv-engines/bin/python
	$(BIN)/python -m pip --python .venv-engines/bin/python install $(NEEDS_$*) -c constraints.txt
	@touch $@

test-engines: $(ENGINES:%=.venv-engines/%)
	.venv-engines/bin/python -m pytest $(ENGINES:%=tests/engines/test_%.py) -W default

# What looks at pages for those who cannot see them well, by npm; tests/test_pages.py uses it where it is.
AXE := .venv/axe/node_modules/axe-core/axe.min.js
axe: $(AXE)
$(AXE): | $(BIN)/python
	npm install --no-save --no-audit --no-fund --fetch-retries 1 --fetch-timeout 20000 --prefix .venv/axe axe-core@4.14.1

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)
	$(BIN)/python docs/renew.py

site: $(READY)
	$(BIN)/python docs/pages.py

# What runs notebooks is asked for here alone: nothing else needs it.
notebooks: $(READY)
	$(BIN)/python -m pip install --quiet -e '.[docs]' -c constraints.txt
	$(BIN)/python docs/notebooks.py

bench: $(READY)
	$(BIN)/gatework bench all --json benchmarks/results/all.json
	$(BIN)/python benchmarks/measures.py benchmarks/results/all.json

figures: $(READY)
	$(BIN)/python benchmarks/figures.py

tables: $(READY)
	$(BIN)/python benchmarks/figures.py tables tune

clean:
	rm -rf .venv .venv-engines build dist .pytest_cache .ruff_cache
