#!/usr/bin/env bash
# Checks Pennypost against other programs: receivers, DKIM verifiers, an API fuzzer. tests/interop/README.md says which.
# Needs target/debug/pennypost (cargo build) and what scripts/setup.sh --interop unpacks; root for the receivers.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${PENNYPOST_INTEROP:-/var/cache/pennypost-interop}
python=$cache/python/bin/python
[ -x "$python" ] || { echo "interop: $python missing: scripts/setup.sh --interop installs it" >&2; exit 1; }
# Reports that were really sent, read beside another analyser's verdicts, where PENNYPOST_CORPUS names a collection.
[ $# -gt 0 ] || cargo test --quiet --locked --lib -- --nocapture inbound::corpus_tests
run=("$python" tests/interop/run.py "$@")
if [ "$(id -u)" != 0 ] && sudo -n true 2>/dev/null; then run=(sudo -n -E "${run[@]}"); fi
exec "${run[@]}"
