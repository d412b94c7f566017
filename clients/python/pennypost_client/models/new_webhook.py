from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewWebhook")


@_attrs_define
class NewWebhook:
    """An endpoint to make.

    Attributes:
        url (str): Where events are posted: `https`, on the public Internet. Example:
            https://hooks.example.com/pennypost.
        kinds (list[str] | Unset): The kinds of events; left out or empty: all. Example: ['bounced', 'complained'].
    """

    url: str
    kinds: list[str] | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        url = self.url

        kinds: list[str] | Unset = UNSET
        if not isinstance(self.kinds, Unset):
            kinds = self.kinds

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "url": url,
            }
        )
        if kinds is not UNSET:
            field_dict["kinds"] = kinds

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        url = d.pop("url")

        kinds = cast(list[str], d.pop("kinds", UNSET))

        new_webhook = cls(
            url=url,
            kinds=kinds,
        )

        return new_webhook
