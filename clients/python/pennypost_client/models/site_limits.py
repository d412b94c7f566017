from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="SiteLimits")


@_attrs_define
class SiteLimits:
    """The most that a site is sent.

    Attributes:
        connections (int): Sessions at once, of all nodes together.
        messages_per_connection (int): Messages in one session.
        recipients_per_transaction (int): Recipients in one transaction.
        idle_seconds (int): Seconds a session stays open without work.
        messages_per_minute (int | None | Unset): Messages a minute, of all nodes together; null: no limit.
    """

    connections: int
    messages_per_connection: int
    recipients_per_transaction: int
    idle_seconds: int
    messages_per_minute: int | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        connections = self.connections

        messages_per_connection = self.messages_per_connection

        recipients_per_transaction = self.recipients_per_transaction

        idle_seconds = self.idle_seconds

        messages_per_minute: int | None | Unset
        if isinstance(self.messages_per_minute, Unset):
            messages_per_minute = UNSET
        else:
            messages_per_minute = self.messages_per_minute

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "connections": connections,
                "messages_per_connection": messages_per_connection,
                "recipients_per_transaction": recipients_per_transaction,
                "idle_seconds": idle_seconds,
            }
        )
        if messages_per_minute is not UNSET:
            field_dict["messages_per_minute"] = messages_per_minute

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        connections = d.pop("connections")

        messages_per_connection = d.pop("messages_per_connection")

        recipients_per_transaction = d.pop("recipients_per_transaction")

        idle_seconds = d.pop("idle_seconds")

        def _parse_messages_per_minute(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        messages_per_minute = _parse_messages_per_minute(
            d.pop("messages_per_minute", UNSET)
        )

        site_limits = cls(
            connections=connections,
            messages_per_connection=messages_per_connection,
            recipients_per_transaction=recipients_per_transaction,
            idle_seconds=idle_seconds,
            messages_per_minute=messages_per_minute,
        )

        site_limits.additional_properties = d
        return site_limits

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
