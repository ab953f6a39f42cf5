# Two commands: `make quickstart` and `make test`. Uses uv where it is on the PATH, else venv and pip.
PYTHON ?= python3
VENV ?= .venv
# Another file of versions, or none (CONSTRAINTS=) for the newest that the bounds in pyproject.toml allow.
CONSTRAINTS ?= constraints.txt
LIMITS = $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))
UV := $(shell command -v uv 2>/dev/null)
BIN := $(VENV)/bin

ifdef UV
CREATE = uv venv --quiet --clear --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
INSTALL = uv pip install --quiet --python $(BIN)/python $(LIMITS)
else
CREATE = $(PYTHON) -m venv --clear $(VENV)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(LIMITS)
endif

.PHONY: quickstart test test-core trackers coverage mutate audit lint docs catalogue reference claims clean help

help:
	@echo "make quickstart   install into $(VENV) and run the digits study: effects and a report"
	@echo "make test         the test suite, in two processes"
	@echo "make trackers     install TensorBoard, W&B and MLflow, without which their tests are skipped"
	@echo "make test-core    the tests that versions of Python and libraries can break, in minutes"
	@echo "make coverage     the test suite with the lines and branches that it reaches"
	@echo "make mutate       sampled changes of MODULES that no test notices"
	@echo "make audit        known vulnerabilities of the versions in $(CONSTRAINTS)"
	@echo "make lint         ruff and mypy"
	@echo "make docs         the documentation site, in docs/_build"
	@echo "make catalogue    the table of docs/regularizers.md, from the code"
	@echo "make reference    docs/commands.md and the schemas in configs, from the code"
	@echo "make claims       statements about regularization, tested: out/claims/claims.html, docs/claims-table.md"
	@echo "make clean        remove $(VENV), docs/_build and out/quickstart"

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
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

# A file's tests go to one process, so that what they share is made once.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

trackers: $(VENV)/.trackers

# What another Python, jax, NumPy, pandas, ... can break, in minutes: pinned keys and stored folders, study files, designs, tasks,
# optimizers, one training step and penalties against NumPy and Keras, data, statistics, page and figures, doctests.
CORE = regjax tests/test_keys.py tests/test_parts.py tests/test_config.py tests/test_design.py tests/test_tasks.py \
	tests/test_optimizers.py tests/test_store.py tests/test_codes.py tests/test_golden.py tests/test_known_answers.py \
	tests/train/test_oracle.py tests/train/test_keras.py tests/regularizers/test_penalties.py tests/data \
	tests/analysis/test_effects.py tests/analysis/test_signflip.py tests/report/test_report_page.py \
	tests/report/test_report_figures.py tests/commands/test_json.py tests/test_scikit.py
test-core: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile $(CORE)

coverage: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov=regjax --cov-report=term-missing:skip-covered --cov-report=html:out/coverage

MODULES ?= regjax/keys.py
COUNT ?= 20
mutate: $(VENV)/.dev
	$(BIN)/python scripts/mutate.py $(MODULES) --count $(COUNT)

audit: $(VENV)/.dev
	$(BIN)/python scripts/audit.py $(CONSTRAINTS)

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
