#!/usr/bin/env bash
# Starts `pennypost dev` in a directory of its own, lets each client send a message through it and read it back, and stops it.
set -euo pipefail
clients="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
program="$(dirname "$clients")/target/debug/pennypost"
[ -x "$program" ] || { echo "build first: cargo build" >&2; exit 1; }

for tool in python3 node npm; do
    command -v "$tool" >/dev/null || { echo "clients: skipped, $tool is not installed"; exit 0; }
done

place="$(mktemp -d /tmp/pennypost-clients.XXXXXX)"
# The private database runs as another user when started by root.
chmod 755 "$place"
gateway=
cleanup() {
    if [ -n "$gateway" ]; then kill "$gateway" 2>/dev/null || true; wait "$gateway" 2>/dev/null || true; fi
    rm -rf "$place"
}
trap cleanup EXIT

(cd "$place" && PENNYPOST_SERVER__HTTP_LISTEN=127.0.0.1:0 exec "$program" dev >screen 2>log) &
gateway=$!
for _ in $(seq 300); do
    grep -q 'pp_test_' "$place/screen" && break
    kill -0 "$gateway" 2>/dev/null || break
    sleep 0.1
done
url="$(grep -o 'http://127\.0\.0\.1:[0-9]*' "$place/screen" | head -n 1 || true)"
key="$(grep -o 'pp_test_[0-9A-Za-z]*' "$place/screen" | head -n 1 || true)"
[ -n "$url" ] && [ -n "$key" ] || { echo "clients: the gateway did not start" >&2; cat "$place/screen" "$place/log" >&2; exit 1; }

PENNYPOST_URL="$url" PENNYPOST_KEY="$key" "$clients/smoke.sh"
echo "clients: 2 passed, 0 failed"
