from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.known_event_kind import KnownEventKind
from ..types import UNSET, Unset

T = TypeVar("T", bound="Webhook")


@_attrs_define
class Webhook:
    """An endpoint.

    Attributes:
        id (str): `whk_…`
        url (str): Where it is told.
        kinds (list[KnownEventKind | str]): The events it is told of; empty: all.
        created_at (datetime.datetime): When it was made.
        route_id (None | str | Unset): The route whose mail it gets, with which it comes and goes; null: it gets events.
        failing_since (datetime.datetime | None | Unset): Since when attempts fail; null: they do not.
        disabled_at (datetime.datetime | None | Unset): Since when it is told nothing; null: it is told.
        disabled_because (None | str | Unset): Why.
        old_secret_until (datetime.datetime | None | Unset): Until when the secret before signs too; null: it does not.
    """

    id: str
    url: str
    kinds: list[KnownEventKind | str]
    created_at: datetime.datetime
    route_id: None | str | Unset = UNSET
    failing_since: datetime.datetime | None | Unset = UNSET
    disabled_at: datetime.datetime | None | Unset = UNSET
    disabled_because: None | str | Unset = UNSET
    old_secret_until: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        url = self.url

        kinds = []
        for kinds_item_data in self.kinds:
            kinds_item: str
            if isinstance(kinds_item_data, KnownEventKind):
                kinds_item = kinds_item_data.value
            else:
                kinds_item = kinds_item_data
            kinds.append(kinds_item)

        created_at = self.created_at.isoformat()

        route_id: None | str | Unset
        if isinstance(self.route_id, Unset):
            route_id = UNSET
        else:
            route_id = self.route_id

        failing_since: None | str | Unset
        if isinstance(self.failing_since, Unset):
            failing_since = UNSET
        elif isinstance(self.failing_since, datetime.datetime):
            failing_since = self.failing_since.isoformat()
        else:
            failing_since = self.failing_since

        disabled_at: None | str | Unset
        if isinstance(self.disabled_at, Unset):
            disabled_at = UNSET
        elif isinstance(self.disabled_at, datetime.datetime):
            disabled_at = self.disabled_at.isoformat()
        else:
            disabled_at = self.disabled_at

        disabled_because: None | str | Unset
        if isinstance(self.disabled_because, Unset):
            disabled_because = UNSET
        else:
            disabled_because = self.disabled_because

        old_secret_until: None | str | Unset
        if isinstance(self.old_secret_until, Unset):
            old_secret_until = UNSET
        elif isinstance(self.old_secret_until, datetime.datetime):
            old_secret_until = self.old_secret_until.isoformat()
        else:
            old_secret_until = self.old_secret_until

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "url": url,
                "kinds": kinds,
                "created_at": created_at,
            }
        )
        if route_id is not UNSET:
            field_dict["route_id"] = route_id
        if failing_since is not UNSET:
            field_dict["failing_since"] = failing_since
        if disabled_at is not UNSET:
            field_dict["disabled_at"] = disabled_at
        if disabled_because is not UNSET:
            field_dict["disabled_because"] = disabled_because
        if old_secret_until is not UNSET:
            field_dict["old_secret_until"] = old_secret_until

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        id = d.pop("id")

        url = d.pop("url")

        kinds = []
        _kinds = d.pop("kinds")
        for kinds_item_data in _kinds:

            def _parse_kinds_item(data: object) -> KnownEventKind | str:
                try:
                    if not isinstance(data, str):
                        raise TypeError()
                    componentsschemas_event_kind_known_event_kind = KnownEventKind(data)

                    return componentsschemas_event_kind_known_event_kind
                except (TypeError, ValueError, AttributeError, KeyError):
                    pass
                return cast(KnownEventKind | str, data)

            kinds_item = _parse_kinds_item(kinds_item_data)

            kinds.append(kinds_item)

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        def _parse_route_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        route_id = _parse_route_id(d.pop("route_id", UNSET))

        def _parse_failing_since(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                failing_since_type_0 = datetime.datetime.fromisoformat(data)

                return failing_since_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        failing_since = _parse_failing_since(d.pop("failing_since", UNSET))

        def _parse_disabled_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                disabled_at_type_0 = datetime.datetime.fromisoformat(data)

                return disabled_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        disabled_at = _parse_disabled_at(d.pop("disabled_at", UNSET))

        def _parse_disabled_because(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        disabled_because = _parse_disabled_because(d.pop("disabled_because", UNSET))

        def _parse_old_secret_until(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                old_secret_until_type_0 = datetime.datetime.fromisoformat(data)

                return old_secret_until_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        old_secret_until = _parse_old_secret_until(d.pop("old_secret_until", UNSET))

        webhook = cls(
            id=id,
            url=url,
            kinds=kinds,
            created_at=created_at,
            route_id=route_id,
            failing_since=failing_since,
            disabled_at=disabled_at,
            disabled_because=disabled_because,
            old_secret_until=old_secret_until,
        )

        webhook.additional_properties = d
        return webhook

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
