# Everything a contributor does, one word each. `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo dev test lint bench crash storm gen gen-check interop fuzz setup setup-clients

# Queries are checked against .sqlx/, so that no database is needed to build.
export SQLX_OFFLINE ?= true

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup ## Send five kinds of messages through a whole gateway on loopback and show what became of them
	cargo build --quiet --locked
	target/debug/pennypost demo

dev: setup ## Keep a gateway running with a sandbox for all mail and a key on the screen
	cargo build --quiet --locked
	target/debug/pennypost dev

test: setup-clients lint ## Lint, tidy, unit and scenario tests, clients
	cargo test --locked
	scripts/test-clients.sh
	@! grep -q PENNYPOST_FAILPOINT target/debug/pennypost || { echo "a plain build has failpoints: see src/failpoint.rs" >&2; exit 1; }

lint: ## Format and clippy, no warnings; dependencies too when cargo-deny is there
	cargo fmt --check
	cargo clippy --locked --all-targets --quiet -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny --locked check bans licenses sources; else echo "cargo-deny is not installed: deny.toml is not checked"; fi

bench: ## Speed, size and cost beside Postfix and single-row commits, in one run
	scripts/setup.sh --bench
	cargo build --release --locked
	scripts/bench.sh

crash: setup ## Kill a process N=2000 times under load and account for every message; SEED=.. repeats a run
	CRASH_KILLS=$(or $(N),2000) $(if $(SEED),CRASH_SEED=$(SEED)) cargo test --quiet --locked --test scenarios storm::kills -- --nocapture

storm: setup ## Two processes deliver MESSAGES=100000 through faults and deaths; HOSTS=200 SEED=..
	STORM_MESSAGES=$(or $(MESSAGES),100000) STORM_HOSTS=$(or $(HOSTS),200) $(if $(SEED),STORM_SEED=$(SEED)) \
		cargo test --quiet --locked --test scenarios storm::weather -- --nocapture

gen: setup-clients ## Write again what is printed from code: .sqlx, openapi, clients, docs/operate/metrics.md
	scripts/gen.sh

gen-check: setup-clients ## Fail if anything printed from code is stale
	scripts/gen.sh --check

interop: ## Deliver to other programs, verify with other programs
	scripts/setup.sh --interop
	cargo build --quiet --locked
	scripts/interop.sh

fuzz: ## Feed every parser that strangers reach (needs nightly and cargo-fuzz); SECONDS_EACH=60
	scripts/fuzz.sh

setup:
	@scripts/setup.sh

setup-clients:
	@scripts/setup.sh --clients
