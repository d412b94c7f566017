"""The machine of the guide: every command of docs/guide is given as it stands there, with the names of this play put in."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess

import network
from gateway import BINARY, PROJECT
from root import eventually

# What the pages say, and who plays it here.
CAST = [("you@gmail.com", "x@gmail.test"), ("gmail.com", "gmail.test"), ("example.com", "wac.test")]
PAGES = ["docs/guide/gmail.md", "docs/guide/moving.md"]


def cast(text):
    for said, played in CAST:
        text = text.replace(said, played)
    return text


def commands_of(page):
    """The commands that a page tells to run: the lines of its blocks `sh`, long ones joined."""
    with open(f"{PROJECT}/{page}", encoding="utf-8") as file:
        blocks = re.findall(r"(?ms)^```sh\n(.*?)^```", file.read())
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if line.strip() and not line.startswith("#")]


class Ended:
    """How a command ended."""

    def __init__(self, line, ended):
        self.line, self.code = line, ended.returncode
        self.said, self.complained = ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace")

    def json(self):
        try:
            return json.loads(self.said)
        except ValueError as error:
            raise RuntimeError(f"{self.line}: no JSON, exit code {self.code}: {self.said[:500]}{self.complained}") from error

    def fault(self, code=0):
        """None if it ended as wanted."""
        return None if self.code == code else f"{self.line}: exit code {self.code}\n{self.said[-1500:]}\n{self.complained[-1500:]}"


class House:
    """The directory of the gateway, its commands and its process."""

    def __init__(self, work, machines):
        self.directory, self.log = f"{work}/house", f"{work}/house.log"
        os.mkdir(self.directory)
        self.child, self.ran, self.inside = None, set(), machines.inside()
        # From the other machine the API and the page of those who agree must be reached.
        self.variables = {"PENNYPOST_SERVER__HTTP_LISTEN": f"{network.HOUSE}:8080", "PENNYPOST_SERVER__PUBLIC_URL": "http://smtp.wac.test:8080"}

    def environment(self):
        kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL" and not name.startswith("PENNYPOST_")}
        return {**kept, **self.variables}

    def run(self, line, given="", more=""):
        """Runs a command of the guide; `more` is added to it and is no part of the guide."""
        self.ran.add(" ".join(line.split()))
        words = shlex.split(f"{cast(line)} {more}")
        words[0] = BINARY if words[0] == "pennypost" else words[0]
        ended = subprocess.run([*self.inside, *words], cwd=self.directory, input=given.encode(), capture_output=True, env=self.environment(), check=False, timeout=180)
        return Ended(line, ended)

    def told(self, line, given=""):
        """The JSON of a command that has to end well."""
        ended = self.run(line, given, "--json")
        if fault := ended.fault():
            raise RuntimeError(fault)
        return ended.json()

    def configure(self, **sections):
        """Sets what follows the first section of pennypost.toml."""
        path = f"{self.directory}/pennypost.toml"
        with open(path, encoding="utf-8") as file:
            head = file.read().split("\n# set here\n")[0]
        text = "\n".join(f"[{name}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in options.items()) for name, options in sections.items())
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"{head}\n# set here\n{text}\n")

    def start(self):
        """`pennypost serve`, until its ports are open."""
        self.ran.add("pennypost serve")
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen([*self.inside, BINARY, "serve"], cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment())
        listens = lambda: is_open(network.HOUSE, 8080) and is_open(network.HOUSE, 587)
        eventually(lambda: self.child.poll() is not None or listens(), 60)
        if self.child.poll() is not None or not listens():
            raise RuntimeError(f"serve does not listen\n{self.said()}")

    def stop(self, how=signal.SIGTERM):
        if self.child and self.child.poll() is None:
            self.child.send_signal(how)
            try:
                self.child.wait(60)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()

    def restart(self):
        self.stop()
        self.start()

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "\n".join(file.read().splitlines()[-12:])


def is_open(address, port):
    try:
        socket.create_connection((address, port), 2).close()
    except OSError:
        return False
    return True
