# Every target sets up what it needs: a .venv of pinned versions on a machine with Python >= 3.11.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
WORKERS ?= 2

.PHONY: demo test lint bench verify docs clean

$(VENV)/ready: constraints.txt pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'pushforward needs Python 3.11 or newer; this is ' + sys.version.split()[0] + '. Say make PYTHON=/path/to/python3.12')"
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)"
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[data]"
	touch $@

$(VENV)/ready-test: $(VENV)/ready
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@

$(VENV)/ready-docs: $(VENV)/ready-test
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@

demo: $(VENV)/ready
	$(RUN) -m pushforward demo --out demo

test: $(VENV)/ready-test lint
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n $(WORKERS) --dist loadfile -m "not slow"

lint: $(VENV)/ready-test
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

# The peers live in an environment of their own. ARGS passes options on: make bench ARGS="--only maf --rounds 9".
.bench-venv/ready: constraints.txt bench/peers.txt pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'pushforward needs Python 3.11 or newer. Say make PYTHON=/path/to/python3.12')"
	test -x .bench-venv/bin/python || $(PYTHON) -m venv .bench-venv
	.bench-venv/bin/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)"
	.bench-venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r bench/peers.txt
	.bench-venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

bench: .bench-venv/ready
	.bench-venv/bin/python bench/run.py $(ARGS)

verify: $(VENV)/ready-test
	$(RUN) verify/run.py

docs: $(VENV)/ready-docs
	$(RUN) -m sphinx -W -b html docs docs/_build/html

clean:
	rm -rf $(VENV) .bench-venv demo docs/_build bench/out
