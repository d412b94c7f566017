from enum import StrEnum


class ListMessagesState(StrEnum):
    ACTIVE = "active"
    BOUNCED = "bounced"
    CANCELLED = "cancelled"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    HELD = "held"
    QUEUED = "queued"
    SUPPRESSED = "suppressed"

    def __str__(self) -> str:
        return str(self.value)
