from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.source_state import SourceState
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.listing_view import ListingView
    from ..models.warm_up_view import WarmUpView


T = TypeVar("T", bound="SourceView")


@_attrs_define
class SourceView:
    """A source address.

    Attributes:
        address (str): The address.
        pool (str): Its pool.
        ehlo_name (str): Our name in EHLO from there.
        weight (int): Its share of the pool's mail, as weighed against the others.
        via_proxy (bool): It is of another host, reached through a proxy.
        state (SourceState): How a source stands.
        paused (bool): No mail leaves from it.
        listings (list[ListingView]): What lists of bad senders say.
        warm_up (list[WarmUpView]): Its ceilings of today; none: it may send all there is.
        reason (None | str | Unset): Why it is failing or listed.
    """

    address: str
    pool: str
    ehlo_name: str
    weight: int
    via_proxy: bool
    state: SourceState
    paused: bool
    listings: list[ListingView]
    warm_up: list[WarmUpView]
    reason: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        address = self.address

        pool = self.pool

        ehlo_name = self.ehlo_name

        weight = self.weight

        via_proxy = self.via_proxy

        state = self.state.value

        paused = self.paused

        listings = []
        for listings_item_data in self.listings:
            listings_item = listings_item_data.to_dict()
            listings.append(listings_item)

        warm_up = []
        for warm_up_item_data in self.warm_up:
            warm_up_item = warm_up_item_data.to_dict()
            warm_up.append(warm_up_item)

        reason: None | str | Unset
        if isinstance(self.reason, Unset):
            reason = UNSET
        else:
            reason = self.reason

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "address": address,
                "pool": pool,
                "ehlo_name": ehlo_name,
                "weight": weight,
                "via_proxy": via_proxy,
                "state": state,
                "paused": paused,
                "listings": listings,
                "warm_up": warm_up,
            }
        )
        if reason is not UNSET:
            field_dict["reason"] = reason

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.listing_view import ListingView
        from ..models.warm_up_view import WarmUpView

        d = dict(src_dict)
        address = d.pop("address")

        pool = d.pop("pool")

        ehlo_name = d.pop("ehlo_name")

        weight = d.pop("weight")

        via_proxy = d.pop("via_proxy")

        state = SourceState(d.pop("state"))

        paused = d.pop("paused")

        listings = []
        _listings = d.pop("listings")
        for listings_item_data in _listings:
            listings_item = ListingView.from_dict(listings_item_data)

            listings.append(listings_item)

        warm_up = []
        _warm_up = d.pop("warm_up")
        for warm_up_item_data in _warm_up:
            warm_up_item = WarmUpView.from_dict(warm_up_item_data)

            warm_up.append(warm_up_item)

        def _parse_reason(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        reason = _parse_reason(d.pop("reason", UNSET))

        source_view = cls(
            address=address,
            pool=pool,
            ehlo_name=ehlo_name,
            weight=weight,
            via_proxy=via_proxy,
            state=state,
            paused=paused,
            listings=listings,
            warm_up=warm_up,
            reason=reason,
        )

        source_view.additional_properties = d
        return source_view

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
