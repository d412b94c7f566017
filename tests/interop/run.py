"""Checks Pennypost against programs that nobody here wrote; README.md says which. Started by scripts/interop.sh.

    run.py [deliver] [dane] [submit] [webhooks] [acme] [fuzz] [guide]     all unless named

PENNYPOST_INTEROP_KEEP=1 leaves the working directory with all logs.
"""

import os
import shutil
import signal
import socket
import sys
import tempfile

import acme
import arrivals
import dane
import fuzz
import guide
import letters
import receivers
import root
import signatures
import submit
import webhooks
import zone
from gateway import BINARY, Gateway
from report import Report


def free_port(addresses):
    """A port that is free at every address: all MX hosts are reached at one."""
    for port in range(2525, 2625):
        sockets = []
        try:
            for address in addresses:
                sockets.append(socket.create_server((address, port)))
            return port
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise SystemExit("interop: no free port in 2525 to 2624")


def start_receivers(report, work, names, port, started):
    """Those that are there and listen; `started` gets all that have to be stopped."""
    running = []
    for number, kind in enumerate(receivers.ALL, 1):
        if why := root.missing(kind.name):
            report.skip(kind.name, why)
            continue
        receiver = kind(number, port, work, names.address)
        started.append(receiver)
        if not report.check(f"{receiver.name} {receiver.version} listens", receiver.start()):
            continue
        running.append(receiver)
        if not receiver.shakes_hands:
            report.note(f"{receiver.name} {receiver.version} offers STARTTLS and fails in it with Python's client too: mail has to go in the clear")
        for domain, (host, address) in receiver.domains.items():
            names.add(domain, "MX", f"10 {host}")
            names.add(host, "A", address)
    return running


def deliver(report, gateway, receiver):
    """Posts every letter to every domain of the receiver, then many at once; all arrivals."""
    every = []
    for domain in receiver.domains:
        report.heading(f"delivery to {domain} ({receiver.name} {receiver.version})")
        bdat = []
        for letter in letters.all_for(domain):
            arrival = arrivals.Arrival(gateway, receiver, letter, gateway.send(letter.request))
            if arrival.went_by_bdat():
                bdat.append(letter.title)
            end = "" if arrival.deliverable(domain) else f": bounced, {' '.join(letter.needs)} is not offered"
            report.check(f"{domain}: {letter.title}{end}", arrival.fault(domain))
            every.append(arrival)
        if "CHUNKING" in receiver.offers_at(domain):
            # One after the other they share a session, in which short messages go by BDAT once it is proven.
            report.check(f"{domain}: {len(bdat)} of them went by BDAT", None if letters.DOTS in bdat else f"only these did: {bdat}")
        posted = [(letter, gateway.send(letter.request)) for letter in letters.many_for(domain)]
        arrived = [arrivals.Arrival(gateway, receiver, *pair) for pair in posted]
        faults = [fault for arrival in arrived if (fault := arrival.fault(domain))]
        report.check(f"{domain}: {len(arrived)} messages at once", "\n".join(faults[:5]) or None)
        every += arrived
    return every


def verify(report, gateway, running, arrived_at, opendkim):
    """Has the signatures of all copies verified."""
    report.heading("DKIM signatures of what arrived")
    for receiver in running:
        arrived = [copy for arrival in arrived_at[receiver.name] for copy in arrival.copies]
        if not arrived:
            report.check(f"{receiver.name}: something arrived to verify", "nothing did")
            continue
        told = f"{receiver.name}: {len(arrived)} messages"
        report.check(f"{told} carry one RSA and one Ed25519 signature", signatures.shape(arrived))
        report.check(f"{told}: dkimpy passes both signatures", signatures.dkimpy(arrived, gateway.records))
        if opendkim:
            for algorithm in signatures.ALGORITHMS:
                report.check(f"{told}: opendkim passes each {algorithm} signature", signatures.opendkim(opendkim, arrived, algorithm))
        if isinstance(receiver, receivers.Exim):
            exim_itself(report, receiver, arrived_at[receiver.name])
    some = next((copy for arrivals_there in arrived_at.values() for arrival in arrivals_there for copy in arrival.copies), None)
    if some:
        report.check("dkimpy refuses a changed message", None if signatures.dkimpy([some + b"more\n"], gateway.records) else "it passed")
    if some and opendkim:
        report.check("opendkim refuses a changed message", signatures.opendkim_bites(opendkim, some))


def exim_itself(report, receiver, there):
    """Exim 4.96 hashes no octets where there is no body; RFC 6376 3.4.3 wants an empty line hashed, and the other verifiers do."""
    excused = {arrival.view["message_id"] for arrival in there if arrival.letter.title == letters.NO_BODY}
    passed, failed = receiver.verdicts(excused)
    fault = f"{passed}\n{''.join(failed)}" if failed or not all(passed.values()) else None
    told = f"{passed['rsa-sha256']} RSA and {passed['ed25519-sha256']} Ed25519 signatures"
    report.check(f"exim4 itself passes {told} (a message without a body is not counted, README.md says why)", fault)


def checks(report, work, parts):
    names = zone.serve()
    opendkim = None
    addresses = [f"127.0.1.{number}" for number in (1, 2, 3, 4, 9, 101, 109)]
    port = free_port(addresses)
    gateway, started, arrived_at = Gateway(work, names, port), [], {}
    try:
        gateway.start()
        status, answer = gateway.call("POST", f"/v1/domains/{gateway.domain_id}/check")
        verified = status == 200 and b'"state":"verified"' in answer
        report.check("the records of `domain dns` verify the domain", None if verified else answer.decode())
        if "deliver" in parts:
            if why := root.missing("opendkim"):
                report.skip("opendkim", why)
            else:
                opendkim = root.Root("opendkim", work, {}, names.address)
            running = start_receivers(report, work, names, port, started)
            for receiver in running:
                arrived_at[receiver.name] = deliver(report, gateway, receiver)
            verify(report, gateway, running, arrived_at, opendkim)
        if "dane" in parts:
            dane.run(report, work, names, port)
        if "submit" in parts:
            submit.run(report, gateway, work, names.address)
        if "webhooks" in parts:
            webhooks.run(report, gateway)
        if "acme" in parts:
            acme.run(report, work)
        if "fuzz" in parts:
            fuzz.run(report, gateway, work)
        report.heading("the end")
        status = gateway.stop()
        report.check("the gateway drains and ends with status 0", None if status == 0 else f"status {status}\n{gateway.said()}")
    finally:
        for receiver in started:
            receiver.stop()
        gateway.stop()
        names.stop()


def main():
    parts = sys.argv[1:] or ["deliver", "dane", "submit", "webhooks", "acme", "fuzz"]
    if not os.path.exists(BINARY):
        raise SystemExit(f"interop: {BINARY} is missing: cargo build")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    report = Report()
    work = tempfile.mkdtemp(prefix="run.", dir=root.CACHE if os.geteuid() == 0 else None)
    os.chmod(work, 0o755)
    try:
        if set(parts) - {"guide"}:
            checks(report, work, parts)
        if "guide" in parts:
            guide.run(report, work)
    finally:
        if os.environ.get("PENNYPOST_INTEROP_KEEP"):
            print(f"kept: {work}", flush=True)
        else:
            shutil.rmtree(work, ignore_errors=True)
    raise SystemExit(report.end())


if __name__ == "__main__":
    main()
