# Two commands: `make quickstart` and `make test`. Uses uv where it is on the PATH, else venv and pip.
PYTHON ?= python3
VENV ?= .venv
UV := $(shell command -v uv 2>/dev/null)
BIN := $(VENV)/bin

ifdef UV
CREATE = uv venv --quiet --clear --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
INSTALL = uv pip install --quiet --python $(BIN)/python --constraint constraints.txt
else
CREATE = $(PYTHON) -m venv --clear $(VENV)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
endif

.PHONY: quickstart test trackers lint docs catalogue reference claims clean help

help:
	@echo "make quickstart   install into $(VENV) and run the digits study: effects and a report"
	@echo "make test         the test suite, in two processes"
	@echo "make trackers     install TensorBoard, W&B and MLflow, without which their tests are skipped"
	@echo "make lint         ruff and mypy"
	@echo "make docs         the documentation site, in docs/_build"
	@echo "make catalogue    the table of docs/regularizers.md, from the code"
	@echo "make reference    docs/commands.md and the schemas in configs, from the code"
	@echo "make claims       statements about regularization, tested: out/claims/claims.html, docs/claims-table.md"
	@echo "make clean        remove $(VENV), docs/_build and out/quickstart"

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "regjax needs Python >= 3.11, got " + sys.version.split()[0] + "; set PYTHON=python3.12, say")'
	$(CREATE)
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(INSTALL) --editable '.[dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(INSTALL) --editable '.[docs]'
	@touch $@

$(VENV)/.trackers: $(VENV)/.installed
	$(INSTALL) --editable '.[trackers]'
	@touch $@

quickstart: $(VENV)/.installed
	$(BIN)/regjax run configs/quickstart.toml --out out/quickstart

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2

trackers: $(VENV)/.trackers

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --nitpicky docs docs/_build

catalogue: $(VENV)/.installed
	sed -i '/^### Regularizers/,$$d' docs/regularizers.md
	$(BIN)/regjax explain >> docs/regularizers.md

reference: $(VENV)/.installed
	sed -i '/^### Exit codes/,$$d' docs/commands.md
	$(BIN)/python -c "from regjax.cli import EXIT_CODES as codes, make_parser as parser; \
	from regjax.commands.reference import make_reference; print(make_reference(parser(), codes), end='')" >> docs/commands.md
	sed -i '/^| measure | options/,$$d' docs/claims.md
	$(BIN)/python -c "from regjax.claims.measures import measures_table; print(measures_table(), end='')" >> docs/claims.md
	$(BIN)/regjax schema > configs/study.schema.json
	$(BIN)/regjax schema --claims > configs/claim.schema.json

claims: $(VENV)/.installed
	$(BIN)/regjax claims
	$(BIN)/regjax claims --markdown > out/claims/table.md
	sed -i '4,$$d' docs/claims-table.md
	(echo; cat out/claims/table.md) >> docs/claims-table.md

clean:
	rm -rf $(VENV) docs/_build out/quickstart
