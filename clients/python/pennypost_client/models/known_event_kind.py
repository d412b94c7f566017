from enum import StrEnum


class KnownEventKind(StrEnum):
    ACCEPTED = "accepted"
    BOUNCED = "bounced"
    CANCELLED = "cancelled"
    COMPLAINED = "complained"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"

    def __str__(self) -> str:
        return str(self.value)
