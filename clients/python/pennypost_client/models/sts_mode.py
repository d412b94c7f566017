from enum import StrEnum


class StsMode(StrEnum):
    ENFORCE = "enforce"
    NONE = "none"
    OFF = "off"
    TESTING = "testing"

    def __str__(self) -> str:
        return str(self.value)
