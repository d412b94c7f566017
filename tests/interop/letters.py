"""The messages that each receiver gets, and what has to become of each."""

import base64
import random
from dataclasses import dataclass, field

from gateway import DOMAIN

NO_BODY = "no body at all"
DOTS = "lines that begin with dots and lines of 998 octets"
FROM = f"Penny Pöst <penny@{DOMAIN}>"


@dataclass
class Letter:
    """A request, and the state each recipient's delivery must end in, by the receiver's means."""

    title: str
    request: dict
    refused: set = field(default_factory=set)
    # EHLO keywords without which no server may be given the message: then it must bounce.
    needs: set = field(default_factory=set)


def encoded(octets):
    return base64.b64encode(octets).decode()


def raw(domain, title, body, header=""):
    head = f"From: {FROM.replace('ö', 'oe')}\r\nTo: ada@{domain}\r\nSubject: {title}\r\n{header}\r\n"
    return {"envelope": {"from": f"penny@{DOMAIN}", "to": [f"ada@{domain}"]}, "raw": encoded(head.encode() + body)}


def all_for(domain):
    """Every letter to a domain that knows ada, bob and, if it takes SMTPUTF8, jürgen."""
    ada, bob, nobody = (f"{user}@{domain}" for user in ("ada", "bob", "nobody"))
    noise = random.Random(1).randbytes
    plain = {"from": FROM, "to": [ada], "subject": "Plain", "text": "One line.\nAnother.\n"}
    rich = {
        "from": FROM,
        "to": [f"Ada Löwenherz <{ada}>"],
        "cc": [bob],
        "subject": "Grüße aus Zürich 🐧 und eine sehr lange Betreffzeile, die über achtundsiebzig Zeichen hinausgeht",
        "text": "Grüße!\n" + "Ein Absatz ohne Zeilenende. " * 60 + "\n",
        "html": "<p>Grüße, <b>Ada</b>!</p><img src='cid:logo'>" + "<p>lang</p>" * 200,
        "attachments": [
            {"filename": "Übersicht 2026 “final”.pdf", "content_type": "application/pdf", "content": encoded(noise(5_000))},
            {"filename": "logo.png", "content_type": "image/png", "content_id": "logo", "content": encoded(noise(700))},
        ],
        "headers": {"X-Order": "7"},
    }
    dots = [".", "..", "...", ".a", "a.", "", ".", "From the start", " From", "x" * 998, "." + "y" * 997, "trailing space ", "\t", "", "", "."]
    lines = "".join(f"{number:>8} {noise(30).hex()}\r\n" for number in range(14_000)).encode()
    eight = "Zürich, Ünïcode, 8 bit\r\n".encode() * 40
    mime = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
    return [
        Letter("plain text", plain),
        Letter("non-ASCII text and HTML with attachments", rich),
        Letter("three recipients, one refused", {**plain, "to": [ada, nobody], "bcc": [bob]}, refused={nobody}),
        Letter("a 1 MB attachment", {**plain, "attachments": [{"filename": "noise.bin", "content": encoded(noise(800_000))}]}),
        Letter("1 MB raw", raw(domain, "1 MB", lines)),
        Letter(DOTS, raw(domain, "Dots", "\r\n".join(dots).encode() + b"\r\n")),
        Letter("an empty text", {**plain, "text": ""}),
        Letter(NO_BODY, raw(domain, "Nothing", b"")),
        Letter("a body of empty lines", raw(domain, "Empty lines", b"\r\n" * 5)),
        Letter("an 8-bit body", raw(domain, "8 bit", eight, mime + "8bit\r\n"), needs={"8BITMIME"}),
        Letter("a recipient outside ASCII", {**plain, "to": [f"jürgen@{domain}"]}, needs={"SMTPUTF8"}),
        Letter("an unknown recipient alone", {**plain, "to": [nobody]}, refused={nobody}),
    ]


def many_for(domain):
    """Short letters to post at once."""
    numbers = range(1, 31)
    return [Letter(f"number {at}", {"from": FROM, "to": [f"bob@{domain}"], "subject": f"Number {at}", "text": f"{at}\n" * at}) for at in numbers]
