//! What a certificate says, and what is sent to an authority to get one (RFC 5280, RFC 2986).
//!
//! Answers: names, issuer and time of the first certificate of a chain; a new key with the request for its certificate.
//! Does not: judge a chain; [`super::certificate`] does.

use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use crate::model::Secret;

/// Why a certificate cannot be read, or a request not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum X509Error {
    /// Nothing in PEM form.
    #[error("it holds no certificate in PEM form")]
    NoCertificate,
    /// What is in PEM form is no certificate.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// No request for these names.
    #[error("no request for a certificate can be made: {0}")]
    Request(String),
}

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The names it is for: host names in lower case, and addresses.
    pub names: Vec<String>,
    /// Who issued it: its common name, else the whole distinguished name.
    pub issuer: String,
    /// When it begins to count.
    pub not_before: OffsetDateTime,
    /// When it ends.
    pub not_after: OffsetDateTime,
}

/// Reads the first certificate of a chain in PEM form.
///
/// # Errors
/// [`X509Error::NoCertificate`], [`X509Error::Unreadable`].
pub fn facts(chain: &[u8]) -> Result<Facts, X509Error> {
    let first = CertificateDer::pem_slice_iter(chain).next().ok_or(X509Error::NoCertificate)?;
    facts_of(&first.map_err(|error| X509Error::Unreadable(error.to_string()))?)
}

/// Reads one certificate.
///
/// # Errors
/// [`X509Error::Unreadable`].
pub fn facts_of(certificate: &CertificateDer<'_>) -> Result<Facts, X509Error> {
    let (_, parsed) = parse_x509_certificate(certificate).map_err(|error| X509Error::Unreadable(error.to_string()))?;
    let alternatives = parsed.subject_alternative_name().map_err(|error| X509Error::Unreadable(error.to_string()))?;
    let names = alternatives.map_or_else(Vec::new, |found| found.value.general_names.iter().filter_map(name).collect());
    let common_name = parsed.issuer().iter_common_name().next().and_then(|name| name.as_str().ok()).map(str::to_owned);
    let validity = parsed.validity();
    Ok(Facts {
        names,
        issuer: common_name.unwrap_or_else(|| parsed.issuer().to_string()),
        not_before: validity.not_before.to_datetime(),
        not_after: validity.not_after.to_datetime(),
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(octets) => match octets.len() {
            4 => <[u8; 4]>::try_from(*octets).ok().map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
            16 => <[u8; 16]>::try_from(*octets).ok().map(|octets| std::net::Ipv6Addr::from(octets).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// A key, and the request for a certificate of it.
#[derive(Debug)]
pub struct Request {
    /// PKCS #8 in PEM form: ECDSA with P-256.
    pub key: Secret<Vec<u8>>,
    /// The request in DER form (RFC 2986).
    pub der: Vec<u8>,
}

/// Makes a new key and a request for a certificate of `names`.
///
/// # Errors
/// [`X509Error::Request`].
pub fn request(names: &[String]) -> Result<Request, X509Error> {
    let wrong = |error: rcgen::Error| X509Error::Request(error.to_string());
    let mut params = CertificateParams::new(names).map_err(wrong)?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate().map_err(wrong)?;
    let request = params.serialize_request(&key).map_err(wrong)?;
    Ok(Request { der: request.der().to_vec(), key: Secret::new(key.serialize_pem().into_bytes()) })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_certificate_says_its_names_its_issuer_and_its_time() {
        let mut params = CertificateParams::new(["Mail.Example.com".to_owned(), "*.example.com".to_owned(), "192.0.2.7".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "An authority");
        (params.not_before, params.not_after) = (datetime!(2026-11-01 00:00 UTC), datetime!(2027-01-30 00:00 UTC));
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let facts = facts(made.pem().as_bytes()).unwrap();
        assert_eq!(facts.names, ["mail.example.com", "*.example.com", "192.0.2.7"]);
        assert_eq!(facts.issuer, "An authority");
        assert_eq!((facts.not_before, facts.not_after), (datetime!(2026-11-01 00:00 UTC), datetime!(2027-01-30 00:00 UTC)));
    }

    #[test]
    fn what_is_no_certificate_is_told() {
        assert_eq!(facts(b"hello"), Err(X509Error::NoCertificate));
        let odd = b"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        assert!(matches!(facts(odd), Err(X509Error::Unreadable(_))));
    }

    #[test]
    fn every_request_has_a_key_of_its_own() {
        let names = ["mail.example.com".to_owned()];
        let (one, other) = (request(&names).unwrap(), request(&names).unwrap());
        assert!(one.key.expose().starts_with(b"-----BEGIN PRIVATE KEY-----"));
        assert_ne!(one.key, other.key);
        assert!(one.der.windows(16).any(|window| window == b"mail.example.com"));
    }
}
