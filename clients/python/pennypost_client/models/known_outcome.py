from enum import StrEnum


class KnownOutcome(StrEnum):
    BOUNCED = "bounced"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    EXPIRED = "expired"

    def __str__(self) -> str:
        return str(self.value)
