from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.bounce_class import BounceClass
from ..models.suppression_origin import SuppressionOrigin
from ..models.suppression_reason import SuppressionReason
from ..types import UNSET, Unset

T = TypeVar("T", bound="SuppressionView")


@_attrs_define
class SuppressionView:
    """An entry as the API shows it.

    Attributes:
        id (str): `sup_…`
        address (str): The address, or `@domain` for everybody there.
        reason (SuppressionReason): Why nothing is sent to an address.
        origin (SuppressionOrigin): Who put an entry on the list.
        created_at (datetime.datetime): Since when.
        stream (None | str | Unset): The stream it holds for; null: all of the project.
        class_ (BounceClass | None | Unset):
        message_id (None | str | Unset): The message that led to it.
        note (None | str | Unset): What somebody wrote beside it.
    """

    id: str
    address: str
    reason: SuppressionReason
    origin: SuppressionOrigin
    created_at: datetime.datetime
    stream: None | str | Unset = UNSET
    class_: BounceClass | None | Unset = UNSET
    message_id: None | str | Unset = UNSET
    note: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        address = self.address

        reason = self.reason.value

        origin = self.origin.value

        created_at = self.created_at.isoformat()

        stream: None | str | Unset
        if isinstance(self.stream, Unset):
            stream = UNSET
        else:
            stream = self.stream

        class_: None | str | Unset
        if isinstance(self.class_, Unset):
            class_ = UNSET
        elif isinstance(self.class_, BounceClass):
            class_ = self.class_.value
        else:
            class_ = self.class_

        message_id: None | str | Unset
        if isinstance(self.message_id, Unset):
            message_id = UNSET
        else:
            message_id = self.message_id

        note: None | str | Unset
        if isinstance(self.note, Unset):
            note = UNSET
        else:
            note = self.note

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "address": address,
                "reason": reason,
                "origin": origin,
                "created_at": created_at,
            }
        )
        if stream is not UNSET:
            field_dict["stream"] = stream
        if class_ is not UNSET:
            field_dict["class"] = class_
        if message_id is not UNSET:
            field_dict["message_id"] = message_id
        if note is not UNSET:
            field_dict["note"] = note

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        id = d.pop("id")

        address = d.pop("address")

        reason = SuppressionReason(d.pop("reason"))

        origin = SuppressionOrigin(d.pop("origin"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        def _parse_stream(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        stream = _parse_stream(d.pop("stream", UNSET))

        def _parse_class_(data: object) -> BounceClass | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                class_type_0 = BounceClass(data)

                return class_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(BounceClass | None | Unset, data)

        class_ = _parse_class_(d.pop("class", UNSET))

        def _parse_message_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        message_id = _parse_message_id(d.pop("message_id", UNSET))

        def _parse_note(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        note = _parse_note(d.pop("note", UNSET))

        suppression_view = cls(
            id=id,
            address=address,
            reason=reason,
            origin=origin,
            created_at=created_at,
            stream=stream,
            class_=class_,
            message_id=message_id,
            note=note,
        )

        suppression_view.additional_properties = d
        return suppression_view

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
