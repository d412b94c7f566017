from enum import StrEnum


class KnownFailureScope(StrEnum):
    HOST = "host"
    MESSAGE = "message"
    RECIPIENT = "recipient"
    SITE = "site"
    US = "us"

    def __str__(self) -> str:
        return str(self.value)
