from enum import StrEnum


class SuppressionOrigin(StrEnum):
    API = "api"
    AUTOMATIC = "automatic"
    CLI = "cli"
    IMPORT = "import"

    def __str__(self) -> str:
        return str(self.value)
