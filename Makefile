# Everything runs inside a virtual environment of the project's own; PYTHON names the interpreter that makes it.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
# Test workers: the suite is made for two cores.
WORKERS ?= 2

.PHONY: demo test setup lint types imports suite bench examples clean

demo: $(VENV)/.runtime
	$(BIN)/provenote demo --output demo-output

test: lint types imports suite

setup: $(VENV)/.development

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[generator,pictures,pdf]"
	touch $@

$(VENV)/.development: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[generator,engines,pictures,pdf,parquet,stores,benchmarks,development]"
	# Two outside verifiers of the tests: they ask for Python 3.12 and run on 3.11; what they need is there already.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps \
	    --ignore-requires-python aics-tlog aics-witness
	# axe-core, as a file: the package would bring a browser driver that nothing here uses.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps axe-playwright-python
	touch $@

lint: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.development
	$(BIN)/mypy

imports: $(VENV)/.development
	$(BIN)/lint-imports

# One thread for each worker: threads of numpy and torch that share a core wait for each other.
suite: $(VENV)/.development
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS)

bench: $(VENV)/.development
	$(BIN)/python -m benchmarks.robustness --short
	$(BIN)/python -m benchmarks.false_alarms --short
	$(BIN)/python -m benchmarks.audibility --short
	$(BIN)/python -m benchmarks.speed --short
	$(BIN)/python -m benchmarks.code --short
	$(BIN)/python -m benchmarks.candidate --short
	$(BIN)/python -m benchmarks.localisation --short
	$(BIN)/python -m benchmarks.copies --short
	$(BIN)/python -m benchmarks.security --short
	$(BIN)/python -m benchmarks.margin --short
	$(BIN)/python -m benchmarks.durability --short
	$(BIN)/python -m benchmarks.ledger_speed --short
	$(BIN)/python -m benchmarks.generator --short
	$(BIN)/python -m benchmarks.identity --short
	$(BIN)/python -m benchmarks.fuzz_openapi --short

examples: $(VENV)/.development
	$(BIN)/python -m benchmarks.generator_examples

clean:
	rm -rf $(VENV) demo-output benchmark-output
