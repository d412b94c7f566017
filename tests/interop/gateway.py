"""The gateway under test: the real program with a configuration, a private Postgres and a master key of its own."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request

from root import eventually

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("PENNYPOST_BINARY", f"{PROJECT}/target/debug/pennypost")
DOMAIN, HOST = "sender.test", "mail.sender.test"
FINAL = {"delivered", "bounced", "expired", "suppressed", "cancelled"}


def free_ports(count):
    """Ports of 127.0.0.1 that are free together."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Gateway:
    """Made by `init`, with its records put into `zone`."""

    def __init__(self, work, zone, mx_port):
        self.directory = f"{work}/gateway"
        self.log = f"{work}/gateway.log"
        self.child = None
        os.mkdir(self.directory)
        http, self.submission, self.submissions, self.exchange = free_ports(4)
        self.url = f"http://127.0.0.1:{http}"
        self.certificate = f"{self.directory}/cert.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={HOST}"]
        command += ["-addext", f"subjectAltName=DNS:{HOST}", "-keyout", f"{self.directory}/key.pem", "-out", self.certificate]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        with open(f"{self.directory}/pennypost.toml", "w", encoding="utf-8") as file:
            file.write(
                f"""
[server]
hostname = "{HOST}"
http_listen = "{self.url.removeprefix("http://")}"
[smtp]
submission_listen = "127.0.0.1:{self.submission}"
submissions_listen = "127.0.0.1:{self.submissions}"
mx_listen = "127.0.0.1:{self.exchange}"
[tls]
certificate_files = ["cert.pem"]
key_files = ["key.pem"]
[delivery]
mx_port = {mx_port}
allow_private_addresses = true
drain_seconds = 5
[dns]
servers = ["{zone.address}:{zone.port}"]
[webhooks]
allow_private_addresses = true
[telemetry]
log_format = "json"
"""
            )
        made = self.command("init", "--domain", DOMAIN, "--hostname", HOST)
        self.key = made["key"]["key"]
        self.domain_id = made["domain"]["id"]
        self.records = made["domain"]["records"]
        zone.add(HOST, "A", "127.0.0.1")
        for record in self.records:
            zone.add(record["name"], record["type"], record["value"])

    def environment(self):
        return {name: value for name, value in os.environ.items() if name != "DATABASE_URL" and not name.startswith("PENNYPOST_")}

    def command(self, *words):
        """Runs a command of the program; its JSON."""
        command = [BINARY, "--config", f"{self.directory}/pennypost.toml", "--json", *words]
        ended = subprocess.run(command, capture_output=True, env=self.environment(), check=False, timeout=120)
        if ended.returncode:
            raise RuntimeError(f"{' '.join(words)}: exit code {ended.returncode}: {ended.stderr.decode()}")
        return json.loads(ended.stdout)

    def start(self):
        command = [BINARY, "--config", f"{self.directory}/pennypost.toml", "serve"]
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment())
        if not eventually(lambda: self.call("GET", "/readyz")[0] == 200, 60):
            raise RuntimeError(f"the gateway does not get ready\n{self.said()}")

    def call(self, method, path, body=None, headers=None):
        """Status and octets of an answer; status 0 if there is none."""
        headers = {"Authorization": f"Bearer {self.key}", **(headers or {})}
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def send(self, request):
        """The id of the accepted message."""
        status, answer = self.call("POST", "/v1/send", request)
        if status != 202:
            raise RuntimeError(f"POST /v1/send: {status} {answer.decode()}")
        return json.loads(answer)["id"]

    def settled(self, message, seconds=10):
        """The message once all its deliveries ended, or as it stands when the time is over."""
        end = time.monotonic() + seconds
        while True:
            view = json.loads(self.call("GET", f"/v1/messages/{message}")[1])
            if all(delivery["state"] in FINAL for delivery in view["deliveries"]) or time.monotonic() > end:
                return view
            time.sleep(0.05)

    def raw(self, message):
        return self.call("GET", f"/v1/messages/{message}/raw")[1]

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "\n".join(file.read().splitlines()[-25:])

    def stop(self):
        """Its exit status."""
        if self.child and self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(60)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.child.returncode if self.child else None
