from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.certificate_source import CertificateSource
from ..types import UNSET, Unset

T = TypeVar("T", bound="CertificateView")


@_attrs_define
class CertificateView:
    """A certificate that is shown, or one that is wanted and not there yet.

    Attributes:
        source (CertificateSource): Where a certificate comes from.
        names (list[str]): The names it is for.
        failures (int): Tries that failed since the last success.
        id (None | str | Unset): `crt_…`; null: it is not there yet.
        authority (None | str | Unset): The directory of the authority, by ACME.
        issuer (None | str | Unset): Who issued it.
        not_before (datetime.datetime | None | Unset): When it began to count.
        not_after (datetime.datetime | None | Unset): When it ends.
        renew_at (datetime.datetime | None | Unset): When it is to be renewed, by ACME.
        tried_at (datetime.datetime | None | Unset): When a new one was last asked for.
        next_at (datetime.datetime | None | Unset): When the next look is due, after failures the next try.
        last_error (None | str | Unset): What went wrong the last time; null after a success.
    """

    source: CertificateSource
    names: list[str]
    failures: int
    id: None | str | Unset = UNSET
    authority: None | str | Unset = UNSET
    issuer: None | str | Unset = UNSET
    not_before: datetime.datetime | None | Unset = UNSET
    not_after: datetime.datetime | None | Unset = UNSET
    renew_at: datetime.datetime | None | Unset = UNSET
    tried_at: datetime.datetime | None | Unset = UNSET
    next_at: datetime.datetime | None | Unset = UNSET
    last_error: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        source = self.source.value

        names = self.names

        failures = self.failures

        id: None | str | Unset
        if isinstance(self.id, Unset):
            id = UNSET
        else:
            id = self.id

        authority: None | str | Unset
        if isinstance(self.authority, Unset):
            authority = UNSET
        else:
            authority = self.authority

        issuer: None | str | Unset
        if isinstance(self.issuer, Unset):
            issuer = UNSET
        else:
            issuer = self.issuer

        not_before: None | str | Unset
        if isinstance(self.not_before, Unset):
            not_before = UNSET
        elif isinstance(self.not_before, datetime.datetime):
            not_before = self.not_before.isoformat()
        else:
            not_before = self.not_before

        not_after: None | str | Unset
        if isinstance(self.not_after, Unset):
            not_after = UNSET
        elif isinstance(self.not_after, datetime.datetime):
            not_after = self.not_after.isoformat()
        else:
            not_after = self.not_after

        renew_at: None | str | Unset
        if isinstance(self.renew_at, Unset):
            renew_at = UNSET
        elif isinstance(self.renew_at, datetime.datetime):
            renew_at = self.renew_at.isoformat()
        else:
            renew_at = self.renew_at

        tried_at: None | str | Unset
        if isinstance(self.tried_at, Unset):
            tried_at = UNSET
        elif isinstance(self.tried_at, datetime.datetime):
            tried_at = self.tried_at.isoformat()
        else:
            tried_at = self.tried_at

        next_at: None | str | Unset
        if isinstance(self.next_at, Unset):
            next_at = UNSET
        elif isinstance(self.next_at, datetime.datetime):
            next_at = self.next_at.isoformat()
        else:
            next_at = self.next_at

        last_error: None | str | Unset
        if isinstance(self.last_error, Unset):
            last_error = UNSET
        else:
            last_error = self.last_error

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "source": source,
                "names": names,
                "failures": failures,
            }
        )
        if id is not UNSET:
            field_dict["id"] = id
        if authority is not UNSET:
            field_dict["authority"] = authority
        if issuer is not UNSET:
            field_dict["issuer"] = issuer
        if not_before is not UNSET:
            field_dict["not_before"] = not_before
        if not_after is not UNSET:
            field_dict["not_after"] = not_after
        if renew_at is not UNSET:
            field_dict["renew_at"] = renew_at
        if tried_at is not UNSET:
            field_dict["tried_at"] = tried_at
        if next_at is not UNSET:
            field_dict["next_at"] = next_at
        if last_error is not UNSET:
            field_dict["last_error"] = last_error

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        source = CertificateSource(d.pop("source"))

        names = cast(list[str], d.pop("names"))

        failures = d.pop("failures")

        def _parse_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        id = _parse_id(d.pop("id", UNSET))

        def _parse_authority(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        authority = _parse_authority(d.pop("authority", UNSET))

        def _parse_issuer(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        issuer = _parse_issuer(d.pop("issuer", UNSET))

        def _parse_not_before(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                not_before_type_0 = datetime.datetime.fromisoformat(data)

                return not_before_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        not_before = _parse_not_before(d.pop("not_before", UNSET))

        def _parse_not_after(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                not_after_type_0 = datetime.datetime.fromisoformat(data)

                return not_after_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        not_after = _parse_not_after(d.pop("not_after", UNSET))

        def _parse_renew_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                renew_at_type_0 = datetime.datetime.fromisoformat(data)

                return renew_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        renew_at = _parse_renew_at(d.pop("renew_at", UNSET))

        def _parse_tried_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                tried_at_type_0 = datetime.datetime.fromisoformat(data)

                return tried_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        tried_at = _parse_tried_at(d.pop("tried_at", UNSET))

        def _parse_next_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                next_at_type_0 = datetime.datetime.fromisoformat(data)

                return next_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        next_at = _parse_next_at(d.pop("next_at", UNSET))

        def _parse_last_error(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        last_error = _parse_last_error(d.pop("last_error", UNSET))

        certificate_view = cls(
            source=source,
            names=names,
            failures=failures,
            id=id,
            authority=authority,
            issuer=issuer,
            not_before=not_before,
            not_after=not_after,
            renew_at=renew_at,
            tried_at=tried_at,
            next_at=next_at,
            last_error=last_error,
        )

        certificate_view.additional_properties = d
        return certificate_view

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
