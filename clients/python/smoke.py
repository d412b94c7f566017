"""Sends a message with the generated client and reads it back.

Needs PENNYPOST_URL and PENNYPOST_KEY (scope full or send); PENNYPOST_FROM and PENNYPOST_TO may name the addresses.
Prints the message's id. Exits 0 if the message reads back as it was sent and a wrong one is refused as documented.
"""

import os
import sys
import uuid
from http import HTTPStatus

from pennypost_client import AuthenticatedClient
from pennypost_client.api.messages import get_message
from pennypost_client.api.send import send_message
from pennypost_client.models import MessageView, Problem, SendRequest, SendRequestTags, SendResponse


def main() -> None:
    sender = os.environ.get("PENNYPOST_FROM", "hello@example.com")
    recipient = os.environ.get("PENNYPOST_TO", "a@example.net")
    tags = SendRequestTags()
    tags["flow"] = "smoke"
    request = SendRequest(from_=f"Smoke <{sender}>", to=[recipient], subject="From Python", text="Hello", tags=tags)
    with AuthenticatedClient(base_url=os.environ["PENNYPOST_URL"], token=os.environ["PENNYPOST_KEY"]) as client:
        key = f"smoke-{uuid.uuid4()}"
        sent = send_message.sync(client=client, body=request, idempotency_key=key)
        assert isinstance(sent, SendResponse), sent
        again = send_message.sync(client=client, body=request, idempotency_key=key)
        assert isinstance(again, SendResponse) and again.id == sent.id, (sent, again)

        message = get_message.sync(sent.id, client=client)
        assert isinstance(message, MessageView), message
        assert message.subject == "From Python" and len(message.deliveries) == sent.deliveries == 1, message

        refused = send_message.sync_detailed(client=client, body=SendRequest(from_="nobody", to=recipient, subject="", text=""))
        assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, refused
        assert isinstance(refused.parsed, Problem) and refused.parsed.type_ == "invalid-address", refused
    print(sent.id)


if __name__ == "__main__":
    sys.exit(main())
