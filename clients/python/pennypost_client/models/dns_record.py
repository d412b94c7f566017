from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.known_record_state import KnownRecordState
from ..models.record_purpose import RecordPurpose
from ..models.record_type import RecordType
from ..types import UNSET, Unset

T = TypeVar("T", bound="DnsRecord")


@_attrs_define
class DnsRecord:
    """One record to publish.

    Attributes:
        type_ (RecordType): The type of a record.
        name (str): Its fully qualified name, without a trailing dot.
        value (str): Its value, whole and unquoted; for MX `10 host`, for SRV `0 1 587 host`; host names without a
            trailing dot.
        purpose (RecordPurpose): What a record is for.
        state (KnownRecordState | str): What the last check found.
        found (None | str | Unset): What stands there instead; null unless `state` is `wrong`, or `ok` by another value.
    """

    type_: RecordType
    name: str
    value: str
    purpose: RecordPurpose
    state: KnownRecordState | str
    found: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        type_ = self.type_.value

        name = self.name

        value = self.value

        purpose = self.purpose.value

        state: str
        if isinstance(self.state, KnownRecordState):
            state = self.state.value
        else:
            state = self.state

        found: None | str | Unset
        if isinstance(self.found, Unset):
            found = UNSET
        else:
            found = self.found

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "type": type_,
                "name": name,
                "value": value,
                "purpose": purpose,
                "state": state,
            }
        )
        if found is not UNSET:
            field_dict["found"] = found

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        type_ = RecordType(d.pop("type"))

        name = d.pop("name")

        value = d.pop("value")

        purpose = RecordPurpose(d.pop("purpose"))

        def _parse_state(data: object) -> KnownRecordState | str:
            try:
                if not isinstance(data, str):
                    raise TypeError()
                componentsschemas_record_state_known_record_state = KnownRecordState(
                    data
                )

                return componentsschemas_record_state_known_record_state
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(KnownRecordState | str, data)

        state = _parse_state(d.pop("state"))

        def _parse_found(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        found = _parse_found(d.pop("found", UNSET))

        dns_record = cls(
            type_=type_,
            name=name,
            value=value,
            purpose=purpose,
            state=state,
            found=found,
        )

        dns_record.additional_properties = d
        return dns_record

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
