from enum import StrEnum


class TlsPolicy(StrEnum):
    DANE = "dane"
    MTA_STS = "mta_sts"
    MTA_STS_TESTING = "mta_sts_testing"
    OFF = "off"
    PREFER = "prefer"
    REMEMBERED = "remembered"
    REQUIRE = "require"
    REQUIRE_TLS = "require_tls"
    VERIFY = "verify"
    WAIVED = "waived"

    def __str__(self) -> str:
        return str(self.value)
