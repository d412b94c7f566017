"""Mail submitted by the programs that people use: each signs in, sends, and what it sent must be there octet for octet behind our trace field."""

import json
import smtplib
import ssl
import subprocess

import root
from gateway import DOMAIN, HOST

USER = f"app@{DOMAIN}"
PLACE = "/tmp/submit"
CLIENTS = "smtp-clients"
HOST_ADDRESS = "127.0.0.1"


def message(title):
    """A whole message with what clients have to get right: a line that begins with a dot, one that is only a dot, 8-bit text."""
    lines = [f"From: App <{USER}>", f"To: {title}@nowhere.test", f"Subject: {title}", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8"]
    lines += ["Content-Transfer-Encoding: 8bit", f"Message-ID: <{title}@app.test>", "Date: Tue, 01 Dec 2026 09:00:00 +0000", "", ".dot", ".", "Grüße", ""]
    return "\r\n".join(lines).encode()


class Submission:
    """One run against one gateway."""

    def __init__(self, report, gateway, work):
        self.report, self.gateway, self.work = report, gateway, work
        self.password = gateway.command("smtp-user", "add", USER)["password"]
        self.ports = {"starttls": gateway.submission, "tls": gateway.submissions}

    def check(self, name, ended, title, exact=True):
        """A client ended: with success, and its message is kept; `exact`: as it was given."""
        if ended is not None and ended.returncode:
            said = (ended.stdout + ended.stderr).decode(errors="replace")
            return self.report.check(name, f"exit code {ended.returncode}\n{said[-2000:]}")
        listed = json.loads(self.gateway.call("GET", f"/v1/messages?recipient={title}@nowhere.test")[1])["data"]
        if len(listed) != 1:
            return self.report.check(name, f"{len(listed)} messages are kept: {listed}")
        kept = self.gateway.raw(listed[0]["id"])
        at = kept.find(b"Received: by " + HOST.encode())
        rest = kept[at:].split(b"\r\n", 2)[2] if at >= 0 else kept
        if at < 0:
            return self.report.check(name, f"no trace field\n{kept[:500]!r}")
        if exact and rest.rstrip(b"\r\n") != message(title).rstrip(b"\r\n"):
            return self.report.check(name, f"it is not what was sent\n{rest!r}")
        return self.report.check(name, None if b"Gr" in rest else f"the text is missing\n{rest!r}")

    def refused(self, name, ended, word):
        said = (ended.stdout + ended.stderr).decode(errors="replace")
        fine = ended.returncode and word in said
        self.report.check(name, None if fine else f"exit code {ended.returncode}\n{said[-2000:]}")


def python(run):
    context = ssl.create_default_context(cafile=run.gateway.certificate)
    for way, port in run.ports.items():
        title = f"smtplib-{way}"
        try:
            client = smtplib.SMTP_SSL(HOST_ADDRESS, port, context=Named(context)) if way == "tls" else smtplib.SMTP(HOST_ADDRESS, port)
            with client:
                if way == "starttls":
                    client.starttls(context=Named(context))
                client.login(USER, run.password)
                client.sendmail(USER, [f"{title}@nowhere.test"], message(title), mail_options=["BODY=8BITMIME"])
            fault = None
        except (smtplib.SMTPException, OSError) as error:
            fault = error
        if fault is not None:
            run.report.check(f"Python smtplib by {way}", fault)
        else:
            run.check(f"Python smtplib by {way}, the certificate verified", None, title)


class Named:
    """A TLS context that asks for the gateway's name, whatever address was dialled."""

    def __init__(self, context):
        self.context = context

    def wrap_socket(self, sock, server_hostname=None, **more):
        return self.context.wrap_socket(sock, server_hostname=HOST, **more)


def swaks(run, clients):
    for way, port in run.ports.items():
        tls = "-tls" if way == "starttls" else "-tlsc"
        for kind in ("PLAIN", "LOGIN"):
            title = f"swaks-{way}-{kind.lower()}"
            clients.write(f"{PLACE}/message", message(title).decode().replace("\r\n", "\n"))
            common = ["swaks", "-n", "--server", HOST_ADDRESS, "-p", str(port), tls, "--tls-sni", HOST, "--from", USER, "--to", f"{title}@nowhere.test"]
            ended = clients.run(*common, "-a", kind, "-au", USER, "-ap", run.password, "--data", f"@{PLACE}/message")
            run.check(f"swaks by {way}, AUTH {kind}", ended, title, exact=False)
    port = str(run.ports["tls"])
    common = ["swaks", "--server", HOST_ADDRESS, "-p", port, "-tlsc", "--to", "a@nowhere.test"]
    run.refused("swaks: a wrong password is refused", clients.run(*common, "--from", USER, "-a", "PLAIN", "-au", USER, "-ap", "wrong"), "535 5.7.8")
    run.refused("swaks: mail without signing in is refused", clients.run(*common, "--from", USER), "530 5.7.0")
    other = clients.run(*common, "--from", f"other@{DOMAIN}", "-a", "PLAIN", "-au", USER, "-ap", run.password)
    run.refused("swaks: another's address is refused", other, "550 5.7.1")
    clear = ["swaks", "--server", HOST_ADDRESS, "-p", str(run.ports["starttls"]), "--from", USER, "--to", "a@nowhere.test"]
    run.refused("swaks: nobody signs in without TLS", clients.run(*clear, "-a", "PLAIN", "-au", USER, "-ap", run.password), "")


def msmtp(run, clients):
    for way, port in run.ports.items():
        title = f"msmtp-{way}"
        starttls = "on" if way == "starttls" else "off"
        lines = ["account default", f"host {HOST}", f"port {port}", "tls on", f"tls_starttls {starttls}", f"tls_trust_file {PLACE}/cert.pem"]
        lines += ["auth on", f"user {USER}", f"password {run.password}", f"from {USER}", ""]
        clients.write(f"{PLACE}/msmtprc", "\n".join(lines), 0o600)
        ended = clients.run("msmtp", "-C", f"{PLACE}/msmtprc", f"{title}@nowhere.test", given=message(title).replace(b"\r\n", b"\n"))
        run.check(f"msmtp by {way}, the certificate verified", ended, title)


def curl(run, clients):
    for way, port in run.ports.items():
        title = f"curl-{way}"
        clients.write(f"{PLACE}/message", "")
        with open(f"{clients.path}{PLACE}/message", "wb") as file:
            file.write(message(title))
        scheme = "smtps" if way == "tls" else "smtp"
        options = ["--ssl-reqd", "--cacert", f"{PLACE}/cert.pem", "--user", f"{USER}:{run.password}", "--upload-file", f"{PLACE}/message"]
        ended = clients.run("curl", "-sv", f"{scheme}://{HOST}:{port}", *options, "--mail-from", USER, "--mail-rcpt", f"{title}@nowhere.test")
        run.check(f"curl by {way}, the certificate verified", ended, title)


PHP = """<?php
foreach (['Exception', 'PHPMailer', 'SMTP'] as $file) { require "/usr/share/php/libphp-phpmailer/src/$file.php"; }
[, $host, $port, $secure, $user, $password, $to] = $argv;
$mail = new PHPMailer\\PHPMailer\\PHPMailer(true);
$mail->isSMTP();
$mail->Host = $host; $mail->Port = (int) $port; $mail->SMTPSecure = $secure; $mail->SMTPAuth = true;
$mail->Username = $user; $mail->Password = $password; $mail->CharSet = 'UTF-8';
$mail->SMTPOptions = ['ssl' => ['cafile' => '/tmp/submit/cert.pem']];
$mail->setFrom($user, 'WordPress'); $mail->addAddress($to); $mail->addBCC('hidden@nowhere.test');
$mail->addCustomHeader('X-Pennypost-Tag', 'via=php');
$mail->isHTML(true); $mail->Subject = 'PHP'; $mail->Body = '<p>Grtz</p>'; $mail->AltBody = "Gr\\n.\\n..\\nend";
$mail->send();
"""

NODE = """
const mailer = require('nodemailer');
const [host, port, secure, user, pass, to] = process.argv.slice(2);
const tls = { ca: require('fs').readFileSync('/tmp/submit/cert.pem'), servername: host };
const transport = mailer.createTransport({ host, port: +port, secure: secure === 'tls', requireTLS: true, auth: { user, pass }, tls });
transport.sendMail({ from: user, to, subject: 'Node', text: 'Grtz\\n.\\n', headers: { 'X-Pennypost-Tag': 'via=node' } })
  .then((info) => { if (!/accepted as msg_/.test(info.response)) { throw new Error(info.response); } })
  .catch((error) => { console.error(error); process.exit(1); });
"""


def scripts(run, clients):
    """PHPMailer, which WordPress sends by, and nodemailer."""
    clients.write(f"{PLACE}/send.php", PHP)
    clients.write(f"{PLACE}/send.js", NODE)
    for way, port in run.ports.items():
        title = f"phpmailer-{way}"
        secure = "tls" if way == "starttls" else "ssl"
        # What the package's scripts would switch on is switched on here.
        ended = clients.run("php8.2", "-d", "extension=ctype", f"{PLACE}/send.php", HOST, str(port), secure, USER, run.password, f"{title}@nowhere.test")
        run.check(f"PHPMailer by {way}, the certificate verified", ended, title, exact=False)
        title = f"nodemailer-{way}"
        ended = clients.run("/usr/bin/node", f"{PLACE}/send.js", HOST, str(port), way, USER, run.password, f"{title}@nowhere.test")
        run.check(f"nodemailer by {way}, the certificate verified", ended, title, exact=False)
    hidden = json.loads(run.gateway.call("GET", "/v1/messages?recipient=hidden@nowhere.test&tag=via:php")[1])
    raw = [run.gateway.raw(found["id"]) for found in hidden.get("data", [])]
    told = [octets for octets in raw if b"hidden" in octets.lower() or b"x-pennypost" in octets.lower()]
    run.report.check("PHPMailer: Bcc and our own fields are in no copy", None if raw and not told else f"{hidden}\n{told}")


def key_as_password(run, clients):
    title = "key"
    clients.write(f"{PLACE}/message", message(title).decode().replace("\r\n", "\n"))
    common = ["swaks", "-n", "--server", HOST_ADDRESS, "-p", str(run.ports["tls"]), "-tlsc", "--from", USER, "--to", f"{title}@nowhere.test"]
    ended = clients.run(*common, "-a", "PLAIN", "-au", "apikey", "-ap", run.gateway.key, "--data", f"@{PLACE}/message")
    run.check("swaks with an API key as password", ended, title, exact=False)


def run(report, gateway, work, nameserver):
    report.heading("submission by other programs")
    submission = Submission(report, gateway, work)
    python(submission)
    if why := root.missing(CLIENTS):
        return report.skip("swaks, msmtp, curl, PHPMailer, nodemailer", why)
    clients = root.Root(CLIENTS, work, {}, nameserver)
    clients.write("etc/hosts", f"127.0.0.1 localhost {HOST}\n")
    clients.directory(PLACE.strip("/"))
    with open(gateway.certificate, encoding="ascii") as file:
        clients.write(f"{PLACE}/cert.pem", file.read())
    report.note(f"swaks {clients.version}")
    for part in (swaks, msmtp, curl, scripts, key_as_password):
        try:
            part(submission, clients)
        except (OSError, subprocess.SubprocessError) as error:
            report.check(f"{part.__name__} runs", error)
    return None
