//! Names, hosts and connections: DNS, MX, TLS, dialling.
//!
//! Answers: which hosts take the mail of a domain, at which addresses, and how a connection to one is made.
//! Does not: speak SMTP (see `smtp`) or decide whether mail bounces (see `deliver::verdict`).

pub mod dial;
pub mod dns;
pub mod mx;
pub mod own;
pub mod proxy;
pub mod tls;
