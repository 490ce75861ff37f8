# Everything runs on the Node of node_modules/.bin (24), whatever Node (>= 20) the system has.
SHELL := /bin/bash
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
STAMP := node_modules/.postern-installed

.DEFAULT_GOAL := help
.PHONY: help install check test fuzz clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 14

install: $(STAMP) ## Install what the lockfile names

$(STAMP): package-lock.json
	npm ci
	@touch $@

check: install ## Types, lint, import directions, file lengths
	tsc -p .
	biome check .
	node tools/check-tree.ts

test: install ## All tests; needs Node, npm and make alone
	vitest run

fuzz: install ## The property tests, for longer
	FUZZ_RUNS=20000 vitest run test/wire

clean: ## Remove what was installed
	rm -rf node_modules
