from enum import StrEnum


class RecordType(StrEnum):
    MX = "MX"
    TXT = "TXT"

    def __str__(self) -> str:
        return str(self.value)
