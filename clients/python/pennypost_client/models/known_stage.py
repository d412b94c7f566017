from enum import StrEnum


class KnownStage(StrEnum):
    AUTH = "auth"
    BODY = "body"
    CONNECT = "connect"
    DATA = "data"
    DNS = "dns"
    EHLO = "ehlo"
    END_OF_DATA = "end_of_data"
    GREETING = "greeting"
    MAIL = "mail"
    RCPT = "rcpt"
    SIGN = "sign"
    TLS = "tls"

    def __str__(self) -> str:
        return str(self.value)
