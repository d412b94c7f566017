from enum import StrEnum


class KnownReportKind(StrEnum):
    DMARC = "dmarc"
    TLS = "tls"

    def __str__(self) -> str:
        return str(self.value)
