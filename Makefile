# Every target sets up what it needs: a .venv of pinned versions on a machine with Python >= 3.11.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
WORKERS ?= 2

.PHONY: demo test lint bench verify docs clean verify-trust test-offline test-lowest dist sbom lock licences

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

# Promises, tried: crashes, hostile files, signals, processes, supply. ARGS passes options on.
verify-trust: $(VENV)/ready-test
	$(RUN) verify/trust/run.py $(ARGS)

# The tests without the network: Python blocked, and where the system allows it a network namespace with loopback alone (supply/alone.py).
test-offline: $(VENV)/ready-test
	OMP_NUM_THREADS=1 $(RUN) supply/alone.py --kernel $(RUN) -m pytest -n $(WORKERS) --dist loadfile -m "not slow" $(ARGS)

# The lowest versions that pyproject.toml allows, in an environment of their own. PYTHON=python3.13 or another tries that Python instead.
$(VENV)/lowest/ready: supply/lowest.txt pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'pushforward needs Python 3.11 or newer. Say make PYTHON=/path/to/python3.12')"
	test -x $(VENV)/lowest/bin/python || $(PYTHON) -m venv $(VENV)/lowest
	$(VENV)/lowest/bin/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' supply/lowest.txt)"
	$(VENV)/lowest/bin/python -m pip install --quiet --disable-pip-version-check -r supply/lowest.txt pytest pytest-xdist pytest-timeout hatchling "$$(grep ^ruff== constraints.txt)"
	$(VENV)/lowest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

test-lowest: $(VENV)/lowest/ready
	OMP_NUM_THREADS=1 $(VENV)/lowest/bin/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow" $(ARGS)

# What is published: sdist and wheel, the same bytes each time, and the bill of materials beside them.
dist: $(VENV)/ready-test
	rm -rf dist
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} $(RUN) -m hatchling build -d dist -t sdist -t wheel
	$(RUN) supply/sbom.py -o dist/pushforward.cdx.json

sbom: $(VENV)/ready-test
	$(RUN) supply/sbom.py -o dist/pushforward.cdx.json

# The lock file and the table of licences, from what is installed.
lock: $(VENV)/ready-docs
	$(RUN) supply/packages.py lock

licences: $(VENV)/ready-test
	$(RUN) supply/packages.py licences

docs: $(VENV)/ready-docs
	$(RUN) -m sphinx -W -b html docs docs/_build/html

clean:
	rm -rf $(VENV) .bench-venv dist demo docs/_build bench/out
