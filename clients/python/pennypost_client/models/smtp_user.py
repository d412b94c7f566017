from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="SmtpUser")


@_attrs_define
class SmtpUser:
    """A user as lists show it.

    Attributes:
        id (str): Its id.
        username (str): The name to sign in with: an address, or a plain name.
        send_as (list[str]): Senders allowed beside the user's own address: addresses, `*@example.com`,
            `*@*.example.com`, or `*` for every domain of the project.
        created_at (datetime.datetime): When it was made.
        password_changed_at (datetime.datetime): When its password was made.
        last_used_at (datetime.datetime | None | Unset): When it last signed in, to the minute; null: never.
    """

    id: str
    username: str
    send_as: list[str]
    created_at: datetime.datetime
    password_changed_at: datetime.datetime
    last_used_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        username = self.username

        send_as = self.send_as

        created_at = self.created_at.isoformat()

        password_changed_at = self.password_changed_at.isoformat()

        last_used_at: None | str | Unset
        if isinstance(self.last_used_at, Unset):
            last_used_at = UNSET
        elif isinstance(self.last_used_at, datetime.datetime):
            last_used_at = self.last_used_at.isoformat()
        else:
            last_used_at = self.last_used_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "username": username,
                "send_as": send_as,
                "created_at": created_at,
                "password_changed_at": password_changed_at,
            }
        )
        if last_used_at is not UNSET:
            field_dict["last_used_at"] = last_used_at

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        id = d.pop("id")

        username = d.pop("username")

        send_as = cast(list[str], d.pop("send_as"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        password_changed_at = datetime.datetime.fromisoformat(
            d.pop("password_changed_at")
        )

        def _parse_last_used_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                last_used_at_type_0 = datetime.datetime.fromisoformat(data)

                return last_used_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        last_used_at = _parse_last_used_at(d.pop("last_used_at", UNSET))

        smtp_user = cls(
            id=id,
            username=username,
            send_as=send_as,
            created_at=created_at,
            password_changed_at=password_changed_at,
            last_used_at=last_used_at,
        )

        smtp_user.additional_properties = d
        return smtp_user

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
