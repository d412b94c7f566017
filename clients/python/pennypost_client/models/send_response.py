from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.known_send_status import KnownSendStatus

T = TypeVar("T", bound="SendResponse")


@_attrs_define
class SendResponse:
    """A message that was accepted.

    Attributes:
        id (str): The message. Example: msg_01jd5q0v0h7d6r2n8k4m3x9wbz.
        status (KnownSendStatus | str): Where a message stands that was just posted.
        deliveries (int): To how many recipients it goes. Example: 2.
        suppressed (int): How many of them are on the suppression list: nothing is sent to these. Example: 0.
        accepted_at (datetime.datetime): When it was accepted.
    """

    id: str
    status: KnownSendStatus | str
    deliveries: int
    suppressed: int
    accepted_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        status: str
        if isinstance(self.status, KnownSendStatus):
            status = self.status.value
        else:
            status = self.status

        deliveries = self.deliveries

        suppressed = self.suppressed

        accepted_at = self.accepted_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "status": status,
                "deliveries": deliveries,
                "suppressed": suppressed,
                "accepted_at": accepted_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        id = d.pop("id")

        def _parse_status(data: object) -> KnownSendStatus | str:
            try:
                if not isinstance(data, str):
                    raise TypeError()
                componentsschemas_send_status_known_send_status = KnownSendStatus(data)

                return componentsschemas_send_status_known_send_status
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(KnownSendStatus | str, data)

        status = _parse_status(d.pop("status"))

        deliveries = d.pop("deliveries")

        suppressed = d.pop("suppressed")

        accepted_at = datetime.datetime.fromisoformat(d.pop("accepted_at"))

        send_response = cls(
            id=id,
            status=status,
            deliveries=deliveries,
            suppressed=suppressed,
            accepted_at=accepted_at,
        )

        send_response.additional_properties = d
        return send_response

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
