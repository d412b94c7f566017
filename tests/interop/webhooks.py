"""An endpoint that verifies what it is told with the library of Standard Webhooks, which nobody here wrote."""

import http.server
import json
import threading

from gateway import DOMAIN
from root import eventually
from standardwebhooks import Webhook, WebhookVerificationError


class Endpoint:
    """Listens on loopback; keeps what verifies, and why what does not."""

    def __init__(self):
        self.verified, self.refused, self.secret = [], [], None
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                try:
                    endpoint.verified.append(Webhook(endpoint.secret).verify(body, {name.lower(): value for name, value in self.headers.items()}))
                    self.send_response(204)
                except WebhookVerificationError as error:
                    endpoint.refused.append(str(error))
                    self.send_response(400)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def run(report, gateway):
    """A webhook of `gateway` verifies, and while its secret changes by the new one and by the old one."""
    report.heading("webhooks")
    endpoint, recipient = Endpoint(), "bee@nowhere.test"
    status, answer = gateway.call("POST", "/v1/webhooks", {"url": endpoint.url, "kinds": ["accepted"]})
    if status != 201:
        report.check("a webhook is made", f"{status} {answer.decode()}")
        return
    made = json.loads(answer)
    endpoint.secret = made["secret"]
    tell(report, gateway, endpoint, recipient, "standardwebhooks verifies what an endpoint is told")
    rotated = json.loads(gateway.call("POST", f"/v1/webhooks/{made['webhook']['id']}/secret", {})[1])["secret"]
    tell(report, gateway, endpoint, recipient, "and by the old secret while there is a new one")
    endpoint.secret = rotated
    tell(report, gateway, endpoint, recipient, "and by the new one")
    endpoint.secret = "whsec_" + "A" * 43 + "="
    before = len(endpoint.refused)
    gateway.send(letter(recipient))
    report.check("and by no other", None if eventually(lambda: len(endpoint.refused) > before) else "it passed")
    gateway.call("DELETE", f"/v1/webhooks/{made['webhook']['id']}")


def letter(recipient):
    return {"from": f"hello@{DOMAIN}", "to": [recipient], "subject": "A webhook", "text": "A line.\n"}


def tell(report, gateway, endpoint, recipient, what):
    before = len(endpoint.verified)
    gateway.send(letter(recipient))
    told = eventually(lambda: len(endpoint.verified) > before)
    report.check(what, None if told and endpoint.verified[-1]["type"] == "accepted" else f"nothing verified arrived: {endpoint.refused}")
