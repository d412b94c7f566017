from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define

from ..models.route_action import RouteAction
from ..types import UNSET, Unset

T = TypeVar("T", bound="NewRoute")


@_attrs_define
class NewRoute:
    """A route to make.

    Attributes:
        pattern (str): An address of a domain of the project, or a pattern with one `*`. Example: sales-*@example.com.
        action (RouteAction): What a route does.
        to (list[str] | None | Unset): Of `forward`: where mail is sent, 1 to 10 addresses. Each gets a mail first that
            asks whether it agrees.
        url (None | str | Unset): Of `webhook`: where mail is posted.
        text (None | str | Unset): Of `reject`: what senders are told, in ASCII on one line.
    """

    pattern: str
    action: RouteAction
    to: list[str] | None | Unset = UNSET
    url: None | str | Unset = UNSET
    text: None | str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        pattern = self.pattern

        action = self.action.value

        to: list[str] | None | Unset
        if isinstance(self.to, Unset):
            to = UNSET
        elif isinstance(self.to, list):
            to = self.to

        else:
            to = self.to

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

        field_dict.update(
            {
                "pattern": pattern,
                "action": action,
            }
        )
        if to is not UNSET:
            field_dict["to"] = to
        if url is not UNSET:
            field_dict["url"] = url
        if text is not UNSET:
            field_dict["text"] = text

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        pattern = d.pop("pattern")

        action = RouteAction(d.pop("action"))

        def _parse_to(data: object) -> list[str] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                to_type_0 = cast(list[str], data)

                return to_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[str] | None | Unset, data)

        to = _parse_to(d.pop("to", UNSET))

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

        new_route = cls(
            pattern=pattern,
            action=action,
            to=to,
            url=url,
            text=text,
        )

        return new_route
