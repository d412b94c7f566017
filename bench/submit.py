"""What is submitted by SMTP, by sessions within TLS that are signed in, and accepted durably: Pennypost beside Postfix, asked by the same client in the same
run. And what sessions cost that do nothing."""

import os
import resource
import socket
import subprocess
import threading

import peers
from gateway import Gateway, submitted
from machine import cpu_seconds, resident_mib

SESSIONS = 20
USER, PASSWORD = "bench", "a password of the bench"
IDLE = 10_000


class Auth:
    """Tells Postfix that whoever signs in may, in the words of Dovecot's auth service (version 1.2 of its protocol for clients)."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        # Postfix asks as a user of its own.
        os.chmod(path, 0o666)
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=[connection], daemon=True).start()

    def answer(self, connection):
        with connection, connection.makefile("rw", encoding="ascii", newline="\n") as file:
            file.write(f"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t{os.getpid()}\nCUID\t1\nCOOKIE\t{'0' * 32}\nDONE\n")
            file.flush()
            for line in file:
                words = line.rstrip("\n").split("\t")
                if words[0] == "AUTH":
                    file.write(f"OK\t{words[1]}\tuser={USER}\n")
                    file.flush()

    def stop(self):
        self.listener.close()


def postfix(work, size, seconds):
    """Postfix with TLS and AUTH, which holds what it accepts."""
    directory = os.path.join(work, f"postfix-submission-{size}")
    os.makedirs(directory)
    os.chmod(directory, 0o755)
    key, certificate = os.path.join(directory, "key.pem"), os.path.join(directory, "cert.pem")
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=relay.bench.test"]
    subprocess.run([*request, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    auth = Auth(os.path.join(directory, "auth"))
    server = peers.Postfix(directory, 0, submission=True)
    try:
        before = cpu_seconds(server.pid)
        accepted, report = submitted(server.port, USER, PASSWORD, SESSIONS, size, seconds)
        return {**report, "rate": report["per_second"], "cpu_own": (cpu_seconds(server.pid) - before) / accepted * 1e6}
    finally:
        server.stop()
        auth.stop()


def submitting(results, work, postgres, sizes, seconds):
    print(f"submitting by SMTP, {SESSIONS} sessions with TLS and AUTH, accepted durably:", flush=True)
    for label, size in sizes.items():
        house = Gateway(work, postgres, f"submit_{size}", roles="api,smtp", connections=1000)
        password = house.run("smtp-user", "add", "bench@penny.test")["password"]
        house.submit(password, SESSIONS, size, 1)
        report = house.submit(password, SESSIONS, size, seconds)
        results.add(f"Pennypost submission {label}", {**report, "rate": report["per_second"]})
        house.stop()
        missing = peers.available()
        if missing:
            print(f"  Postfix submission: {missing}", flush=True)
        results.add(f"Postfix submission {label}", None if missing else postfix(work, size, seconds))
        results.ratio(f"submitting {label} by SMTP against Postfix", f"Pennypost submission {label}", f"Postfix submission {label}", 3)


def idle(results, work, postgres):
    """Connections that were greeted and say nothing more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # A door may have a sixteenth of the files.
    count = min(IDLE, hard // 16)
    house = Gateway(work, postgres, "idle", roles="api,smtp", connections=count)
    before = resident_mib(house.process.pid)
    clients = []
    try:
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", house.submission_port))
            clients.append(client)
            if not client.recv(512).startswith(b"220 "):
                raise SystemExit("bench: an SMTP connection was not greeted")
        each = (resident_mib(house.process.pid) - before) * 1024 / count
        text = f"memory of an idle SMTP connection, KiB (of {count}; below 20, that {IDLE} take less than 200 MiB)"
        results.goal(text, each, lambda value: value < 20)
    finally:
        for client in clients:
            client.close()
        house.stop()
