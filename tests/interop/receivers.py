"""The receivers: how each is configured and started, and how its mailboxes are read.

Each knows the mailboxes of USERS at a domain of its own, and refuses every other recipient in the session.
"""

import glob
import os
import re
import smtplib
import socket
import ssl

from root import Root, eventually

USERS = ["ada", "bob", "jürgen"]
MAX_OCTETS = 20_000_000
VMAIL = 5000


class Receiver:
    """One program at one address. `offers` are the EHLO keywords it must show, besides PIPELINING, 8BITMIME and SIZE."""

    name = ""
    offers = set()
    users = {}
    # Whether its own TLS works; it may offer STARTTLS all the same.
    shakes_hands = True
    # Header fields it may put in front of what it received.
    adds = {"return-path", "received", "delivered-to"}

    def __init__(self, number, port, work, nameserver):
        self.address, self.port = f"127.0.1.{number}", port
        self.domain = f"{self.name}.test"
        self.host = f"mx.{self.domain}"
        self.root = Root(self.name, work, {"vmail": VMAIL, **self.users}, nameserver)
        self.version = self.root.version
        self.domains = {self.domain: (self.host, self.address)}

    def start(self):
        """Configures and starts it; a fault if it does not listen."""
        self.configure()
        for _, address in self.domains.values():
            if not eventually(lambda address=address: listens(address, self.port)):
                return f"{self.name} does not listen at {address}:{self.port}\n{self.root.said()}"
        if "STARTTLS" in self.offers:
            self.shakes_hands = shakes_hands(self.address, self.port)
        return None

    def offers_at(self, _domain):
        return self.offers

    def mailbox(self, user):
        """Every message in the mailbox, with line feeds as line ends."""
        messages = []
        for path in sorted(glob.glob(f"{self.root.path}/var/mail/{user}/new/*")):
            with open(path, "rb") as file:
                messages.append(file.read())
        return messages

    def stop(self):
        self.root.stop()


def listens(address, port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def shakes_hands(address, port):
    """Whether another client, that of Python's library, gets through STARTTLS."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with smtplib.SMTP(address, port, timeout=10) as client:
            client.starttls(context=context)
            return client.noop()[0] == 250
    except (OSError, smtplib.SMTPException):
        return False


class Postfix(Receiver):
    """Postfix; at a second address and domain with nothing beyond RFC 5321 offered, so that DATA and clear text are seen too."""

    name = "postfix"
    offers = {"STARTTLS", "CHUNKING", "SMTPUTF8", "8BITMIME"}
    users = {"postfix": 101, "postdrop": 102, "nobody": 65534}
    adds = Receiver.adds | {"x-original-to"}
    bare = "bare-postfix.test"

    def __init__(self, number, *rest):
        super().__init__(number, *rest)
        self.domains[self.bare] = (f"mx.{self.bare}", f"127.0.1.{100 + number}")

    def offers_at(self, domain):
        return set() if domain == self.bare else self.offers

    def configure(self):
        root = self.root
        root.certificate(self.host)
        boxes = ", ".join(f"{{{user}@{domain}={user}/}}" for user in USERS for domain in self.domains)
        root.write(
            "etc/postfix/main.cf",
            f"""
compatibility_level = 3.6
myhostname = {self.host}
mydestination =
mynetworks =
inet_protocols = ipv4
alias_maps =
biff = no
maillog_file = /var/log/mail.log
message_size_limit = {MAX_OCTETS}
virtual_mailbox_limit = 0
mailbox_size_limit = 0
virtual_mailbox_domains = {" ".join(self.domains)}
virtual_mailbox_base = /var/mail
virtual_mailbox_maps = inline:{{{boxes}}}
virtual_uid_maps = static:{VMAIL}
virtual_gid_maps = static:{VMAIL}
virtual_minimum_uid = 100
smtpd_peername_lookup = no
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_security_level = may
smtpd_tls_cert_file = /etc/tls/cert.pem
smtpd_tls_key_file = /etc/tls/key.pem
""",
        )
        bare = self.domains[self.bare][1]
        nothing = "pipelining,size,starttls,8bitmime,smtputf8,chunking,dsn,enhancedstatuscodes,vrfy,etrn"
        root.write(
            "etc/postfix/master.cf",
            f"""
{self.address}:{self.port} inet n - n - - smtpd
{bare}:{self.port} inet n - n - - smtpd -o smtpd_discard_ehlo_keywords={nothing}
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
""",
        )
        root.directory("var/mail", VMAIL)
        root.directory("var/log")
        # What the package's script would do: the queue's directories and their owners.
        for directory in "active bounce corrupt defer deferred flush hold incoming private saved trace".split():
            root.directory(f"var/spool/postfix/{directory}", self.users["postfix"], 0o700)
        root.directory("var/spool/postfix/pid")
        for directory, mode in (("maildrop", 0o1730), ("public", 0o2710)):
            root.directory(f"var/spool/postfix/{directory}", self.users["postfix"], mode)
            os.chown(f"{root.path}/var/spool/postfix/{directory}", self.users["postfix"], self.users["postdrop"])
        root.directory("var/lib/postfix", self.users["postfix"])
        root.start("/usr/lib/postfix/sbin/master", "-d")


class Exim(Receiver):
    """Exim 4 with an mbox for each user; it verifies DKIM signatures too, and its log says what it found."""

    name = "exim4"
    offers = {"STARTTLS", "CHUNKING", "SMTPUTF8", "8BITMIME"}
    users = {"Debian-exim": 101}
    adds = Receiver.adds | {"envelope-to", "delivery-date"}

    def configure(self):
        root = self.root
        owner = self.users["Debian-exim"]
        root.certificate(self.host, owner)
        root.write(
            "etc/exim4/exim4.conf",
            f"""
primary_hostname = {self.host}
domainlist local_domains = {self.domain}
local_interfaces = {self.address}
daemon_smtp_ports = {self.port}
host_lookup =
rfc1413_query_timeout = 0s
message_size_limit = {MAX_OCTETS}
tls_advertise_hosts = *
tls_certificate = /etc/tls/cert.pem
tls_privatekey = /etc/tls/key.pem
smtputf8_advertise_hosts = *
chunking_advertise_hosts = *
pipelining_connect_advertise_hosts =
acl_smtp_rcpt = check_recipient
acl_smtp_data = accept
smtp_accept_queue_per_connection = 0
keep_environment =
log_selector = +dkim_verbose
begin acl
check_recipient:
  accept domains = +local_domains
         verify = recipient
  deny   message = no such mailbox or relaying
begin routers
mailboxes:
  driver = accept
  domains = +local_domains
  local_parts = {" : ".join(USERS)}
  transport = mbox
begin transports
mbox:
  driver = appendfile
  file = /var/mail/$local_part_data
  user = vmail
  group = vmail
  delivery_date_add
  envelope_to_add
  return_path_add
""",
        )
        root.directory("var/mail", VMAIL)
        for directory in ("var/spool/exim4", "var/log/exim4", "run/exim4"):
            root.directory(directory, owner, 0o750)
        root.start("/usr/sbin/exim4", "-bdf", "-oP", "/run/exim4/exim.pid")

    def mailbox(self, user):
        path = f"{self.root.path}/var/mail/{user}"
        if not os.path.exists(path):
            return []
        with open(path, "rb") as file:
            text = file.read()
        # A line that begins with "From " is escaped inside a message; an empty line ends each.
        parts = re.split(rb"(?m)^From .*\n", text)[1:]
        return [re.sub(rb"(?m)^>From ", b"From ", part).removesuffix(b"\n") for part in parts]

    def verdicts(self, excused):
        """What its log says of the signatures it saw: how many passed of each algorithm, and the lines of those that did not.

        `excused` are Message-IDs that are left out.
        """
        with open(f"{self.root.path}/var/log/exim4/mainlog", encoding="utf-8") as file:
            log = file.read().splitlines(keepends=True)
        out = {line.split()[2] for line in log if any(f" id={one}" in line for one in excused)}
        lines = [line for line in log if " DKIM: " in line and line.split()[2] not in out]
        passed = {name: sum(f"a={name}" in line and "[verification succeeded]" in line for line in lines) for name in ("rsa-sha256", "ed25519-sha256")}
        return passed, [line for line in lines if "[verification succeeded]" not in line]


class OpenSmtpd(Receiver):
    """OpenSMTPD, whose mailboxes are users of its own root."""

    name = "opensmtpd"
    offers = {"STARTTLS", "8BITMIME"}
    users = {"opensmtpd": 101, "opensmtpq": 102}

    def configure(self):
        root = self.root
        root.certificate(self.host, key=("rsa:2048",))
        root.write(
            "etc/smtpd.conf",
            f"""
pki here cert "/etc/tls/cert.pem"
pki here key "/etc/tls/key.pem"
table boxes {{ {", ".join(f"{user} = vmail" for user in USERS if user.isascii())} }}
smtp max-message-size "{MAX_OCTETS}"
listen on {self.address} port {self.port} hostname {self.host} tls pki here
action inbox maildir "/var/mail/%{{dest.user}}" virtual <boxes>
match from any for domain "{self.domain}" action inbox
""",
        )
        root.directory("var/mail", VMAIL)
        for directory in ("var/spool/smtpd", "var/empty", "var/lib/opensmtpd/empty", "run/opensmtpd"):
            root.directory(directory, 0, 0o711)
        if not os.path.lexists(f"{root.path}/var/run"):
            os.symlink("/run", f"{root.path}/var/run")
        root.start("/usr/sbin/smtpd", "-d", "-f", "/etc/smtpd.conf")


class Chasquid(Receiver):
    """chasquid, which hands mail to a delivery agent: a script that keeps it as a file."""

    name = "chasquid"
    offers = {"STARTTLS", "SMTPUTF8", "8BITMIME"}
    users = {"chasquid": 101}
    adds = Receiver.adds | {"received-spf"}

    def configure(self):
        root = self.root
        owner = self.users["chasquid"]
        root.certificate(self.host, owner)
        place = f"etc/chasquid/certs/{self.host}"
        root.directory(place)
        os.symlink("/etc/tls/cert.pem", f"{root.path}/{place}/fullchain.pem")
        os.symlink("/etc/tls/key.pem", f"{root.path}/{place}/privkey.pem")
        root.write("usr/local/bin/keep", '#!/bin/sh\nset -eu\nmkdir -p "/var/mail/$1/new"\ncat >"/var/mail/$1/new/$$"\n', 0o755)
        root.write(
            "etc/chasquid/chasquid.conf",
            f"""
hostname: "{self.host}"
smtp_address: "{self.address}:{self.port}"
data_dir: "/var/lib/chasquid"
mail_delivery_agent_bin: "/usr/local/bin/keep"
mail_delivery_agent_args: "%to_user%"
mail_log_path: "<stderr>"
max_data_size_mb: {MAX_OCTETS // 1_000_000}
""",
        )
        # The package's hook is a script for a shell that its root has not.
        for hook in glob.glob(f"{root.path}/etc/chasquid/hooks/*"):
            os.remove(hook)
        for directory in ("etc/chasquid/domains", f"etc/chasquid/domains/{self.domain}", "var/lib/chasquid", "var/mail"):
            root.directory(directory, owner)
        for user in USERS:
            made = root.run("/usr/bin/chasquid-util", "user-add", f"{user}@{self.domain}", "--password=never used")
            if made.returncode:
                raise RuntimeError(f"chasquid-util: {made.stdout.decode()}{made.stderr.decode()}")
        os.chmod(f"{root.path}/etc/chasquid/domains/{self.domain}/users", 0o644)
        root.start("/usr/bin/chasquid", user="chasquid:chasquid")


ALL = [Postfix, Exim, OpenSmtpd, Chasquid]
