from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="QueueChange")


@_attrs_define
class QueueChange:
    """What was changed.

    Attributes:
        changed (int): Deliveries changed.
        active (int): Selected deliveries that a node works on: they were left alone. Pause the domain or the project
            first to have back what was not begun.
        unplaced (int): With `site`: deliveries that were left alone since the MX hosts of their domain cannot be looked
            up now.
        next_cursor (None | str | Unset): Null when all were looked at. Otherwise the time of one request was over: ask
            again with it as `cursor`.
    """

    changed: int
    active: int
    unplaced: int
    next_cursor: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        changed = self.changed

        active = self.active

        unplaced = self.unplaced

        next_cursor: None | str | Unset
        if isinstance(self.next_cursor, Unset):
            next_cursor = UNSET
        else:
            next_cursor = self.next_cursor

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "changed": changed,
                "active": active,
                "unplaced": unplaced,
            }
        )
        if next_cursor is not UNSET:
            field_dict["next_cursor"] = next_cursor

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        changed = d.pop("changed")

        active = d.pop("active")

        unplaced = d.pop("unplaced")

        def _parse_next_cursor(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        next_cursor = _parse_next_cursor(d.pop("next_cursor", UNSET))

        queue_change = cls(
            changed=changed,
            active=active,
            unplaced=unplaced,
            next_cursor=next_cursor,
        )

        queue_change.additional_properties = d
        return queue_change

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
