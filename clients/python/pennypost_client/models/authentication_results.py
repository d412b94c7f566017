from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="AuthenticationResults")


@_attrs_define
class AuthenticationResults:
    """Results of checks (RFC 8601 2.7): `pass`, `fail`, `none` and the like; null: not checked.

    Attributes:
        spf (None | str | Unset): May the host send for the domain of MAIL FROM?
        dkim (None | str | Unset): Did a domain sign it?
        dmarc (None | str | Unset): Does one of both stand for the domain of the From field?
    """

    spf: None | str | Unset = UNSET
    dkim: None | str | Unset = UNSET
    dmarc: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        spf: None | str | Unset
        if isinstance(self.spf, Unset):
            spf = UNSET
        else:
            spf = self.spf

        dkim: None | str | Unset
        if isinstance(self.dkim, Unset):
            dkim = UNSET
        else:
            dkim = self.dkim

        dmarc: None | str | Unset
        if isinstance(self.dmarc, Unset):
            dmarc = UNSET
        else:
            dmarc = self.dmarc

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if spf is not UNSET:
            field_dict["spf"] = spf
        if dkim is not UNSET:
            field_dict["dkim"] = dkim
        if dmarc is not UNSET:
            field_dict["dmarc"] = dmarc

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)

        def _parse_spf(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        spf = _parse_spf(d.pop("spf", UNSET))

        def _parse_dkim(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        dkim = _parse_dkim(d.pop("dkim", UNSET))

        def _parse_dmarc(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        dmarc = _parse_dmarc(d.pop("dmarc", UNSET))

        authentication_results = cls(
            spf=spf,
            dkim=dkim,
            dmarc=dmarc,
        )

        authentication_results.additional_properties = d
        return authentication_results

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
