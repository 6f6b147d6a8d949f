# Everything a person does here. `make demo` and `make test` need nothing but Python >= 3.11, make and git.
PYTHON ?= python3
BIN := .venv/bin
APT := libgomp1 python3-venv
STAMP := .venv/.ready

DATA ?=
AS_OF ?=
TZ ?=
COUNTRY ?=
ARGS ?=
CITY := $(if $(DATA),--data '$(DATA)') $(if $(AS_OF),--as-of '$(AS_OF)') $(if $(TZ),--tz '$(TZ)') $(if $(COUNTRY),--country '$(COUNTRY)')
# A zone for the city is no zone for this machine's own programs.
unexport TZ

.PHONY: setup demo up postgresql alertmanager test test-survival fuzz check fmt lock bench-accuracy bench-speed bench-detection bench-gate bench-tracking bench-intake bench-load clean
.DEFAULT_GOAL := setup

setup: $(STAMP)

# Says what it does on stderr: stdout is for answers.
$(STAMP): requirements-dev.lock pyproject.toml
	@echo "setting up .venv (about a minute)" >&2
	@./scripts/packages.sh $(APT) >&2
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit("Python 3.11 to 3.13 is needed, this is " + sys.version.split()[0])'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . >&2
	@touch $@

demo: setup
	@$(BIN)/weisu demo $(CITY) $(ARGS)

up: setup
	@$(BIN)/weisu up

# The store is tested, and measured, on a real PostgreSQL as well; its server is needed there only.
postgresql: setup
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || ./scripts/packages.sh postgresql >&2

# Alerts are pushed to a real Alertmanager in the tests.
alertmanager: setup
	@command -v prometheus-alertmanager >/dev/null || ./scripts/packages.sh prometheus-alertmanager >&2

# A worker a core: a second thread of each for linear algebra would stand in the other's way. Files in their order: the last ones are short.
ONE_THREAD := OPENBLAS_NUM_THREADS=1
test: postgresql alertmanager
	@$(ONE_THREAD) $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

# Real processes killed, stopped and starved: twenty minutes on two cores. Tests take from a minute to five: each worker gets one at a time.
test-survival: postgresql
	@ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || ./scripts/packages.sh libfaketime >&2
	@$(ONE_THREAD) $(BIN)/python -m pytest -n 2 --dist load --maxschedchunk 1 tests/survival $(ARGS)

# Every operation of the API asked 2,000 times: tens of minutes. FUZZ_PATHS chooses paths: make fuzz FUZZ_PATHS=alerts
fuzz: setup
	@FUZZ_EXAMPLES=$(or $(FUZZ_EXAMPLES),2000) FUZZ_PATHS='$(FUZZ_PATHS)' $(BIN)/python -m pytest -q -s tests/service/api/test_fuzz.py

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The locks hold names, versions and hashes for Python 3.11 to 3.13, and no address: one of what runs, one of that and the tools, one of the peers
# of the benchmark. Versions that still fit stay; what runs is bound to the versions that are tested.
ACCURACY := experiments/benchmarks/accuracy
COMPILE := .venv-lock/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet
lock:
	$(PYTHON) -m venv .venv-lock && .venv-lock/bin/python -m pip install --quiet uv
	$(COMPILE) pyproject.toml --group dev -o requirements-dev.lock
	$(COMPILE) pyproject.toml --extra traces -c requirements-dev.lock -o requirements.lock
	$(COMPILE) $(ACCURACY)/peers.in -o $(ACCURACY)/peers.lock
	rm -rf .venv-lock

# The peers' libraries need another pandas than ours: an environment of their own, for this alone.
PEERS := .weisu/benchmarks/peers
$(PEERS)/.ready: $(ACCURACY)/peers.lock
	@echo "setting up $(PEERS) (about a minute)" >&2
	@$(PYTHON) -m venv --clear $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $< >&2
	@touch $@

bench-accuracy: setup $(PEERS)/.ready
	@$(BIN)/python -m experiments.benchmarks.accuracy $(ARGS)

# Of accuracy's parts the one that measures time.
bench-speed: setup $(PEERS)/.ready
	@$(BIN)/python -m experiments.benchmarks.accuracy --parts speed $(ARGS)

# The peers of detection come from R.
bench-detection: setup
	@Rscript -e 'packageVersion("surveillance")' >/dev/null 2>&1 || ./scripts/packages.sh r-cran-surveillance >&2
	@$(BIN)/python -m experiments.benchmarks.detection $(ARGS)

# Which candidates the gate tells from the champion; ARGS='--data FOLDER'.
bench-gate: setup
	@$(BIN)/python -m experiments.benchmarks.gate_power $(ARGS)

# ARGS=--postgresql needs its server.
bench-tracking: setup
	@$(BIN)/python -m service.benchmarks.tracking $(ARGS)

bench-intake: postgresql
	@$(BIN)/python -m service.benchmarks.intake $(ARGS)
	@$(BIN)/python -m service.benchmarks.sending

# What one API worker bears; wrk asks as fast as it is answered.
bench-load: setup
	@command -v wrk >/dev/null 2>&1 || ./scripts/packages.sh wrk >&2
	@$(BIN)/python -m service.benchmarks.load $(ARGS)

clean:
	rm -rf .venv .weisu
