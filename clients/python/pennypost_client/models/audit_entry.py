from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.actor import Actor
    from ..models.audit_entry_target import AuditEntryTarget


T = TypeVar("T", bound="AuditEntry")


@_attrs_define
class AuditEntry:
    """One change.

    Attributes:
        id (str): `aud_…`
        at (datetime.datetime): When.
        actor (Actor): Who did something, as the audit trail names them.
        action (str): What: `queue.hold`, `queue.release`, `queue.cancel`, `queue.retry`, `queue.pause`, `queue.resume`,
            `node.drain`, `node.resume`,
            `key.create`, `key.revoke`, `domain.add`, `domain.set`, `domain.rotate_dkim`, `domain.import_dkim`,
            `domain.remove`, `certificate.import`, `certificate.renew`, `certificate.remove`,
            `smtp_user.add`, `smtp_user.password`, `smtp_user.remove`, `route.add`, `route.confirm`, `route.remove`,
            `incoming.delete`, `webhook.add`, `webhook.secret`,
            `webhook.enable`, `webhook.resend`, `webhook.remove`, `config.export`, `config.import`. More may be added.
        target (AuditEntryTarget): What it was done to.
        house (bool): True if it concerned all projects, or a node.
        changed (int | None | Unset): Deliveries changed, if the action changes deliveries.
        active (int | None | Unset): Deliveries that were being worked on and so not changed.
    """

    id: str
    at: datetime.datetime
    actor: Actor
    action: str
    target: AuditEntryTarget
    house: bool
    changed: int | None | Unset = UNSET
    active: int | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        at = self.at.isoformat()

        actor = self.actor.to_dict()

        action = self.action

        target = self.target.to_dict()

        house = self.house

        changed: int | None | Unset
        if isinstance(self.changed, Unset):
            changed = UNSET
        else:
            changed = self.changed

        active: int | None | Unset
        if isinstance(self.active, Unset):
            active = UNSET
        else:
            active = self.active

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "at": at,
                "actor": actor,
                "action": action,
                "target": target,
                "house": house,
            }
        )
        if changed is not UNSET:
            field_dict["changed"] = changed
        if active is not UNSET:
            field_dict["active"] = active

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.actor import Actor
        from ..models.audit_entry_target import AuditEntryTarget

        d = dict(src_dict)
        id = d.pop("id")

        at = datetime.datetime.fromisoformat(d.pop("at"))

        actor = Actor.from_dict(d.pop("actor"))

        action = d.pop("action")

        target = AuditEntryTarget.from_dict(d.pop("target"))

        house = d.pop("house")

        def _parse_changed(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        changed = _parse_changed(d.pop("changed", UNSET))

        def _parse_active(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        active = _parse_active(d.pop("active", UNSET))

        audit_entry = cls(
            id=id,
            at=at,
            actor=actor,
            action=action,
            target=target,
            house=house,
            changed=changed,
            active=active,
        )

        audit_entry.additional_properties = d
        return audit_entry

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
