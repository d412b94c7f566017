from enum import StrEnum


class SourceState(StrEnum):
    FAILING = "failing"
    LISTED = "listed"
    OK = "ok"
    WARMING = "warming"

    def __str__(self) -> str:
        return str(self.value)
