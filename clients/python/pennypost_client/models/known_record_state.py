from enum import StrEnum


class KnownRecordState(StrEnum):
    MISSING = "missing"
    OK = "ok"
    UNKNOWN = "unknown"
    WRONG = "wrong"

    def __str__(self) -> str:
        return str(self.value)
