from enum import StrEnum


class KnownEventKind(StrEnum):
    ACCEPTED = "accepted"
    BOUNCED = "bounced"
    CANCELLED = "cancelled"
    COMPLAINED = "complained"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    DOMAIN_FAILED = "domain.failed"
    DOMAIN_VERIFIED = "domain.verified"
    EXPIRED = "expired"
    FORWARDED = "forwarded"
    RECEIVED = "received"
    SUPPRESSED = "suppressed"

    def __str__(self) -> str:
        return str(self.value)
