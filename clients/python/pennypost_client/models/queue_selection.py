from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.tag_condition import TagCondition


T = TypeVar("T", bound="QueueSelection")


@_attrs_define
class QueueSelection:
    """Which deliveries: all conditions given must hold, and at least one must be given, or `all`.

    Attributes:
        message (None | str | Unset): Of this message. Example: msg_01jd5q0v0h7d6r2n8k4m3x9wbz.
        recipient_domain (None | str | Unset): To this domain. Example: example.net.
        sender_domain (None | str | Unset): The author's address or the reverse-path is of this domain. Example:
            example.com.
        tag (None | TagCondition | Unset):
        site (None | str | Unset): At this site now: its MX hosts, all of them, in any order, with commas between; or
            the name of a site that `GET /v1/sites` shows; or
            `host:port` of a smart host. The MX records of every recipient domain are looked up for it. Example:
            mx1.example.net,mx2.example.net.
        all_ (bool | Unset): Everything outstanding of the project; stands alone.
        all_projects (bool | Unset): Of all projects, not only the key's own: for keys of the project `default`.
        cursor (None | str | Unset): `next_cursor` of the answer before, to go on with the same selection.
    """

    message: None | str | Unset = UNSET
    recipient_domain: None | str | Unset = UNSET
    sender_domain: None | str | Unset = UNSET
    tag: None | TagCondition | Unset = UNSET
    site: None | str | Unset = UNSET
    all_: bool | Unset = UNSET
    all_projects: bool | Unset = UNSET
    cursor: None | str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        from ..models.tag_condition import TagCondition

        message: None | str | Unset
        if isinstance(self.message, Unset):
            message = UNSET
        else:
            message = self.message

        recipient_domain: None | str | Unset
        if isinstance(self.recipient_domain, Unset):
            recipient_domain = UNSET
        else:
            recipient_domain = self.recipient_domain

        sender_domain: None | str | Unset
        if isinstance(self.sender_domain, Unset):
            sender_domain = UNSET
        else:
            sender_domain = self.sender_domain

        tag: dict[str, Any] | None | Unset
        if isinstance(self.tag, Unset):
            tag = UNSET
        elif isinstance(self.tag, TagCondition):
            tag = self.tag.to_dict()
        else:
            tag = self.tag

        site: None | str | Unset
        if isinstance(self.site, Unset):
            site = UNSET
        else:
            site = self.site

        all_ = self.all_

        all_projects = self.all_projects

        cursor: None | str | Unset
        if isinstance(self.cursor, Unset):
            cursor = UNSET
        else:
            cursor = self.cursor

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if message is not UNSET:
            field_dict["message"] = message
        if recipient_domain is not UNSET:
            field_dict["recipient_domain"] = recipient_domain
        if sender_domain is not UNSET:
            field_dict["sender_domain"] = sender_domain
        if tag is not UNSET:
            field_dict["tag"] = tag
        if site is not UNSET:
            field_dict["site"] = site
        if all_ is not UNSET:
            field_dict["all"] = all_
        if all_projects is not UNSET:
            field_dict["all_projects"] = all_projects
        if cursor is not UNSET:
            field_dict["cursor"] = cursor

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.tag_condition import TagCondition

        d = dict(src_dict)

        def _parse_message(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        message = _parse_message(d.pop("message", UNSET))

        def _parse_recipient_domain(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        recipient_domain = _parse_recipient_domain(d.pop("recipient_domain", UNSET))

        def _parse_sender_domain(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        sender_domain = _parse_sender_domain(d.pop("sender_domain", UNSET))

        def _parse_tag(data: object) -> None | TagCondition | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                tag_type_0 = TagCondition.from_dict(data)

                return tag_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | TagCondition | Unset, data)

        tag = _parse_tag(d.pop("tag", UNSET))

        def _parse_site(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        site = _parse_site(d.pop("site", UNSET))

        all_ = d.pop("all", UNSET)

        all_projects = d.pop("all_projects", UNSET)

        def _parse_cursor(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        cursor = _parse_cursor(d.pop("cursor", UNSET))

        queue_selection = cls(
            message=message,
            recipient_domain=recipient_domain,
            sender_domain=sender_domain,
            tag=tag,
            site=site,
            all_=all_,
            all_projects=all_projects,
            cursor=cursor,
        )

        return queue_selection
