from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="ImportedKey")


@_attrs_define
class ImportedKey:
    """A DKIM key that is in use elsewhere.

    Attributes:
        selector (str): Its selector. Example: s2024.
        private_key (str): The private key in PEM: RSA of 2048 bits or more, or Ed25519.
    """

    selector: str
    private_key: str

    def to_dict(self) -> dict[str, Any]:
        selector = self.selector

        private_key = self.private_key

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "selector": selector,
                "private_key": private_key,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        selector = d.pop("selector")

        private_key = d.pop("private_key")

        imported_key = cls(
            selector=selector,
            private_key=private_key,
        )

        return imported_key
