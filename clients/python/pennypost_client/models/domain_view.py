from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.known_domain_state import KnownDomainState
from ..models.sts_mode import StsMode
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.dns_record import DnsRecord


T = TypeVar("T", bound="DomainView")


@_attrs_define
class DomainView:
    """A sending domain as the API shows it.

    Attributes:
        id (str): Its id.
        name (str): Its name, in A-labels.
        state (KnownDomainState | str): Where a domain stands.
        created_at (datetime.datetime): When it was added.
        mta_sts (StsMode): How strictly senders shall keep to the mail hosts of a domain and their certificates (RFC
            8461 5).
        records (list[DnsRecord]): The records to publish and what the last check found.
        verified_at (datetime.datetime | None | Unset): When it was verified; null: never.
        checked_at (datetime.datetime | None | Unset): When its records were last looked up; null: never.
        dkim_zone (None | str | Unset): The zone of the operator's that its DKIM keys stand in; null: they stand in its
            own.
    """

    id: str
    name: str
    state: KnownDomainState | str
    created_at: datetime.datetime
    mta_sts: StsMode
    records: list[DnsRecord]
    verified_at: datetime.datetime | None | Unset = UNSET
    checked_at: datetime.datetime | None | Unset = UNSET
    dkim_zone: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        name = self.name

        state: str
        if isinstance(self.state, KnownDomainState):
            state = self.state.value
        else:
            state = self.state

        created_at = self.created_at.isoformat()

        mta_sts = self.mta_sts.value

        records = []
        for records_item_data in self.records:
            records_item = records_item_data.to_dict()
            records.append(records_item)

        verified_at: None | str | Unset
        if isinstance(self.verified_at, Unset):
            verified_at = UNSET
        elif isinstance(self.verified_at, datetime.datetime):
            verified_at = self.verified_at.isoformat()
        else:
            verified_at = self.verified_at

        checked_at: None | str | Unset
        if isinstance(self.checked_at, Unset):
            checked_at = UNSET
        elif isinstance(self.checked_at, datetime.datetime):
            checked_at = self.checked_at.isoformat()
        else:
            checked_at = self.checked_at

        dkim_zone: None | str | Unset
        if isinstance(self.dkim_zone, Unset):
            dkim_zone = UNSET
        else:
            dkim_zone = self.dkim_zone

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "state": state,
                "created_at": created_at,
                "mta_sts": mta_sts,
                "records": records,
            }
        )
        if verified_at is not UNSET:
            field_dict["verified_at"] = verified_at
        if checked_at is not UNSET:
            field_dict["checked_at"] = checked_at
        if dkim_zone is not UNSET:
            field_dict["dkim_zone"] = dkim_zone

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.dns_record import DnsRecord

        d = dict(src_dict)
        id = d.pop("id")

        name = d.pop("name")

        def _parse_state(data: object) -> KnownDomainState | str:
            try:
                if not isinstance(data, str):
                    raise TypeError()
                componentsschemas_domain_state_known_domain_state = KnownDomainState(
                    data
                )

                return componentsschemas_domain_state_known_domain_state
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(KnownDomainState | str, data)

        state = _parse_state(d.pop("state"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        mta_sts = StsMode(d.pop("mta_sts"))

        records = []
        _records = d.pop("records")
        for records_item_data in _records:
            records_item = DnsRecord.from_dict(records_item_data)

            records.append(records_item)

        def _parse_verified_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                verified_at_type_0 = datetime.datetime.fromisoformat(data)

                return verified_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        verified_at = _parse_verified_at(d.pop("verified_at", UNSET))

        def _parse_checked_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                checked_at_type_0 = datetime.datetime.fromisoformat(data)

                return checked_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        checked_at = _parse_checked_at(d.pop("checked_at", UNSET))

        def _parse_dkim_zone(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        dkim_zone = _parse_dkim_zone(d.pop("dkim_zone", UNSET))

        domain_view = cls(
            id=id,
            name=name,
            state=state,
            created_at=created_at,
            mta_sts=mta_sts,
            records=records,
            verified_at=verified_at,
            checked_at=checked_at,
            dkim_zone=dkim_zone,
        )

        domain_view.additional_properties = d
        return domain_view

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
