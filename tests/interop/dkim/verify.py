"""Verifies DKIM signatures with dkimpy, offline.

Reads one JSON document from stdin: {"records": {"<selector>._domainkey.<domain>.": "v=DKIM1; .."}, "messages": [{"name": .., "base64": ..}]}.
Prints one JSON document: [{"name": .., "results": ["pass" or the reason, one for each DKIM-Signature field, first field first]}].
Ends with status 77 if dkimpy or PyNaCl is not installed.
"""

import base64
import json
import sys

try:
    import dkim
    import nacl.signing  # noqa: F401  (dkimpy needs it for ed25519)
except ImportError as error:
    print(f"not installed: {error.name}", file=sys.stderr)
    sys.exit(77)


def verify(message, index, records):
    def lookup(name, timeout=5):
        return records.get(name.decode() if isinstance(name, bytes) else name, "").encode() or None

    try:
        return "pass" if dkim.DKIM(message).verify(idx=index, dnsfunc=lookup) else "fail"
    except dkim.DKIMException as error:
        return f"{type(error).__name__}: {error}"


def main():
    given = json.load(sys.stdin)
    answers = []
    for case in given["messages"]:
        message = base64.b64decode(case["base64"])
        header = message.split(b"\r\n\r\n", 1)[0]
        count = sum(line.lower().startswith(b"dkim-signature:") for line in header.split(b"\r\n"))
        answers.append({"name": case["name"], "results": [verify(message, index, given["records"]) for index in range(count)]})
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
