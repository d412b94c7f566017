from enum import StrEnum


class KnownNodeState(StrEnum):
    DRAINED = "drained"
    DRAINING = "draining"
    SERVING = "serving"
    SILENT = "silent"

    def __str__(self) -> str:
        return str(self.value)
