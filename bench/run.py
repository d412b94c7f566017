"""Measures Pennypost beside its peers in one run, and prints one table and the ratios that count.

Rates move from day to day and machine to machine; ratios and processor time for each message hold. Everything is on loopback, durability is on
everywhere. The load generator and the sink share the machine with what they measure.

    BENCH_SECONDS=8           length of each measurement of accepting
    BENCH_MESSAGES=20000      messages of each measurement from end to end at 4 KiB; a quarter of it at 50 KiB
    BENCH_THROUGH=100000      messages that memory is watched over
    BENCH_BACKLOG=1000000     deliveries that wait for a dead destination
    BENCH_FAR=2000            messages to a receiver 200 ms away
    BENCH_DUE=1000000         deliveries that fall due together
    BENCH_PARTS=far,many      only these parts: accept, submit, deliver, hold, far, many, hang, due, memory
    BENCH_BINARY=path         another program than target/release/pennypost
"""

import os
import shutil
import statistics
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import engine
import gateway
import peers
import submit
from gateway import BINARY, Gateway, Postgres, Sink, commits_of_one_row


def number(name, default):
    return int(os.environ.get(name, default))


SECONDS = number("BENCH_SECONDS", 8)
MESSAGES = number("BENCH_MESSAGES", 20_000)
THROUGH = number("BENCH_THROUGH", 100_000)
BACKLOG = number("BENCH_BACKLOG", 1_000_000)
FAR = number("BENCH_FAR", 2_000)
DUE = number("BENCH_DUE", 1_000_000)
DOMAINS = 10_000
SESSIONS = 1_000
SIZES = {"4 KiB": 4096, "50 KiB": 51_200}
COLUMNS = ["", "msg/s", "p50 ms", "p95 ms", "p99 ms", "CPU us/msg", "PostgreSQL us", "WAL octets", "peak MiB"]
KEYS = ["rate", "p50_ms", "p95_ms", "p99_ms", "cpu_own", "cpu_database", "wal", "peak"]


class Results:
    """Rows of the table, and goals with whether they are met."""

    def __init__(self):
        self.rows, self.goals, self.by_name = [], [], {}

    def add(self, name, values):
        values = values or {}
        self.by_name[name] = values
        self.rows.append([name] + ["-" if key not in values else f"{values[key]:.1f}" if key.endswith("_ms") else f"{values[key]:.0f}" for key in KEYS])
        print(f"  {name}: {values.get('rate', 0):.0f}/s" if values else f"  {name}: not measured", flush=True)

    def rate(self, name):
        return self.by_name.get(name, {}).get("rate")

    def goal(self, text, value, met=None, unit=""):
        """A figure, and whether it is as good as it should be, if `met` says what that is. One that was not measured is left out."""
        if value is not None:
            self.goals.append((text, f"{value:.2f}{unit}", "" if met is None else "yes" if met(value) else "NO"))

    def ratio(self, text, name, other, least):
        own, peer = self.rate(name), self.rate(other)
        self.goal(f"{text} (at least {least})", own / peer if own and peer else None, lambda value: value >= least, " x")

    def show(self):
        widths = [max(len(str(row[place])) for row in [COLUMNS, *self.rows]) for place in range(len(COLUMNS))]
        print()
        for row in [COLUMNS, *self.rows]:
            print("  ".join(str(cell).ljust(width) if place == 0 else str(cell).rjust(width) for place, (cell, width) in enumerate(zip(row, widths))))
        print()
        width = max(len(text) for text, _, _ in self.goals)
        for text, shown, met in self.goals:
            print(f"{text.ljust(width)}  {shown.rjust(14)}  {met}")


def accepting(results, work, postgres):
    print("accepting, durably, without delivering:", flush=True)
    for label, size in SIZES.items():
        house = Gateway(work, postgres, f"accept_{size}", roles="api")
        for clients in [1, 16, 64]:
            results.add(f"accept {label}, {clients} clients", house.accept(clients, size, SECONDS))
        house.stop()
        for clients in [1, 64]:
            results.add(f"single-row commits {label}, {clients} clients", commits_of_one_row(postgres, work, size, SECONDS, clients))


def delivering(results, work, postgres):
    print("from end to end: accepted, signed by RSA-2048 and Ed25519, delivered:", flush=True)
    for label, size in SIZES.items():
        messages = MESSAGES if size < 10_000 else max(MESSAGES // 4, 1)
        house = Gateway(work, postgres, f"deliver_{size}")
        house.deliver(size, max(messages // 10, 1))
        results.add(f"Pennypost {label}", house.deliver(size, messages))
        house.stop()
        relays(results, work, label, size, messages)


def relays(results, work, label, size, messages):
    missing = peers.available()
    for name, signed, share in [("Postfix unsigned", False, 5), ("Postfix + OpenDKIM", True, 15)]:
        if missing or (signed and not gateway.machine.find("opendkim")):
            print(f"  {name}: {missing or 'opendkim is not installed'}", flush=True)
            results.add(f"{name} {label}", None)
        else:
            results.add(f"{name} {label}", peers.relay(work, size, max(messages // share, 50), signed))


def holding(results, work, postgres):
    print("memory and backlog:", flush=True)
    house = Gateway(work, postgres, "through")
    through = house.deliver(4096, THROUGH)
    results.add(f"Pennypost 4 KiB, {THROUGH} messages", through)
    results.goal(f"peak memory while {THROUGH} messages go through, MiB (below 150)", through["peak"], lambda value: value < 150)
    without = statistics.median(house.deliver(4096, MESSAGES)["rate"] for _ in range(3))
    house.load(16, 200, messages=max(BACKLOG // 50, 1), to="x@dead.test", recipients=50)
    waiting = int(postgres.query("select count(*) from delivery", "through"))
    runs = [house.deliver(4096, MESSAGES) for _ in range(3)]
    results.add(f"Pennypost 4 KiB, {waiting} waiting", sorted(runs, key=lambda run: run["rate"])[1])
    results.goal(f"rate with {waiting} deliveries waiting for a dead destination, against none (at least 0.9)",
                 statistics.median(run["rate"] for run in runs) / without, lambda value: value >= 0.9, " x")
    house.restart()
    results.goal("ready after, s (below 0.3)", house.ready_seconds, lambda value: value < 0.3)
    house.stop()


def part(name):
    chosen = os.environ.get("BENCH_PARTS", "")
    return not chosen or name in chosen.split(",")


def reaching(results, work, postgres):
    print("the engine, where lines are long and domains many:", flush=True)
    if part("far"):
        engine.far(results, work, postgres, FAR)
    if part("many"):
        engine.many(results, work, postgres, DOMAINS)
    if part("hang"):
        engine.hanging(results, work, postgres, MESSAGES)
    if part("due"):
        engine.due_together(results, work, postgres, DUE)
    if part("throttle"):
        engine.throttle(results)
    if part("memory"):
        engine.memory(results, work, postgres, DOMAINS, SESSIONS)
        submit.idle(results, work, postgres)


def judge(results):
    results.ratio("end to end 4 KiB against Postfix + OpenDKIM, goal 12", "Pennypost 4 KiB", "Postfix + OpenDKIM 4 KiB", 8)
    results.ratio("end to end 4 KiB against Postfix unsigned, goal 3.5", "Pennypost 4 KiB", "Postfix unsigned 4 KiB", 2.5)
    results.ratio("end to end 50 KiB against Postfix + OpenDKIM", "Pennypost 50 KiB", "Postfix + OpenDKIM 50 KiB", 1)
    results.ratio("end to end 50 KiB against Postfix unsigned", "Pennypost 50 KiB", "Postfix unsigned 50 KiB", 1)
    accepted = "accept 4 KiB, 64 clients"
    results.ratio("accepting 4 KiB, 64 clients, against single-row commits by one client", accepted, "single-row commits 4 KiB, 1 clients", 5)
    results.ratio("accepting 4 KiB, 64 clients, against single-row commits by 64", accepted, "single-row commits 4 KiB, 64 clients", 5)
    end = results.by_name.get("Pennypost 4 KiB")
    spent = end["cpu_own"] + end["cpu_database"] if end else None
    results.goal("CPU of Pennypost and PostgreSQL for one message, us (at most 600)", spent, lambda value: value <= 600)
    results.goal("size of the program, MiB (below 40)", os.path.getsize(BINARY) / 1024 / 1024, lambda value: value < 40)


def main():
    if not os.path.exists(BINARY):
        raise SystemExit(f"bench: {BINARY} is not there: cargo build --release --locked")
    # Short, since a socket lies in it, and open to the user that PostgreSQL runs as.
    work = tempfile.mkdtemp(prefix="pennypost-bench-", dir="/tmp")
    os.chmod(work, 0o755)
    results, postgres = Results(), Postgres(work)
    try:
        submitting = lambda *house: submit.submitting(*house, SIZES, SECONDS)
        for name, measure in {"accept": accepting, "submit": submitting, "deliver": delivering, "hold": holding}.items():
            if part(name):
                measure(results, work, postgres)
        reaching(results, work, postgres)
        judge(results)
        results.show()
    finally:
        postgres.stop()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
