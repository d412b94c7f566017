from enum import StrEnum


class Priority(StrEnum):
    BULK = "bulk"
    HIGH = "high"
    NORMAL = "normal"

    def __str__(self) -> str:
        return str(self.value)
