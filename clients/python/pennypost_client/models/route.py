from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.route_target import RouteTarget


T = TypeVar("T", bound="Route")


@_attrs_define
class Route:
    """A route.

    Attributes:
        id (str): `rte_…`
        pattern (str): The addresses it takes.
        action (str): What it does: `forward`, `webhook`, `store`, `reject`, `drop`. More may be added.
        created_at (datetime.datetime): When it was made.
        targets (list[RouteTarget] | Unset): Of `forward`: where it sends mail.
        webhook_id (None | str | Unset): Of `webhook`: its endpoint, as `/v1/webhooks` has it.
        url (None | str | Unset): Of `webhook`: where it posts to.
        text (None | str | Unset): Of `reject`: what the sender is told.
    """

    id: str
    pattern: str
    action: str
    created_at: datetime.datetime
    targets: list[RouteTarget] | Unset = UNSET
    webhook_id: None | str | Unset = UNSET
    url: None | str | Unset = UNSET
    text: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        pattern = self.pattern

        action = self.action

        created_at = self.created_at.isoformat()

        targets: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.targets, Unset):
            targets = []
            for targets_item_data in self.targets:
                targets_item = targets_item_data.to_dict()
                targets.append(targets_item)

        webhook_id: None | str | Unset
        if isinstance(self.webhook_id, Unset):
            webhook_id = UNSET
        else:
            webhook_id = self.webhook_id

        url: None | str | Unset
        if isinstance(self.url, Unset):
            url = UNSET
        else:
            url = self.url

        text: None | str | Unset
        if isinstance(self.text, Unset):
            text = UNSET
        else:
            text = self.text

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "pattern": pattern,
                "action": action,
                "created_at": created_at,
            }
        )
        if targets is not UNSET:
            field_dict["targets"] = targets
        if webhook_id is not UNSET:
            field_dict["webhook_id"] = webhook_id
        if url is not UNSET:
            field_dict["url"] = url
        if text is not UNSET:
            field_dict["text"] = text

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.route_target import RouteTarget

        d = dict(src_dict)
        id = d.pop("id")

        pattern = d.pop("pattern")

        action = d.pop("action")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        _targets = d.pop("targets", UNSET)
        targets: list[RouteTarget] | Unset = UNSET
        if _targets is not UNSET:
            targets = []
            for targets_item_data in _targets:
                targets_item = RouteTarget.from_dict(targets_item_data)

                targets.append(targets_item)

        def _parse_webhook_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        webhook_id = _parse_webhook_id(d.pop("webhook_id", UNSET))

        def _parse_url(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        url = _parse_url(d.pop("url", UNSET))

        def _parse_text(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        text = _parse_text(d.pop("text", UNSET))

        route = cls(
            id=id,
            pattern=pattern,
            action=action,
            created_at=created_at,
            targets=targets,
            webhook_id=webhook_id,
            url=url,
            text=text,
        )

        route.additional_properties = d
        return route

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
