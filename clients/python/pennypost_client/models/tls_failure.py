from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="TlsFailure")


@_attrs_define
class TlsFailure:
    """Sessions that failed alike.

    Attributes:
        result (str): What was wrong (RFC 8460 4.3); empty: the sum of all that is not kept apart.
        sending_address (str): Where the sessions came from.
        mx_host (str): The MX host that they were with.
        sessions (int): How many.
    """

    result: str
    sending_address: str
    mx_host: str
    sessions: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        result = self.result

        sending_address = self.sending_address

        mx_host = self.mx_host

        sessions = self.sessions

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "result": result,
                "sending_address": sending_address,
                "mx_host": mx_host,
                "sessions": sessions,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        result = d.pop("result")

        sending_address = d.pop("sending_address")

        mx_host = d.pop("mx_host")

        sessions = d.pop("sessions")

        tls_failure = cls(
            result=result,
            sending_address=sending_address,
            mx_host=mx_host,
            sessions=sessions,
        )

        tls_failure.additional_properties = d
        return tls_failure

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
