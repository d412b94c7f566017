from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.known_delivery_state import KnownDeliveryState
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.attempt import Attempt
    from ..models.waiting import Waiting


T = TypeVar("T", bound="DeliveryView")


@_attrs_define
class DeliveryView:
    """One message to one recipient.

    Attributes:
        id (str): `dlv_…`
        recipient (str): The address.
        state (KnownDeliveryState | str): Where a delivery stands. The last five are final.
        attempts (list[Attempt]): Attempts so far, oldest first.
        next_attempt_at (datetime.datetime | None | Unset): When the next attempt is due; absent when none is, as during
            a pause.
        waiting (None | Unset | Waiting):
    """

    id: str
    recipient: str
    state: KnownDeliveryState | str
    attempts: list[Attempt]
    next_attempt_at: datetime.datetime | None | Unset = UNSET
    waiting: None | Unset | Waiting = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.waiting import Waiting

        id = self.id

        recipient = self.recipient

        state: str
        if isinstance(self.state, KnownDeliveryState):
            state = self.state.value
        else:
            state = self.state

        attempts = []
        for attempts_item_data in self.attempts:
            attempts_item = attempts_item_data.to_dict()
            attempts.append(attempts_item)

        next_attempt_at: None | str | Unset
        if isinstance(self.next_attempt_at, Unset):
            next_attempt_at = UNSET
        elif isinstance(self.next_attempt_at, datetime.datetime):
            next_attempt_at = self.next_attempt_at.isoformat()
        else:
            next_attempt_at = self.next_attempt_at

        waiting: dict[str, Any] | None | Unset
        if isinstance(self.waiting, Unset):
            waiting = UNSET
        elif isinstance(self.waiting, Waiting):
            waiting = self.waiting.to_dict()
        else:
            waiting = self.waiting

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "recipient": recipient,
                "state": state,
                "attempts": attempts,
            }
        )
        if next_attempt_at is not UNSET:
            field_dict["next_attempt_at"] = next_attempt_at
        if waiting is not UNSET:
            field_dict["waiting"] = waiting

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.attempt import Attempt
        from ..models.waiting import Waiting

        d = dict(src_dict)
        id = d.pop("id")

        recipient = d.pop("recipient")

        def _parse_state(data: object) -> KnownDeliveryState | str:
            try:
                if not isinstance(data, str):
                    raise TypeError()
                componentsschemas_delivery_state_known_delivery_state = (
                    KnownDeliveryState(data)
                )

                return componentsschemas_delivery_state_known_delivery_state
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(KnownDeliveryState | str, data)

        state = _parse_state(d.pop("state"))

        attempts = []
        _attempts = d.pop("attempts")
        for attempts_item_data in _attempts:
            attempts_item = Attempt.from_dict(attempts_item_data)

            attempts.append(attempts_item)

        def _parse_next_attempt_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                next_attempt_at_type_0 = datetime.datetime.fromisoformat(data)

                return next_attempt_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        next_attempt_at = _parse_next_attempt_at(d.pop("next_attempt_at", UNSET))

        def _parse_waiting(data: object) -> None | Unset | Waiting:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                waiting_type_0 = Waiting.from_dict(data)

                return waiting_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Unset | Waiting, data)

        waiting = _parse_waiting(d.pop("waiting", UNSET))

        delivery_view = cls(
            id=id,
            recipient=recipient,
            state=state,
            attempts=attempts,
            next_attempt_at=next_attempt_at,
            waiting=waiting,
        )

        delivery_view.additional_properties = d
        return delivery_view

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
