"""Certificates by ACME from pebble, in every way that names can be proven, shown at 465 while a session at 587 goes on."""

import json
import os
import shutil
import smtplib
import socket
import ssl
import stat
import subprocess
import urllib.request

from gateway import HOST, Gateway, free_ports
from root import eventually

EAB = ("kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W")
# Publishes by the management interface of pebble-challtestsrv.
HOOK = """#!/usr/bin/env python3
import json, sys, urllib.request
verb, name, value = sys.argv[1:]
path, body = ("set-txt", {"host": name + ".", "value": value}) if verb == "add" else ("clear-txt", {"host": name + "."})
urllib.request.urlopen("MANAGEMENT/" + path, json.dumps(body).encode()).close()
with open("LOG", "a") as log:
    print(verb, name, file=log)
"""


class Names:
    """pebble-challtestsrv: every name is at 127.0.0.1, TXT records come and go."""

    def __init__(self, work):
        self.address = "127.0.0.1"
        self.port, management = free_ports(2)
        self.management = f"http://127.0.0.1:{management}"
        command = ["pebble-challtestsrv", "-dns01", f"127.0.0.1:{self.port}", "-management", f"127.0.0.1:{management}"]
        command += ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]
        with open(f"{work}/challtestsrv.log", "wb") as log:
            self.child = subprocess.Popen(command, stdout=log, stderr=log)
        eventually(lambda: reachable(management), 10)

    def add(self, *_):
        """What the gateway publishes elsewhere is of no interest here."""

    def stop(self):
        self.child.terminate()
        self.child.wait()


class Pebble:
    """The authority, on a port of its own."""

    def __init__(self, work, names, name, ports, binding):
        self.directory = f"{work}/{name}"
        os.mkdir(self.directory)
        self.certificate = f"{self.directory}/cert.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=pebble"]
        command += ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
        subprocess.run([*command, "-keyout", f"{self.directory}/key.pem", "-out", self.certificate], check=True, stderr=subprocess.DEVNULL)
        acme, management = free_ports(2)
        self.url, self.management = f"https://127.0.0.1:{acme}/dir", f"https://127.0.0.1:{management}"
        config = {
            "listenAddress": f"127.0.0.1:{acme}",
            "managementListenAddress": f"127.0.0.1:{management}",
            "certificate": self.certificate,
            "privateKey": f"{self.directory}/key.pem",
            "httpPort": ports[0],
            "tlsPort": ports[1],
            "externalAccountBindingRequired": binding,
            "externalAccountMACKeys": dict([EAB]),
        }
        with open(f"{self.directory}/config.json", "w", encoding="utf-8") as file:
            json.dump({"pebble": config}, file)
        self.log = f"{self.directory}/pebble.log"
        with open(self.log, "wb") as log:
            command = ["pebble", "-config", f"{self.directory}/config.json", "-dnsserver", f"{names.address}:{names.port}"]
            self.child = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PEBBLE_VA_NOSLEEP": "1"})
        eventually(lambda: reachable(acme) and reachable(management), 10)

    def root(self):
        """The file of the certificate that all of its certificates lead to."""
        context = ssl.create_default_context(cafile=self.certificate)
        path = f"{self.directory}/root.pem"
        with urllib.request.urlopen(f"{self.management}/roots/0", context=context) as answer, open(path, "wb") as file:
            file.write(answer.read())
        return path

    def stop(self):
        self.child.terminate()
        self.child.wait()


def reachable(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def gateway_for(work, names, pebble, name, options):
    """A gateway that has its certificates from pebble."""
    directory = f"{work}/{name}"
    os.mkdir(directory)
    gateway = Gateway(directory, names, 2525)
    path = f"{gateway.directory}/pennypost.toml"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    lines = "".join(f"{option} = {json.dumps(value)}\n" for option, value in options.items())
    own = f'acme = "{pebble.url}"\nacme_ca_file = "{pebble.certificate}"\nacme_contact = "ops@sender.test"\n{lines}'
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace('certificate_files = ["cert.pem"]\nkey_files = ["key.pem"]\n', own))
    gateway.start()
    return gateway


def shown(gateway, root, host):
    """The certificate at 465, proven for `host`; or why it is not."""
    context = ssl.create_default_context(cafile=root)
    try:
        with socket.create_connection(("127.0.0.1", gateway.submissions), 5) as plain, context.wrap_socket(plain, server_hostname=host) as stream:
            return stream.getpeercert(binary_form=True), None
    except OSError as error:
        return None, str(error)


def obtained(report, what, gateway, root, host):
    """Waits for a certificate that is proven; its octets."""
    found = []

    def look():
        octets, _ = shown(gateway, root, host)
        found.extend([octets] if octets else [])
        return bool(octets)

    fine = eventually(look, 60)
    report.check(what, None if fine else f"{shown(gateway, root, host)[1]}\n{gateway.said()}")
    return found[-1] if found else None


def renewal(report, gateway, root, first):
    """A forced renewal while somebody is at 587."""
    client = smtplib.SMTP("127.0.0.1", gateway.submission)
    client.starttls(context=unproven())
    client.ehlo()
    try:
        gateway.command("cert", "renew", "--now")
        fault = None
    except RuntimeError as error:
        fault = f"{error}\n{gateway.said()}"
    report.check("`cert renew --now` waits for the new certificate", fault)
    swapped = eventually(lambda: shown(gateway, root, HOST)[0] not in (None, first), 20)
    report.check("465 shows the new one", None if swapped else gateway.said())
    code, said = client.noop()
    report.check("a session that was open at 587 goes on", None if code == 250 else f"{code} {said}")
    client.quit()
    rows = gateway.command("cert", "status")["data"]
    fine = len(rows) == 1 and rows[0]["names"] == [HOST] and rows[0]["failures"] == 0 and rows[0]["renew_at"] and "Pebble" in rows[0]["issuer"]
    report.check("`cert status` tells of it", None if fine else rows)


def unproven():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def bound(report, work, names, ports):
    """An authority that binds accounts to customers."""
    pebble = Pebble(work, names, "pebble-eab", ports, True)
    running = []
    try:
        options = {"acme_challenge": "http-01", "acme_http_listen": f"127.0.0.1:{ports[0]}", "acme_eab_kid": EAB[0]}
        wrong = gateway_for(work, names, pebble, "eab-wrong", {**options, "acme_eab_key": EAB[1][::-1]})
        running.append(wrong)
        told = []

        def failed():
            rows = wrong.command("cert", "status")["data"]
            told[:] = [rows]
            return bool(rows and rows[0]["failures"])

        fine = eventually(failed, 30)
        report.check("a wrong key of an external account is told", None if fine and "acme:error" in str(told) else f"{told}\n{wrong.said()}")
        wrong.stop()
        right = gateway_for(work, names, pebble, "eab-right", {**options, "acme_eab_key": EAB[1]})
        running.append(right)
        obtained(report, "an account bound to an external one gets a certificate", right, pebble.root(), HOST)
    finally:
        for gateway in running:
            gateway.stop()
        pebble.stop()


def run(report, work):
    if not shutil.which("pebble") or not shutil.which("pebble-challtestsrv"):
        return report.skip("acme", "pebble could not be installed")
    report.heading("certificates by ACME (pebble)")
    names, ports, running = Names(work), free_ports(2), []
    pebble = Pebble(work, names, "pebble", ports, False)
    try:
        root = pebble.root()
        http = gateway_for(work, names, pebble, "http", {"acme_challenge": "http-01", "acme_http_listen": f"127.0.0.1:{ports[0]}"})
        running.append(http)
        if first := obtained(report, "by http-01, proven at 465", http, root, HOST):
            renewal(report, http, root, first)
        by_tls = {"acme_challenge": "tls-alpn-01", "acme_tls_listen": f"127.0.0.1:{ports[1]}", "acme_names": [HOST, f"mta-sts.{HOST}"]}
        tls = gateway_for(work, names, pebble, "tls", by_tls)
        running.append(tls)
        obtained(report, "by tls-alpn-01, for two names", tls, root, f"mta-sts.{HOST}")
        hook, log = f"{work}/hook", f"{work}/hook.log"
        with open(hook, "w", encoding="utf-8") as file:
            file.write(HOOK.replace("MANAGEMENT", names.management).replace("LOG", log))
        os.chmod(hook, stat.S_IRWXU)
        wild = {"acme_challenge": "dns-01", "acme_dns_hook": hook, "acme_names": ["*.sender.test", "sender.test"]}
        dns = gateway_for(work, names, pebble, "dns", wild)
        running.append(dns)
        obtained(report, "by dns-01, for all names below one, published by a program", dns, root, "any.sender.test")
        with open(log, encoding="utf-8") as file:
            calls = sorted(file.read().split("\n")[:-1])
        wanted = ["add _acme-challenge.sender.test"] * 2 + ["rm _acme-challenge.sender.test"] * 2
        report.check("the program removed what it published", None if calls == wanted else calls)
        for gateway in running:
            status = gateway.stop()
            report.check("the gateway ends with status 0", None if status == 0 else f"status {status}\n{gateway.said()}")
        bound(report, work, names, ports)
    finally:
        for gateway in running:
            gateway.stop()
        pebble.stop()
        names.stop()
