from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="QueueLane")


@_attrs_define
class QueueLane:
    """Outstanding deliveries to one domain.

    Attributes:
        domain (str): The recipient domain.
        queued (int): Waiting.
        active (int): Being worked on.
        held (int): Held by an operator.
        paused (bool): True if the domain, its site, or all of the project, is paused: what is queued waits for the end
            of the pause.
        oldest_at (datetime.datetime): When the oldest of their messages was accepted.
        next_at (datetime.datetime | None | Unset): When the next waiting one is due.
    """

    domain: str
    queued: int
    active: int
    held: int
    paused: bool
    oldest_at: datetime.datetime
    next_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        domain = self.domain

        queued = self.queued

        active = self.active

        held = self.held

        paused = self.paused

        oldest_at = self.oldest_at.isoformat()

        next_at: None | str | Unset
        if isinstance(self.next_at, Unset):
            next_at = UNSET
        elif isinstance(self.next_at, datetime.datetime):
            next_at = self.next_at.isoformat()
        else:
            next_at = self.next_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "domain": domain,
                "queued": queued,
                "active": active,
                "held": held,
                "paused": paused,
                "oldest_at": oldest_at,
            }
        )
        if next_at is not UNSET:
            field_dict["next_at"] = next_at

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        domain = d.pop("domain")

        queued = d.pop("queued")

        active = d.pop("active")

        held = d.pop("held")

        paused = d.pop("paused")

        oldest_at = datetime.datetime.fromisoformat(d.pop("oldest_at"))

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

        queue_lane = cls(
            domain=domain,
            queued=queued,
            active=active,
            held=held,
            paused=paused,
            oldest_at=oldest_at,
            next_at=next_at,
        )

        queue_lane.additional_properties = d
        return queue_lane

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
