"""What the delivery engine does where lines are long, domains are many, hosts hang, and a million deliveries fall due together."""

import json
import os
import shutil
import socket
import statistics
import subprocess
import time

import peers
from gateway import BINARY, Gateway, Sink
from machine import peak_mib, resident_mib

ROUND_TRIP_MS = 200
HUNG = "127.99.99.98"


class Hung:
    """Takes connections and says nothing: the kernel completes the handshake, nobody accepts."""

    def __init__(self, address, port):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(4096)

    def stop(self):
        self.listener.close()


def far(results, work, postgres, messages):
    """Twenty connections to a Postfix 200 ms away, which offers CHUNKING."""
    if peers.available():
        print(f"  {ROUND_TRIP_MS} ms away: {peers.available()}", flush=True)
        return
    house = Gateway(work, postgres, "far")
    receiver = peers.Receiver(work, house.mx_port, ROUND_TRIP_MS)
    try:
        # Sessions are open before it begins, on both sides.
        house.deliver(4096, 200, sink=receiver.expect(200))
        results.add(f"Pennypost, {ROUND_TRIP_MS} ms away", house.deliver(4096, messages, sink=receiver.expect(messages)))
        house.stop()
        results.add(f"Postfix unsigned, {ROUND_TRIP_MS} ms away", peers.relay(work, 4096, messages // 2, False, receiver))
    finally:
        receiver.stop()
    results.ratio(f"20 connections {ROUND_TRIP_MS} ms away, against Postfix", f"Pennypost, {ROUND_TRIP_MS} ms away", f"Postfix unsigned, {ROUND_TRIP_MS} ms away", 2)


def many(results, work, postgres, domains):
    """A message to each of many domains with hosts of their own: MX and address looked up, connected, TLS, signed, delivered."""
    house = Gateway(work, postgres, "many")
    sink = Sink(house.mx_port, domains, house.log("sink"), tls=True)
    results.add(f"Pennypost, {domains} domains by TLS", house.deliver(4096, domains, sink=sink, to="x@d{domain}.many.test", domains=domains))
    sink.stop()
    house.stop()


def hanging(results, work, postgres, messages):
    """A site that hangs must not slow the others down."""
    house = Gateway(work, postgres, "hanging")
    hung = Hung(HUNG, house.mx_port)
    others = {"to": "x@d{domain}.many.test", "domains": 1000}
    try:
        house.deliver(4096, messages // 4, **others)
        without = statistics.median(house.deliver(4096, messages, **others)["rate"] for _ in range(3))
        house.load(16, 4096, messages=5000, to="x@hung.test")
        runs = sorted((house.deliver(4096, messages, **others) for _ in range(3)), key=lambda run: run["rate"])
        rates = [run["rate"] for run in runs]
        results.add("Pennypost, 1,000 domains beside one that hangs", runs[1])
    finally:
        hung.stop()
        house.stop()
    results.goal("rate of 1,000 domains beside one that hangs, against without (at least 0.95)", rates[1] / without, lambda value: value >= 0.95, " x")


def due_together(results, work, postgres, deliveries):
    """Deliveries that all fall due at the moment the gateway starts, 50 recipients to a message."""
    house = Gateway(work, postgres, "due", roles="api")
    messages = max(deliveries // 50, 1)
    house.load(16, 200, messages=messages, recipients=50)
    house.roles = None
    sink = Sink(house.mx_port, messages, house.log("sink"))

    start = time.monotonic()
    house.process.stop()
    house.start()
    ready = house.ready_seconds
    if not sink.wait(900):
        raise SystemExit("bench: not all deliveries were made within 900 s")
    elapsed = time.monotonic() - start
    results.add(f"Pennypost, {messages * 50} deliveries due together", {"rate": messages * 50 / elapsed, "peak": peak_mib(house.process.pid)})
    results.goal(f"ready with {messages * 50} deliveries due, s (below 10)", ready, lambda value: value < 10)
    sink.stop()
    house.stop()


def throttle(results):
    """Providers with limits, simulated: how near the throttle settles, and how much it is refused. No sockets, hours in a moment."""
    done = subprocess.run([BINARY, "--json", "bench", "throttle"], check=True, capture_output=True, text=True)
    for trial in json.loads(done.stdout)["trials"]:
        results.goal(f"throttle, {trial['provider']}: share of the limit (at least 0.75)", trial["settled_at"], lambda value: value >= 0.75)
        refused = trial["refused_per_hundred_once_settled"]
        results.goal(f"throttle, {trial['provider']}: refused in a hundred (below 1)", refused, lambda value: value < 1)


def memory(results, work, postgres, domains, sessions):
    """What a domain with deferred mail and an open session cost in memory."""
    house = Gateway(work, postgres, "memory", sessions=sessions)
    to = {"to": "x@d{domain}.many.test"}
    house.load(16, 4096, messages=200, domains=200, **to)
    time.sleep(2)
    before = resident_mib(house.process.pid)
    house.load(16, 4096, messages=domains, domains=domains, **to)
    wait_until(lambda: int(postgres.query("select count(*) from delivery where attempt > 0", "memory")) >= domains, 120)
    idle = resident_mib(house.process.pid)
    results.goal(f"memory of a domain with deferred mail, KiB (of {domains})", (idle - before) * 1024 / domains)
    house.stop()
    shutil.rmtree(house.directory)
    house = Gateway(work, postgres, "sessions", sessions=sessions)
    hung = Hung("127.0.0.1", house.mx_port)
    house.load(16, 4096, messages=16, to="x@hung.test")
    before = resident_mib(house.process.pid)
    house.load(16, 4096, messages=sessions, domains=sessions, **to)
    wait_until(lambda: connections(house.process.pid) >= sessions * 0.95, 60)
    results.goal(f"memory of an open session, KiB (of {sessions})", (resident_mib(house.process.pid) - before) * 1024 / sessions)
    hung.stop()
    house.stop()


def connections(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("bench: what was waited for did not come")
        time.sleep(0.2)
