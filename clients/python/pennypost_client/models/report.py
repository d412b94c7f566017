from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.known_report_kind import KnownReportKind
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.report_policy_type_0 import ReportPolicyType0


T = TypeVar("T", bound="Report")


@_attrs_define
class Report:
    """A report without its lines.

    Attributes:
        id (str): `rpt_…`
        kind (KnownReportKind | str): What a report is about.
        domain (str): The domain that it is about.
        reporter (str): Who wrote it, as they say.
        report_id (str): Its id with them.
        begins_at (datetime.datetime): The first moment that it is about.
        ends_at (datetime.datetime): The last.
        received_at (datetime.datetime): When it came.
        passed (int): Of `dmarc`: messages that passed. Of `tls`: sessions with the TLS that was asked for.
        failed (int): Messages or sessions that did not.
        policy (None | ReportPolicyType0 | Unset): Of `dmarc`: the policy that the reporter found, as it wrote it: `p`,
            `sp`, `np`, `adkim`, `aspf`, `testing`.
    """

    id: str
    kind: KnownReportKind | str
    domain: str
    reporter: str
    report_id: str
    begins_at: datetime.datetime
    ends_at: datetime.datetime
    received_at: datetime.datetime
    passed: int
    failed: int
    policy: None | ReportPolicyType0 | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.report_policy_type_0 import ReportPolicyType0

        id = self.id

        kind: str
        if isinstance(self.kind, KnownReportKind):
            kind = self.kind.value
        else:
            kind = self.kind

        domain = self.domain

        reporter = self.reporter

        report_id = self.report_id

        begins_at = self.begins_at.isoformat()

        ends_at = self.ends_at.isoformat()

        received_at = self.received_at.isoformat()

        passed = self.passed

        failed = self.failed

        policy: dict[str, Any] | None | Unset
        if isinstance(self.policy, Unset):
            policy = UNSET
        elif isinstance(self.policy, ReportPolicyType0):
            policy = self.policy.to_dict()
        else:
            policy = self.policy

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "kind": kind,
                "domain": domain,
                "reporter": reporter,
                "report_id": report_id,
                "begins_at": begins_at,
                "ends_at": ends_at,
                "received_at": received_at,
                "passed": passed,
                "failed": failed,
            }
        )
        if policy is not UNSET:
            field_dict["policy"] = policy

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.report_policy_type_0 import ReportPolicyType0

        d = dict(src_dict)
        id = d.pop("id")

        def _parse_kind(data: object) -> KnownReportKind | str:
            try:
                if not isinstance(data, str):
                    raise TypeError()
                componentsschemas_report_kind_known_report_kind = KnownReportKind(data)

                return componentsschemas_report_kind_known_report_kind
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(KnownReportKind | str, data)

        kind = _parse_kind(d.pop("kind"))

        domain = d.pop("domain")

        reporter = d.pop("reporter")

        report_id = d.pop("report_id")

        begins_at = datetime.datetime.fromisoformat(d.pop("begins_at"))

        ends_at = datetime.datetime.fromisoformat(d.pop("ends_at"))

        received_at = datetime.datetime.fromisoformat(d.pop("received_at"))

        passed = d.pop("passed")

        failed = d.pop("failed")

        def _parse_policy(data: object) -> None | ReportPolicyType0 | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                policy_type_0 = ReportPolicyType0.from_dict(data)

                return policy_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | ReportPolicyType0 | Unset, data)

        policy = _parse_policy(d.pop("policy", UNSET))

        report = cls(
            id=id,
            kind=kind,
            domain=domain,
            reporter=reporter,
            report_id=report_id,
            begins_at=begins_at,
            ends_at=ends_at,
            received_at=received_at,
            passed=passed,
            failed=failed,
            policy=policy,
        )

        report.additional_properties = d
        return report

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
