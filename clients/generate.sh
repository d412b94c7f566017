#!/usr/bin/env bash
# Writes clients/python/pennypost_client and clients/typescript/schema.d.ts from the OpenAPI document, and type-checks the TypeScript.
# Usage: clients/generate.sh [DOCUMENT]        default: openapi/pennypost.json, as printed by `pennypost openapi`
# Needs python3 (3.11 or later), node (20 or later) and npm; the generators, pinned here and in package-lock.json, go to target/clients.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
document="$(realpath "${1:-$root/openapi/pennypost.json}")"
tools="$root/target/clients"
generator='openapi-python-client==0.29.1'
formatter='ruff==0.17.6'

if [[ "$(cat "$tools/pins" 2>/dev/null)" != "$generator $formatter" ]]; then
  rm -rf "$tools"
  mkdir -p "$tools"
  python3 -m venv "$tools/venv"
  "$tools/venv/bin/pip" install --quiet --disable-pip-version-check "$generator" "$formatter"
  echo "$generator $formatter" > "$tools/pins"
fi

# Into a fresh folder first: a file that is no longer made must go, and a failure must leave what was there.
fresh="$(mktemp -d "$tools/fresh.XXXXXX")"
trap 'rm -rf "$fresh"' EXIT
PATH="$tools/venv/bin:$PATH" openapi-python-client generate --path "$document" --config "$root/clients/python/generator.yml" \
  --meta none --output-path "$fresh/pennypost_client" --fail-on-warning
rm -rf "$root/clients/python/pennypost_client"
mv "$fresh/pennypost_client" "$root/clients/python/pennypost_client"

cd "$root/clients/typescript"
npm ci --silent --ignore-scripts --no-fund --no-audit
npx --no-install openapi-typescript "$document" --output "$fresh/schema.d.ts"
mv "$fresh/schema.d.ts" schema.d.ts
npx --no-install tsc --noEmit
