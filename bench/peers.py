"""Postfix as a relay, unsigned and with OpenDKIM, on high ports of loopback with configuration and queue of their own.

Needs root: Postfix's master changes users. Nothing of an installed Postfix is touched; each is stopped by its own pid.
"""

import os
import shutil
import subprocess
import time

import gateway
import machine
from gateway import ROOT, Sink
from machine import Process, cpu_seconds, free_port, wait_for_port


def available():
    """None, or what is missing."""
    for program in ["postfix", "smtp-source", "smtp-sink"]:
        if not machine.find(program):
            return f"{program} is not installed"
    return None if os.getuid() == 0 else "Postfix can be started by root only"


def fill(source, target, **values):
    with open(os.path.join(ROOT, "bench", source), encoding="ascii") as file:
        text = file.read()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    with open(target, "w", encoding="ascii") as file:
        file.write(text)


def override(config, by):
    """Puts the settings of the file `by` into `config`, in place of those of the same name."""
    with open(config, encoding="ascii") as file:
        lines = file.readlines()
    with open(by, encoding="ascii") as file:
        new = file.readlines()
    names = {line.split("=")[0].strip() for line in new if not line.startswith("#")}
    with open(config, "w", encoding="ascii") as file:
        file.writelines([line for line in lines if line.split("=")[0].strip() not in names] + new)


class OpenDkim:
    def __init__(self, directory):
        os.makedirs(directory)
        self.port = free_port()
        key = os.path.join(directory, "key.pem")
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        shutil.chown(directory, "opendkim", "opendkim")
        shutil.chown(key, "opendkim", "opendkim")
        os.chmod(key, 0o600)
        config = os.path.join(directory, "opendkim.conf")
        fill("opendkim.conf", config, port=self.port, dir=directory)
        self.process = Process([machine.find("opendkim"), "-f", "-x", config], os.path.join(directory, "log"))
        wait_for_port(self.port)
        self.pid = self.process.pid

    def stop(self):
        self.process.stop()


class Postfix:
    def __init__(self, directory, sink_port, milter=None, submission=False):
        self.etc = os.path.join(directory, "etc")
        for part in ["etc", "spool", "data"]:
            os.makedirs(os.path.join(directory, part))
        shutil.chown(os.path.join(directory, "data"), "postfix", "postfix")
        self.port = free_port()
        milters = f"inet:127.0.0.1:{milter.port}" if milter else ""
        # Without a sink it discards what it takes.
        transport = f"smtp:[127.0.0.1]:{sink_port}" if sink_port else "discard:"
        config = os.path.join(self.etc, "main.cf")
        fill("postfix/main.cf", config, dir=directory, transport=transport, milters=milters)
        if submission:
            fill("postfix/submission.cf", config + ".submission", dir=directory)
            override(config, config + ".submission")
        fill("postfix/master.cf", os.path.join(self.etc, "master.cf"), port=self.port)
        # Makes the queue directories, then starts the master.
        self.control("check")
        self.control("start")
        wait_for_port(self.port)
        with open(os.path.join(directory, "spool/pid/master.pid"), encoding="ascii") as file:
            self.pid = int(file.read())

    def control(self, word):
        subprocess.run([machine.find("postfix"), "-c", self.etc, word], check=True, capture_output=True)

    def stop(self):
        self.control("stop")


class Receiver:
    """Postfix that takes everything and keeps nothing, as far away as `round_trip` milliseconds; offers CHUNKING, which smtp-sink does not."""

    def __init__(self, work, port, round_trip):
        directory = os.path.join(work, "receiver")
        os.makedirs(directory)
        os.chmod(directory, 0o755)
        self.port, self.log = port, os.path.join(directory, "maillog")
        self.postfix = Postfix(directory, 0)
        line = [gateway.BINARY, "bench", "delay", "--listen", f"127.0.0.1:{port}", "--to", f"127.0.0.1:{self.postfix.port}"]
        self.line = Process([*line, "--round-trip-ms", str(round_trip)], os.path.join(directory, "line.log"))
        wait_for_port(port)
        self.expected = 0

    def expect(self, messages):
        self.expected = self.taken() + messages
        return self

    def taken(self):
        with open(self.log, "rb") as file:
            return file.read().count(b"relay=none, delay=")

    def wait(self, seconds):
        end = time.monotonic() + seconds
        while self.taken() < self.expected:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def stop(self):
        self.line.stop()
        self.postfix.stop()


def relay(work, size, messages, signed, receiver=None):
    """smtp-source with 20 sessions -> Postfix -> smtp-sink or a receiver; ends when it has them all."""
    name = f"postfix-{'signed' if signed else 'unsigned'}-{size}{'-far' if receiver else ''}"
    directory = os.path.join(work, name)
    os.makedirs(directory)
    os.chmod(directory, 0o755)
    dkim = OpenDkim(os.path.join(directory, "dkim")) if signed else None
    sink_port = receiver.port if receiver else free_port()
    sink = receiver.expect(messages) if receiver else Sink(sink_port, messages, os.path.join(directory, "sink.log"))
    postfix = Postfix(directory, sink_port, dkim)
    try:
        roots = [postfix.pid] + ([dkim.pid] if dkim else [])
        before, start = cpu_seconds(*roots), time.monotonic()
        source = [machine.find("smtp-source"), "-d", "-s", "20", "-l", str(size), "-m", str(messages)]
        source += ["-f", "bench@penny.test", "-t", "x@sink.test", f"127.0.0.1:{postfix.port}"]
        subprocess.run(source, check=True, capture_output=True)
        if not sink.wait(600):
            raise SystemExit(f"bench: {name} did not deliver all within 600 s")
        elapsed = time.monotonic() - start
        return {"rate": messages / elapsed, "cpu_own": (cpu_seconds(*roots) - before) / messages * 1e6}
    finally:
        postfix.stop()
        if not receiver:
            sink.stop()
        if dkim:
            dkim.stop()
