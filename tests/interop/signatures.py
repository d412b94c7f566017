"""Every DKIM signature of what arrived, verified by dkimpy and by opendkim with the keys in the zone."""

import base64
import json
import re
import subprocess
import sys

from gateway import PROJECT

SIGNATURE = re.compile(rb"DKIM-Signature:[^\r]*\r\n(?:[ \t][^\r]*\r\n)*", re.IGNORECASE)
ALGORITHMS = ("rsa-sha256", "ed25519-sha256")


def crlf(message):
    return message.replace(b"\n", b"\r\n")


def split(message):
    """The signatures of a message with their algorithms, and the message without them."""
    end = message.index(b"\r\n\r\n") + 2
    head = message[:end]
    found = [match.group(0) for match in SIGNATURE.finditer(head)]
    by_name = {re.search(rb"a=([a-z0-9-]+)", one).group(1).decode(): one for one in found}
    return by_name, SIGNATURE.sub(b"", head) + message[end:]


def shape(messages):
    """A fault unless each message carries one signature of each algorithm."""
    odd = [sorted(split(crlf(message))[0]) for message in messages if sorted(split(crlf(message))[0]) != sorted(ALGORITHMS)]
    return f"signatures found: {odd}" if odd else None


def dkimpy(messages, records):
    """The answers that are not `pass`, as text; none if all pass."""
    keys = {record["name"] + ".": record["value"] for record in records if "._domainkey." in record["name"]}
    given = {"records": keys, "messages": [{"name": str(at), "base64": base64.b64encode(crlf(one)).decode()} for at, one in enumerate(messages)]}
    script = f"{PROJECT}/tests/interop/dkim/verify.py"
    ended = subprocess.run([sys.executable, script], input=json.dumps(given).encode(), capture_output=True, check=False, timeout=120)
    if ended.returncode:
        return ended.stderr.decode()
    answers = json.loads(ended.stdout)
    wrong = [answer for answer in answers if answer["results"] != ["pass", "pass"]]
    return "\n".join(map(str, wrong)) or None


def opendkim(root, messages, algorithm):
    """Hands each message with one of its signatures to opendkim-testmsg; what it says of those it refuses."""
    wrong = []
    for message in messages:
        signatures, rest = split(crlf(message))
        ended = root.run("opendkim-testmsg", "-C", given=signatures[algorithm] + rest)
        if ended.returncode:
            wrong.append((ended.stdout + ended.stderr).decode().strip() or f"exit code {ended.returncode}")
    return "\n".join(wrong) or None


def opendkim_bites(root, message):
    """Whether it refuses a changed message: a verifier that passes anything would prove nothing."""
    changed = message + b"One line more.\n"
    said = [opendkim(root, [changed], algorithm) for algorithm in ALGORITHMS]
    return None if all(one and "signature" in one.lower() for one in said) else f"a changed message was answered {said}"
