from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="DmarcSource")


@_attrs_define
class DmarcSource:
    """Messages of one From domain from one address.

    Attributes:
        address (str): Where they came from; empty: the sum of all that is not kept apart.
        header_from (str): The domain in From.
        messages (int): How many.
        passed (int): Of these, passed DMARC.
        spf_passed (int): By SPF, aligned.
        dkim_passed (int): By DKIM, aligned.
        quarantined (int): Put aside by the receiver.
        rejected (int): Refused by the receiver.
    """

    address: str
    header_from: str
    messages: int
    passed: int
    spf_passed: int
    dkim_passed: int
    quarantined: int
    rejected: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        address = self.address

        header_from = self.header_from

        messages = self.messages

        passed = self.passed

        spf_passed = self.spf_passed

        dkim_passed = self.dkim_passed

        quarantined = self.quarantined

        rejected = self.rejected

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "address": address,
                "header_from": header_from,
                "messages": messages,
                "passed": passed,
                "spf_passed": spf_passed,
                "dkim_passed": dkim_passed,
                "quarantined": quarantined,
                "rejected": rejected,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        address = d.pop("address")

        header_from = d.pop("header_from")

        messages = d.pop("messages")

        passed = d.pop("passed")

        spf_passed = d.pop("spf_passed")

        dkim_passed = d.pop("dkim_passed")

        quarantined = d.pop("quarantined")

        rejected = d.pop("rejected")

        dmarc_source = cls(
            address=address,
            header_from=header_from,
            messages=messages,
            passed=passed,
            spf_passed=spf_passed,
            dkim_passed=dkim_passed,
            quarantined=quarantined,
            rejected=rejected,
        )

        dmarc_source.additional_properties = d
        return dmarc_source

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
