from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define

from ..models.priority import Priority
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.attachment_request import AttachmentRequest
    from ..models.envelope_request import EnvelopeRequest
    from ..models.send_request_headers import SendRequestHeaders
    from ..models.send_request_metadata import SendRequestMetadata
    from ..models.send_request_tags import SendRequestTags


T = TypeVar("T", bound="SendRequest")


@_attrs_define
class SendRequest:
    """A message to send. Either `from`, recipients, `subject` and a body, or `envelope` and `raw`.

    Example:
        {'from': 'Penny <hello@example.com>', 'subject': 'Hi', 'tags': {'flow': 'signup'}, 'text': 'Hello from
            Pennypost.', 'to': ['a@example.net']}

    Attributes:
        from_ (None | str | Unset): The author: `local@domain` or `Name <local@domain>`. The domain must be a verified
            domain of the project. Required unless `raw` is given.
        to (list[str] | str | Unset): One address or a list of them.
        cc (list[str] | str | Unset): One address or a list of them.
        bcc (list[str] | str | Unset): One address or a list of them.
        reply_to (list[str] | str | Unset): One address or a list of them.
        subject (None | str | Unset): The subject. Required unless `raw` is given; may be empty.
        text (None | str | Unset): The body as plain text. `text`, `html` or both are needed unless `raw` is given.
        html (None | str | Unset): The body as HTML.
        headers (SendRequestHeaders | Unset): Further header fields, name to value. Fields that Pennypost writes itself
            are refused (`reserved-header`). Example: {'X-Order': '7'}.
        attachments (list[AttachmentRequest] | Unset): Files to attach.
        tags (SendRequestTags | Unset): Words to find the message by: at most 20; keys of 1 to 64 characters from `A-Z
            a-z 0-9 _ - .`, values of at most 256 characters. Example: {'flow': 'signup'}.
        metadata (SendRequestMetadata | Unset): An object of your own, returned with the message and in its events: at
            most 8,192 octets of JSON. Never sent to recipients.
        send_at (datetime.datetime | None | Unset): When to send: RFC 3339 with a zone, at most 30 days ahead. A time
            less than a minute ago means now; an earlier one is refused.
        expires_at (datetime.datetime | None | Unset): When to give up: RFC 3339 with a zone, later than `send_at` and
            at most 30 days after it. Left out: the server's `delivery.expire_seconds`.
        priority (None | Priority | Unset):
        stream (None | str | Unset): A name for this kind of mail: 1 to 64 characters from `A-Z a-z 0-9 _ - .`;
            `transactional` unless said.
        require_tls (bool | Unset): Send only over TLS whose certificate is proven, to hosts that promise the same for
            the rest of the way (REQUIRETLS, RFC 8689); where
            there is none, the message bounces. The header `TLS-Required: No` asks for the opposite: the receiving domain's
            policy is passed over.
        envelope (EnvelopeRequest | None | Unset):
        raw (str | Unset): A whole RFC 5322 message in base64, sent as it is: Bcc fields are removed, Date and Message-
            ID added where missing. Needs `envelope`.
    """

    from_: None | str | Unset = UNSET
    to: list[str] | str | Unset = UNSET
    cc: list[str] | str | Unset = UNSET
    bcc: list[str] | str | Unset = UNSET
    reply_to: list[str] | str | Unset = UNSET
    subject: None | str | Unset = UNSET
    text: None | str | Unset = UNSET
    html: None | str | Unset = UNSET
    headers: SendRequestHeaders | Unset = UNSET
    attachments: list[AttachmentRequest] | Unset = UNSET
    tags: SendRequestTags | Unset = UNSET
    metadata: SendRequestMetadata | Unset = UNSET
    send_at: datetime.datetime | None | Unset = UNSET
    expires_at: datetime.datetime | None | Unset = UNSET
    priority: None | Priority | Unset = UNSET
    stream: None | str | Unset = UNSET
    require_tls: bool | Unset = UNSET
    envelope: EnvelopeRequest | None | Unset = UNSET
    raw: str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        from ..models.envelope_request import EnvelopeRequest

        from_: None | str | Unset
        if isinstance(self.from_, Unset):
            from_ = UNSET
        else:
            from_ = self.from_

        to: list[str] | str | Unset
        if isinstance(self.to, Unset):
            to = UNSET
        elif isinstance(self.to, list):
            to = self.to

        else:
            to = self.to

        cc: list[str] | str | Unset
        if isinstance(self.cc, Unset):
            cc = UNSET
        elif isinstance(self.cc, list):
            cc = self.cc

        else:
            cc = self.cc

        bcc: list[str] | str | Unset
        if isinstance(self.bcc, Unset):
            bcc = UNSET
        elif isinstance(self.bcc, list):
            bcc = self.bcc

        else:
            bcc = self.bcc

        reply_to: list[str] | str | Unset
        if isinstance(self.reply_to, Unset):
            reply_to = UNSET
        elif isinstance(self.reply_to, list):
            reply_to = self.reply_to

        else:
            reply_to = self.reply_to

        subject: None | str | Unset
        if isinstance(self.subject, Unset):
            subject = UNSET
        else:
            subject = self.subject

        text: None | str | Unset
        if isinstance(self.text, Unset):
            text = UNSET
        else:
            text = self.text

        html: None | str | Unset
        if isinstance(self.html, Unset):
            html = UNSET
        else:
            html = self.html

        headers: dict[str, Any] | Unset = UNSET
        if not isinstance(self.headers, Unset):
            headers = self.headers.to_dict()

        attachments: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.attachments, Unset):
            attachments = []
            for attachments_item_data in self.attachments:
                attachments_item = attachments_item_data.to_dict()
                attachments.append(attachments_item)

        tags: dict[str, Any] | Unset = UNSET
        if not isinstance(self.tags, Unset):
            tags = self.tags.to_dict()

        metadata: dict[str, Any] | Unset = UNSET
        if not isinstance(self.metadata, Unset):
            metadata = self.metadata.to_dict()

        send_at: None | str | Unset
        if isinstance(self.send_at, Unset):
            send_at = UNSET
        elif isinstance(self.send_at, datetime.datetime):
            send_at = self.send_at.isoformat()
        else:
            send_at = self.send_at

        expires_at: None | str | Unset
        if isinstance(self.expires_at, Unset):
            expires_at = UNSET
        elif isinstance(self.expires_at, datetime.datetime):
            expires_at = self.expires_at.isoformat()
        else:
            expires_at = self.expires_at

        priority: None | str | Unset
        if isinstance(self.priority, Unset):
            priority = UNSET
        elif isinstance(self.priority, Priority):
            priority = self.priority.value
        else:
            priority = self.priority

        stream: None | str | Unset
        if isinstance(self.stream, Unset):
            stream = UNSET
        else:
            stream = self.stream

        require_tls = self.require_tls

        envelope: dict[str, Any] | None | Unset
        if isinstance(self.envelope, Unset):
            envelope = UNSET
        elif isinstance(self.envelope, EnvelopeRequest):
            envelope = self.envelope.to_dict()
        else:
            envelope = self.envelope

        raw = self.raw

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if from_ is not UNSET:
            field_dict["from"] = from_
        if to is not UNSET:
            field_dict["to"] = to
        if cc is not UNSET:
            field_dict["cc"] = cc
        if bcc is not UNSET:
            field_dict["bcc"] = bcc
        if reply_to is not UNSET:
            field_dict["reply_to"] = reply_to
        if subject is not UNSET:
            field_dict["subject"] = subject
        if text is not UNSET:
            field_dict["text"] = text
        if html is not UNSET:
            field_dict["html"] = html
        if headers is not UNSET:
            field_dict["headers"] = headers
        if attachments is not UNSET:
            field_dict["attachments"] = attachments
        if tags is not UNSET:
            field_dict["tags"] = tags
        if metadata is not UNSET:
            field_dict["metadata"] = metadata
        if send_at is not UNSET:
            field_dict["send_at"] = send_at
        if expires_at is not UNSET:
            field_dict["expires_at"] = expires_at
        if priority is not UNSET:
            field_dict["priority"] = priority
        if stream is not UNSET:
            field_dict["stream"] = stream
        if require_tls is not UNSET:
            field_dict["require_tls"] = require_tls
        if envelope is not UNSET:
            field_dict["envelope"] = envelope
        if raw is not UNSET:
            field_dict["raw"] = raw

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.attachment_request import AttachmentRequest
        from ..models.envelope_request import EnvelopeRequest
        from ..models.send_request_headers import SendRequestHeaders
        from ..models.send_request_metadata import SendRequestMetadata
        from ..models.send_request_tags import SendRequestTags

        d = dict(src_dict)

        def _parse_from_(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        from_ = _parse_from_(d.pop("from", UNSET))

        def _parse_to(data: object) -> list[str] | str | Unset:
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                componentsschemas_one_or_many_type_1 = cast(list[str], data)

                return componentsschemas_one_or_many_type_1
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[str] | str | Unset, data)

        to = _parse_to(d.pop("to", UNSET))

        def _parse_cc(data: object) -> list[str] | str | Unset:
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                componentsschemas_one_or_many_type_1 = cast(list[str], data)

                return componentsschemas_one_or_many_type_1
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[str] | str | Unset, data)

        cc = _parse_cc(d.pop("cc", UNSET))

        def _parse_bcc(data: object) -> list[str] | str | Unset:
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                componentsschemas_one_or_many_type_1 = cast(list[str], data)

                return componentsschemas_one_or_many_type_1
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[str] | str | Unset, data)

        bcc = _parse_bcc(d.pop("bcc", UNSET))

        def _parse_reply_to(data: object) -> list[str] | str | Unset:
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                componentsschemas_one_or_many_type_1 = cast(list[str], data)

                return componentsschemas_one_or_many_type_1
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[str] | str | Unset, data)

        reply_to = _parse_reply_to(d.pop("reply_to", UNSET))

        def _parse_subject(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        subject = _parse_subject(d.pop("subject", UNSET))

        def _parse_text(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        text = _parse_text(d.pop("text", UNSET))

        def _parse_html(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        html = _parse_html(d.pop("html", UNSET))

        _headers = d.pop("headers", UNSET)
        headers: SendRequestHeaders | Unset
        if isinstance(_headers, Unset):
            headers = UNSET
        else:
            headers = SendRequestHeaders.from_dict(_headers)

        _attachments = d.pop("attachments", UNSET)
        attachments: list[AttachmentRequest] | Unset = UNSET
        if _attachments is not UNSET:
            attachments = []
            for attachments_item_data in _attachments:
                attachments_item = AttachmentRequest.from_dict(attachments_item_data)

                attachments.append(attachments_item)

        _tags = d.pop("tags", UNSET)
        tags: SendRequestTags | Unset
        if isinstance(_tags, Unset):
            tags = UNSET
        else:
            tags = SendRequestTags.from_dict(_tags)

        _metadata = d.pop("metadata", UNSET)
        metadata: SendRequestMetadata | Unset
        if isinstance(_metadata, Unset):
            metadata = UNSET
        else:
            metadata = SendRequestMetadata.from_dict(_metadata)

        def _parse_send_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                send_at_type_0 = datetime.datetime.fromisoformat(data)

                return send_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        send_at = _parse_send_at(d.pop("send_at", UNSET))

        def _parse_expires_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                expires_at_type_0 = datetime.datetime.fromisoformat(data)

                return expires_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        expires_at = _parse_expires_at(d.pop("expires_at", UNSET))

        def _parse_priority(data: object) -> None | Priority | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                priority_type_0 = Priority(data)

                return priority_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Priority | Unset, data)

        priority = _parse_priority(d.pop("priority", UNSET))

        def _parse_stream(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        stream = _parse_stream(d.pop("stream", UNSET))

        require_tls = d.pop("require_tls", UNSET)

        def _parse_envelope(data: object) -> EnvelopeRequest | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                envelope_type_0 = EnvelopeRequest.from_dict(data)

                return envelope_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(EnvelopeRequest | None | Unset, data)

        envelope = _parse_envelope(d.pop("envelope", UNSET))

        raw = d.pop("raw", UNSET)

        send_request = cls(
            from_=from_,
            to=to,
            cc=cc,
            bcc=bcc,
            reply_to=reply_to,
            subject=subject,
            text=text,
            html=html,
            headers=headers,
            attachments=attachments,
            tags=tags,
            metadata=metadata,
            send_at=send_at,
            expires_at=expires_at,
            priority=priority,
            stream=stream,
            require_tls=require_tls,
            envelope=envelope,
            raw=raw,
        )

        return send_request
