//! DANE for SMTP: what the TLSA records of a mail host demand, and whether a certificate meets it (RFC 6698, RFC 7671, RFC 7672).
//!
//! Answers: the records that count for one host (after its aliases, RFC 7672 2.2.2), and the judgement on what the host shows.
//! Usages 2 (an issuer) and 3 (the host's own key) count; 0 and 1 do not (RFC 7672 3.1.3).
//! Does not: connect, or say what a failure means for the mail (see `deliver::tls_policy`).

use std::fmt::Write;

use aws_lc_rs::digest;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::certificate::{CertificateFault, chain};
use super::dns::{DnsError, Resolver};
use super::dnssec::{Answer, Security, Tlsa};

const ISSUER: u8 = 2;
const OWN: u8 = 3;
const WHOLE: u8 = 0;
const KEY: u8 = 1;
const EXACT: u8 = 0;
const SHA256: u8 = 1;
const SHA512: u8 = 2;

/// What the DNS says of DANE at one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dane {
    /// Nothing that is proven: DANE does not apply.
    Absent,
    /// Proven records, none of which can be used: TLS is a must, its certificate is not judged (RFC 7672 2.2).
    Unusable,
    /// Proven records that a certificate has to meet.
    Records(DaneRecords),
    /// The records cannot be looked up now, or were forged: the host must not be used (RFC 7672 2.1.2).
    Unknown(String),
}

/// Records of one host that a certificate has to meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaneRecords {
    /// The name the records stand below, which is also the one to ask for by SNI (RFC 7672 8.1).
    pub base: String,
    records: Vec<Tlsa>,
    /// Further names a certificate with an issuer of usage 2 may be for (RFC 7672 3.2.2).
    names: Vec<String>,
}

impl DaneRecords {
    /// Those of `records` that can be used, with digests that a stronger one replaces left out (RFC 7671 9); none if none can.
    #[must_use]
    pub fn usable(records: &[Tlsa], base: &str, names: &[&str]) -> Option<Self> {
        let sound = |record: &&Tlsa| {
            let length = record.data.len();
            let fits = match record.matching {
                EXACT => length > 0,
                SHA256 => length == 32,
                SHA512 => length == 64,
                _ => false,
            };
            fits && matches!(record.usage, ISSUER | OWN) && matches!(record.selector, WHOLE | KEY)
        };
        let sound: Vec<&Tlsa> = records.iter().filter(sound).collect();
        let is_replaced = |record: &Tlsa| {
            record.matching == SHA256
                && sound.iter().any(|other| (other.usage, other.selector, other.matching) == (record.usage, record.selector, SHA512))
        };
        let records: Vec<Tlsa> = sound.iter().filter(|record| !is_replaced(record)).map(|record| (*record).clone()).collect();
        let names = std::iter::once(base).chain(names.iter().copied()).map(str::to_owned).collect();
        (!records.is_empty()).then(|| Self { base: base.to_owned(), records, names })
    }

    /// The records as they are written in zones and reports: `3 1 1 0a1b…`.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.records.iter().map(text).collect()
    }

    /// Whether the certificates shown, the host's own first, meet one of the records.
    ///
    /// # Errors
    /// [`CertificateFault::NoTlsaMatch`], or what is wrong with a chain whose issuer does match.
    pub fn judge(&self, shown: &[CertificateDer<'_>], now: UnixTime, provider: &CryptoProvider) -> Result<(), CertificateFault> {
        let Some((own, issuers)) = shown.split_first() else { return Err(CertificateFault::NoTlsaMatch) };
        // Neither name nor time count where the host's own key is named (RFC 7672 3.1.1).
        if self.records.iter().any(|record| record.usage == OWN && meets(record, own)) {
            return Ok(());
        }
        let mut anchors = RootCertStore::empty();
        for record in self.records.iter().filter(|record| record.usage == ISSUER) {
            for issuer in issuers.iter().filter(|issuer| meets(record, issuer)) {
                // An issuer that cannot be read is none.
                let _ = anchors.add(issuer.clone().into_owned());
            }
            if (record.selector, record.matching) == (WHOLE, EXACT) {
                let _ = anchors.add(CertificateDer::from(record.data.clone()));
            }
        }
        if anchors.is_empty() {
            return Err(CertificateFault::NoTlsaMatch);
        }
        let names: Vec<ServerName<'static>> = self.names.iter().filter_map(|name| ServerName::try_from(name.clone()).ok()).collect();
        chain(shown, &anchors, &names, now, provider)
    }
}

fn text(record: &Tlsa) -> String {
    let mut text = format!("{} {} {} ", record.usage, record.selector, record.matching);
    for octet in &record.data {
        // Writing to a String cannot fail.
        let _ = write!(text, "{octet:02x}");
    }
    text
}

fn meets(record: &Tlsa, certificate: &CertificateDer<'_>) -> bool {
    let key;
    let octets: &[u8] = if record.selector == WHOLE {
        certificate
    } else {
        let Ok(parsed) = ParsedCertificate::try_from(certificate) else { return false };
        key = parsed.subject_public_key_info();
        &key
    };
    match record.matching {
        EXACT => octets == record.data.as_slice(),
        SHA256 => digest::digest(&digest::SHA256, octets).as_ref() == record.data.as_slice(),
        SHA512 => digest::digest(&digest::SHA512, octets).as_ref() == record.data.as_slice(),
        _ => false,
    }
}

/// What DANE demands of the host `host` at `port`, where the mail of `next_hop` goes by a proven MX record or by the operator's word.
///
/// Records are asked for at the end of a proven chain of aliases first, then at the host's own name. Hosts whose addresses are not
/// proven are not asked at all: their records could not be either, and old name servers fail at the question (RFC 7672 2.2.2).
pub async fn look_up(resolver: &Resolver, host: &str, port: u16, next_hop: &str) -> Dane {
    let addresses = match resolver.address_answer(host).await {
        Ok(answer) => answer,
        Err(DnsError::Temporary(reason)) => return Dane::Unknown(reason),
        Err(DnsError::NoSuchName | DnsError::NoRecords) => return Dane::Absent,
    };
    let bases = match bases(resolver, host, &addresses).await {
        Ok(bases) => bases,
        Err(reason) => return Dane::Unknown(reason),
    };
    for base in bases {
        match resolver.tlsa(&format!("_{port}._tcp.{base}")).await {
            Ok(answer) if answer.security == Security::Secure => {
                return DaneRecords::usable(&answer.records, &base, &[host, next_hop]).map_or(Dane::Unusable, Dane::Records);
            }
            Ok(_) | Err(DnsError::NoSuchName | DnsError::NoRecords) => {}
            Err(DnsError::Temporary(reason)) => return Dane::Unknown(reason),
        }
    }
    Dane::Absent
}

/// The names that TLSA records may stand below, the first to be asked first.
async fn bases<T>(resolver: &Resolver, host: &str, addresses: &Answer<T>) -> Result<Vec<String>, String> {
    let own = host.trim_end_matches('.').to_ascii_lowercase();
    let is_alias = addresses.name != own;
    match (addresses.security, is_alias) {
        (Security::Secure, false) => Ok(vec![own]),
        (Security::Secure, true) => Ok(vec![addresses.name.clone(), own]),
        (Security::Insecure, false) => Ok(Vec::new()),
        // An alias that leads out of signed names may be signed itself: then its own name counts.
        (Security::Insecure, true) => match resolver.cname_answer(&own).await {
            Ok(answer) if answer.security == Security::Secure => Ok(vec![own]),
            Ok(_) | Err(DnsError::NoSuchName | DnsError::NoRecords) => Ok(Vec::new()),
            Err(DnsError::Temporary(reason)) => Err(reason),
        },
    }
}

#[cfg(test)]
#[path = "dane_tests.rs"]
mod tests;
