from enum import StrEnum


class RouteAction(StrEnum):
    DROP = "drop"
    FORWARD = "forward"
    REJECT = "reject"
    STORE = "store"
    WEBHOOK = "webhook"

    def __str__(self) -> str:
        return str(self.value)
