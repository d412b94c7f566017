from enum import StrEnum


class RecordPurpose(StrEnum):
    DKIM = "dkim"
    DKIM_DELEGATION = "dkim_delegation"
    DMARC = "dmarc"
    INBOUND_MX = "inbound_mx"
    MTA_STS = "mta_sts"
    MTA_STS_HOST = "mta_sts_host"
    RETURN_PATH_MX = "return_path_mx"
    RETURN_PATH_SPF = "return_path_spf"
    SPF = "spf"
    SUBMISSIONS_SRV = "submissions_srv"
    SUBMISSION_SRV = "submission_srv"
    TLS_REPORTS = "tls_reports"

    def __str__(self) -> str:
        return str(self.value)
