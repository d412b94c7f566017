"""DANE by a real validating resolver: unbound over zones that ldns signs, Postfix with a certificate, and the gateway between them."""

import hashlib
import json
import os
import socket
import subprocess
import time

import root
from gateway import DOMAIN, Gateway
from receivers import Postfix
from root import Root, eventually

SIGNED, EXPIRED, PLAIN = "signed.test", "expired.test", "plain.test"
NUMBER = 9
# Mail domain, and what has to come of mail to it: state, status, policy and result as the API tells them.
CASES = [
    (f"good.{SIGNED}", "a record of the host's key", "delivered", None, "dane", "verified"),
    (f"alias.{SIGNED}", "a signed alias as mail host", "delivered", None, "dane", "verified"),
    (f"odd.{SIGNED}", "a record of a usage that does not count", "delivered", None, "dane", "encrypted"),
    (f"none.{SIGNED}", "no record", "delivered", None, "prefer", "encrypted"),
    (PLAIN, "a wrong record in a zone that is not signed", "delivered", None, "prefer", "encrypted"),
    (f"wrong.{SIGNED}", "a record of another key", "queued", "4.7.5", "dane", "tlsa_mismatch"),
    (f"forged.{SIGNED}", "a record changed after it was signed", "queued", "4.7.5", "dane", "tlsa_unavailable"),
    (f"stripped.{SIGNED}", "a record taken away after the zone was signed", "queued", "4.7.5", "dane", "tlsa_unavailable"),
    (f"good.{EXPIRED}", "signatures whose time is over", "queued", "4.4.3", None, None),
]


class Receiver(Postfix):
    """Postfix for all domains of the cases."""

    def __init__(self, *rest):
        super().__init__(NUMBER, *rest)
        self.domains.update({domain: (f"mx.{domain}", self.address) for domain, *_ in CASES})

    def key_hash(self):
        """SHA-256 of the public key of its certificate."""
        pem = subprocess.run(["openssl", "x509", "-in", f"{self.root.path}/etc/tls/cert.pem", "-noout", "-pubkey"], capture_output=True, check=True)
        key = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=pem.stdout, capture_output=True, check=True)
        return hashlib.sha256(key.stdout).hexdigest()


class Unbound:
    """unbound with the keys of the signed zones as trust anchors; the unsigned names come from `zone`."""

    def __init__(self, work, zone, receiver):
        self.root = Root("unbound", work, {"unbound": 101}, zone.address)
        self.zone, self.receiver = zone, receiver
        self.address = "127.0.0.1"
        with socket.socket() as probe:
            probe.bind((self.address, 0))
            self.port = probe.getsockname()[1]

    def add(self, *record):
        """What the gateway publishes goes into the unsigned zone."""
        self.zone.add(*record)

    def sign(self, name, text, *dates):
        """Signs a zone; the path of the signed text."""
        path = f"/zones/{name.rstrip('.') or 'root'}"
        self.root.write(path[1:], text)
        made = self.root.run("/bin/sh", "-c", f"cd /zones && ldns-keygen -a ECDSAP256SHA256 -k {name}")
        key = made.stdout.decode().strip()
        done = self.root.run("/usr/bin/ldns-signzone", *dates, "-o", name, "-f", f"{path}.signed", path, f"/zones/{key}")
        if made.returncode or done.returncode:
            raise RuntimeError(f"ldns: {made.stderr.decode()}{done.stderr.decode()}")
        return f"{path}.signed", f"/zones/{key}.key"

    def start(self):
        hosts = [domain for domain, *_ in CASES if domain.endswith(SIGNED)]
        right, wrong = f"3 1 1 {self.receiver.key_hash()}", f"3 1 1 {'00' * 32}"
        lines = [f"$ORIGIN {SIGNED}.", "$TTL 3600", "@ SOA ns hostmaster 1 3600 600 86400 60", "@ NS ns", f"ns A {self.address}"]
        records = {"good": right, "odd": f"1 1 1 {'00' * 32}", "wrong": wrong, "forged": right, "stripped": right}
        for host in (host.split(".")[0] for host in hosts):
            lines += [f"{host} MX 10 mx.{host}", f"mx.{host} CNAME target" if host == "alias" else f"mx.{host} A {self.receiver.address}"]
            if host in records:
                lines.append(f"_{self.receiver.port}._tcp.mx.{host} TLSA {records[host]}")
        lines += [f"target A {self.receiver.address}", f"_{self.receiver.port}._tcp.target TLSA {right}", ""]
        signed, anchor = self.sign(SIGNED, "\n".join(lines))
        self.tamper(signed, right)
        old = [f"$ORIGIN {EXPIRED}.", "$TTL 3600", "@ SOA ns hostmaster 1 3600 600 86400 60", "@ NS ns", f"ns A {self.address}"]
        old += ["good MX 10 mx.good", f"mx.good A {self.receiver.address}", ""]
        expired, old_anchor = self.sign(EXPIRED, "\n".join(old), "-i", "20200101", "-e", "20200201")
        top = ["$ORIGIN .", "$TTL 3600", f". SOA ns.{SIGNED}. hostmaster.{SIGNED}. 1 3600 600 86400 60", f". NS ns.{SIGNED}.", ""]
        root_zone, root_anchor = self.sign(".", "\n".join(top))
        zones = [(".", root_zone), (f"{SIGNED}.", signed), (f"{EXPIRED}.", expired)]
        self.root.write("etc/unbound/unbound.conf", self.configuration(zones, [root_anchor, anchor, old_anchor]))
        self.root.start("/usr/sbin/unbound", "-d", "-c", "/etc/unbound/unbound.conf")
        return None if eventually(self.answers) else f"unbound does not answer\n{self.root.said()}"

    def tamper(self, path, right):
        """Changes one record and takes another away, with its signature."""
        file = f"{self.root.path}{path}"
        with open(file, encoding="ascii") as opened:
            lines = opened.read().splitlines()
        out = []
        for line in lines:
            fields = line.split()
            host = fields[0].split(".")[3] if fields and fields[0].startswith("_") and ".mx." in fields[0] else ""
            if host == "stripped" and "TLSA" in (fields[3], fields[4]):
                continue
            if host == "forged" and fields[3] == "TLSA":
                line = line.replace(right.split()[-1][:8], "ffffffff")
            out.append(line)
        self.root.write(path[1:], "\n".join(out) + "\n")

    def configuration(self, zones, anchors):
        text = f"""
server:
  interface: {self.address}@{self.port}
  port: {self.port}
  access-control: 127.0.0.0/8 allow
  chroot: ""
  username: ""
  directory: "/etc/unbound"
  pidfile: ""
  use-syslog: no
  logfile: ""
  do-not-query-localhost: no
  module-config: "validator iterator"
  local-zone: "test." nodefault
  val-log-level: 2
"""
        text += "".join(f'  trust-anchor-file: "{anchor}"\n' for anchor in anchors)
        text += "".join(f'  domain-insecure: "{name}"\n' for name in (DOMAIN, PLAIN))
        for name, path in zones:
            text += f'auth-zone:\n  name: "{name}"\n  zonefile: "{path}"\n  for-downstream: no\n  for-upstream: yes\n  fallback-enabled: no\n'
        for name in (DOMAIN, PLAIN):
            text += f'forward-zone:\n  name: "{name}."\n  forward-addr: {self.zone.address}@{self.zone.port}\n'
        return text

    def answers(self):
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((self.address, self.port)) == 0

    def stop(self):
        self.root.stop()


def attempted(gateway, message, seconds=20):
    """The message once its delivery was tried."""
    end = time.monotonic() + seconds
    while True:
        view = json.loads(gateway.call("GET", f"/v1/messages/{message}")[1])
        delivery = view["deliveries"][0]
        if delivery["attempts"] and delivery["state"] != "active" or time.monotonic() > end:
            return delivery
        time.sleep(0.05)


def fault(delivery, state, status, policy, result):
    """What is told otherwise than it has to be."""
    last = (delivery["attempts"] or [{}])[-1]
    told = (delivery["state"], last.get("tls_policy"), last.get("tls_result"))
    if told != (state, policy, result) or (status and last.get("enhanced_status") != status):
        return json.dumps(delivery, indent=1)
    if state != "delivered" and any(line.startswith("C: MAIL") for line in last.get("transcript", [])):
        return f"MAIL was said: {last['transcript']}"
    return None


def run(report, work, zone, port):
    for name in ("unbound", "postfix"):
        if why := root.missing(name):
            report.skip(f"DANE ({name})", why)
            return
    work = f"{work}/dane"
    os.mkdir(work)
    receiver = Receiver(port, work, zone.address)
    started = [receiver]
    try:
        if not report.check(f"postfix {receiver.version} listens for DANE", receiver.start()):
            return
        resolver = Unbound(work, zone, receiver)
        started.append(resolver)
        report.heading(f"DANE (unbound {resolver.root.version}, postfix {receiver.version})")
        if not report.check("unbound listens with three signed zones", resolver.start()):
            return
        zone.add(PLAIN, "MX", f"10 mx.{PLAIN}")
        zone.add(f"mx.{PLAIN}", "A", receiver.address)
        zone.add(f"_{port}._tcp.mx.{PLAIN}", "TLSA", f"3 1 1 {'00' * 32}")
        gateway = Gateway(work, resolver, port)
        started.append(gateway)
        gateway.start()
        gateway.call("POST", f"/v1/domains/{gateway.domain_id}/check")
        for domain, what, *expected in CASES:
            request = {"from": f"penny@{DOMAIN}", "to": f"ada@{domain}", "subject": what, "text": what}
            delivery = attempted(gateway, gateway.send(request))
            report.check(f"{what}: {' '.join(word for word in expected if word)}", fault(delivery, *expected))
        validates = b"\npennypost_dnssec_validating 1\n" in gateway.call("GET", "/metrics")[1]
        report.check("the gateway finds out that its resolver validates", None if validates else gateway.said())
        arrived = len(receiver.mailbox("ada"))
        expected = sum(state == "delivered" for _, _, state, *_ in CASES)
        report.check(f"{expected} messages are in the mailbox and no other", None if arrived == expected else f"{arrived} are")
    finally:
        for one in reversed(started):
            one.stop()
