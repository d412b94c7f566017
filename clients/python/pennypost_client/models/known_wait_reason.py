from enum import StrEnum


class KnownWaitReason(StrEnum):
    DUE = "due"
    HELD = "held"
    IN_LINE = "in_line"
    PAUSED = "paused"
    RETRY = "retry"
    SCHEDULED = "scheduled"
    SITE_PAUSED = "site_paused"
    SITE_SLOWED = "site_slowed"
    SOURCE_LISTED = "source_listed"
    WARMING_UP = "warming_up"

    def __str__(self) -> str:
        return str(self.value)
