from enum import StrEnum


class KnownBatchStatus(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"

    def __str__(self) -> str:
        return str(self.value)
