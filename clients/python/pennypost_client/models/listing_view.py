from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="ListingView")


@_attrs_define
class ListingView:
    """What a list of bad senders says of a source.

    Attributes:
        zone (str): The list.
        state (str): `clear`, `listed`, or `unusable`: the list cannot be believed.
        detail (str): The list's codes and reason, or why it cannot be used.
        since (datetime.datetime): Since when it says so.
        checked_at (datetime.datetime): When it was asked last.
    """

    zone: str
    state: str
    detail: str
    since: datetime.datetime
    checked_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        zone = self.zone

        state = self.state

        detail = self.detail

        since = self.since.isoformat()

        checked_at = self.checked_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "zone": zone,
                "state": state,
                "detail": detail,
                "since": since,
                "checked_at": checked_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        zone = d.pop("zone")

        state = d.pop("state")

        detail = d.pop("detail")

        since = datetime.datetime.fromisoformat(d.pop("since"))

        checked_at = datetime.datetime.fromisoformat(d.pop("checked_at"))

        listing_view = cls(
            zone=zone,
            state=state,
            detail=detail,
            since=since,
            checked_at=checked_at,
        )

        listing_view.additional_properties = d
        return listing_view

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
