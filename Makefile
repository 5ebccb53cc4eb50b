# The commands of this repository. Each sets up what it needs: a virtual environment, the Python
# packages, the real parts (Prometheus, Thanos, a Kubernetes control plane).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help venv parts check test boards demo demo-kubernetes bench bench-placement truth chaos generate clean

help: ## what there is
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(VENV)/.stamp ## the virtual environment with everything in it

$(VENV)/.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + " (make PYTHON=python3.12 …)")'
	@echo "  python: a virtual environment in $(VENV) …" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test,bench]'
	@touch $@

parts: venv ## Prometheus, Thanos and the Kubernetes control plane (about 12 minutes, once)
	@$(BIN)/python -m tools.realparts

check: venv ## the fast inner loop: style, types, layers, unit tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/pytest -q -n 2 --ignore=tests/real

test: venv ## everything, against the real parts; a part that cannot be had is said, its tests skip
	@$(BIN)/python -m tools.realparts $(if $(AGENTAFLOW_REQUIRE_REAL_PARTS),,--optional)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/pytest -n 2 --dist loadfile

boards: venv ## every board drawn in a browser, its queries asked; new pictures in docs/images
	@$(BIN)/python -m tools.realparts prometheus browser
	@AGENTAFLOW_PICTURES=docs/images $(BIN)/pytest -s -q tests/dashboards tests/real/test_boards*.py

demo: venv ## a simulated fleet with a week of history, a real Prometheus, and the advice
	@$(BIN)/python -m tools.realparts prometheus
	@$(BIN)/python -m tools.demo

demo-kubernetes: venv ## the same beside a real Kubernetes, with decisions being applied
	@$(BIN)/python -m tools.realparts prometheus kubernetes
	@$(BIN)/python -m tools.demo --kubernetes

bench: venv ## the figures: us and two peers, side by side in one run
	@$(BIN)/python -m tools.realparts compiler prometheus node-exporter kubernetes
	@$(BIN)/python -m bench

bench-placement: venv ## the FGD paper's experiment: its table, ours, the bound, speed (half an hour)
	@$(BIN)/python -m tools.realparts --optional kubernetes
	@$(BIN)/python -m bench placement

truth: venv ## is the advice true? (DUTY=FOLDER for real inference pods too)
	@$(BIN)/python -m tools.realparts prometheus
	@$(BIN)/python -m bench truth $(if $(DUTY),--duty $(DUTY))

chaos: venv ## decisions under kills and faults: what was lost, done twice, done wrongly (a quarter of an hour)
	@$(BIN)/python -m tools.realparts kubernetes kueue prometheus
	@$(BIN)/python -m bench chaos $(if $(DECISIONS),--decisions $(DECISIONS)) $(if $(SEED),--seed $(SEED))

generate: venv ## what is generated: docs tables, boards, recording rules, alerts, the golden /metrics
	$(BIN)/python -m agentaflow_exporter.metrics > docs/metrics.md
	$(BIN)/python -m agentaflow_exporter.compat.dcgm > docs/compat.md
	$(BIN)/python -m tests.support.golden_metrics > tests/exporter/golden/metrics.txt
	$(BIN)/python -m agentaflow_advisor.documentation > docs/settings.md
	$(BIN)/python -m agentaflow_advisor.schema > docs/recommendation.schema.json
	$(BIN)/python -m agentaflow_advisor.observe.recording.rules alerts/rules
	$(BIN)/python -m tools.alert_rules
	$(BIN)/python -m agentaflow_dashboards generate

clean: ## the virtual environment and caches of this folder
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
