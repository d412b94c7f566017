"""The points about mail: forwarding, what is refused, loops, "Send mail as", reports, and a crash."""

import email
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from email.message import EmailMessage

import network
from root import eventually

CODE = "Your confirmation code is 4711"


def context(authority):
    return ssl.create_default_context(cafile=authority)


def certificate(port, authority, name):
    """The certificate that is shown for a name, proven; none if it is not."""
    try:
        with socket.create_connection((network.HOUSE, port), 5) as plain, context(authority).wrap_socket(plain, server_hostname=name) as stream:
            return stream.getpeercert(binary_form=True)
    except OSError:
        return None


def openssl_key(path):
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path], check=True, stderr=subprocess.DEVNULL)


def judged(play, what, copy):
    """All that the big receiver finds about a message of wac.test."""
    play.holds(f"{what}: TLS", copy.tls, copy.verdict())
    play.holds(f"{what}: DKIM passes, aligned, by both algorithms", len(copy.aligned("wac.test")) == 2, copy.verdict())
    play.holds(f"{what}: SPF passes", copy.spf == "pass", copy.verdict())
    play.holds(f"{what}: DMARC passes", copy.dmarc == "pass", copy.verdict())
    play.holds(f"{what}: the name of the address leads back to it, and is that of EHLO", copy.names == ["smtp.wac.test"] == [copy.helo], copy.verdict())


def from_outside(recipient, content, sender="she@outside.test", source=network.OUTSIDE, helo="out.outside.test"):
    """Brings a message to port 25 as a mail server does; code and text of the last reply."""
    with smtplib.SMTP("smtp.wac.test", 25, local_hostname=helo, source_address=(source, 0), timeout=60) as client:
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        client.starttls(context=tls)
        client.ehlo()
        for reply in (client.mail(sender), client.rcpt(recipient)):
            if reply[0] >= 400:
                return reply[0], reply[1].decode()
        code, text = client.data(content)
        return code, text.decode()


def forwarding(play):
    house, big, outside = play.house, play.big, play.outside
    play.check("a catch-all that forwards", house.run("pennypost route add '*@example.com' forward you@gmail.com").fault())
    play.check("route test", house.run("pennypost route test any@example.com").fault())
    zone = house.run("pennypost domain dns example.com --format zone").said
    play.holds("domain dns prints the MX of a domain that receives", re.search(r"(?m)^wac\.test\. \d+ IN MX ", zone), zone)
    play.zone = [line for line in zone.splitlines() if line.strip()]
    play.publish()
    code, said = from_outside("i@wac.test", outside.message("i@wac.test", "too-early"))
    play.holds("before its owner agreed nothing is forwarded, and nothing lost", 400 <= code < 500, f"{code} {said}")
    agree(play)
    for recipient in ("i@wac.test", "any123@wac.test"):
        word = f"to-{recipient.split('@')[0]}"
        code, said = from_outside(recipient, outside.message(recipient, word))
        play.holds(f"mail to {recipient} is taken", code == 250, f"{code} {said}")
        copies = big.of(f"{word} says") if eventually(lambda word=word: big.of(f"{word} says"), 20) else []
        if play.holds(f"mail to {recipient} arrives at the big receiver", copies, f"{[one.verdict() for one in big.refused]}\n{house.said()}"):
            copy = copies[0]
            play.holds(f"{recipient}: its own DKIM signature still passes", copy.aligned("outside.test"), copy.verdict())
            play.holds(f"{recipient}: the reverse-path is ours", copy.sender.endswith("wac.test"), copy.sender)
            play.holds(f"{recipient}: SPF of that passes, DMARC passes", copy.spf == "pass" and copy.dmarc == "pass", copy.verdict())
            play.report_path = copy.sender
    give_back(play)
    for name in ("postmaster", "abuse"):
        code, said = from_outside(f"{name}@wac.test", outside.message(f"{name}@wac.test", name))
        play.holds(f"{name}@ takes mail", code == 250, f"{code} {said}")


def agree(play):
    """The page that the mailed link leads to: looking at it agrees to nothing, its button does."""
    found = []

    def link():
        texts = [email.message_from_bytes(one.content).get_payload(decode=True) or b"" for one in play.big.copies]
        found.extend(re.findall(rb"http://smtp\.wac\.test:8080/forwarding/confirm\?token=[\w.~=-]+", b"".join(texts)))
        return bool(found)

    if not play.holds("who shall get the mail is asked by mail", eventually(link, 90), play.house.said()):
        return
    url = found[-1].decode()
    with urllib.request.urlopen(url, timeout=10) as page:
        play.holds("the link leads to a page with a button", b"<button>" in page.read())
    with urllib.request.urlopen(url, data=b"", timeout=10) as page:
        play.holds("its button agrees", page.status == 200, page.status)
    # Another process may believe what it knew for five seconds.
    time.sleep(6)


def give_back(play):
    """A report on a forwarded message, back to where it came from."""
    path = getattr(play, "report_path", None)
    if not play.holds("there is a reverse-path to report to", path):
        return
    report = EmailMessage()
    report["From"], report["To"], report["Subject"] = "mailer-daemon@gmail.test", path, "Delivery Status Notification (Failure)"
    report["Date"], report["Message-ID"] = "Tue, 01 Dec 2026 09:00:00 +0000", "<report@gmail.test>"
    report.set_type("multipart/report")
    report.set_param("report-type", "delivery-status")
    text = "The mailbox is full: given-back.\r\n"
    status = "Reporting-MTA: dns; mx.gmail.test\r\n\r\nFinal-Recipient: rfc822; x@gmail.test\r\nAction: failed\r\nStatus: 5.2.2\r\nDiagnostic-Code: smtp; 552 5.2.2 full\r\n"
    boundary = "report"
    head = "\r\n".join(f"{name}: {value}" for name, value in report.items() if name.lower() not in ("content-type", "mime-version"))
    body = f"--{boundary}\r\nContent-Type: text/plain\r\n\r\n{text}\r\n--{boundary}\r\nContent-Type: message/delivery-status\r\n\r\n{status}\r\n--{boundary}--\r\n"
    content = f'{head}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"\r\n\r\n{body}'
    code, said = from_outside(path, content.encode(), sender="", source=network.BIG, helo="mx.gmail.test")
    play.holds("a report to the reverse-path is taken", code == 250, f"{code} {said}")
    arrived = eventually(lambda: any(one.says("given-back") for one in play.outside.arrived), 60)
    play.holds("it gets back to the outside sender", arrived, play.house.said())


def refusals(play):
    try:
        refused(play)
    finally:
        play.big.replies.clear()


def refused(play):
    big, outside = play.big, play.outside
    before = len(outside.arrived)
    big.replies["x@gmail.test"] = "550 5.7.1 Our system has detected that this message is likely unsolicited mail."
    code, said = from_outside("i@wac.test", outside.message("i@wac.test", "refused"))
    play.holds("the outside sender gets the receiver's 550 in its own session", code == 550 and "5.7.1" in said, f"{code} {said}")
    big.replies["x@gmail.test"] = "452 4.2.2 The recipient's inbox is out of storage space."
    code, said = from_outside("i@wac.test", outside.message("i@wac.test", "later"))
    play.holds("a 4xx of the receiver is queued", code == 250, f"{code} {said}")
    big.replies.clear()
    play.check("queue list shows it", play.house.run("pennypost queue list").fault())
    play.check("queue retry", play.house.run("pennypost queue retry --domain gmail.com").fault())
    play.holds("and delivered later", eventually(lambda: big.of("later says"), 90), play.house.said())
    play.holds("nobody got a report of a refusal", len(outside.arrived) == before, [one.verdict() for one in outside.arrived[before:]])


def loops(play):
    copies = play.big.of("to-i says")
    if not play.holds("a forwarded message is there to come back", copies):
        return
    code, said = from_outside("i@wac.test", copies[0].content, sender=copies[0].sender, source=network.BIG, helo="mx.gmail.test")
    play.holds("a message that comes back is refused", 500 <= code < 600, f"{code} {said}")


def send_as(play):
    """What Gmail does: sign in at 587, mail a code to the address, send as it."""
    house, big = play.house, play.big
    form = house.told("pennypost smtp-user gmail i@example.com")
    server = form["page_2"]
    values = (server["smtp_server"], server["port"], server["username"])
    play.holds("smtp-user gmail has the values of the form", values == ("smtp.wac.test", 587, "i@wac.test"), form)
    play.holds("and nothing is in the way", not form["warnings"], form["warnings"])
    code = f"From: Gmail Team <noreply@gmail.test>\r\nTo: i@wac.test\r\nSubject: Gmail Confirmation\r\nMessage-ID: <code@gmail.test>\r\nDate: Tue, 01 Dec 2026 09:00:00 +0000\r\n\r\n{CODE}\r\n"
    with smtplib.SMTP(server["smtp_server"], server["port"]) as client:
        client.starttls(context=context(play.authority))
        client.login(server["username"], play.password)
        reply = from_outside("i@wac.test", code.encode(), sender="noreply@gmail.test", source=network.BIG, helo="mx.gmail.test")
        play.holds("the mail with the code is taken", reply[0] == 250, reply)
        play.holds("and arrives by the forward", eventually(lambda: big.of(CODE), 20), house.said())
        reply = "From: Me <i@wac.test>\r\nTo: x@gmail.test\r\nSubject: as-me\r\nMessage-ID: <as-me@mail.gmail.test>\r\nDate: Tue, 01 Dec 2026 09:00:00 +0000\r\n\r\nHi\r\n"
        client.sendmail("i@wac.test", ["x@gmail.test"], reply)
    if play.holds("a mail as i@ goes out", eventually(lambda: big.of("as-me"), 20), house.said()):
        judged(play, "as i@", big.of("as-me")[0])


def report(play):
    house, big = play.house, play.big
    for via in ("smtp587", "smtp465", "api"):
        user = "" if via == "api" else " --user i@example.com"
        line = f"pennypost send --from i@example.com --to you@gmail.com --via {via}{user} --report"
        play.check(f"send --via {via} --report", house.run(line).fault())
        before = len(big.copies)
        ended = house.run(line, more=f"--json --subject by-{via}")
        if not play.holds(f"{via}: it tells as JSON", ended.code == 0, ended.complained):
            continue
        (seen,) = ended.json()["report"]
        copy = big.copies[before]
        told = (seen["spf"]["result"], sorted(one["result"] for one in seen["dkim"]), seen["dmarc"]["result"], bool(seen["tls"]), seen["address_family"])
        found = (copy.spf, sorted(one["result"] for one in copy.dkim), copy.dmarc, copy.tls, copy.family)
        play.holds(f"{via}: it says what the receiver says: {told}", told == found, f"receiver: {found}")
        names = (seen["ehlo"], [seen["fcrdns"]["domain"]], seen["spf"]["domain"], str(seen["source_ip"]))
        received = (copy.helo, copy.names, copy.spf_domain, copy.peer)
        play.holds(f"{via}: name, reverse name, domain of SPF and address too", names == received, f"{names}, receiver: {received}")
        play.holds(f"{via}: all of it aligned", seen["spf"]["aligned"] and all(one["aligned"] for one in seen["dkim"]), seen)


def killed(play):
    """The power goes between 250 and the delivery."""
    house, big = play.house, play.big
    big.gate.clear()
    with smtplib.SMTP_SSL("smtp.wac.test", 465, context=context(play.authority)) as client:
        client.login("i@wac.test", play.password)
        client.sendmail("i@wac.test", ["x@gmail.test"], "From: i@wac.test\r\nTo: x@gmail.test\r\nSubject: survives\r\n\r\nHi\r\n")
    house.stop(signal.SIGKILL)
    play.holds("nothing was delivered yet", not big.of("survives"))
    big.gate.set()
    house.start()
    house.run("pennypost queue retry --domain gmail.com")
    play.holds("it is delivered after the restart", eventually(lambda: big.of("survives"), 150), house.said())
    time.sleep(3)
    play.holds("once", len(big.of("survives")) == 1, len(big.of("survives")))
