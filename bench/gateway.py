"""Pennypost under measurement: a database of its own on one PostgreSQL server, the sink, the load."""

import glob
import json
import os
import subprocess
import time

import machine
from machine import Process, cpu_seconds, free_port, peak_mib, wait_for_port

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BINARY = os.environ.get("BENCH_BINARY", os.path.join(ROOT, "target/release/pennypost"))


class Postgres:
    """A server with durability on, in a directory of its own."""

    def __init__(self, work):
        self.directory = os.path.join(work, "pg")
        self.script = os.path.join(ROOT, "scripts/dev-database.sh")
        # The settings that the private server of Pennypost has too; all else is as shipped.
        env = {**os.environ, "POSTGRES_OPTIONS": "-c max_connections=150"}
        subprocess.run([self.script, "start", self.directory], check=True, env=env, stdout=subprocess.DEVNULL)
        with open(os.path.join(self.directory, "data/postmaster.pid"), encoding="ascii") as file:
            self.pid = int(file.readline())

    def url(self, database):
        return f"postgres://pennypost@localhost/{database}?host={self.directory}"

    def query(self, sql, database="postgres"):
        command = ["psql", "-qAt", "-v", "ON_ERROR_STOP=1", self.url(database), "-c", sql]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def wal_octets(self):
        return int(self.query("select pg_current_wal_lsn() - '0/0'::pg_lsn").split(".")[0])

    def checkpoint(self):
        self.query("checkpoint")

    def stop(self):
        subprocess.run([self.script, "stop", self.directory], check=False)


class Sink:
    """smtp-sink of the postfix package, or our own where there is none or TLS is wanted; counts to a number and ends."""

    def __init__(self, port, messages, log, tls=False):
        program = None if tls else machine.find("smtp-sink")
        self.name = "smtp-sink" if program else "pennypost bench sink"
        if program:
            user = ["-u", "nobody"] if os.getuid() == 0 else []
            command = [program, *user, "-M", str(messages), f"127.0.0.1:{port}", "1000"]
        else:
            command = [BINARY, "bench", "sink", "--listen", f"127.0.0.1:{port}", "--messages", str(messages), *(["--starttls"] if tls else [])]
        self.process = Process(command, log)
        wait_for_port(port)

    def wait(self, seconds):
        return self.process.wait(seconds)

    def stop(self):
        self.process.stop()


class Gateway:
    """`pennypost serve` on a fresh database, with a verified set-up to send from penny.test to sink.test."""

    def __init__(self, work, postgres, name, roles=None, sessions=200, connections=None):
        """`connections`: of SMTP clients, which there is no port for otherwise."""
        self.work, self.postgres, self.name, self.roles = work, postgres, name, roles
        self.directory = os.path.join(work, name)
        os.makedirs(self.directory)
        self.port, self.mx_port, dns = free_port(), free_port(), free_port()
        self.submission_port, self.submissions_port = (free_port(), free_port()) if connections else (None, None)
        listen = [f"127.0.0.1:{port}" if port else "" for port in [self.submission_port, self.submissions_port]]
        self.config = os.path.join(self.directory, "pennypost.toml")
        with open(self.config, "w", encoding="ascii") as file:
            file.write(
                f'[server]\nhostname = "mail.penny.test"\nhttp_listen = "127.0.0.1:{self.port}"\n'
                f'[smtp]\nsubmission_listen = "{listen[0]}"\nsubmissions_listen = "{listen[1]}"\nmx_listen = ""\n'
                f"connections = {connections or 1000}\nconnections_per_client = 0\n"
                f"[delivery]\nmx_port = {self.mx_port}\nallow_private_addresses = true\nallow_unverified_domains = true\nmax_connections = {sessions}\n"
                f'[dns]\nservers = ["127.0.0.1:{dns}"]\n[telemetry]\nlog_filter = "warn"\n'
            )
        self.env = {"DATABASE_URL": postgres.url(name)}
        postgres.query(f"create database {name}")
        self.run("init", "--domain", "penny.test", "--hostname", "mail.penny.test")
        self.key = self.run("key", "create")["key"]
        self.dns = Process([BINARY, "bench", "sink", "--listen", "127.0.0.1:0", "--dns", f"127.0.0.1:{dns}", "--domains", "10000"], self.log("dns"))
        self.process, self.ready_seconds = None, 0.0
        self.start()

    def start(self):
        roles = ["--role", self.roles] if self.roles else []
        self.process = Process([BINARY, "--config", self.config, "serve", *roles], self.log("serve"), self.env)
        self.ready_seconds = wait_for_port(self.port)

    def restart(self):
        self.process.stop()
        self.start()

    def log(self, what):
        return os.path.join(self.directory, what + ".log")

    def run(self, *arguments):
        command = [BINARY, "--config", self.config, "--json", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **self.env}, check=False)
        if done.returncode != 0:
            raise SystemExit(f"bench: {' '.join(arguments)} failed: {done.stderr}")
        return json.loads(done.stdout)

    def load(self, clients, size, messages=None, seconds=None, to="x@sink.test", recipients=1, domains=1):
        """Posts messages; what `pennypost bench load --json` tells."""
        until = ["--messages", str(messages)] if messages else ["--seconds", f"{seconds}s"]
        command = [BINARY, "--json", "bench", "load", "--target", f"127.0.0.1:{self.port}", "--clients", str(clients), "--size", str(size)]
        command += ["--from", "bench@penny.test", "--to", to, "--recipients", str(recipients), "--domains", str(domains), *until]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PENNYPOST_KEY": self.key}, check=False)
        report = json.loads(done.stdout) if done.stdout else {}
        if not report.get("accepted"):
            raise SystemExit(f"bench: the load was not accepted: {report or done.stderr}")
        return report

    def measured(self, work):
        """Runs `work`, which returns the number of messages, and adds what they cost."""
        self.postgres.checkpoint()
        own, database, wal, start = cpu_seconds(self.process.pid), cpu_seconds(self.postgres.pid), self.postgres.wal_octets(), time.monotonic()
        messages, report = work()
        elapsed = time.monotonic() - start
        micros = 1e6 / messages
        return {
            **report,
            "rate": messages / elapsed,
            "cpu_own": (cpu_seconds(self.process.pid) - own) * micros,
            "cpu_database": (cpu_seconds(self.postgres.pid) - database) * micros,
            "wal": (self.postgres.wal_octets() - wal) / messages,
            "peak": peak_mib(self.process.pid),
        }

    def accept(self, clients, size, seconds):
        def work():
            report = self.load(clients, size, seconds=seconds)
            return report["accepted"], report

        return self.measured(work)

    def submit(self, password, sessions, size, seconds):
        """Messages by SMTP from bench@penny.test."""
        return self.measured(lambda: submitted(self.submissions_port, "bench@penny.test", password, sessions, size, seconds))

    def deliver(self, size, messages, clients=64, sink=None, **load):
        """Accepted, signed, delivered: ends when the sink has them all. A sink that is given is left running."""
        given, sink = sink, sink or Sink(self.mx_port, messages, self.log("sink"))

        def work():
            report = self.load(clients, size, messages=messages, **load)
            if not sink.wait(600):
                raise SystemExit("bench: not all messages arrived within 600 s")
            return messages, report

        try:
            return self.measured(work)
        finally:
            if not given:
                sink.stop()

    def stop(self):
        self.process.stop()
        self.dns.stop()


def submitted(port, user, password, sessions, size, seconds):
    """Submits by TLS and AUTH to whatever listens there; how many messages were accepted, and what `pennypost bench submit --json` tells."""
    command = [BINARY, "--json", "bench", "submit", "--target", f"127.0.0.1:{port}", "--user", user, "--from", "bench@penny.test", "--to", "x@sink.test"]
    command += ["--sessions", str(sessions), "--size", str(size), "--seconds", f"{seconds}s"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PENNYPOST_SMTP_PASSWORD": password}, check=False)
    report = json.loads(done.stdout) if done.stdout else {}
    if done.returncode != 0:
        raise SystemExit(f"bench: not all that was submitted was accepted: {report or done.stderr}")
    return report["accepted"], report


def commits_of_one_row(postgres, work, size, seconds, clients):
    """Rows with the text of one message each, committed one by one: pgbench on the same server."""
    if not os.path.exists(pgbench_path()):
        return None
    postgres.query("create database single")
    postgres.query("create table message (id uuid primary key default gen_random_uuid(), content text not null)", "single")
    # The same text as in the messages that are posted.
    shown = subprocess.run([BINARY, "bench", "load", "--show", "--size", str(size)], check=True, capture_output=True, text=True)
    text = json.loads(shown.stdout)["text"]
    script = os.path.join(work, "single.sql")
    with open(script, "w", encoding="ascii") as file:
        file.write(f"insert into message (content) values ('{text}');\n")
    command = [pgbench_path(), "-n", "-c", str(clients), "-j", str(min(clients, 2)), "-T", str(seconds), "-f", script, postgres.url("single")]
    postgres.checkpoint()
    before = cpu_seconds(postgres.pid)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rate = next(float(text.split("=")[1].split()[0]) for text in done.stdout.splitlines() if text.startswith("tps"))
    spent = cpu_seconds(postgres.pid) - before
    postgres.query("drop database single")
    return {"rate": rate, "cpu_database": spent / (rate * seconds) * 1e6}


def pgbench_path():
    """pgbench of the PATH, or of the newest PostgreSQL that Debian installed."""
    return machine.find("pgbench") or max(glob.glob("/usr/lib/postgresql/*/bin/pgbench"), default="")
