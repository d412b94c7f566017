#!/usr/bin/env bash
# Runs every target of fuzz/ for SECONDS_EACH seconds (60 unless set), or the targets named; stops at the first fault, whose input is kept in fuzz/artifacts.
#
# Needs cargo-fuzz, and nightly or RUSTC_BOOTSTRAP=1. What was learned stays in fuzz/corpus; fuzz/seeds is where it starts.
set -euo pipefail
cd "$(dirname "$0")/.."

toolchain=()
[ -n "${RUSTC_BOOTSTRAP:-}" ] || toolchain=(+nightly)
cargo "${toolchain[@]}" fuzz --version >/dev/null 2>&1 || {
    echo "fuzz: cargo-fuzz or nightly missing: cargo install cargo-fuzz && rustup toolchain install nightly" >&2
    exit 1
}

# Our own code has no unsafe block, so memory needs no sanitizer; without one the targets run twice as fast.
options=(--sanitizer none)
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(cargo "${toolchain[@]}" fuzz list)
for target in "${targets[@]}"; do
    echo "== $target"
    mkdir -p "fuzz/corpus/$target"
    cargo "${toolchain[@]}" fuzz run "${options[@]}" "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- -max_total_time="${SECONDS_EACH:-60}" -max_len=16384 -timeout=10
done
