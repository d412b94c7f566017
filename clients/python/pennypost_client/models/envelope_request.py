from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define

T = TypeVar("T", bound="EnvelopeRequest")


@_attrs_define
class EnvelopeRequest:
    """Reverse-path and recipients of a raw message (RFC 5321 2.3.1).

    Attributes:
        from_ (str): The reverse-path: an address of a verified domain of the project, or `<>` for a report that must
            not be answered. Example: hello@example.com.
        to (list[str] | str): One address or a list of them.
    """

    from_: str
    to: list[str] | str

    def to_dict(self) -> dict[str, Any]:
        from_ = self.from_

        to: list[str] | str
        if isinstance(self.to, list):
            to = self.to

        else:
            to = self.to

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "from": from_,
                "to": to,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        from_ = d.pop("from")

        def _parse_to(data: object) -> list[str] | str:
            try:
                if not isinstance(data, list):
                    raise TypeError()
                componentsschemas_one_or_many_type_1 = cast(list[str], data)

                return componentsschemas_one_or_many_type_1
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[str] | str, data)

        to = _parse_to(d.pop("to"))

        envelope_request = cls(
            from_=from_,
            to=to,
        )

        return envelope_request
