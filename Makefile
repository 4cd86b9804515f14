# Outrigger. `make help` lists what can be made; `make demo` and `make test` need only Python and make.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-print-directory

VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check

# Set PYTHON to choose the interpreter; otherwise the first of these that really runs is taken.
PYTHONS := $(or $(PYTHON),python3.13 python3.12 python3.11 python3)
# Processes that pytest uses, kills of `make crash` (of `make fleet-faults`: faults of each kind), and those of the short
# round inside `make test`.
JOBS ?= 2
N ?= 20
TEST_KILLS ?= 3

# One line of progress.
say = @echo '-- $(1)'

##@ The two commands of the README

.PHONY: demo
demo: $(VENV)/.runtime $(VENV)/.project ## Start a server, send it real events, show what was decided (DETACH=1 leaves it serving)
	@$(RUN) deploy/demo/run.py $(if $(DETACH),--detach)

.PHONY: test
test: check ## Everything CI runs: check, a short crash round, all tests
	$(call say,crash: $(TEST_KILLS) kills under load)
	@$(RUN) -m tests.crash --kills $(TEST_KILLS)
	$(call say,pytest with $(JOBS) processes)
	@$(RUN) -m pytest -n $(JOBS) $(T)

.PHONY: stop
stop: ## End the server that `make demo DETACH=1` left serving
	@if [ -x $(RUN) ]; then $(RUN) deploy/demo/run.py --stop; else echo 'Nothing to stop.'; fi

##@ Daily work

.PHONY: check
check: $(VENV)/.test $(VENV)/.project ## Format, lint, types and import contracts
	$(call say,ruff)
	@$(RUN) -m ruff format --quiet --check .
	@$(RUN) -m ruff check --quiet .
	$(call say,mypy)
	@$(RUN) -m mypy core plugins webhooks wsgi.py deploy/demo deploy/replay deploy/check.py deploy/compose/healthcheck.py
	$(call say,import contracts)
	@$(VENV)/bin/lint-imports --no-logo
	$(call say,locked packages against pyproject.toml)
	@$(PIP) check

.PHONY: fix
fix: $(VENV)/.test ## Repair what formatter and linter can repair
	@$(RUN) -m ruff check --fix --quiet --exit-zero .
	@$(RUN) -m ruff format .

.PHONY: install
install: $(VENV)/.test $(VENV)/.project ## Only make .venv, with everything development needs

.PHONY: clean
clean: ## Remove .venv and what tools left behind; databases stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .schemathesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Proving the promises

.PHONY: bench
bench: $(VENV)/.test $(VENV)/.peers $(VENV)/.project ## Throughput and latency as ratios to limits and peers measured in the same run
	@$(RUN) -m tests.bench

.PHONY: bench-servers
bench-servers: $(VENV)/.test $(VENV)/.peers $(VENV)/.project ## HTTP servers that could be embedded, also under an attack of slow bodies
	@$(RUN) -m tests.bench.servers

.PHONY: bench-growth
bench-growth: $(VENV)/.test $(VENV)/.project ## What stored years, timers and backlogs cost: a grown database against an empty one (EVENTS=n)
	@$(RUN) -m tests.growth $(if $(EVENTS),--events $(EVENTS))

.PHONY: crash
crash: $(VENV)/.test $(VENV)/.project ## Kill -9 under load N times (N=20) and look for lost or doubled events
	@$(RUN) -m tests.crash --kills $(N)

.PHONY: fleet-faults
fleet-faults: $(VENV)/.test $(VENV)/.project ## Each kind of fault N times (N=20) on a fleet of five hosts (ARGS='--broker redis')
	@$(RUN) -m tests.fleet_faults --each $(N) $(ARGS)

.PHONY: powercut
powercut: $(VENV)/.test $(VENV)/.project ## Replay disk writes up to simulated power cuts and look for lost events
	@$(RUN) -m tests.powercut

.PHONY: switching
switching: $(VENV)/.test $(VENV)/.project ## Switch a plugin off and on 1,000 times while events flow
	@$(RUN) -m tests.switching --switches 1000

.PHONY: calendars
calendars: $(VENV)/.test $(VENV)/.project ## 100,000 cases of working time against a slow oracle that shares no code
	@$(RUN) -m tests.time.campaign --cases 100000

.PHONY: replay
replay: $(VENV)/.replay $(VENV)/.project ## Import the public data in DATA=DIR and let the plugins decide (SETS=a,b ROWS=n)
	@test -n "$(DATA)" || { echo 'Say where the data is: make replay DATA=DIR' >&2; exit 2; }
	@$(RUN) -m deploy.replay $(DATA) $(if $(SETS),--sets $(SETS)) $(if $(ROWS),--rows $(ROWS))

.PHONY: footprint
footprint: $(VENV)/.test $(VENV)/.project ## Disk per event: import 2,000 events on both databases and look at tables and indexes
	@$(RUN) -m tests.footprint

.PHONY: deploy-check
deploy-check: $(VENV)/.deploy $(VENV)/.project ## Units, image, Compose file and proxy, by their own tools; says which are missing
	@$(RUN) -m deploy.check

.PHONY: containers
containers: $(VENV)/.test $(VENV)/.project ## deploy/compose under a container engine: start, limits, faults (STAND_INS=1 makes images)
	@$(if $(STAND_INS),tests/deploy/stand_ins/make.sh)
	@$(if $(STAND_INS),export $(foreach name,PYTHON POSTGRES RABBITMQ NGINX,$(name)_IMAGE=outrigger-stand-in:$(shell echo $(name) | tr A-Z a-z)) &&) \
		$(RUN) -m pytest -p no:cacheprovider -s tests/deploy/check_containers.py

.PHONY: fuzz
fuzz: $(VENV)/.test $(VENV)/.project ## The tests marked fuzz, with many more examples
	@$(RUN) -m pytest -n $(JOBS) -m fuzz --hypothesis-profile=fuzz --timeout=1800 $(T)

##@ Dependencies

.PHONY: lock
lock: ## Write both lock files anew from pyproject.toml (UPGRADE=1 takes the newest versions)
	@set -e; $(find_python); dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	"$$python" -m venv "$$dir"; \
	"$$dir/bin/pip" --disable-pip-version-check --quiet install uv; \
	lock() { \
		out=$$1; shift; \
		"$$dir/bin/uv" pip compile pyproject.toml --quiet --universal --generate-hashes --no-header --no-annotate \
			--no-emit-index-url --no-emit-find-links --group build "$$@" --output-file "$$out" >/dev/null; \
		echo "$$out: $$(grep -c '^[a-z].*==' "$$out") packages"; \
	}; \
	lock requirements.lock $(if $(UPGRADE),--upgrade); \
	lock requirements-fleet.lock $(if $(UPGRADE),--upgrade) --extra fleet --constraint requirements.lock; \
	lock tests/bench/peers/requirements.lock $(if $(UPGRADE),--upgrade) --extra peers --constraint requirements-fleet.lock; \
	lock requirements-test.lock $(if $(UPGRADE),--upgrade) --extra fleet --extra test --constraint requirements.lock

.PHONY: help
help: ## This list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ------------------------------------------------------------------------------------------- how .venv is made
# A stamp per step: a step is repeated only when the file it was made from has changed.

# Sets $python, passing over version managers' shims that exist and do not run.
define find_python
python=; venvless=; \
for candidate in $(PYTHONS); do \
	"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	if "$$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then python=$$candidate; break; fi; \
	venvless=$$candidate; \
done; \
if [ -z "$$python" ]; then \
	if [ -n "$$venvless" ]; then \
		echo "$$venvless cannot make virtual environments: install the package python3-venv." >&2; \
	else \
		echo 'Outrigger needs Python 3.11 or newer; none of these runs: $(PYTHONS). Name yours: make PYTHON=...' >&2; \
	fi; \
	exit 1; \
fi
endef

install_locked = $(PIP) install -qq --require-hashes --only-binary :all: -r

# Made anew when the interpreter under it has gone or the checkout has moved; the stamp holds where it was made.
ifneq ($(shell $(RUN) -c 'print(open("$(VENV)/.made").read().strip())' 2>/dev/null),$(CURDIR))
$(shell rm -f $(VENV)/.made $(VENV)/.runtime $(VENV)/.test $(VENV)/.project)
endif
$(VENV)/.made:
	@set -e; $(find_python); \
	echo "-- making $(VENV) with $$("$$python" -V)"; \
	"$$python" -m venv --clear $(VENV)
	@echo '$(CURDIR)' > $@

$(VENV)/.replay: deploy/replay/requirements.lock | $(VENV)/.runtime
	$(call say,installing the locked packages of $<)
	@$(install_locked) $<
	@touch $@

$(VENV)/.deploy: deploy/requirements.lock | $(VENV)/.test
	$(call say,installing the locked packages of $<)
	@$(install_locked) $<
	@touch $@

$(VENV)/.peers: tests/bench/peers/requirements.lock | $(VENV)/.test
	$(call say,installing the locked packages of $<)
	@$(install_locked) $<
	@touch $@

$(VENV)/.runtime: requirements.lock | $(VENV)/.made
	$(call say,installing the locked packages of $< (up to a minute the first time))
	@$(install_locked) $<
	@touch $@

# The test lock holds the runtime lock's packages in the same versions.
$(VENV)/.test: requirements-test.lock requirements.lock | $(VENV)/.made
	$(call say,installing the locked packages of $< (up to a minute the first time))
	@$(install_locked) $<
	@touch $@ $(VENV)/.runtime

$(VENV)/.project: pyproject.toml | $(VENV)/.made
	@test -e $(VENV)/.runtime || $(MAKE) $(VENV)/.runtime
	$(call say,installing the project itself)
	@$(PIP) install -qq --no-deps --no-build-isolation --editable .
	@touch $@
