from enum import StrEnum


class TlsResult(StrEnum):
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_HOST_MISMATCH = "certificate_host_mismatch"
    CERTIFICATE_NOT_TRUSTED = "certificate_not_trusted"
    CLEAR = "clear"
    ENCRYPTED = "encrypted"
    HANDSHAKE_FAILED = "handshake_failed"
    MX_NOT_LISTED = "mx_not_listed"
    REQUIRE_TLS_NOT_SUPPORTED = "require_tls_not_supported"
    STARTTLS_NOT_SUPPORTED = "starttls_not_supported"
    TLSA_MISMATCH = "tlsa_mismatch"
    TLSA_UNAVAILABLE = "tlsa_unavailable"
    VERIFIED = "verified"

    def __str__(self) -> str:
        return str(self.value)
