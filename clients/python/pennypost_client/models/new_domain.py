from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewDomain")


@_attrs_define
class NewDomain:
    """A domain to add.

    Attributes:
        name (str): The name, in U-labels or A-labels. Example: example.com.
        dkim_zone (None | str | Unset): A zone of yours that its DKIM keys shall stand in. Its owner publishes CNAME
            records that lead there, once, and keys are then changed without
            him. Left out: they stand in the domain's own zone. Example: dkim.example.net.
    """

    name: str
    dkim_zone: None | str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        dkim_zone: None | str | Unset
        if isinstance(self.dkim_zone, Unset):
            dkim_zone = UNSET
        else:
            dkim_zone = self.dkim_zone

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "name": name,
            }
        )
        if dkim_zone is not UNSET:
            field_dict["dkim_zone"] = dkim_zone

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        name = d.pop("name")

        def _parse_dkim_zone(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        dkim_zone = _parse_dkim_zone(d.pop("dkim_zone", UNSET))

        new_domain = cls(
            name=name,
            dkim_zone=dkim_zone,
        )

        return new_domain
