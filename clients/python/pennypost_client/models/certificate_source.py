from enum import StrEnum


class CertificateSource(StrEnum):
    ACME = "acme"
    IMPORT = "import"

    def __str__(self) -> str:
        return str(self.value)
