from enum import StrEnum


class BounceClass(StrEnum):
    AUTHENTICATION = "authentication"
    BAD_DOMAIN = "bad_domain"
    BAD_MAILBOX = "bad_mailbox"
    CONTENT = "content"
    FULL = "full"
    INACTIVE = "inactive"
    NETWORK = "network"
    OTHER = "other"
    POLICY = "policy"
    RATE = "rate"
    RELAY = "relay"
    REPUTATION = "reputation"
    SIZE = "size"
    TLS = "tls"

    def __str__(self) -> str:
        return str(self.value)
