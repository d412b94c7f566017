from enum import StrEnum


class Level(StrEnum):
    FAIL = "fail"
    INFO = "info"
    WARN = "warn"

    def __str__(self) -> str:
        return str(self.value)
