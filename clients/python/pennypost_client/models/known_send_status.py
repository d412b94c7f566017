from enum import StrEnum


class KnownSendStatus(StrEnum):
    ACCEPTED = "accepted"
    SUPPRESSED = "suppressed"

    def __str__(self) -> str:
        return str(self.value)
