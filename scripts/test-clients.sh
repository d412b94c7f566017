#!/usr/bin/env bash
# Sends a message with each client through a gateway that runs for this, in a directory of its own, with all mail kept in the sandbox.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --quiet --locked
program=$PWD/target/debug/pennypost
# Short, since a socket lies in it, and open to the user that PostgreSQL runs as.
work=$(mktemp -d /tmp/pennypost-clients.XXXXXX)
chmod 755 "$work"
gateway=
cleanup() {
    if [ -n "$gateway" ]; then
        kill "$gateway" 2>/dev/null || true
        wait "$gateway" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap cleanup EXIT

(cd "$work" && exec env -u DATABASE_URL PENNYPOST_SERVER__HTTP_LISTEN=127.0.0.1:0 "$program" --json dev >shown 2>log) &
gateway=$!
for _ in $(seq 300); do
    if [ -s "$work/shown" ]; then break; fi
    kill -0 "$gateway" 2>/dev/null || break
    sleep 0.1
done
field() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/shown" "$1"; }
if ! PENNYPOST_URL=$(field url) || ! PENNYPOST_KEY=$(field key); then
    cat "$work/log" >&2
    exit 1
fi
export PENNYPOST_URL PENNYPOST_KEY
clients/smoke.sh
