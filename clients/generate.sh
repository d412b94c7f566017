#!/usr/bin/env bash
# Writes the clients from the OpenAPI document: clients/python/pennypost_client and clients/typescript/schema.d.ts; type-checks the latter.
#
# Usage: clients/generate.sh [OUT [DOCUMENT]]
#   OUT       where to write python/ and typescript/, whole folders each; default: clients/ itself
#   DOCUMENT  default: openapi/pennypost.json, as printed by `pennypost openapi`
#
# Needs python3 (3.11 or later), node (20 or later) and npm. The generators are pinned here and in package-lock.json; they and all they
# install go to target/clients, so that the folders hold sources only.
set -euo pipefail

clients="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(dirname "$clients")"
out="$(realpath -m "${1:-$clients}")"
document="$(realpath "${2:-$root/openapi/pennypost.json}")"
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

# A folder of its own: files that are no longer made must go, and a failure must leave what was there.
work="$tools/work"
rm -rf "$work"
mkdir -p "$work/python" "$work/typescript"
find "$clients/python" -maxdepth 1 -type f -exec cp {} "$work/python/" \;
find "$clients/typescript" -maxdepth 1 -type f -exec cp {} "$work/typescript/" \;

PATH="$tools/venv/bin:$PATH" openapi-python-client generate --path "$document" --config "$clients/python/generator.yml" \
  --meta none --output-path "$work/python/pennypost_client" --fail-on-warning >&2
find "$work/python" -name '__pycache__' -o -name '.ruff_cache' | xargs -r rm -rf

cd "$work/typescript"
npm ci --silent --ignore-scripts --no-fund --no-audit >&2
npx --no-install openapi-typescript "$document" --output schema.d.ts >&2
npx --no-install tsc --noEmit >&2
rm -rf "$tools/node_modules"
mv node_modules "$tools/node_modules"

rm -rf "$out/python/pennypost_client"
for client in python typescript; do
  mkdir -p "$out/$client"
  cp -R "$work/$client/." "$out/$client/"
done
