from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.route import Route


T = TypeVar("T", bound="TestedAddress")


@_attrs_define
class TestedAddress:
    """What becomes of mail to an address.

    Attributes:
        address (str): The address.
        result (str): `route`: the route takes it. `report`: it is a bounce address. `postmaster`: no route takes it,
            the configuration does (`inbound.postmaster`).
            `unknown`: refused with 550, the domain has routes and none fits. `not_verified`: put off with 450, the domain
            was never verified. `elsewhere`:
            refused with 550, not a domain of the project that mail is taken for. More may be added.
        route (None | Route | Unset):
    """

    address: str
    result: str
    route: None | Route | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.route import Route

        address = self.address

        result = self.result

        route: dict[str, Any] | None | Unset
        if isinstance(self.route, Unset):
            route = UNSET
        elif isinstance(self.route, Route):
            route = self.route.to_dict()
        else:
            route = self.route

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "address": address,
                "result": result,
            }
        )
        if route is not UNSET:
            field_dict["route"] = route

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.route import Route

        d = dict(src_dict)
        address = d.pop("address")

        result = d.pop("result")

        def _parse_route(data: object) -> None | Route | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                route_type_0 = Route.from_dict(data)

                return route_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Route | Unset, data)

        route = _parse_route(d.pop("route", UNSET))

        tested_address = cls(
            address=address,
            result=result,
            route=route,
        )

        tested_address.additional_properties = d
        return tested_address

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
