# Everything a newcomer, a developer and CI run. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules

# With some of these bash, Python or pytest would not get as far as tests/support/environment.py, which takes the rest out.
# LC_ALL=C does so where the project's path is not ASCII: Python reads the path from a file in that encoding.
unexport BASH_ENV CDPATH $(if $(filter C POSIX,$(LC_ALL)),LC_ALL) $(filter-out PYTHON_BOOTSTRAP,$(filter PYTHON%,$(.VARIABLES)))

VENV := .venv
PYTHON := $(VENV)/bin/python
# More arguments for the program a target runs, such as ARGS="tests/web -k reload".
ARGS ?=
FIELD ?=
VERSION ?=
CODE_VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' exporter/gigas_exporter/__init__.py)
# Each file's tests run in one process, for the sake of what they share, and files begin in the order of tests/conftest.py.
TOGETHER = --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder
# Many tests hold promises about time. What failed beside others (1) is tried once more, one test at a time; a run that did
# not come to its end is not.
AGAIN = (($$? == 1)) && $(PYTHON) -m pytest --last-failed --last-failed-no-failures=none -rf
# Coverage takes a third of the processor's time: it is measured in CI and before a release, and elsewhere on demand.
COVERAGE ?= $(CI)
LEAST_COVERAGE := 95
# Test processes: more than cores, since most tests wait more than they compute, but where coverage is measured.
JOBS ?= $(shell echo $$(($$(nproc) + $(if $(strip $(COVERAGE)),1,3))))
# Run apart and without coverage: among their thousands of threads one is sooner or later interrupted by the garbage
# collector while it holds coverage's lock, which it cannot take twice, and all of them wait for ever.
UNTRACED := tests/faults tests/trust tests/poller/test_poller_hanging.py

RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
RELEASE := .venv-release/.installed
# What the installed package's metadata is made of: its version is in the second.
PACKAGE := pyproject.toml exporter/gigas_exporter/__init__.py

.PHONY: help
help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# ------------------------------------------------------------------ environments
# The development environment holds all that the runtime one does, at the same versions; whichever is there serves.

$(RUNTIME): requirements/runtime.txt requirements/build.txt $(PACKAGE) $(wildcard $(DEV))
	@[[ -e $(DEV) ]] || scripts/create-venv $(VENV) requirements/runtime.txt requirements/build.txt
	@touch $@

$(DEV): requirements/dev.txt $(PACKAGE)
	@scripts/create-venv $(VENV) requirements/dev.txt
	@touch $@

$(RELEASE): requirements/release.txt requirements/build.txt
	@scripts/create-venv --without-package .venv-release requirements/release.txt requirements/build.txt
	@touch $@

.PHONY: install
install: $(DEV)  ## create .venv with what a developer needs: the locked tools and Node; nothing outside of it

# ------------------------------------------------------------------ use
.PHONY: demo
demo: $(RUNTIME)  ## run the exporter against its own simulated API: no account, no network
	@exec $(VENV)/bin/gigas-exporter demo $(ARGS)

# ------------------------------------------------------------------ check
define without_coverage
$(PYTHON) -m pytest $(TOGETHER) -m 'not field' || { $(AGAIN) -m 'not field'; }
endef

define with_coverage
@rm -f .coverage .coverage.*
$(PYTHON) -m pytest $(TOGETHER) -m 'not field' --cov --cov-report= --durations=100 --durations-min=2 $(addprefix --ignore=,$(UNTRACED)) \
    || { $(AGAIN) -m 'not field' --cov --cov-append --cov-report= $(addprefix --ignore=,$(UNTRACED)); }
$(PYTHON) -m pytest $(TOGETHER) -m 'not field' $(UNTRACED) || { $(AGAIN) -m 'not field' $(UNTRACED); }
@mkdir -p build
@$(PYTHON) -m coverage report
@$(PYTHON) -m coverage json --quiet -o build/coverage.json
@$(PYTHON) scripts/coverage_gate.py build/coverage.json $(LEAST_COVERAGE)
endef

.PHONY: test
ifneq ($(strip $(ARGS)),)
test: $(DEV)
	$(PYTHON) -m pytest $(TOGETHER) $(ARGS)
else
test: $(DEV) tools node lint  ## lint, then run all tests; with ARGS just those tests, with COVERAGE=1 with coverage
	$(if $(strip $(COVERAGE)),$(with_coverage),$(without_coverage))
endif

.PHONY: check
check: $(DEV)  ## ruff, mypy, and the tests that need no socket and no other process: seconds, for while you edit
	@$(PYTHON) -m ruff check --quiet .
	@$(PYTHON) -m ruff format --quiet --check .
	@$(PYTHON) -m mypy --no-error-summary
	@$(PYTHON) -m pytest -q --no-header --numprocesses=$(shell nproc) --dist=loadfile -m unit $(ARGS)

# FIELD=required installs what they need, and lets a test fail that lacks it.
.PHONY: test-field
test-field: $(DEV) $(if $(filter required,$(FIELD)),tools node field-tools)  ## run the tests marked field: image, Helm, newer Prometheus; FIELD=required installs what they need
	@$(if $(filter required,$(FIELD)),scripts/install-tools --field)
	FIELD=$(FIELD) $(PYTHON) -m pytest --numprocesses=$(shell nproc) --dist=loadfile --no-loadscope-reorder -m field -rs \
	    --durations=15 $(ARGS) || (($$? == 5))  # 5: there is none

.PHONY: lint
lint: $(DEV)  ## ruff, mypy strict, shellcheck, hadolint, zizmor
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(VENV)/bin/shellcheck $$(grep -lE '^\#!.*(ba)?sh$$' -r --exclude-dir=node_modules scripts .ci deploy)
	$(VENV)/bin/hadolint Dockerfile
	$(VENV)/bin/zizmor --offline --no-progress --quiet .github/workflows

# Node packages that tests use, each folder from its own lock.
NODE_LOCKS := $(wildcard tests/*/package-lock.json tests/*/*/package-lock.json dashboards/*/package-lock.json)

.PHONY: node
node: $(DEV) $(NODE_LOCKS:package-lock.json=node_modules/.package-lock.json)  ## install the Node packages that tests use

%/node_modules/.package-lock.json: %/package-lock.json
	@scripts/install-node-packages $*

.PHONY: tools
tools:  ## say which Debian packages the tests need and install them where permitted; tell a program that is too old
	@scripts/install-tools

.PHONY: field-tools
field-tools: $(DEV)  ## fetch Debian testing's Prometheus, Alertmanager and VictoriaMetrics, and Helm and kubectl, into build/
	@scripts/fetch-field-tools
	@scripts/fetch-helm

.PHONY: format
format: $(DEV)  ## format the code and mend what can be mended
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

.PHONY: bench
bench: $(DEV)  ## measure scrapes, polls and start-up
	$(PYTHON) bench $(ARGS)

.PHONY: soak
soak: $(DEV)  ## run for 15 minutes under random faults; memory, threads and descriptors must stay flat
	$(PYTHON) tests/soak $(ARGS)

# ------------------------------------------------------------------ generated files
.PHONY: dashboards
dashboards: $(DEV)  ## write the dashboards' JSON anew
	$(PYTHON) -m dashboards.generate $(ARGS)

.PHONY: docs
docs: $(DEV)  ## write the generated tables of docs/ anew
	$(PYTHON) scripts/generate_docs.py $(ARGS)

.PHONY: deploy
deploy: $(DEV)  ## render the plain manifests and the chart's README from deploy/helm
	@scripts/fetch-helm
	$(PYTHON) scripts/generate_kubernetes.py build/helm/bin/helm $(ARGS)

.PHONY: lock
lock: $(DEV)  ## write requirements/ anew from pyproject.toml (UPGRADE=1: newest versions)
	scripts/lock

# ------------------------------------------------------------------ release
.PHONY: dist
dist: $(RELEASE)  ## build wheel and sdist, install each in a clean environment and try it
	scripts/build-dist .venv-release/bin/python dist

.PHONY: deb
deb:  ## build the Debian package for Debian 12 and 13 into dist/, each in a clean root (as root)
	scripts/build-deb $(ARGS)

.PHONY: try-deb
try-deb:  ## install, start, reload, upgrade and purge the built packages under systemd-nspawn (as root)
	scripts/try-deb $(ARGS)

.PHONY: prepare-release
prepare-release: $(DEV)  ## give code, chart and changelog the VERSION that comes next; what is Unreleased becomes its notes
	$(PYTHON) scripts/prepare_release.py '$(VERSION)'
	@$(MAKE) --no-print-directory deploy

# These two come before what takes hours: what is wrong here is quickly mended.
.PHONY: committed
committed:  ## fail where anything is not committed
	@changes=$$(git status --porcelain); [[ -z $$changes ]] || { echo "error: not committed:"$$'\n'"$$changes" >&2; exit 1; }

.PHONY: release-notes
release-notes: $(DEV)  ## print the notes of the version that the code has; fail where anything is still Unreleased, or it is tagged
	@$(PYTHON) scripts/release_notes.py $(CODE_VERSION)
	@! git rev-parse --quiet --verify refs/tags/v$(CODE_VERSION) >/dev/null || { echo 'error: v$(CODE_VERSION) is tagged already' >&2; exit 1; }

.PHONY: release-check
release-check: COVERAGE := 1
release-check: committed release-notes audit test dist sbom deb try-deb fresh  ## all that one machine can try before a tag (as root; hours); CI tries the rest
	@$(MAKE) --no-print-directory test-field FIELD=required ARGS=--ignore=tests/deploy/test_deploy_debian.py  # tried above
	@$(MAKE) --no-print-directory committed
	@commit=$$(git rev-parse HEAD); printf '%s\n' "passed here; CI tries more. Push, and wait until ci is green for $$commit:" \
	    "  git push origin $$commit:refs/heads/main" "Only then:" \
	    "  git tag v$(CODE_VERSION) $$commit && git push origin v$(CODE_VERSION)"

.PHONY: sbom
sbom: $(RELEASE)  ## write dist/sbom.cdx.json, the CycloneDX list of what is installed with the exporter
	scripts/write-sbom .venv-release/bin dist/sbom.cdx.json

.PHONY: audit
audit: $(RELEASE)  ## look the locked versions up among known vulnerabilities (needs the network; what cannot be looked up is an error)
	.venv-release/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements/runtime.txt $(ARGS)

.PHONY: fresh
fresh:  ## run make demo and make test in clean roots of Debian 12 and 13 (as root; an hour)
	scripts/try-fresh $(ARGS)

.PHONY: clean
clean:  ## remove what was built, and the environments
	rm -rf $(VENV) .venv-release build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
