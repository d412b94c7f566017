from enum import StrEnum


class RecordPurpose(StrEnum):
    DKIM = "dkim"
    DMARC = "dmarc"
    RETURN_PATH_MX = "return_path_mx"
    RETURN_PATH_SPF = "return_path_spf"
    SPF = "spf"

    def __str__(self) -> str:
        return str(self.value)
