from enum import StrEnum


class WaitReason(StrEnum):
    DUE = "due"
    HELD = "held"
    IN_LINE = "in_line"
    RETRY = "retry"
    SCHEDULED = "scheduled"
    SITE_PAUSED = "site_paused"
    SITE_SLOWED = "site_slowed"

    def __str__(self) -> str:
        return str(self.value)
