from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="ProjectView")


@_attrs_define
class ProjectView:
    """The switches of a project.

    Attributes:
        id (str): Its id. Example: prj_01jd5q0v0h7d6r2n8k4m3x9wbz.
        strict_verp (bool): Every recipient gets a transaction of its own, so that the reverse-path of each copy names
            its delivery. Off: recipients at one
            domain share a transaction, whose reverse-path names the message.
    """

    id: str
    strict_verp: bool
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        strict_verp = self.strict_verp

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "strict_verp": strict_verp,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        id = d.pop("id")

        strict_verp = d.pop("strict_verp")

        project_view = cls(
            id=id,
            strict_verp=strict_verp,
        )

        project_view.additional_properties = d
        return project_view

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
