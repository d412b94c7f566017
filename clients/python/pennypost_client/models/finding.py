from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.known_finding_state import KnownFindingState
from ..models.level import Level
from ..types import UNSET, Unset

T = TypeVar("T", bound="Finding")


@_attrs_define
class Finding:
    """One thing that was looked at.

    Attributes:
        id (str): The check, as in `N2`; docs/operate/doctor.md explains each.
        title (str): What it is about in a few words.
        level (Level): How much it matters.
        ok (bool): False if something is wrong or could not be found out.
        state (KnownFindingState | str): What a check came to.
        subject (str): The host, address, domain or record that was looked at.
        found (str): What is there.
        expected (str): What should be.
        source (str): Who asks for it: a section of an RFC, or a receiver's page.
        fix (None | str | Unset): What to do: a record to publish, a command, a setting. Null if nothing is wrong.
    """

    id: str
    title: str
    level: Level
    ok: bool
    state: KnownFindingState | str
    subject: str
    found: str
    expected: str
    source: str
    fix: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        title = self.title

        level = self.level.value

        ok = self.ok

        state: str
        if isinstance(self.state, KnownFindingState):
            state = self.state.value
        else:
            state = self.state

        subject = self.subject

        found = self.found

        expected = self.expected

        source = self.source

        fix: None | str | Unset
        if isinstance(self.fix, Unset):
            fix = UNSET
        else:
            fix = self.fix

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "title": title,
                "level": level,
                "ok": ok,
                "state": state,
                "subject": subject,
                "found": found,
                "expected": expected,
                "source": source,
            }
        )
        if fix is not UNSET:
            field_dict["fix"] = fix

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        id = d.pop("id")

        title = d.pop("title")

        level = Level(d.pop("level"))

        ok = d.pop("ok")

        def _parse_state(data: object) -> KnownFindingState | str:
            try:
                if not isinstance(data, str):
                    raise TypeError()
                componentsschemas_finding_state_known_finding_state = KnownFindingState(
                    data
                )

                return componentsschemas_finding_state_known_finding_state
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(KnownFindingState | str, data)

        state = _parse_state(d.pop("state"))

        subject = d.pop("subject")

        found = d.pop("found")

        expected = d.pop("expected")

        source = d.pop("source")

        def _parse_fix(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        fix = _parse_fix(d.pop("fix", UNSET))

        finding = cls(
            id=id,
            title=title,
            level=level,
            ok=ok,
            state=state,
            subject=subject,
            found=found,
            expected=expected,
            source=source,
            fix=fix,
        )

        finding.additional_properties = d
        return finding

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
