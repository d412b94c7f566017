from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define

from ..models.sts_mode import StsMode
from ..types import UNSET, Unset

T = TypeVar("T", bound="DomainChange")


@_attrs_define
class DomainChange:
    """What to change of a domain; what is left out stays.

    Attributes:
        mta_sts (None | StsMode | Unset):
    """

    mta_sts: None | StsMode | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        mta_sts: None | str | Unset
        if isinstance(self.mta_sts, Unset):
            mta_sts = UNSET
        elif isinstance(self.mta_sts, StsMode):
            mta_sts = self.mta_sts.value
        else:
            mta_sts = self.mta_sts

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if mta_sts is not UNSET:
            field_dict["mta_sts"] = mta_sts

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)

        def _parse_mta_sts(data: object) -> None | StsMode | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                mta_sts_type_0 = StsMode(data)

                return mta_sts_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | StsMode | Unset, data)

        mta_sts = _parse_mta_sts(d.pop("mta_sts", UNSET))

        domain_change = cls(
            mta_sts=mta_sts,
        )

        return domain_change
