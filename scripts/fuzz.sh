#!/usr/bin/env bash
# Runs every target of fuzz/ for SECONDS_EACH seconds (60 unless set). Needs a nightly toolchain and cargo-fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -d fuzz ] || { echo "fuzz: there is no fuzz/ directory" >&2; exit 1; }
cargo +nightly fuzz --version >/dev/null 2>&1 || {
    echo "fuzz: cargo-fuzz or nightly missing: rustup toolchain install nightly && cargo install cargo-fuzz" >&2
    exit 1
}
for target in $(cargo +nightly fuzz list); do
    echo "== $target"
    cargo +nightly fuzz run "$target" -- -max_total_time="${SECONDS_EACH:-60}"
done
