//! `[tls]`: the certificates that we show, from files or by ACME (RFC 8555).

use std::path::PathBuf;

use serde::Deserialize;

use super::Listen;
use crate::model::Secret;

const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
const LETS_ENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// `[tls]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM files, each a certificate with its chain.
    pub certificate_files: Vec<PathBuf>,
    /// PEM files of their keys, in the same order.
    pub key_files: Vec<PathBuf>,
    /// `letsencrypt`, `letsencrypt-staging`, or the URL of a directory; empty: no ACME.
    pub acme: String,
    /// The mail address that the authority writes to; empty: none.
    pub acme_contact: String,
    /// The names of the certificate; empty: `server.hostname`.
    pub acme_names: Vec<String>,
    /// How we prove that the names are ours.
    pub acme_challenge: AcmeChallenge,
    /// Where http-01 is answered: port 80.
    pub acme_http_listen: Listen,
    /// Where tls-alpn-01 is answered: port 443.
    pub acme_tls_listen: Listen,
    /// The id of an account at the authority's own site; empty: none (RFC 8555 7.3.4).
    pub acme_eab_kid: String,
    /// The key that goes with it, in base64url.
    pub acme_eab_key: Secret<String>,
    /// A PEM file of the authorities behind the directory's own certificate; empty: the public ones.
    pub acme_ca_file: PathBuf,
    /// The program that publishes the records of dns-01; empty: none.
    pub acme_dns_hook: PathBuf,
    /// `address:port` of the server that takes updates of the zone (RFC 2136); empty: none.
    pub acme_dns_server: String,
    /// The name of the TSIG key.
    pub acme_dns_key_name: String,
    /// The TSIG key for hmac-sha256, in base64.
    pub acme_dns_key: Secret<String>,
}

/// How a name is proven to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum AcmeChallenge {
    /// A text at port 80 (RFC 8555 8.3).
    #[serde(rename = "http-01")]
    Http01,
    /// A certificate at port 443 (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// A TXT record (RFC 8555 8.4).
    #[serde(rename = "dns-01")]
    Dns01,
}

impl AcmeChallenge {
    /// As the configuration and the database write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Dns01 => "dns-01",
        }
    }
}

impl Tls {
    /// The URL of the authority's directory; none without ACME.
    #[must_use]
    pub fn directory(&self) -> Option<&str> {
        match self.acme.as_str() {
            "" => None,
            "letsencrypt" => Some(LETS_ENCRYPT),
            "letsencrypt-staging" => Some(LETS_ENCRYPT_STAGING),
            url => Some(url),
        }
    }

    /// The names that a certificate is wanted for: lower case, sorted, each once.
    #[must_use]
    pub fn wanted_names(&self, hostname: &str) -> Vec<String> {
        let mut names: Vec<String> = self.acme_names.iter().map(|name| name.to_ascii_lowercase()).collect();
        if names.is_empty() && !hostname.is_empty() {
            names.push(hostname.to_ascii_lowercase());
        }
        names.sort();
        names.dedup();
        names
    }
}
