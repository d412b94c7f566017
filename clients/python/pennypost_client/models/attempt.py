from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.bounce_class import BounceClass
from ..models.known_failure_scope import KnownFailureScope
from ..models.known_outcome import KnownOutcome
from ..models.known_stage import KnownStage
from ..models.tls_policy import TlsPolicy
from ..models.tls_result import TlsResult
from ..types import UNSET, Unset

T = TypeVar("T", bound="Attempt")


@_attrs_define
class Attempt:
    """The facts of one attempt: what the API shows of it.

    Attributes:
        at (datetime.datetime): When it began.
        duration_ms (int): How long it took, in milliseconds.
        stage (KnownStage | str): How far a session got.
        reply (str): The reply that decided, or what went wrong, on one line.
        outcome (KnownOutcome | str): How one attempt ended.
        mx_host (None | str | Unset): The MX host, if one was reached or tried.
        mx_ip (None | str | Unset): Its address.
        tls (None | str | Unset): TLS version and cipher suite, absent for clear text.
        source_ip (None | str | Unset): The source address it left from, if it left.
        pool (None | str | Unset): The pool of that address, where pools are configured.
        smart_host (None | str | Unset): The smart host, `host:port`, absent if it went to the MX hosts.
        tls_policy (None | TlsPolicy | Unset):
        tls_result (None | TlsResult | Unset):
        enhanced_status (None | str | Unset): The enhanced status: the server's, or ours (RFC 3463) where no reply came.
        scope (KnownFailureScope | None | str | Unset):
        class_ (BounceClass | None | Unset):
        outcome_unknown (bool | Unset): True if the end of the content was sent and no reply came: the next hop may have
            taken the message.
        next_hop_reports (bool | Unset): True if the next hop was asked for the delivery reports that the sender asked
            for (RFC 3461): success is its to tell.
        transcript (list[str] | Unset): The dialogue, `C: ` and `S: ` lines; content and secrets left out.
    """

    at: datetime.datetime
    duration_ms: int
    stage: KnownStage | str
    reply: str
    outcome: KnownOutcome | str
    mx_host: None | str | Unset = UNSET
    mx_ip: None | str | Unset = UNSET
    tls: None | str | Unset = UNSET
    source_ip: None | str | Unset = UNSET
    pool: None | str | Unset = UNSET
    smart_host: None | str | Unset = UNSET
    tls_policy: None | TlsPolicy | Unset = UNSET
    tls_result: None | TlsResult | Unset = UNSET
    enhanced_status: None | str | Unset = UNSET
    scope: KnownFailureScope | None | str | Unset = UNSET
    class_: BounceClass | None | Unset = UNSET
    outcome_unknown: bool | Unset = UNSET
    next_hop_reports: bool | Unset = UNSET
    transcript: list[str] | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        at = self.at.isoformat()

        duration_ms = self.duration_ms

        stage: str
        if isinstance(self.stage, KnownStage):
            stage = self.stage.value
        else:
            stage = self.stage

        reply = self.reply

        outcome: str
        if isinstance(self.outcome, KnownOutcome):
            outcome = self.outcome.value
        else:
            outcome = self.outcome

        mx_host: None | str | Unset
        if isinstance(self.mx_host, Unset):
            mx_host = UNSET
        else:
            mx_host = self.mx_host

        mx_ip: None | str | Unset
        if isinstance(self.mx_ip, Unset):
            mx_ip = UNSET
        else:
            mx_ip = self.mx_ip

        tls: None | str | Unset
        if isinstance(self.tls, Unset):
            tls = UNSET
        else:
            tls = self.tls

        source_ip: None | str | Unset
        if isinstance(self.source_ip, Unset):
            source_ip = UNSET
        else:
            source_ip = self.source_ip

        pool: None | str | Unset
        if isinstance(self.pool, Unset):
            pool = UNSET
        else:
            pool = self.pool

        smart_host: None | str | Unset
        if isinstance(self.smart_host, Unset):
            smart_host = UNSET
        else:
            smart_host = self.smart_host

        tls_policy: None | str | Unset
        if isinstance(self.tls_policy, Unset):
            tls_policy = UNSET
        elif isinstance(self.tls_policy, TlsPolicy):
            tls_policy = self.tls_policy.value
        else:
            tls_policy = self.tls_policy

        tls_result: None | str | Unset
        if isinstance(self.tls_result, Unset):
            tls_result = UNSET
        elif isinstance(self.tls_result, TlsResult):
            tls_result = self.tls_result.value
        else:
            tls_result = self.tls_result

        enhanced_status: None | str | Unset
        if isinstance(self.enhanced_status, Unset):
            enhanced_status = UNSET
        else:
            enhanced_status = self.enhanced_status

        scope: None | str | Unset
        if isinstance(self.scope, Unset):
            scope = UNSET
        elif isinstance(self.scope, KnownFailureScope):
            scope = self.scope.value
        else:
            scope = self.scope

        class_: None | str | Unset
        if isinstance(self.class_, Unset):
            class_ = UNSET
        elif isinstance(self.class_, BounceClass):
            class_ = self.class_.value
        else:
            class_ = self.class_

        outcome_unknown = self.outcome_unknown

        next_hop_reports = self.next_hop_reports

        transcript: list[str] | Unset = UNSET
        if not isinstance(self.transcript, Unset):
            transcript = self.transcript

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "at": at,
                "duration_ms": duration_ms,
                "stage": stage,
                "reply": reply,
                "outcome": outcome,
            }
        )
        if mx_host is not UNSET:
            field_dict["mx_host"] = mx_host
        if mx_ip is not UNSET:
            field_dict["mx_ip"] = mx_ip
        if tls is not UNSET:
            field_dict["tls"] = tls
        if source_ip is not UNSET:
            field_dict["source_ip"] = source_ip
        if pool is not UNSET:
            field_dict["pool"] = pool
        if smart_host is not UNSET:
            field_dict["smart_host"] = smart_host
        if tls_policy is not UNSET:
            field_dict["tls_policy"] = tls_policy
        if tls_result is not UNSET:
            field_dict["tls_result"] = tls_result
        if enhanced_status is not UNSET:
            field_dict["enhanced_status"] = enhanced_status
        if scope is not UNSET:
            field_dict["scope"] = scope
        if class_ is not UNSET:
            field_dict["class"] = class_
        if outcome_unknown is not UNSET:
            field_dict["outcome_unknown"] = outcome_unknown
        if next_hop_reports is not UNSET:
            field_dict["next_hop_reports"] = next_hop_reports
        if transcript is not UNSET:
            field_dict["transcript"] = transcript

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        at = datetime.datetime.fromisoformat(d.pop("at"))

        duration_ms = d.pop("duration_ms")

        def _parse_stage(data: object) -> KnownStage | str:
            try:
                if not isinstance(data, str):
                    raise TypeError()
                componentsschemas_stage_known_stage = KnownStage(data)

                return componentsschemas_stage_known_stage
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(KnownStage | str, data)

        stage = _parse_stage(d.pop("stage"))

        reply = d.pop("reply")

        def _parse_outcome(data: object) -> KnownOutcome | str:
            try:
                if not isinstance(data, str):
                    raise TypeError()
                componentsschemas_outcome_known_outcome = KnownOutcome(data)

                return componentsschemas_outcome_known_outcome
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(KnownOutcome | str, data)

        outcome = _parse_outcome(d.pop("outcome"))

        def _parse_mx_host(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        mx_host = _parse_mx_host(d.pop("mx_host", UNSET))

        def _parse_mx_ip(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        mx_ip = _parse_mx_ip(d.pop("mx_ip", UNSET))

        def _parse_tls(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        tls = _parse_tls(d.pop("tls", UNSET))

        def _parse_source_ip(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        source_ip = _parse_source_ip(d.pop("source_ip", UNSET))

        def _parse_pool(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        pool = _parse_pool(d.pop("pool", UNSET))

        def _parse_smart_host(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        smart_host = _parse_smart_host(d.pop("smart_host", UNSET))

        def _parse_tls_policy(data: object) -> None | TlsPolicy | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                tls_policy_type_0 = TlsPolicy(data)

                return tls_policy_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | TlsPolicy | Unset, data)

        tls_policy = _parse_tls_policy(d.pop("tls_policy", UNSET))

        def _parse_tls_result(data: object) -> None | TlsResult | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                tls_result_type_0 = TlsResult(data)

                return tls_result_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | TlsResult | Unset, data)

        tls_result = _parse_tls_result(d.pop("tls_result", UNSET))

        def _parse_enhanced_status(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        enhanced_status = _parse_enhanced_status(d.pop("enhanced_status", UNSET))

        def _parse_scope(data: object) -> KnownFailureScope | None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                componentsschemas_failure_scope_known_failure_scope = KnownFailureScope(
                    data
                )

                return componentsschemas_failure_scope_known_failure_scope
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(KnownFailureScope | None | str | Unset, data)

        scope = _parse_scope(d.pop("scope", UNSET))

        def _parse_class_(data: object) -> BounceClass | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                class_type_0 = BounceClass(data)

                return class_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(BounceClass | None | Unset, data)

        class_ = _parse_class_(d.pop("class", UNSET))

        outcome_unknown = d.pop("outcome_unknown", UNSET)

        next_hop_reports = d.pop("next_hop_reports", UNSET)

        transcript = cast(list[str], d.pop("transcript", UNSET))

        attempt = cls(
            at=at,
            duration_ms=duration_ms,
            stage=stage,
            reply=reply,
            outcome=outcome,
            mx_host=mx_host,
            mx_ip=mx_ip,
            tls=tls,
            source_ip=source_ip,
            pool=pool,
            smart_host=smart_host,
            tls_policy=tls_policy,
            tls_result=tls_result,
            enhanced_status=enhanced_status,
            scope=scope,
            class_=class_,
            outcome_unknown=outcome_unknown,
            next_hop_reports=next_hop_reports,
            transcript=transcript,
        )

        attempt.additional_properties = d
        return attempt

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
