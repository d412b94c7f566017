"""Seals and verifies ARC chains with dkimpy, offline.

Reads one JSON document from stdin: {"records": {"<selector>._domainkey.<domain>.": "v=DKIM1; .."}, "verify": [base64], "seal": {"message": base64, "selector", "domain", "key": PEM, "host"}}.
Prints one JSON document: {"verified": ["pass", "fail", "none"], "sealed": base64 or null}.
Ends with status 77 if dkimpy is not installed; seals nothing if authres is not.
"""

import base64
import json
import sys

try:
    import dkim
except ImportError as error:
    print(f"not installed: {error.name}", file=sys.stderr)
    sys.exit(77)


def main():
    given = json.load(sys.stdin)
    records = given["records"]

    def lookup(name, timeout=5):
        return records.get(name.decode() if isinstance(name, bytes) else name, "").encode() or None

    verified = []
    for text in given["verify"]:
        state, _, _ = dkim.ARC(base64.b64decode(text)).verify(dnsfunc=lookup)
        # None: the last seal itself says that the chain was broken before.
        verified.append((state or b"fail").decode())
    sealed, asked = None, given.get("seal")
    try:
        import authres  # noqa: F401  (dkimpy needs it to seal)
    except ImportError:
        asked = None
    if asked:
        message = base64.b64decode(asked["message"])
        fields = dkim.ARC(message).sign(
            asked["selector"].encode(), asked["domain"].encode(), asked["key"].encode(), asked["host"].encode()
        )
        sealed = base64.b64encode(b"".join(fields) + message).decode()
    json.dump({"verified": verified, "sealed": sealed}, sys.stdout)


if __name__ == "__main__":
    main()
