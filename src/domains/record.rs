//! The DNS records of a sending domain: what its owner has to publish.
//!
//! Answers: name and value of each record. DKIM keys (RFC 6376 3.6.1), SPF for the domain and for its return path (RFC 7208),
//! DMARC (RFC 9989), and an MX for the return path, so that bounces find their way and receivers that ask for the sender domain
//! find one.
//! Does not: look anything up (see [`super::check`]).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::spf::Senders;
use crate::model::DomainName;

/// The label below a sending domain that bounces go to.
const RETURN_PATH_LABEL: &str = "bounce";

/// The domain of the reverse-path of mail from `domain`: `bounce.<domain>`, aligned with it (RFC 9989 5.3). None if that is too long.
#[must_use]
pub fn return_path(domain: &DomainName) -> Option<DomainName> {
    DomainName::parse(&format!("{RETURN_PATH_LABEL}.{domain}")).ok()
}

/// The type of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// Text.
    Txt,
    /// Mail exchanger.
    Mx,
}

impl RecordType {
    /// As zone files write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Txt => "TXT",
            Self::Mx => "MX",
        }
    }
}

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordPurpose {
    /// The public key of a signature; the RSA one proves that the domain is yours.
    Dkim,
    /// Our hosts may send for the domain. Where an SPF record exists, add our term to it: a domain has one.
    Spf,
    /// What receivers shall do with mail that fails both.
    Dmarc,
    /// Bounces come back to us.
    ReturnPathMx,
    /// Our hosts may send with the return path.
    ReturnPathSpf,
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
    /// Its value, whole and unquoted; for MX `10 host`.
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
    const fn new(kind: RecordType, name: String, value: String, purpose: RecordPurpose) -> Self {
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

/// A DKIM key as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedKey<'a> {
    /// Its selector.
    pub selector: &'a str,
    /// Its record, whole.
    pub record: &'a str,
}

/// The name of a DKIM record (RFC 6376 3.6.2.1).
pub(super) fn dkim_name(selector: &str, domain: &DomainName) -> String {
    format!("{selector}._domainkey.{domain}")
}

/// All records of `domain`, in the order to publish them. Without a host name of ours only those that do not need one.
#[must_use]
pub fn expected(domain: &DomainName, keys: &[PublishedKey<'_>], senders: &Senders) -> Vec<DnsRecord> {
    let txt = |name: String, value: String, purpose| DnsRecord::new(RecordType::Txt, name, value, purpose);
    let mut records: Vec<DnsRecord> =
        keys.iter().map(|key| txt(dkim_name(key.selector, domain), key.record.to_owned(), RecordPurpose::Dkim)).collect();
    if let (Some(hostname), Some(terms)) = (&senders.hostname, senders.terms()) {
        // Soft fail: other systems of the owner may send too and are not in this record.
        records.push(txt(domain.to_string(), format!("v=spf1 {terms} ~all"), RecordPurpose::Spf));
        if let Some(return_path) = return_path(domain) {
            records.push(DnsRecord::new(RecordType::Mx, return_path.to_string(), format!("10 {hostname}"), RecordPurpose::ReturnPathMx));
            records.push(txt(return_path.to_string(), format!("v=spf1 {terms} -all"), RecordPurpose::ReturnPathSpf));
        }
    }
    records.push(txt(format!("_dmarc.{domain}"), "v=DMARC1; p=none".to_owned(), RecordPurpose::Dmarc));
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DomainName {
        DomainName::parse(text).unwrap()
    }

    #[test]
    fn a_domain_publishes_its_keys_spf_dmarc_and_return_path() {
        let keys = [
            PublishedKey { selector: "pp-a-rsa", record: "v=DKIM1; k=rsa; p=AA" },
            PublishedKey { selector: "pp-a-ed", record: "v=DKIM1; k=ed25519; p=BB" },
        ];
        let senders = Senders { hostname: Some(name("mail.example.net")), egress: vec!["192.0.2.1".parse().unwrap()] };
        let records = expected(&name("example.com"), &keys, &senders);
        let lines: Vec<String> = records.iter().map(|record| format!("{} {} {}", record.name, record.kind.as_str(), record.value)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        pp-a-rsa._domainkey.example.com TXT v=DKIM1; k=rsa; p=AA
        pp-a-ed._domainkey.example.com TXT v=DKIM1; k=ed25519; p=BB
        example.com TXT v=spf1 a:mail.example.net ip4:192.0.2.1 ~all
        bounce.example.com MX 10 mail.example.net
        bounce.example.com TXT v=spf1 a:mail.example.net ip4:192.0.2.1 -all
        _dmarc.example.com TXT v=DMARC1; p=none
        ");
        let without = expected(&name("example.com"), &keys, &Senders { hostname: None, ..senders });
        assert!(without.iter().all(|record| matches!(record.purpose, RecordPurpose::Dkim | RecordPurpose::Dmarc)));
    }

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
