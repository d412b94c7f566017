#!/usr/bin/env bash
# Writes everything that is printed from code; with --check writes it elsewhere and fails if what is committed differs.
#
#   .sqlx/                      what the database says about each query (the sqlx macros write it while compiling)
#   openapi/pennypost.json      `pennypost openapi`
#   clients/                    clients/generate.sh, from the document above
#   docs/operate/metrics.md     from src/telemetry/catalog.rs (its test does the checking)
set -euo pipefail
cd "$(dirname "$0")/.."

check=
case ${1:-} in
    --check) check=yes ;;
    '') ;;
    *) echo "usage: $0 [--check]" >&2; exit 2 ;;
esac

work=$(mktemp -d /tmp/pennypost-gen.XXXXXX)
chmod 755 "$work"
fresh=$work/fresh
mkdir -p "$fresh/.sqlx" "$fresh/openapi" "$fresh/clients"
cleanup() {
    scripts/dev-database.sh stop "$work/database" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

queries() {
    local url
    url=$(scripts/dev-database.sh start "$work/database")
    # The macros write while they expand, and they expand only in a crate that is compiled.
    touch src/lib.rs src/main.rs
    find tests -name main.rs -exec touch {} +
    DATABASE_URL=$url SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$fresh/.sqlx cargo check --quiet --locked --all-targets
    scripts/dev-database.sh stop "$work/database"
}

# Replaces $2 by $1, or in check mode tells what differs.
place() {
    if [ -z "$check" ]; then
        rm -rf "$2"
        mkdir -p "$(dirname "$2")"
        cp -R "$1" "$2"
    elif ! diff -ru "$2" "$1" >"$work/diff" 2>&1; then
        head -40 "$work/diff" >&2
        echo "$2 is stale: run \`make gen\` and commit what it changed" >&2
        exit 1
    fi
}

queries
place "$fresh/.sqlx" .sqlx

SQLX_OFFLINE=true cargo build --quiet --locked
target/debug/pennypost openapi >"$fresh/openapi/pennypost.json"
place "$fresh/openapi/pennypost.json" openapi/pennypost.json

clients/generate.sh "$fresh/clients" "$fresh/openapi/pennypost.json"
for client in python typescript; do
    place "$fresh/clients/$client" "clients/$client"
done

if [ -z "$check" ]; then
    PENNYPOST_WRITE_DOCS=1 cargo test --quiet --locked --test tidy docs:: >/dev/null
    echo "written: .sqlx openapi/pennypost.json clients docs/operate/metrics.md"
else
    cargo test --quiet --locked --test tidy docs:: >/dev/null || { echo "docs/operate/metrics.md is stale: run \`make gen\`" >&2; exit 1; }
    echo "nothing generated is stale"
fi
