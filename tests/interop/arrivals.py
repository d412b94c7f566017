"""What became of a letter: told by the API as the receiver said, and in the mailbox octet for octet."""

import re

from root import eventually

FIELD = re.compile(rb"([!-9;-~]+):[^\n]*\n(?:[ \t][^\n]*\n)*")


class Arrival:
    """A letter after its end: the message as the API shows it, and the copies found."""

    def __init__(self, gateway, receiver, letter, message):
        self.receiver, self.letter = receiver, letter
        self.view = gateway.settled(message)
        self.raw = gateway.raw(message)
        self.copies = []

    def deliverable(self, domain):
        return self.letter.needs <= self.receiver.offers_at(domain)

    def went_by_bdat(self):
        return any(by_bdat(attempt) for delivery in self.view["deliveries"] for attempt in delivery["attempts"])

    def fault(self, domain):
        """What is wrong; none if all is well."""
        faults = []
        for delivery in self.view["deliveries"]:
            wanted, reply = "delivered", "250[ -]"
            if not self.deliverable(domain):
                # The reason is the gateway's own: the server is not asked.
                wanted, reply = "bounced", None
            elif delivery["recipient"] in self.letter.refused:
                wanted, reply = "bounced", "5[0-9][0-9][ -]"
            faults += told(delivery, wanted, reply, self.receiver, domain)
            if wanted == "delivered" and delivery["state"] == "delivered":
                faults += self.collect(delivery["recipient"])
        return "\n".join(faults) or None

    def collect(self, recipient):
        """Finds the copy in the mailbox and compares it."""
        mark = b"Message-ID: <" + self.view["message_id"].encode() + b">"
        wanted = self.raw.replace(b"\r\n", b"\n")
        found = []

        def arrived():
            found[:] = [message for message in self.receiver.mailbox(recipient.split("@")[0]) if mark in message and for_domain(message, recipient)]
            return any(len(message) >= len(wanted) for message in found)

        if not eventually(arrived):
            lengths = [len(message) for message in found]
            return [f"{recipient}: not in the mailbox (found lengths {lengths}, wanted {len(wanted)})\n{self.receiver.root.said()}"]
        if len(found) != 1:
            return [f"{recipient}: {len(found)} copies in the mailbox"]
        self.copies.append(found[0])
        return compare(recipient, found[0], wanted, self.receiver.adds)


def for_domain(message, recipient):
    """True unless a trace field names another recipient, as where two domains share a mailbox."""
    named = re.search(rb"(?m)^Delivered-To: (.*)$", message)
    return not named or named.group(1).strip().lower() == recipient.encode().lower()


def compare(recipient, arrived, wanted, adds):
    if not arrived.endswith(wanted):
        return [f"{recipient}: {difference(arrived, wanted)}"]
    trace = arrived.removesuffix(wanted)
    names = [match.group(1).decode().lower() for match in FIELD.finditer(trace)]
    whole = "".join(match.group(0).decode("utf-8", "replace") for match in FIELD.finditer(trace))
    if whole != trace.decode("utf-8", "replace") or not set(names) <= adds:
        return [f"{recipient}: more than trace fields stand before the message: {trace[:500]!r}"]
    return []


def difference(arrived, wanted):
    """Where two texts differ, seen from their ends and from where the message should start."""
    start = arrived.find(wanted[:40])
    if start < 0:
        return f"the message does not begin as sent: {arrived[:300]!r} instead of {wanted[:300]!r}"
    arrived = arrived[start:]
    place = next((at for at, (one, other) in enumerate(zip(arrived, wanted)) if one != other), min(len(arrived), len(wanted)))
    around = slice(max(0, place - 30), place + 50)
    return f"differs at octet {place} of {len(wanted)} (arrived {len(arrived)}): {arrived[around]!r} instead of {wanted[around]!r}"


def told(delivery, wanted, reply, receiver, domain):
    """Whether the API tells what was wanted, with the receiver's `reply` and by the means it offers."""
    who = delivery["recipient"]
    if delivery["state"] != wanted or not delivery["attempts"]:
        return [f"{who}: {delivery['state']} instead of {wanted}: {delivery['attempts'][-1:]}"]
    if len(delivery["attempts"]) != 1:
        return [f"{who}: {len(delivery['attempts'])} attempts instead of 1: {delivery['attempts']}"]
    last = delivery["attempts"][-1]
    faults = []
    offers = receiver.offers_at(domain)
    if (last.get("tls") is not None) != ("STARTTLS" in offers and receiver.shakes_hands):
        faults.append(f"{who}: TLS was {last.get('tls')}, offered: {sorted(offers)}, works: {receiver.shakes_hands}")
    if reply and not re.match(reply, last["reply"]):
        faults.append(f"{who}: the reply told is {last['reply']!r}")
    if "CHUNKING" not in offers and by_bdat(last):
        faults.append(f"{who}: BDAT was not offered and used")
    return faults


def by_bdat(attempt):
    return any(line.startswith("C: BDAT ") for line in attempt.get("transcript", []))

