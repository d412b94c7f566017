from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.authentication_results import AuthenticationResults
    from ..models.incoming_peer import IncomingPeer
    from ..models.parsed_message import ParsedMessage


T = TypeVar("T", bound="IncomingMessage")


@_attrs_define
class IncomingMessage:
    """A message from the world, at one address of ours.

    Attributes:
        id (str): `inc_…`
        received_at (datetime.datetime): When it arrived.
        recipient (str): The address it came to.
        reverse_path (str): MAIL FROM; empty for the null reverse-path of a report.
        from_ (str): The From field.
        subject (str): The subject, decoded.
        size (int): Octets of what came.
        peer (IncomingPeer): A host that brought a message.
        authentication (AuthenticationResults): Results of checks (RFC 8601 2.7): `pass`, `fail`, `none` and the like;
            null: not checked.
        route_id (None | str | Unset): The route that kept it, which may be gone; null: it came to postmaster or abuse.
        message_id (None | str | Unset): The Message-ID without its brackets.
        content (None | ParsedMessage | Unset):
    """

    id: str
    received_at: datetime.datetime
    recipient: str
    reverse_path: str
    from_: str
    subject: str
    size: int
    peer: IncomingPeer
    authentication: AuthenticationResults
    route_id: None | str | Unset = UNSET
    message_id: None | str | Unset = UNSET
    content: None | ParsedMessage | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.parsed_message import ParsedMessage

        id = self.id

        received_at = self.received_at.isoformat()

        recipient = self.recipient

        reverse_path = self.reverse_path

        from_ = self.from_

        subject = self.subject

        size = self.size

        peer = self.peer.to_dict()

        authentication = self.authentication.to_dict()

        route_id: None | str | Unset
        if isinstance(self.route_id, Unset):
            route_id = UNSET
        else:
            route_id = self.route_id

        message_id: None | str | Unset
        if isinstance(self.message_id, Unset):
            message_id = UNSET
        else:
            message_id = self.message_id

        content: dict[str, Any] | None | Unset
        if isinstance(self.content, Unset):
            content = UNSET
        elif isinstance(self.content, ParsedMessage):
            content = self.content.to_dict()
        else:
            content = self.content

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "received_at": received_at,
                "recipient": recipient,
                "reverse_path": reverse_path,
                "from": from_,
                "subject": subject,
                "size": size,
                "peer": peer,
                "authentication": authentication,
            }
        )
        if route_id is not UNSET:
            field_dict["route_id"] = route_id
        if message_id is not UNSET:
            field_dict["message_id"] = message_id
        if content is not UNSET:
            field_dict["content"] = content

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.authentication_results import AuthenticationResults
        from ..models.incoming_peer import IncomingPeer
        from ..models.parsed_message import ParsedMessage

        d = dict(src_dict)
        id = d.pop("id")

        received_at = datetime.datetime.fromisoformat(d.pop("received_at"))

        recipient = d.pop("recipient")

        reverse_path = d.pop("reverse_path")

        from_ = d.pop("from")

        subject = d.pop("subject")

        size = d.pop("size")

        peer = IncomingPeer.from_dict(d.pop("peer"))

        authentication = AuthenticationResults.from_dict(d.pop("authentication"))

        def _parse_route_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        route_id = _parse_route_id(d.pop("route_id", UNSET))

        def _parse_message_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        message_id = _parse_message_id(d.pop("message_id", UNSET))

        def _parse_content(data: object) -> None | ParsedMessage | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                content_type_0 = ParsedMessage.from_dict(data)

                return content_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | ParsedMessage | Unset, data)

        content = _parse_content(d.pop("content", UNSET))

        incoming_message = cls(
            id=id,
            received_at=received_at,
            recipient=recipient,
            reverse_path=reverse_path,
            from_=from_,
            subject=subject,
            size=size,
            peer=peer,
            authentication=authentication,
            route_id=route_id,
            message_id=message_id,
            content=content,
        )

        incoming_message.additional_properties = d
        return incoming_message

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
