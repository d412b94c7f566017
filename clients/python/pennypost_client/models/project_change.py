from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="ProjectChange")


@_attrs_define
class ProjectChange:
    """Switches to set; what is left out stays.

    Attributes:
        strict_verp (bool | None | Unset): See `strict_verp` of the project.
    """

    strict_verp: bool | None | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        strict_verp: bool | None | Unset
        if isinstance(self.strict_verp, Unset):
            strict_verp = UNSET
        else:
            strict_verp = self.strict_verp

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if strict_verp is not UNSET:
            field_dict["strict_verp"] = strict_verp

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)

        def _parse_strict_verp(data: object) -> bool | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(bool | None | Unset, data)

        strict_verp = _parse_strict_verp(d.pop("strict_verp", UNSET))

        project_change = cls(
            strict_verp=strict_verp,
        )

        return project_change
