from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="Changed")


@_attrs_define
class Changed:
    """How many deliveries of a message were changed.

    Attributes:
        id (str): The message. Example: msg_01jd5q0v0h7d6r2n8k4m3x9wbz.
        changed (int): Deliveries changed; 0 if none was in a state to be.
        active (int): Deliveries that are being worked on, and so were left alone.
    """

    id: str
    changed: int
    active: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        changed = self.changed

        active = self.active

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "changed": changed,
                "active": active,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        id = d.pop("id")

        changed = d.pop("changed")

        active = d.pop("active")

        changed = cls(
            id=id,
            changed=changed,
            active=active,
        )

        changed.additional_properties = d
        return changed

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
