//! Names, hosts and connections: DNS and DNSSEC, MX, TLS, DANE, MTA-STS, dialling, small HTTPS requests; of a server its side of TLS, its places, the PROXY
//! protocol.
//!
//! Answers: which hosts take the mail of a domain, at which addresses, and how a connection to one is made.
//! Does not: speak SMTP (see `smtp`) or decide whether mail bounces (see `deliver::verdict`).

pub mod acme;
pub mod authenticator;
pub mod certificate;
pub mod dane;
pub mod dial;
pub mod dns;
pub mod dns_update;
pub mod dnsbl;
pub mod dnssec;
pub mod https;
pub mod mta_sts;
pub mod mx;
pub mod own;
pub mod places;
pub mod proxy;
pub mod proxy_protocol;
pub mod server_tls;
pub mod services;
pub mod shown;
pub mod sntp;
pub mod tls;
pub mod web_post;
pub mod web_url;
pub mod x509;
