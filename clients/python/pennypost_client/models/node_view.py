from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.known_node_state import KnownNodeState
from ..types import UNSET, Unset

T = TypeVar("T", bound="NodeView")


@_attrs_define
class NodeView:
    """A running process.

    Attributes:
        id (str): `nod_…`; another after each restart.
        host (str): Its host name.
        state (KnownNodeState | str): Whether a node takes work.
        started_at (datetime.datetime): When it started.
        heartbeat_at (datetime.datetime): When it last said that it lives.
        claims (int): Deliveries it holds.
        drained_at (datetime.datetime | None | Unset): When it was told to drain; null: it was not.
        drained_by (None | str | Unset): Who told it to.
    """

    id: str
    host: str
    state: KnownNodeState | str
    started_at: datetime.datetime
    heartbeat_at: datetime.datetime
    claims: int
    drained_at: datetime.datetime | None | Unset = UNSET
    drained_by: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        host = self.host

        state: str
        if isinstance(self.state, KnownNodeState):
            state = self.state.value
        else:
            state = self.state

        started_at = self.started_at.isoformat()

        heartbeat_at = self.heartbeat_at.isoformat()

        claims = self.claims

        drained_at: None | str | Unset
        if isinstance(self.drained_at, Unset):
            drained_at = UNSET
        elif isinstance(self.drained_at, datetime.datetime):
            drained_at = self.drained_at.isoformat()
        else:
            drained_at = self.drained_at

        drained_by: None | str | Unset
        if isinstance(self.drained_by, Unset):
            drained_by = UNSET
        else:
            drained_by = self.drained_by

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "host": host,
                "state": state,
                "started_at": started_at,
                "heartbeat_at": heartbeat_at,
                "claims": claims,
            }
        )
        if drained_at is not UNSET:
            field_dict["drained_at"] = drained_at
        if drained_by is not UNSET:
            field_dict["drained_by"] = drained_by

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        id = d.pop("id")

        host = d.pop("host")

        def _parse_state(data: object) -> KnownNodeState | str:
            try:
                if not isinstance(data, str):
                    raise TypeError()
                componentsschemas_node_state_known_node_state = KnownNodeState(data)

                return componentsschemas_node_state_known_node_state
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(KnownNodeState | str, data)

        state = _parse_state(d.pop("state"))

        started_at = datetime.datetime.fromisoformat(d.pop("started_at"))

        heartbeat_at = datetime.datetime.fromisoformat(d.pop("heartbeat_at"))

        claims = d.pop("claims")

        def _parse_drained_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                drained_at_type_0 = datetime.datetime.fromisoformat(data)

                return drained_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        drained_at = _parse_drained_at(d.pop("drained_at", UNSET))

        def _parse_drained_by(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        drained_by = _parse_drained_by(d.pop("drained_by", UNSET))

        node_view = cls(
            id=id,
            host=host,
            state=state,
            started_at=started_at,
            heartbeat_at=heartbeat_at,
            claims=claims,
            drained_at=drained_at,
            drained_by=drained_by,
        )

        node_view.additional_properties = d
        return node_view

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
