"""The list of what has to hold, from nothing to Gmail: one function a point. What a point leaves behind the next one finds."""

import http.server
import json
import os
import re
import smtplib
import stat
import threading
import time
import urllib.parse
import urllib.request

import network
import steps_mail as mail
from authority import Pebble, by_hand
from clients import Clients
from house import PAGES, commands_of, is_open
from names import pointer
from root import eventually

BASE = {
    "delivery": {"egress": [network.HOUSE, network.HOUSE6], "dnsbl_zones": []},
    # The world outside, as far as this network has one.
    "doctor": {"probe_domains": ["gmail.test"], "time_server": "", "address_lists": [], "domain_lists": []},
    "telemetry": {"log_format": "json"},
}
HOOK = """#!/usr/bin/env python3
import json, sys, urllib.request
urllib.request.urlopen("http://44.128.0.53:5380/", json.dumps(sys.argv[1:]).encode()).close()
"""


class Play:
    """Who takes part."""

    def __init__(self, report, work, names, house, big, outside):
        self.report, self.work, self.names, self.house, self.big, self.outside = report, work, names, house, big, outside
        self.pebble, self.clients, self.authority, self.password, self.acme = None, None, None, None, False
        self.zone, self.pointers = [], [pointer(network.HOUSE, "smtp.wac.test"), pointer(network.HOUSE6, "smtp.wac.test")]

    def check(self, name, fault=None):
        return self.report.check(name, fault)

    def holds(self, name, true, found=""):
        """A check that is a plain condition; `found` is told where it does not hold."""
        return self.report.check(name, None if true else str(found) or "it does not")

    def publish(self, without=None):
        """Pastes all records but one."""
        self.names.paste([line for line in self.zone + self.pointers if line != without])

    def the_pages(self):
        """Every command of the guide was run."""
        self.report.heading("the pages of docs/guide")
        for page in PAGES:
            missed = [line for line in commands_of(page) if line not in self.house.ran]
            self.holds(f"every command of {page} was run", not missed, "\n".join(missed))

    def stop(self):
        for one in (self.house, self.big, self.outside, self.pebble, self.names):
            if one:
                one.stop()


def failing(report):
    """The checks that are red."""
    return {check["id"] for check in report["checks"] if not check["ok"] and check["level"] == "fail"}


def told_by(report):
    """What is not as it should be."""
    return {(check["id"], check["subject"], check["found"]) for check in report["checks"] if not check["ok"]}


def nothing_yet(play):
    ended = play.house.run("pennypost doctor --host", more="--json")
    found = failing(ended.json())
    play.holds("doctor --host ends with 2", ended.code == 2, ended.code)
    play.holds("it names what is missing: the database, the name", {"H6", "N1"} <= found, found)
    play.holds("it leaves nothing behind", not os.listdir(play.house.directory), os.listdir(play.house.directory))


def init(play):
    house = play.house
    made = house.told("pennypost init --domain example.com --hostname smtp.example.com")
    house.variables["PENNYPOST_KEY"] = made["key"]["key"]
    for path in ("pennypost.toml", "data/master.key"):
        mode = stat.S_IMODE(os.stat(f"{house.directory}/{path}").st_mode)
        play.holds(f"{path} is for its owner alone", mode == 0o600, oct(mode))
    play.check("the database is migrated", house.run("pennypost migrate --check").fault())
    play.authority = by_hand(house.directory)
    house.configure(**BASE, tls={"certificate_files": ["cert.pem"], "key_files": ["key.pem"]}, delivery_tls={"ca_file": "ca.pem"})
    house.start()
    closed = [(address, port) for port in (25, 465, 587) for address in (network.HOUSE, network.HOUSE6) if not is_open(address, port)]
    play.holds("25, 465 and 587 listen, on IPv4 and IPv6", not closed, closed)


def records(play):
    house = play.house
    ended = house.run("pennypost domain dns example.com --format zone")
    play.check("domain dns prints a zone", ended.fault())
    play.zone = ended.said.splitlines()
    play.names.fixed["wac.test"].append('smtp 60 IN TXT "v=spf1 a -all"')
    play.publish()
    checked = house.told("pennypost domain check example.com")
    play.holds("what was pasted into nsd verifies the domain", checked["state"] == "verified", checked)
    report = house.run("pennypost doctor", more="--json").json()
    green, before = failing(report), told_by(report)
    told = "\n".join(f"{check['id']} {check['subject']}: {check['found']}" for check in report["checks"] if check["id"] in green)
    play.holds("with all records and reverse names doctor finds nothing red", not green, told)
    for line in [line for line in play.zone if line.strip()] + play.pointers:
        play.publish(without=line)
        report = house.run("pennypost doctor", more="--json").json()
        red = {name for name, _, _ in told_by(report) - before}
        name, kind = line.split()[0], line.split()[3]
        wanted = "N2" if line == play.pointers[0] else "N3" if line == play.pointers[1] else None
        fine = wanted in red if wanted else bool(red)
        play.holds(f"without {name} {kind} doctor tells it: {' '.join(sorted(red))}", fine, "it says nothing")
    play.publish()


def certificates(play):
    house = play.house
    play.pebble = Pebble(play.work)
    server = http.server.ThreadingHTTPServer((network.DNS, 5380), hook_server(play.names))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with open(f"{house.directory}/hook", "w", encoding="ascii") as file:
        file.write(HOOK)
    os.chmod(f"{house.directory}/hook", 0o755)
    acme = {"acme": play.pebble.url, "acme_ca_file": play.pebble.certificate, "acme_contact": "ops@wac.test"}
    ways = [
        ("http-01", {"acme_challenge": "http-01"}, "smtp.wac.test"),
        ("tls-alpn-01", {"acme_challenge": "tls-alpn-01", "acme_names": ["smtp.wac.test", "alpn.wac.test"]}, "alpn.wac.test"),
        ("dns-01 by a hook, a wildcard", {"acme_challenge": "dns-01", "acme_dns_hook": "hook", "acme_names": ["smtp.wac.test", "*.wac.test"]}, "any.wac.test"),
    ]
    play.names.fixed["wac.test"].append(f"alpn 60 IN A {network.HOUSE}")
    play.names.restart()
    try:
        for title, options, name in ways:
            house.stop()
            house.configure(**BASE, tls={**acme, **options})
            house.start()
            root = play.pebble.root()
            shown = eventually(lambda name=name, root=root: mail.certificate(465, root, name), 60)
            play.holds(f"a certificate by {title}; 465 shows it", shown, house.said())
            if title == "http-01" and shown:
                renewal(play, root)
        play.authority, play.acme = play.pebble.root(), True
        play.check("cert status tells it", house.run("pennypost cert status").fault())
    finally:
        if not play.acme:
            house.stop()
            house.configure(**BASE, tls={"certificate_files": ["cert.pem"], "key_files": ["key.pem"]}, delivery_tls={"ca_file": "ca.pem"})
            house.start()


def renewal(play, root):
    """A forced renewal while somebody is at 587."""
    first = mail.certificate(465, root, "smtp.wac.test")
    client = smtplib.SMTP("smtp.wac.test", 587)
    client.starttls(context=mail.context(root))
    client.ehlo()
    play.check("cert renew --now", play.house.run("pennypost cert renew --now").fault())
    play.holds("465 shows another certificate", eventually(lambda: mail.certificate(465, root, "smtp.wac.test") not in (None, first), 30), "the first one")
    play.holds("the session at 587 goes on", client.noop()[0] == 250, "it was closed")
    client.quit()


def hook_server(names):
    class Handler(http.server.BaseHTTPRequestHandler):
        """Takes `add|rm NAME VALUE` from the hook."""

        def do_POST(self):
            names.challenge(*json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    return Handler


def users(play):
    house = play.house
    play.clients = Clients(play.work, play.authority)
    play.password = house.told("pennypost smtp-user add i@example.com")["password"]
    house.variables["PENNYPOST_SMTP_PASSWORD"] = play.password
    play.check("smtp-user check: the right password", house.run("pennypost smtp-user check i@example.com", given=play.password).fault())
    play.check("smtp-user check: a wrong one", house.run("pennypost smtp-user check i@example.com", given="wrong").fault(1))
    sign_in = ["-a", "PLAIN", "-au", "i@wac.test", "-ap", play.password]
    common = ["--from", "i@wac.test", "--to", "x@gmail.test"]
    code, said = play.clients.swaks("-p", "587", *common, *sign_in)
    play.holds("587: nobody signs in without TLS", code and "235" not in said and play.password not in said, said)
    code, said = play.clients.swaks("-p", "587", "-tls", *common)
    play.holds("587: nobody submits without signing in", code and "530 5.7.0" in said, said)
    code, said = play.clients.swaks("-p", "25", "--from", "she@outside.test", "--to", "x@gmail.test")
    play.holds("25: no relay", code and re.search(r"\*\* 5\d\d 5\.7\.1", said), said)


def sending(play):
    big = play.big
    for port in (465, 587):
        said, fault = play.clients.nodemailer(port, "i@wac.test", play.password, "i@wac.test", "x@gmail.test", f"by-{port}")
        play.check(f"nodemailer by {port}", fault)
        arrived = eventually(lambda port=port: big.of(f"by-{port}"), 20)
        if play.holds(f"what it sent by {port} arrives at the big receiver", arrived, f"{said}\n{[copy.verdict() for copy in big.refused]}\n{play.house.said()}"):
            mail.judged(play, f"by {port}", big.of(f"by-{port}")[0])
    copies = big.of("by-587")
    play.holds("it left by IPv6, whose reverse name fits", copies and copies[0].family == "ipv6", copies and copies[0].verdict())
    play.publish(without=play.pointers[1])
    play.house.restart()
    play.clients.nodemailer(587, "i@wac.test", play.password, "i@wac.test", "x@gmail.test", "without-ptr6")
    eventually(lambda: big.of("without-ptr6"), 20)
    told = [copy.verdict() for copy in big.refused if copy.says("without-ptr6")]
    copies = big.of("without-ptr6")
    play.holds("without a reverse name of the IPv6 address it leaves by IPv4", copies and copies[0].family == "ipv4", told)
    play.publish()
    play.house.restart()


def senders(play):
    def as_sender(sender):
        return play.clients.nodemailer(465, "i@wac.test", play.password, sender, "x@gmail.test", "sender")

    play.check("i@ sends as i@", as_sender("i@wac.test")[1])
    for sender in ("other@wac.test", "i@other.test"):
        said, fault = as_sender(sender)
        play.holds(f"i@ does not send as {sender}", fault and " 5.7.1" in said, said)
    printer = play.house.told("pennypost smtp-user add printer --send-as '*@example.com'")["password"]
    play.check("a user with --send-as sends as any of them", play.clients.nodemailer(465, "printer", printer, "other@wac.test", "x@gmail.test", "as")[1])
    said, fault = play.clients.nodemailer(465, "printer", printer, "i@other.test", "x@gmail.test", "as")
    play.holds("and as nobody else", fault and " 5.7.1" in said, said)


def again(play):
    """`init` and `domain add` once more."""
    house = play.house
    files = ("pennypost.toml", "data/master.key")
    before = [open(f"{house.directory}/{path}", "rb").read() for path in files]
    zone = house.run("pennypost domain dns example.com --format zone").said
    play.check("init ends well again", house.run("pennypost init --domain example.com --hostname smtp.example.com").fault())
    house.run("pennypost domain add example.com")
    after = [open(f"{house.directory}/{path}", "rb").read() for path in files]
    play.holds("no file was overwritten", before == after)
    play.holds("no key was made anew", house.run("pennypost domain dns example.com --format zone").said == zone)
    text = house.run("pennypost export").said
    play.holds("the configuration reads back as it is", house.told("pennypost import -", given=text)["added"] == 0)
    moved(play)


def moved(play):
    """docs/guide/moving.md: what another machine gets."""
    house = play.house
    with open(f"{house.directory}/passphrase", "w", encoding="ascii") as file:
        file.write("correct horse battery staple\n")
    os.chmod(f"{house.directory}/passphrase", 0o600)
    ended = house.run("pennypost export --secrets-passphrase-file passphrase --suppressions")
    play.check("export seals its secrets", ended.fault())
    with open(f"{house.directory}/pennypost-export.toml", "w", encoding="utf-8") as file:
        file.write(ended.said)
    for line in ("pennypost import pennypost-export.toml --secrets-passphrase-file passphrase --dry-run", "pennypost import pennypost-export.toml --secrets-passphrase-file passphrase"):
        play.check(line, house.run(line).fault())
    key = f"{house.directory}/chasquid-dkim.pem"
    mail.openssl_key(key)
    play.check("a DKIM key of before is taken along", house.run("pennypost domain import-dkim example.com --selector 20240101 --key chasquid-dkim.pem").fault())


STEPS = [
    ("a bare machine", nothing_yet),
    ("init", init),
    ("records", records),
    ("certificates", certificates),
    ("users, and who is refused", users),
    ("mail to a big receiver", sending),
    ("senders", senders),
    ("mail from the world is forwarded", mail.forwarding),
    ("what the receiver refuses", mail.refusals),
    ("loops", mail.loops),
    ("send mail as", mail.send_as),
    ("send --report", mail.report),
    ("kill -9", mail.killed),
    ("once more", again),
]
