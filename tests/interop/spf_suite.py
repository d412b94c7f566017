"""Turns the test suite of RFC 7208, which the PyPI package pyspf carries, into JSON for `tests/interop/spf_suite.sh`.

    spf_suite.py rfc7208-tests.yml > suite.json

Prints [{"name", "records": {name: [[type, value], ..]}, "cases": [{"name", "peer", "helo", "sender", "results": [..]}]}]. The value TIMEOUT stands for no answer.
"""

import json
import sys

import yaml


def values(name, entries):
    """The records of one name. SPF records stand for TXT records unless the suite gives some itself (RFC 7208 3.1)."""
    found, has_txt = [], any(isinstance(entry, dict) and "TXT" in entry for entry in entries)
    for entry in entries:
        if entry == "TIMEOUT":
            found.append(["TIMEOUT", ""])
            continue
        ((kind, value),) = entry.items()
        if kind == "SPF":
            if has_txt:
                continue
            kind = "TXT"
        if kind == "TXT":
            if value == "NONE":
                continue
            value = "".join(value) if isinstance(value, list) else value
        elif kind == "MX":
            value = f"{value[0]} {value[1]}"
        found.append([kind, str(value)])
    return found


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        suites = list(yaml.safe_load_all(file))
    out = []
    for suite in filter(None, suites):
        records = {str(name).lower(): values(name, entries) for name, entries in suite["zonedata"].items()}
        cases = []
        for name, case in suite["tests"].items():
            results = case["result"] if isinstance(case["result"], list) else [case["result"]]
            cases.append({"name": name, "peer": case["host"], "helo": case["helo"], "sender": case["mailfrom"] or "", "results": results})
        out.append({"name": suite["description"], "records": records, "cases": cases})
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main()
