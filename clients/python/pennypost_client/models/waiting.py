from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.known_wait_reason import KnownWaitReason
from ..types import UNSET, Unset

T = TypeVar("T", bound="Waiting")


@_attrs_define
class Waiting:
    """Why a delivery was not sent yet.

    Attributes:
        reason (KnownWaitReason | str): What a delivery waits for.
        detail (str): The same for people, with what the site said.
        until (datetime.datetime | None | Unset): Until when, where that is known. Not before; what comes then may make
            it wait again.
    """

    reason: KnownWaitReason | str
    detail: str
    until: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        reason: str
        if isinstance(self.reason, KnownWaitReason):
            reason = self.reason.value
        else:
            reason = self.reason

        detail = self.detail

        until: None | str | Unset
        if isinstance(self.until, Unset):
            until = UNSET
        elif isinstance(self.until, datetime.datetime):
            until = self.until.isoformat()
        else:
            until = self.until

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "reason": reason,
                "detail": detail,
            }
        )
        if until is not UNSET:
            field_dict["until"] = until

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)

        def _parse_reason(data: object) -> KnownWaitReason | str:
            try:
                if not isinstance(data, str):
                    raise TypeError()
                componentsschemas_wait_reason_known_wait_reason = KnownWaitReason(data)

                return componentsschemas_wait_reason_known_wait_reason
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(KnownWaitReason | str, data)

        reason = _parse_reason(d.pop("reason"))

        detail = d.pop("detail")

        def _parse_until(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                until_type_0 = datetime.datetime.fromisoformat(data)

                return until_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        until = _parse_until(d.pop("until", UNSET))

        waiting = cls(
            reason=reason,
            detail=detail,
            until=until,
        )

        waiting.additional_properties = d
        return waiting

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
