from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewSmtpUser")


@_attrs_define
class NewSmtpUser:
    """An SMTP user to make.

    Attributes:
        username (str): The name to sign in with: an address, which the user may then send as; or a plain name of 1 to
            64 characters from `a-z 0-9 . _ -`, which
            needs `send_as`. Unique over all projects. Example: hello@example.com.
        send_as (list[str] | Unset): Further senders, at most 50: addresses, `*@example.com`, `*@*.example.com` for all
            domains below, or `*` for every domain of the project.
    """

    username: str
    send_as: list[str] | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        username = self.username

        send_as: list[str] | Unset = UNSET
        if not isinstance(self.send_as, Unset):
            send_as = self.send_as

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "username": username,
            }
        )
        if send_as is not UNSET:
            field_dict["send_as"] = send_as

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        username = d.pop("username")

        send_as = cast(list[str], d.pop("send_as", UNSET))

        new_smtp_user = cls(
            username=username,
            send_as=send_as,
        )

        return new_smtp_user
