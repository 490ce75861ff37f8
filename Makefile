# Everything runs on the Node of node_modules/.bin (24), whatever Node (>= 20) the system has; only npm runs on the
# system's. GNU make 3.81 (macOS) and later. SHELL also keeps 3.81 from looking commands up in the old PATH.
SHELL := /bin/bash
SYSTEM_PATH := $(PATH)
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
STAMP := node_modules/.postern-installed
ARGS :=
VERSION := $(shell sed -n 's/^  "version": "\(.*\)",$$/\1/p' package.json)
IMAGE := postern:$(VERSION)

.DEFAULT_GOAL := help
.PHONY: help install check check-types check-lint check-dead check-tree check-generated test test-api scale demo drivers \
	bench fuzz golden types e2e image manifests chart clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-16s %s\n", $$1, $$2 }'

install: $(STAMP) ## Install what the lockfile names, when it has changed

$(STAMP): package-lock.json .npmrc
	PATH='$(SYSTEM_PATH)' npm ci
	@touch $@

check: check-types check-lint check-dead check-tree check-generated ## Types, lint, dead code, import directions, file lengths, generated files

check-types: install ## Types
	tsc -p .

check-lint: install ## Lint and format
	biome check .

check-dead: install ## Dead code: exports, files and dependencies that nobody uses
	knip

check-tree: install ## Import directions between the rooms, file lengths
	node tools/check-tree.ts

check-generated: install ## Generated files are what their generators make
	@set -e; for generator in tools/generate-*.ts; do if [ -e "$$generator" ]; then node "$$generator" --check; fi; done

test: install ## All tests; needs Node, npm and make alone. ARGS=test/wire for one room
	vitest run $(ARGS)

test-api: install ## The custom resources and the operator on a real API server; needs KUBEBUILDER_ASSETS. ARGS=rules for one file
	vitest run --config test-api/vitest.config.ts $(ARGS)

scale: install ## One operator with 100 gateways and 4,000 objects on a real API server; needs KUBEBUILDER_ASSETS. ARGS='--idle 10' for a short one
	node test-api/scale.ts $(ARGS)

demo: install ## A gateway with PostgreSQL and an issuer, and a short tour. ARGS=--once for the tour alone
	node tools/demo.ts $(ARGS)

e2e: install ## End-to-end tests on a kind cluster; needs docker, kind, kubectl, helm. ARGS=20 for one suite, E2E_KEEP=1 keeps the cluster
	vitest run --config e2e/vitest.config.ts $(ARGS)

drivers: install ## Foreign clients (psql, psycopg, asyncpg, pgx, pgjdbc) through the gateway. ARGS=psycopg for one
	node drivers/run.ts $(ARGS)

bench: install ## Direct, PgBouncer and the gateway side by side; writes docs/benchmarks.md. ARGS=--quick to try it
	node bench/run.ts $(ARGS)

fuzz: install ## The property tests, for longer. ARGS=test/wire for one room
	FUZZ_RUNS=$${FUZZ_RUNS:-20000} vitest run --testTimeout=1800000 $(ARGS)

golden: install ## Regenerate golden files from what the code does now; read the diff before you commit it
	UPDATE_GOLDEN=1 vitest run $(ARGS) --update

types: install ## Regenerate generated files
	@set -e; for generator in tools/generate-*.ts; do if [ -e "$$generator" ]; then node "$$generator"; fi; done

image: ## The container image, for gateway, operator and command; needs docker. IMAGE=registry.example.com/postern:0.1.0
	docker build --tag $(IMAGE) --build-arg VERSION=$(VERSION) \
		--build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) .

manifests: types ## The chart rendered by helm: manifests/postern.yaml and golden files; read the diff before you commit it
	node tools/render-chart.ts

chart: install ## Lints and renders the chart with helm, and compares with what make manifests wrote
	node tools/render-chart.ts --check

clean: ## Remove what was installed or built
	rm -rf node_modules .cache drivers/*/.venv drivers/*/target bench/results
