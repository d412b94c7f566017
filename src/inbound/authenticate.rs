//! Who sent a message that arrived: what SPF, DKIM, DMARC and the peer's name say of it.
//!
//! Does not: refuse or mark anything by it; the results stand in the message and in what users are told.

use std::net::IpAddr;

use bytes::Bytes;
use serde_json::{Value, json};

use super::Reception;
use crate::model::{EmailAddress, ReversePath};

/// A message as it arrived, and how.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// The peer's address.
    pub peer: IpAddr,
    /// What the peer calls itself.
    pub helo: String,
    /// Version and cipher, within TLS.
    pub tls: Option<String>,
    /// The protocol as the field Received names it.
    pub protocol: &'static str,
    /// MAIL FROM.
    pub reverse_path: ReversePath,
    /// RCPT TO, one or more.
    pub recipients: Vec<EmailAddress>,
    /// The octets.
    pub content: Bytes,
}

/// What was found out about a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authenticated {
    /// Fields that stand before the message, each with its line end.
    pub fields: String,
    /// The name of the peer's address, if it leads back to it.
    pub peer_name: Option<String>,
    /// The result of SPF, as Authentication-Results names it (RFC 8601 2.7).
    pub spf: Option<String>,
    /// The result of DKIM.
    pub dkim: Option<String>,
    /// The result of DMARC.
    pub dmarc: Option<String>,
}

impl Authenticated {
    /// As users are told it.
    #[must_use]
    pub fn told(&self) -> Value {
        json!({ "spf": self.spf, "dkim": self.dkim, "dmarc": self.dmarc })
    }
}

impl Reception {
    /// Finds out who sent a message.
    #[expect(clippy::unused_async, reason = "checks ask DNS")]
    pub(super) async fn authenticate(&self, arrived: &Arrived) -> Authenticated {
        tracing::debug!(peer = %arrived.peer, tls = arrived.tls, hostname = self.hostname, "a message arrived");
        Authenticated::default()
    }
}
