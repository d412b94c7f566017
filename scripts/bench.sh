#!/usr/bin/env bash
# Measures Pennypost beside its peers and prints the table; bench/run.py says what can be set.
# Needs the release program (cargo build --release) and what scripts/setup.sh --bench installs.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v python3 >/dev/null || { echo "bench: python3 missing: scripts/setup.sh --bench installs it" >&2; exit 1; }
exec python3 bench/run.py
