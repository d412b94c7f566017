from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.actor import Actor


T = TypeVar("T", bound="PauseView")


@_attrs_define
class PauseView:
    """A pause as the API shows it.

    Attributes:
        all_projects (bool): True if it holds for the mail of all projects.
        reason (str): Why, in the words of who asked for it.
        by (Actor): Who did something, as the audit trail names them.
        since (datetime.datetime): Since when.
        recipient_domain (None | str | Unset): The recipient domain; null: all mail of the project, or to the site.
        site (None | str | Unset): The site: its MX hosts, or its name; null: the pause is about no site.
    """

    all_projects: bool
    reason: str
    by: Actor
    since: datetime.datetime
    recipient_domain: None | str | Unset = UNSET
    site: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        all_projects = self.all_projects

        reason = self.reason

        by = self.by.to_dict()

        since = self.since.isoformat()

        recipient_domain: None | str | Unset
        if isinstance(self.recipient_domain, Unset):
            recipient_domain = UNSET
        else:
            recipient_domain = self.recipient_domain

        site: None | str | Unset
        if isinstance(self.site, Unset):
            site = UNSET
        else:
            site = self.site

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "all_projects": all_projects,
                "reason": reason,
                "by": by,
                "since": since,
            }
        )
        if recipient_domain is not UNSET:
            field_dict["recipient_domain"] = recipient_domain
        if site is not UNSET:
            field_dict["site"] = site

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.actor import Actor

        d = dict(src_dict)
        all_projects = d.pop("all_projects")

        reason = d.pop("reason")

        by = Actor.from_dict(d.pop("by"))

        since = datetime.datetime.fromisoformat(d.pop("since"))

        def _parse_recipient_domain(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        recipient_domain = _parse_recipient_domain(d.pop("recipient_domain", UNSET))

        def _parse_site(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        site = _parse_site(d.pop("site", UNSET))

        pause_view = cls(
            all_projects=all_projects,
            reason=reason,
            by=by,
            since=since,
            recipient_domain=recipient_domain,
            site=site,
        )

        pause_view.additional_properties = d
        return pause_view

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
