#!/usr/bin/env bash
# Sends a message with each client to a running server and reads it back.
#
# Usage: PENNYPOST_URL=http://127.0.0.1:8080 PENNYPOST_KEY=pp_live_... clients/smoke.sh
#   PENNYPOST_FROM, PENNYPOST_TO: the addresses; default hello@example.com and a@example.net
# Works on copies in target/clients, so that nothing is left among the sources.
set -euo pipefail
: "${PENNYPOST_URL:?where the server is}" "${PENNYPOST_KEY:?an API key}"

clients="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
copies="$(dirname "$clients")/target/clients/smoke"
rm -rf "$copies"
mkdir -p "$copies"
cp -R "$clients/python" "$clients/typescript" "$copies/"

python3 -m venv "$copies/venv"
"$copies/venv/bin/pip" install --quiet --disable-pip-version-check "$copies/python"
cd "$copies/python"
id="$("$copies/venv/bin/python" smoke.py)"
echo "python      $id"

cd "$copies/typescript"
npm ci --silent --omit=dev --ignore-scripts --no-fund --no-audit
id="$(node smoke.mjs)"
echo "typescript  $id"
