# Everything runs in .venv, which is made from requirements.lock by any Python from 3.11 on.
# `.env` beside this file may set the variables of docs/operating.md.

.DEFAULT_GOAL := help
.PHONY: help demo test check systems bench stop lock clean
SHELL := /bin/sh

VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.requirements
WORKERS ?= 2

# A deployment as far as `check --deploy` can see; nothing connects to these addresses.
DEPLOYMENT := DATABASE_URL=postgres://tollgate:unused@localhost:5432/tollgate \
  BROKER_URL=redis://localhost:6379/0 ALLOWED_HOSTS=billing.example.com \
  DEBUG=false PLAIN_HTTP=false BEHIND_PROXY=true DATABASE_POOL=8 \
  CSRF_TRUSTED_ORIGINS=https://billing.example.com EMAIL_URL=dummymail:// \
  SECRET_KEY=an-example-that-no-deployment-uses-0123456789-abcdefghijklmnopqrstuvwxyz

help:
	@echo "make demo     start everything with example customers on http://127.0.0.1:8000/"
	@echo "make test     run the whole suite on the embedded PostgreSQL"
	@echo "make check    format, lint, types, import contracts, migrations, deploy check"
	@echo "make systems  bill every shipped pricing system and compare to the cent"
	@echo "make bench    print each figure of docs/design.md as a ratio with its goal"
	@echo "make stop     stop the demo and the embedded PostgreSQL and Valkey"
	@echo "make lock     write requirements.lock again from pyproject.toml (needs uv)"
	@echo "make clean    stop the services and remove what was built; their data stays"

demo: $(READY)
	$(PYTHON) manage.py demo

test: $(READY)
	$(PYTHON) -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder $(ARGS)

# Types take as long as all the rest: both at once.
check: $(READY)
	@$(MAKE) --no-print-directory --jobs=2 check-types check-rules

.PHONY: check-types check-rules
check-types:
	$(PYTHON) -m mypy

check-rules:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(VENV)/bin/lint-imports
	$(PYTHON) manage.py makemigrations --check --dry-run
	$(PYTHON) manage.py check --fail-level WARNING
	$(DEPLOYMENT) $(PYTHON) manage.py check --deploy --fail-level WARNING

systems: $(READY)
	$(PYTHON) manage.py systems

bench: $(READY)
	$(PYTHON) -m bench

stop:
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m config.serve --stop && $(PYTHON) -m config.embedded stop; fi

lock:
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/"; exit 1; }
	@echo "# Every package with its hashes, for every platform from Python 3.11 on. \`make lock\` writes it again." > requirements.lock.new
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --no-header --no-emit-index-url --quiet >> requirements.lock.new
	mv requirements.lock.new requirements.lock

clean: stop
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
	  staticfiles test-results requirements.lock.new
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is the lock file it was made from: the same contents need no second installation.
$(READY): requirements.lock
	@if [ ! -x $(PYTHON) ] || ! cmp -s requirements.lock $(READY); then $(MAKE) --no-print-directory install; fi
	@cp requirements.lock $(READY)

.PHONY: install
install:
	@found=; for each in python3.11 python3.12 python3.13 python3.14 python3; do \
	  if command -v $$each >/dev/null 2>&1 && \
	     $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    found=$$each; break; fi; done; \
	if [ -z "$$found" ]; then \
	  echo "Tollgate needs Python 3.11 or newer; found $$(python3 --version 2>&1 || echo none)."; \
	  echo "Install it, or put it first on PATH, and run make again."; exit 1; fi; \
	if ! [ -x $(PYTHON) ] || ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	  $$found -m venv --clear $(VENV) || { \
	    echo "Python's venv module is incomplete; on Debian: apt-get install python3-venv"; exit 1; }; fi
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
