from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.header_field import HeaderField
    from ..models.incoming_attachment import IncomingAttachment


T = TypeVar("T", bound="ParsedMessage")


@_attrs_define
class ParsedMessage:
    """A message, taken apart.

    Attributes:
        from_ (list[str]): Authors, `Name <address>` or the address.
        to (list[str]): The To field.
        cc (list[str]): The Cc field.
        reply_to (list[str]): Where answers shall go.
        subject (str): The subject, decoded.
        headers (list[HeaderField]): All header fields in their order, decoded.
        attachments (list[IncomingAttachment]): Files.
        is_whole (bool): False if the message is nested or divided so much that its header alone was read.
        date (datetime.datetime | None | Unset): The Date field.
        message_id (None | str | Unset): The Message-ID without its brackets.
        text (None | str | Unset): The text, at most 1 MiB of it; made of the HTML where there is no other.
        html (None | str | Unset): The HTML as it was sent, at most 1 MiB of it.
    """

    from_: list[str]
    to: list[str]
    cc: list[str]
    reply_to: list[str]
    subject: str
    headers: list[HeaderField]
    attachments: list[IncomingAttachment]
    is_whole: bool
    date: datetime.datetime | None | Unset = UNSET
    message_id: None | str | Unset = UNSET
    text: None | str | Unset = UNSET
    html: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from_ = self.from_

        to = self.to

        cc = self.cc

        reply_to = self.reply_to

        subject = self.subject

        headers = []
        for headers_item_data in self.headers:
            headers_item = headers_item_data.to_dict()
            headers.append(headers_item)

        attachments = []
        for attachments_item_data in self.attachments:
            attachments_item = attachments_item_data.to_dict()
            attachments.append(attachments_item)

        is_whole = self.is_whole

        date: None | str | Unset
        if isinstance(self.date, Unset):
            date = UNSET
        elif isinstance(self.date, datetime.datetime):
            date = self.date.isoformat()
        else:
            date = self.date

        message_id: None | str | Unset
        if isinstance(self.message_id, Unset):
            message_id = UNSET
        else:
            message_id = self.message_id

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

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "from": from_,
                "to": to,
                "cc": cc,
                "reply_to": reply_to,
                "subject": subject,
                "headers": headers,
                "attachments": attachments,
                "is_whole": is_whole,
            }
        )
        if date is not UNSET:
            field_dict["date"] = date
        if message_id is not UNSET:
            field_dict["message_id"] = message_id
        if text is not UNSET:
            field_dict["text"] = text
        if html is not UNSET:
            field_dict["html"] = html

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.header_field import HeaderField
        from ..models.incoming_attachment import IncomingAttachment

        d = dict(src_dict)
        from_ = cast(list[str], d.pop("from"))

        to = cast(list[str], d.pop("to"))

        cc = cast(list[str], d.pop("cc"))

        reply_to = cast(list[str], d.pop("reply_to"))

        subject = d.pop("subject")

        headers = []
        _headers = d.pop("headers")
        for headers_item_data in _headers:
            headers_item = HeaderField.from_dict(headers_item_data)

            headers.append(headers_item)

        attachments = []
        _attachments = d.pop("attachments")
        for attachments_item_data in _attachments:
            attachments_item = IncomingAttachment.from_dict(attachments_item_data)

            attachments.append(attachments_item)

        is_whole = d.pop("is_whole")

        def _parse_date(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                date_type_0 = datetime.datetime.fromisoformat(data)

                return date_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        date = _parse_date(d.pop("date", UNSET))

        def _parse_message_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        message_id = _parse_message_id(d.pop("message_id", UNSET))

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

        parsed_message = cls(
            from_=from_,
            to=to,
            cc=cc,
            reply_to=reply_to,
            subject=subject,
            headers=headers,
            attachments=attachments,
            is_whole=is_whole,
            date=date,
            message_id=message_id,
            text=text,
            html=html,
        )

        parsed_message.additional_properties = d
        return parsed_message

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
