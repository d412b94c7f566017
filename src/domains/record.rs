//! A DNS record of a sending domain: what it is, what it is for, what stands there.
//!
//! Does not: say which records a domain has (see [`super::expected`]), or look anything up (see [`super::check`]).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::spf::Senders;

/// The type of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// Text.
    Txt,
    /// Mail exchanger.
    Mx,
    /// Another name for a name.
    Cname,
    /// Where a service is (RFC 2782).
    Srv,
}

impl RecordType {
    /// As zone files write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Txt => "TXT",
            Self::Mx => "MX",
            Self::Cname => "CNAME",
            Self::Srv => "SRV",
        }
    }
}

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordPurpose {
    /// The public key of a signature; the RSA one proves that the domain is yours.
    Dkim,
    /// Leads to a key that stands in a zone of the operator's.
    DkimDelegation,
    /// Our hosts may send for the domain. Where an SPF record exists, add our term to it: a domain has one.
    Spf,
    /// What receivers shall do with mail that fails both.
    Dmarc,
    /// Bounces come back to us.
    ReturnPathMx,
    /// Our hosts may send with the return path.
    ReturnPathSpf,
    /// The domain's mail comes to us.
    InboundMx,
    /// Senders find a policy that says which hosts take the domain's mail, and are to check their certificates.
    MtaSts,
    /// The host that serves the policy.
    MtaStsHost,
    /// Senders report how TLS fared.
    TlsReports,
    /// Mail programs find the server to submit to, inside TLS.
    SubmissionsSrv,
    /// Mail programs find the server to submit to, by STARTTLS.
    SubmissionSrv,
}

impl RecordPurpose {
    /// As the API writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dkim => "dkim",
            Self::Spf => "spf",
            Self::Dmarc => "dmarc",
            Self::ReturnPathMx => "return_path_mx",
            Self::ReturnPathSpf => "return_path_spf",
            Self::DkimDelegation => "dkim_delegation",
            Self::InboundMx => "inbound_mx",
            Self::MtaSts => "mta_sts",
            Self::MtaStsHost => "mta_sts_host",
            Self::TlsReports => "tls_reports",
            Self::SubmissionsSrv => "submissions_srv",
            Self::SubmissionSrv => "submission_srv",
        }
    }
}

/// What the last check found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    /// Not looked up yet, or the DNS gave no answer.
    #[default]
    Unknown,
    /// As it should be.
    Ok,
    /// Not there.
    Missing,
    /// Something else is there.
    Wrong,
}

impl RecordState {
    /// As the API writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Wrong => "wrong",
        }
    }
}

/// One record to publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DnsRecord {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: RecordType,
    /// Its fully qualified name, without a trailing dot.
    #[schema(examples("pp-7k2m9x-rsa._domainkey.example.com"))]
    pub name: String,
    /// Its value, whole and unquoted; for MX `10 host`, for SRV `0 1 587 host`; host names without a trailing dot.
    #[schema(examples("v=spf1 a:mail.example.net ~all"))]
    pub value: String,
    /// What it is for.
    pub purpose: RecordPurpose,
    /// What the last check found.
    pub state: RecordState,
    /// What stands there instead; null unless `state` is `wrong`, or `ok` by another value.
    #[serde(default)]
    pub found: Option<String>,
}

impl DnsRecord {
    pub(super) const fn new(kind: RecordType, name: String, value: String, purpose: RecordPurpose) -> Self {
        Self { kind, name, value, purpose, state: RecordState::Unknown, found: None }
    }

    /// Where an SPF record stands that does not let us send: makes the value that record with our terms in it, for a domain has one SPF
    /// record and others may send for it too (RFC 7208 3.2).
    pub(super) fn merge(&mut self, senders: &Senders) {
        let is_spf = matches!(self.purpose, RecordPurpose::Spf | RecordPurpose::ReturnPathSpf);
        // Several records stand there divided by bars: none of them is to be kept.
        let one = self.found.as_deref().filter(|found| is_spf && self.state == RecordState::Wrong && !found.contains(" | "));
        if let Some(merged) = one.and_then(|found| senders.merged(found)) {
            self.value = merged;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_the_api_promises() {
        let record = DnsRecord::new(RecordType::Mx, "bounce.example.com".to_owned(), "10 mail.example.net".to_owned(), RecordPurpose::ReturnPathMx);
        insta::assert_json_snapshot!(record, @r#"
        {
          "type": "MX",
          "name": "bounce.example.com",
          "value": "10 mail.example.net",
          "purpose": "return_path_mx",
          "state": "unknown",
          "found": null
        }
        "#);
    }
}
