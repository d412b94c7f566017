from enum import StrEnum


class KnownFindingState(StrEnum):
    BAD = "bad"
    OK = "ok"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return str(self.value)
