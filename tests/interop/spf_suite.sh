#!/usr/bin/env bash
# Runs the test suite of RFC 7208 through our SPF. Its data is fetched from PyPI (pyspf) and not kept.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q install pyyaml==6.0.3
"$work/venv/bin/pip" -q download --no-deps --no-binary :all: --no-build-isolation -d "$work" pyspf==2.0.14
tar -xzf "$work"/pyspf-*.tar.gz -C "$work"
"$work/venv/bin/python" "$here/spf_suite.py" "$work"/pyspf-*/test/rfc7208-tests.yml > "$work/suite.json"
cd "$here/../.."
PENNYPOST_SPF_SUITE="$work/suite.json" SQLX_OFFLINE=true cargo test --lib mail::authenticate::suite_tests -- --ignored --nocapture
