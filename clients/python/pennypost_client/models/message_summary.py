from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.priority import Priority
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.message_summary_metadata import MessageSummaryMetadata
    from ..models.message_summary_tags import MessageSummaryTags


T = TypeVar("T", bound="MessageSummary")


@_attrs_define
class MessageSummary:
    """A message without content.

    Attributes:
        id (str): `msg_…`
        accepted_at (datetime.datetime): When it was accepted.
        reverse_path (str): MAIL FROM address; empty for the null reverse-path.
        from_ (str): The address of the From field.
        subject (str): Decoded.
        message_id (str): The Message-ID field, without brackets.
        tags (MessageSummaryTags): The user's.
        metadata (MessageSummaryMetadata): The user's.
        priority (Priority): Which deliveries go first when there is a choice.
        stream (str): The user's.
        expires_at (datetime.datetime): Not after.
        size (int): Octets of the content.
        recipients (int): Number of recipients.
        send_at (datetime.datetime | None | Unset): Not before.
    """

    id: str
    accepted_at: datetime.datetime
    reverse_path: str
    from_: str
    subject: str
    message_id: str
    tags: MessageSummaryTags
    metadata: MessageSummaryMetadata
    priority: Priority
    stream: str
    expires_at: datetime.datetime
    size: int
    recipients: int
    send_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        accepted_at = self.accepted_at.isoformat()

        reverse_path = self.reverse_path

        from_ = self.from_

        subject = self.subject

        message_id = self.message_id

        tags = self.tags.to_dict()

        metadata = self.metadata.to_dict()

        priority = self.priority.value

        stream = self.stream

        expires_at = self.expires_at.isoformat()

        size = self.size

        recipients = self.recipients

        send_at: None | str | Unset
        if isinstance(self.send_at, Unset):
            send_at = UNSET
        elif isinstance(self.send_at, datetime.datetime):
            send_at = self.send_at.isoformat()
        else:
            send_at = self.send_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "accepted_at": accepted_at,
                "reverse_path": reverse_path,
                "from": from_,
                "subject": subject,
                "message_id": message_id,
                "tags": tags,
                "metadata": metadata,
                "priority": priority,
                "stream": stream,
                "expires_at": expires_at,
                "size": size,
                "recipients": recipients,
            }
        )
        if send_at is not UNSET:
            field_dict["send_at"] = send_at

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.message_summary_metadata import MessageSummaryMetadata
        from ..models.message_summary_tags import MessageSummaryTags

        d = dict(src_dict)
        id = d.pop("id")

        accepted_at = datetime.datetime.fromisoformat(d.pop("accepted_at"))

        reverse_path = d.pop("reverse_path")

        from_ = d.pop("from")

        subject = d.pop("subject")

        message_id = d.pop("message_id")

        tags = MessageSummaryTags.from_dict(d.pop("tags"))

        metadata = MessageSummaryMetadata.from_dict(d.pop("metadata"))

        priority = Priority(d.pop("priority"))

        stream = d.pop("stream")

        expires_at = datetime.datetime.fromisoformat(d.pop("expires_at"))

        size = d.pop("size")

        recipients = d.pop("recipients")

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

        message_summary = cls(
            id=id,
            accepted_at=accepted_at,
            reverse_path=reverse_path,
            from_=from_,
            subject=subject,
            message_id=message_id,
            tags=tags,
            metadata=metadata,
            priority=priority,
            stream=stream,
            expires_at=expires_at,
            size=size,
            recipients=recipients,
            send_at=send_at,
        )

        message_summary.additional_properties = d
        return message_summary

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
