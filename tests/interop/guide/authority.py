"""Certificates: pebble, which proves names by every challenge, or, where the program knows no ACME, an authority made of two openssl calls."""

import json
import os
import ssl
import subprocess
import urllib.request

import network
from house import is_open
from root import eventually


class Pebble:
    """An ACME server with the ports and the DNS of this play."""

    def __init__(self, work):
        self.directory = f"{work}/pebble"
        os.mkdir(self.directory)
        self.certificate = f"{self.directory}/cert.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=pebble"]
        command += ["-addext", f"subjectAltName=IP:{network.DNS}", "-addext", "basicConstraints=critical,CA:FALSE"]
        subprocess.run([*command, "-keyout", f"{self.directory}/key.pem", "-out", self.certificate], check=True, stderr=subprocess.DEVNULL)
        self.url, self.management = f"https://{network.DNS}:14000/dir", f"https://{network.DNS}:15000"
        pebble = {"listenAddress": f"{network.DNS}:14000", "managementListenAddress": f"{network.DNS}:15000", "httpPort": 80, "tlsPort": 443}
        pebble |= {"certificate": self.certificate, "privateKey": f"{self.directory}/key.pem"}
        with open(f"{self.directory}/config.json", "w", encoding="utf-8") as file:
            json.dump({"pebble": pebble}, file)
        with open(f"{self.directory}/pebble.log", "wb") as log:
            command = ["pebble", "-config", f"{self.directory}/config.json", "-dnsserver", f"{network.DNS}:53"]
            self.child = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"})
        if not eventually(lambda: is_open(network.DNS, 14000) and is_open(network.DNS, 15000), 20):
            raise RuntimeError("pebble does not listen")

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


def by_hand(directory):
    """An authority of one certificate, and one for the house; the file of the authority."""
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    calls = [[*new, "-subj", "/CN=authority", "-keyout", f"{directory}/ca.key", "-out", f"{directory}/ca.pem"]]
    names = ["-addext", "subjectAltName=DNS:smtp.wac.test", "-addext", "basicConstraints=critical,CA:FALSE"]
    house = ["-subj", "/CN=smtp.wac.test", *names, "-CA", f"{directory}/ca.pem", "-CAkey", f"{directory}/ca.key"]
    calls.append([*new, *house, "-keyout", f"{directory}/key.pem", "-out", f"{directory}/cert.pem"])
    for call in calls:
        subprocess.run(call, check=True, stderr=subprocess.DEVNULL)
    return f"{directory}/ca.pem"
