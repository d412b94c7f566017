from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define

from ..models.suppression_reason import SuppressionReason
from ..types import UNSET, Unset

T = TypeVar("T", bound="NewSuppression")


@_attrs_define
class NewSuppression:
    """An entry to make.

    Attributes:
        address (str): The address, or `@domain` for everybody there. Example: bee@example.net.
        stream (None | str | Unset): The stream it holds for; left out: all of the project.
        reason (SuppressionReason | Unset): Why nothing is sent to an address.
        note (None | str | Unset): What to remember it by: at most 1,000 characters.
    """

    address: str
    stream: None | str | Unset = UNSET
    reason: SuppressionReason | Unset = UNSET
    note: None | str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        address = self.address

        stream: None | str | Unset
        if isinstance(self.stream, Unset):
            stream = UNSET
        else:
            stream = self.stream

        reason: str | Unset = UNSET
        if not isinstance(self.reason, Unset):
            reason = self.reason.value

        note: None | str | Unset
        if isinstance(self.note, Unset):
            note = UNSET
        else:
            note = self.note

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "address": address,
            }
        )
        if stream is not UNSET:
            field_dict["stream"] = stream
        if reason is not UNSET:
            field_dict["reason"] = reason
        if note is not UNSET:
            field_dict["note"] = note

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        address = d.pop("address")

        def _parse_stream(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        stream = _parse_stream(d.pop("stream", UNSET))

        _reason = d.pop("reason", UNSET)
        reason: SuppressionReason | Unset
        if isinstance(_reason, Unset):
            reason = UNSET
        else:
            reason = SuppressionReason(_reason)

        def _parse_note(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        note = _parse_note(d.pop("note", UNSET))

        new_suppression = cls(
            address=address,
            stream=stream,
            reason=reason,
            note=note,
        )

        return new_suppression
