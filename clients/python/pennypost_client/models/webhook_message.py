from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.known_event_kind import KnownEventKind
from ..types import UNSET, Unset

T = TypeVar("T", bound="WebhookMessage")


@_attrs_define
class WebhookMessage:
    """What an endpoint was told, or is to be.

    Attributes:
        id (str): `whm_…`: the field `webhook-id` of each attempt.
        kind (KnownEventKind | str): What an event tells.
        state (str): `waiting`, `delivered`, `failed`. More may be added.
        attempts (int): Attempts begun.
        created_at (datetime.datetime): When it was made.
        incoming_id (None | str | Unset): Of mail by a route: the message.
        next_attempt_at (datetime.datetime | None | Unset): When the next attempt is due; null: there is none.
        last_attempt_at (datetime.datetime | None | Unset): When the last attempt ended.
        last_status (int | None | Unset): The HTTP status of the last attempt; null: there was no answer.
        last_error (None | str | Unset): Why the last attempt failed.
        last_body (None | str | Unset): The first kilobyte of the last answer.
    """

    id: str
    kind: KnownEventKind | str
    state: str
    attempts: int
    created_at: datetime.datetime
    incoming_id: None | str | Unset = UNSET
    next_attempt_at: datetime.datetime | None | Unset = UNSET
    last_attempt_at: datetime.datetime | None | Unset = UNSET
    last_status: int | None | Unset = UNSET
    last_error: None | str | Unset = UNSET
    last_body: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        kind: str
        if isinstance(self.kind, KnownEventKind):
            kind = self.kind.value
        else:
            kind = self.kind

        state = self.state

        attempts = self.attempts

        created_at = self.created_at.isoformat()

        incoming_id: None | str | Unset
        if isinstance(self.incoming_id, Unset):
            incoming_id = UNSET
        else:
            incoming_id = self.incoming_id

        next_attempt_at: None | str | Unset
        if isinstance(self.next_attempt_at, Unset):
            next_attempt_at = UNSET
        elif isinstance(self.next_attempt_at, datetime.datetime):
            next_attempt_at = self.next_attempt_at.isoformat()
        else:
            next_attempt_at = self.next_attempt_at

        last_attempt_at: None | str | Unset
        if isinstance(self.last_attempt_at, Unset):
            last_attempt_at = UNSET
        elif isinstance(self.last_attempt_at, datetime.datetime):
            last_attempt_at = self.last_attempt_at.isoformat()
        else:
            last_attempt_at = self.last_attempt_at

        last_status: int | None | Unset
        if isinstance(self.last_status, Unset):
            last_status = UNSET
        else:
            last_status = self.last_status

        last_error: None | str | Unset
        if isinstance(self.last_error, Unset):
            last_error = UNSET
        else:
            last_error = self.last_error

        last_body: None | str | Unset
        if isinstance(self.last_body, Unset):
            last_body = UNSET
        else:
            last_body = self.last_body

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "kind": kind,
                "state": state,
                "attempts": attempts,
                "created_at": created_at,
            }
        )
        if incoming_id is not UNSET:
            field_dict["incoming_id"] = incoming_id
        if next_attempt_at is not UNSET:
            field_dict["next_attempt_at"] = next_attempt_at
        if last_attempt_at is not UNSET:
            field_dict["last_attempt_at"] = last_attempt_at
        if last_status is not UNSET:
            field_dict["last_status"] = last_status
        if last_error is not UNSET:
            field_dict["last_error"] = last_error
        if last_body is not UNSET:
            field_dict["last_body"] = last_body

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        id = d.pop("id")

        def _parse_kind(data: object) -> KnownEventKind | str:
            try:
                if not isinstance(data, str):
                    raise TypeError()
                componentsschemas_event_kind_known_event_kind = KnownEventKind(data)

                return componentsschemas_event_kind_known_event_kind
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(KnownEventKind | str, data)

        kind = _parse_kind(d.pop("kind"))

        state = d.pop("state")

        attempts = d.pop("attempts")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        def _parse_incoming_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        incoming_id = _parse_incoming_id(d.pop("incoming_id", UNSET))

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

        def _parse_last_attempt_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                last_attempt_at_type_0 = datetime.datetime.fromisoformat(data)

                return last_attempt_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        last_attempt_at = _parse_last_attempt_at(d.pop("last_attempt_at", UNSET))

        def _parse_last_status(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        last_status = _parse_last_status(d.pop("last_status", UNSET))

        def _parse_last_error(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        last_error = _parse_last_error(d.pop("last_error", UNSET))

        def _parse_last_body(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        last_body = _parse_last_body(d.pop("last_body", UNSET))

        webhook_message = cls(
            id=id,
            kind=kind,
            state=state,
            attempts=attempts,
            created_at=created_at,
            incoming_id=incoming_id,
            next_attempt_at=next_attempt_at,
            last_attempt_at=last_attempt_at,
            last_status=last_status,
            last_error=last_error,
            last_body=last_body,
        )

        webhook_message.additional_properties = d
        return webhook_message

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
