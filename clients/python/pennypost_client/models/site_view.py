from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.site_state import SiteState
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.site_limits import SiteLimits


T = TypeVar("T", bound="SiteView")


@_attrs_define
class SiteView:
    """Domains with the same mail hosts, or of one provider.

    Attributes:
        name (str): The mail hosts, or the name of a provider whose customers are one site, or `host:port` of a smart
            host.
        provider (str): Whose limits hold; of those in no table `smart-host` for a smart host, `other` for all others.
        state (SiteState): How a site stands.
        sessions (int): Sessions allowed now, of all nodes together.
        limits (SiteLimits): The most that a site is sent.
        domains (list[str]): Recipient domains seen there lately; not all of them where there are many.
        reason (None | str | Unset): Why it is slowed or paused: what the site said, or what went wrong.
        since (datetime.datetime | None | Unset): When it last asked for less.
        until (datetime.datetime | None | Unset): Nothing is sent before.
        messages_per_minute (float | None | Unset): Messages a minute allowed now, of all nodes together; null: as many
            as there are.
        without_ipv6_until (datetime.datetime | None | Unset): IPv6 is not used before, since the site refused it.
    """

    name: str
    provider: str
    state: SiteState
    sessions: int
    limits: SiteLimits
    domains: list[str]
    reason: None | str | Unset = UNSET
    since: datetime.datetime | None | Unset = UNSET
    until: datetime.datetime | None | Unset = UNSET
    messages_per_minute: float | None | Unset = UNSET
    without_ipv6_until: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        provider = self.provider

        state = self.state.value

        sessions = self.sessions

        limits = self.limits.to_dict()

        domains = self.domains

        reason: None | str | Unset
        if isinstance(self.reason, Unset):
            reason = UNSET
        else:
            reason = self.reason

        since: None | str | Unset
        if isinstance(self.since, Unset):
            since = UNSET
        elif isinstance(self.since, datetime.datetime):
            since = self.since.isoformat()
        else:
            since = self.since

        until: None | str | Unset
        if isinstance(self.until, Unset):
            until = UNSET
        elif isinstance(self.until, datetime.datetime):
            until = self.until.isoformat()
        else:
            until = self.until

        messages_per_minute: float | None | Unset
        if isinstance(self.messages_per_minute, Unset):
            messages_per_minute = UNSET
        else:
            messages_per_minute = self.messages_per_minute

        without_ipv6_until: None | str | Unset
        if isinstance(self.without_ipv6_until, Unset):
            without_ipv6_until = UNSET
        elif isinstance(self.without_ipv6_until, datetime.datetime):
            without_ipv6_until = self.without_ipv6_until.isoformat()
        else:
            without_ipv6_until = self.without_ipv6_until

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "name": name,
                "provider": provider,
                "state": state,
                "sessions": sessions,
                "limits": limits,
                "domains": domains,
            }
        )
        if reason is not UNSET:
            field_dict["reason"] = reason
        if since is not UNSET:
            field_dict["since"] = since
        if until is not UNSET:
            field_dict["until"] = until
        if messages_per_minute is not UNSET:
            field_dict["messages_per_minute"] = messages_per_minute
        if without_ipv6_until is not UNSET:
            field_dict["without_ipv6_until"] = without_ipv6_until

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.site_limits import SiteLimits

        d = dict(src_dict)
        name = d.pop("name")

        provider = d.pop("provider")

        state = SiteState(d.pop("state"))

        sessions = d.pop("sessions")

        limits = SiteLimits.from_dict(d.pop("limits"))

        domains = cast(list[str], d.pop("domains"))

        def _parse_reason(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        reason = _parse_reason(d.pop("reason", UNSET))

        def _parse_since(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                since_type_0 = datetime.datetime.fromisoformat(data)

                return since_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        since = _parse_since(d.pop("since", UNSET))

        def _parse_until(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                until_type_0 = datetime.datetime.fromisoformat(data)

                return until_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        until = _parse_until(d.pop("until", UNSET))

        def _parse_messages_per_minute(data: object) -> float | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(float | None | Unset, data)

        messages_per_minute = _parse_messages_per_minute(
            d.pop("messages_per_minute", UNSET)
        )

        def _parse_without_ipv6_until(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                without_ipv6_until_type_0 = datetime.datetime.fromisoformat(data)

                return without_ipv6_until_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        without_ipv6_until = _parse_without_ipv6_until(
            d.pop("without_ipv6_until", UNSET)
        )

        site_view = cls(
            name=name,
            provider=provider,
            state=state,
            sessions=sessions,
            limits=limits,
            domains=domains,
            reason=reason,
            since=since,
            until=until,
            messages_per_minute=messages_per_minute,
            without_ipv6_until=without_ipv6_until,
        )

        site_view.additional_properties = d
        return site_view

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
