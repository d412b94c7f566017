from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="SitePauseRequest")


@_attrs_define
class SitePauseRequest:
    """Which site to pause.

    Attributes:
        site (str): Its MX hosts, all of them, in any order, with commas between; or the name of a site that `GET
            /v1/sites` shows; or `host:port` of a smart host. Example: mx1.example.net,mx2.example.net.
        all_projects (bool | Unset): The mail of all projects, not only of the key's own: for keys of the project
            `default`.
        reason (str | Unset): Why, for those who find it paused: at most 500 characters. Not read when a pause ends.
            Example: they asked us to stop until Monday.
    """

    site: str
    all_projects: bool | Unset = UNSET
    reason: str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        site = self.site

        all_projects = self.all_projects

        reason = self.reason

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "site": site,
            }
        )
        if all_projects is not UNSET:
            field_dict["all_projects"] = all_projects
        if reason is not UNSET:
            field_dict["reason"] = reason

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        site = d.pop("site")

        all_projects = d.pop("all_projects", UNSET)

        reason = d.pop("reason", UNSET)

        site_pause_request = cls(
            site=site,
            all_projects=all_projects,
            reason=reason,
        )

        return site_pause_request
