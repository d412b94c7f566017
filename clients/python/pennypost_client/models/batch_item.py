from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.known_batch_status import KnownBatchStatus
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.item_problem import ItemProblem
    from ..models.send_response import SendResponse


T = TypeVar("T", bound="BatchItem")


@_attrs_define
class BatchItem:
    """What became of one message of a batch.

    Attributes:
        index (int): Its place in `messages`, from 0. Example: 0.
        status (KnownBatchStatus | str): Whether a message of a batch is kept.
        message (None | SendResponse | Unset):
        problem (ItemProblem | None | Unset):
    """

    index: int
    status: KnownBatchStatus | str
    message: None | SendResponse | Unset = UNSET
    problem: ItemProblem | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.item_problem import ItemProblem
        from ..models.send_response import SendResponse

        index = self.index

        status: str
        if isinstance(self.status, KnownBatchStatus):
            status = self.status.value
        else:
            status = self.status

        message: dict[str, Any] | None | Unset
        if isinstance(self.message, Unset):
            message = UNSET
        elif isinstance(self.message, SendResponse):
            message = self.message.to_dict()
        else:
            message = self.message

        problem: dict[str, Any] | None | Unset
        if isinstance(self.problem, Unset):
            problem = UNSET
        elif isinstance(self.problem, ItemProblem):
            problem = self.problem.to_dict()
        else:
            problem = self.problem

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "index": index,
                "status": status,
            }
        )
        if message is not UNSET:
            field_dict["message"] = message
        if problem is not UNSET:
            field_dict["problem"] = problem

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.item_problem import ItemProblem
        from ..models.send_response import SendResponse

        d = dict(src_dict)
        index = d.pop("index")

        def _parse_status(data: object) -> KnownBatchStatus | str:
            try:
                if not isinstance(data, str):
                    raise TypeError()
                componentsschemas_batch_status_known_batch_status = KnownBatchStatus(
                    data
                )

                return componentsschemas_batch_status_known_batch_status
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(KnownBatchStatus | str, data)

        status = _parse_status(d.pop("status"))

        def _parse_message(data: object) -> None | SendResponse | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                message_type_0 = SendResponse.from_dict(data)

                return message_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | SendResponse | Unset, data)

        message = _parse_message(d.pop("message", UNSET))

        def _parse_problem(data: object) -> ItemProblem | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                problem_type_0 = ItemProblem.from_dict(data)

                return problem_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(ItemProblem | None | Unset, data)

        problem = _parse_problem(d.pop("problem", UNSET))

        batch_item = cls(
            index=index,
            status=status,
            message=message,
            problem=problem,
        )

        batch_item.additional_properties = d
        return batch_item

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
