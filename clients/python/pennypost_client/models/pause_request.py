from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="PauseRequest")


@_attrs_define
class PauseRequest:
    """What to pause.

    Attributes:
        recipient_domain (None | str | Unset): Mail to this domain. Example: example.net.
        all_ (bool | Unset): All mail of the project; stands alone.
        all_projects (bool | Unset): Of all projects, not only the key's own: for keys of the project `default`, and
            with a domain only.
        reason (str | Unset): Why, for those who find it paused: at most 500 characters. Not read when a pause ends.
            Example: their MX answers 550 to everything.
    """

    recipient_domain: None | str | Unset = UNSET
    all_: bool | Unset = UNSET
    all_projects: bool | Unset = UNSET
    reason: str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        recipient_domain: None | str | Unset
        if isinstance(self.recipient_domain, Unset):
            recipient_domain = UNSET
        else:
            recipient_domain = self.recipient_domain

        all_ = self.all_

        all_projects = self.all_projects

        reason = self.reason

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if recipient_domain is not UNSET:
            field_dict["recipient_domain"] = recipient_domain
        if all_ is not UNSET:
            field_dict["all"] = all_
        if all_projects is not UNSET:
            field_dict["all_projects"] = all_projects
        if reason is not UNSET:
            field_dict["reason"] = reason

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)

        def _parse_recipient_domain(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        recipient_domain = _parse_recipient_domain(d.pop("recipient_domain", UNSET))

        all_ = d.pop("all", UNSET)

        all_projects = d.pop("all_projects", UNSET)

        reason = d.pop("reason", UNSET)

        pause_request = cls(
            recipient_domain=recipient_domain,
            all_=all_,
            all_projects=all_projects,
            reason=reason,
        )

        return pause_request
