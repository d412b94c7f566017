from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.known_event_kind import KnownEventKind
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.event_view_data import EventViewData


T = TypeVar("T", bound="EventView")


@_attrs_define
class EventView:
    """One event as the API shows it.

    Attributes:
        id (str): `evt_…`
        kind (KnownEventKind | str): What an event tells.
        at (datetime.datetime): When.
        data (EventViewData): Facts of the kind: for attempts host, address, TLS, reply, transcript.
        message_id (None | str | Unset): To which message.
        delivery_id (None | str | Unset): To which delivery; absent for events of the whole message.
        recipient (None | str | Unset): The recipient of the delivery.
    """

    id: str
    kind: KnownEventKind | str
    at: datetime.datetime
    data: EventViewData
    message_id: None | str | Unset = UNSET
    delivery_id: None | str | Unset = UNSET
    recipient: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        kind: str
        if isinstance(self.kind, KnownEventKind):
            kind = self.kind.value
        else:
            kind = self.kind

        at = self.at.isoformat()

        data = self.data.to_dict()

        message_id: None | str | Unset
        if isinstance(self.message_id, Unset):
            message_id = UNSET
        else:
            message_id = self.message_id

        delivery_id: None | str | Unset
        if isinstance(self.delivery_id, Unset):
            delivery_id = UNSET
        else:
            delivery_id = self.delivery_id

        recipient: None | str | Unset
        if isinstance(self.recipient, Unset):
            recipient = UNSET
        else:
            recipient = self.recipient

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "kind": kind,
                "at": at,
                "data": data,
            }
        )
        if message_id is not UNSET:
            field_dict["message_id"] = message_id
        if delivery_id is not UNSET:
            field_dict["delivery_id"] = delivery_id
        if recipient is not UNSET:
            field_dict["recipient"] = recipient

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.event_view_data import EventViewData

        d = dict(src_dict)
        id = d.pop("id")

        def _parse_kind(data: object) -> KnownEventKind | str:
            try:
                if not isinstance(data, str):
                    raise TypeError()
                componentsschemas_event_kind_known_event_kind = KnownEventKind(data)

                return componentsschemas_event_kind_known_event_kind
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(KnownEventKind | str, data)

        kind = _parse_kind(d.pop("kind"))

        at = datetime.datetime.fromisoformat(d.pop("at"))

        data = EventViewData.from_dict(d.pop("data"))

        def _parse_message_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        message_id = _parse_message_id(d.pop("message_id", UNSET))

        def _parse_delivery_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        delivery_id = _parse_delivery_id(d.pop("delivery_id", UNSET))

        def _parse_recipient(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        recipient = _parse_recipient(d.pop("recipient", UNSET))

        event_view = cls(
            id=id,
            kind=kind,
            at=at,
            data=data,
            message_id=message_id,
            delivery_id=delivery_id,
            recipient=recipient,
        )

        event_view.additional_properties = d
        return event_view

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
