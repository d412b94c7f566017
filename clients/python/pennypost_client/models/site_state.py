from enum import StrEnum


class SiteState(StrEnum):
    OPEN = "open"
    PAUSED = "paused"
    SLOWED = "slowed"

    def __str__(self) -> str:
        return str(self.value)
