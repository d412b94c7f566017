"""A big receiver, and a sender of the outside world: SMTP by aiosmtpd, every verdict by pyspf, dkimpy and authheaders, codes as big receivers use them."""

import base64
import ipaddress
import re
import ssl
import subprocess
import threading

import authheaders
import dkim
import dns.exception
import dns.resolver
import dns.reversename
import network
import spf
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

UNPROVEN = "550-5.7.26 Your email has been blocked because the sender is unauthenticated.\r\n550 5.7.26 The sender must authenticate with at least one of SPF or DKIM."
POLICY = "550 5.7.26 Unauthenticated email from {} is not accepted due to domain's DMARC policy."
NO_PTR4 = "550-5.7.25 [{0}] The IP address sending this message does not have a PTR record setup,\r\n550 5.7.25 or the corresponding forward DNS entry does not match the sending IP."
NO_PTR6 = "550-5.7.1 [{0}] Our system has detected that this message does not meet IPv6 sending\r\n550 5.7.1 guidelines regarding PTR records and authentication."
NO_TLS = "530 5.7.0 Must issue a STARTTLS command first."


class Copy:
    """A message that arrived, with what independent programs say of it."""

    def __init__(self, session, envelope):
        self.peer, self.helo = session.peer[0], session.host_name
        self.sender, self.recipients = envelope.mail_from or "", list(envelope.rcpt_tos)
        self.content = envelope.content
        self.tls = session.ssl is not None
        self.family = "ipv6" if ipaddress.ip_address(self.peer).version == 6 else "ipv4"
        self.names = confirmed_names(self.peer)
        self.spf = spf.check2(self.peer, self.sender, self.helo)[0]
        self.spf_domain = (self.sender.rpartition("@")[2] or self.helo).lower()
        self.dkim = [signature(self.content, at) for at in range(len(re.findall(rb"(?im)^DKIM-Signature:", header(self.content))))]
        self.dmarc, self.author = self.judge()

    def judge(self):
        told = authheaders.authenticate_message(self.content, "mx.gmail.test", spf=True, dkim=True, ip=self.peer, mail_from=self.sender, helo=self.helo)
        result = re.search(r"dmarc=(\w+)", told)
        author = re.search(r"header\.from=([\w.-]+)", told)
        return result.group(1) if result else "none", author.group(1) if author else ""

    def aligned(self, domain):
        """The signatures of a domain that pass."""
        return [one for one in self.dkim if one["result"] == "pass" and one["d"] == domain]

    def says(self, word):
        return word.encode() in self.content

    def verdict(self):
        return f"from {self.peer} ({self.names}) EHLO {self.helo} TLS {self.tls}: spf={self.spf} dkim={self.dkim} dmarc={self.dmarc} ({self.author})"


def header(content):
    return content.split(b"\r\n\r\n", 1)[0]


def signature(content, at):
    """Domain and verdict of one DKIM-Signature, from the top."""
    checker = dkim.DKIM(content)
    try:
        passed = checker.verify(idx=at)
    except (dkim.DKIMException, dns.exception.DNSException) as error:
        return {"d": "", "result": f"error {error}"}
    return {"d": checker.domain.decode() if checker.domain else "", "result": "pass" if passed else "fail"}


def confirmed_names(address):
    """The names of an address that lead back to it."""
    kind = "AAAA" if ":" in address else "A"
    resolver = dns.resolver.Resolver()
    try:
        names = [str(answer.target).rstrip(".") for answer in resolver.resolve(dns.reversename.from_address(address), "PTR")]
    except dns.exception.DNSException:
        return []
    found = []
    for name in names:
        try:
            back = {ipaddress.ip_address(answer.address) for answer in resolver.resolve(name, kind)}
        except dns.exception.DNSException:
            continue
        if ipaddress.ip_address(address) in back:
            found.append(name)
    return found


class Big:
    """Takes mail for gmail.test. `replies` says what it answers at the end of the content for a recipient; `gate` lets deliveries in."""

    def __init__(self, work):
        self.copies, self.refused, self.replies = [], [], {}
        self.gate = threading.Event()
        self.gate.set()
        self.servers = [serve(self, work, "mx.gmail.test", address) for address in (network.BIG, network.BIG6)]

    async def handle_RCPT(self, _server, session, envelope, address, _options):
        if not address.lower().endswith("@gmail.test"):
            return "550 5.7.1 relaying denied"
        if not self.gate.is_set():
            return "421 4.7.0 Try again later, closing connection."
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server, session, envelope):
        copy = Copy(session, envelope)
        reply = self.judge(copy)
        (self.copies if reply.startswith("250") else self.refused).append(copy)
        return reply

    def judge(self, copy):
        if not copy.names:
            return (NO_PTR6 if copy.family == "ipv6" else NO_PTR4).format(copy.peer)
        if not copy.tls:
            return NO_TLS
        if copy.dmarc == "fail" and copy.author == "outside.test":
            return POLICY.format(copy.author)
        if copy.spf != "pass" and not any(one["result"] == "pass" for one in copy.dkim):
            return UNPROVEN
        for recipient in copy.recipients:
            if recipient in self.replies:
                return self.replies[recipient]
        return "250 2.0.0 OK  1700000000 gsmtp"

    def of(self, word):
        """The copies that hold a word."""
        return [copy for copy in self.copies if copy.says(word)]

    def stop(self):
        for server in self.servers:
            server.stop()


class Outside:
    """A domain of the outside world: it signs what it sends, and takes what comes back."""

    def __init__(self, work):
        self.arrived = []
        self.key = f"{work}/outside.key"
        subprocess.run(["openssl", "genrsa", "-traditional", "-out", self.key, "2048"], check=True, stderr=subprocess.DEVNULL)
        public = subprocess.run(["openssl", "rsa", "-in", self.key, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        text = "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode()
        self.record = f'out._domainkey 60 IN TXT "{text[:200]}" "{text[200:]}"'
        self.server = serve(self, work, "out.outside.test", network.OUTSIDE)

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server, session, envelope):
        self.arrived.append(Copy(session, envelope))
        return "250 2.0.0 OK"

    def message(self, to, subject, sender="she@outside.test"):
        """A signed message."""
        lines = [f"From: She <{sender}>", f"To: {to}", f"Subject: {subject}", f"Message-ID: <{subject}@outside.test>"]
        lines += ["Date: Tue, 01 Dec 2026 09:00:00 +0000", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "", f"{subject} says hello.", ""]
        content = "\r\n".join(lines).encode()
        with open(self.key, "rb") as file:
            key = file.read()
        return dkim.sign(content, b"out", b"outside.test", key, include_headers=[b"from", b"to", b"subject", b"date", b"message-id"]) + content

    def stop(self):
        self.server.stop()


class Server(Controller):
    """aiosmtpd with a certificate that nobody knows, as most mail hosts have."""

    def __init__(self, handler, name, address, context):
        self.name, self.context = name, context
        super().__init__(handler, hostname=address, port=25, ready_timeout=20)

    def factory(self):
        return SMTP(self.handler, hostname=self.name, tls_context=self.context, data_size_limit=50_000_000, enable_SMTPUTF8=True)


def serve(handler, work, name, address):
    place = f"{work}/{name}"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    subprocess.run([*command, "-keyout", f"{place}.key", "-out", f"{place}.pem"], check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{place}.pem", f"{place}.key")
    server = Server(handler, name, address, context)
    server.start()
    return server
