//! How an attempt, and a delivery, can end.
//!
//! Answers: the states of a delivery and the facts of an attempt. A refusal by a remote server is a value here, never an error.
//! Does not: decide; `deliver::verdict` decides.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::bounce::BounceClass;
use super::reply::EnhancedStatus;

/// Where a delivery stands. The last five are final.
#[derive(utoipa::ToSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Waits for its time or its turn.
    Queued,
    /// Claimed by a node.
    Active,
    /// Kept back by an operator.
    Held,
    /// Taken by the next hop.
    Delivered,
    /// Refused for good.
    Bounced,
    /// Not taken within its time.
    Expired,
    /// Not sent: the address is on the suppression list.
    Suppressed,
    /// Taken back by the user.
    Cancelled,
}

/// How one attempt ended.
#[derive(utoipa::ToSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A 2yz reply after the final dot.
    Delivered,
    /// To be tried again.
    Deferred,
    /// Refused for good.
    Bounced,
    /// Deferred once too often.
    Expired,
}

/// Whose fault a failure is: what it says something about.
#[derive(utoipa::ToSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = FailureScope)]
pub enum Scope {
    /// This address.
    Recipient,
    /// This message, for every recipient.
    Message,
    /// This MX host.
    Host,
    /// All hosts of the domain.
    Site,
    /// Our own set-up or resources.
    Us,
}

/// How far a session got.
#[derive(utoipa::ToSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Making the DKIM signatures.
    Sign,
    /// Looking up MX hosts and addresses.
    Dns,
    /// TCP.
    Connect,
    /// Waiting for the first 220.
    Greeting,
    /// EHLO or HELO.
    Ehlo,
    /// STARTTLS and the TLS handshake.
    Tls,
    /// AUTH with a smart host.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA before the content.
    Data,
    /// Writing the content, before its end.
    Body,
    /// The end of the content was sent, its reply awaited: from here the outcome can be unknown.
    EndOfData,
}

/// What decided how TLS was used with a host, the strictest that applied.
#[derive(utoipa::ToSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsPolicy {
    /// The message must not leave without proven TLS (REQUIRETLS, RFC 8689).
    RequireTls,
    /// The host's TLSA records (DANE, RFC 7672).
    Dane,
    /// The domain's MTA-STS policy in mode enforce (RFC 8461).
    MtaSts,
    /// The domain's MTA-STS policy in mode testing: faults are reported and mail goes.
    MtaStsTesting,
    /// The operator wants a valid certificate for the domain.
    Verify,
    /// The operator wants TLS for the domain.
    Require,
    /// The host spoke TLS before.
    Remembered,
    /// TLS where it can be had.
    Prefer,
    /// The operator wants no TLS for the domain.
    Off,
    /// The message says `TLS-Required: No` (RFC 8689).
    Waived,
}

/// What came of TLS with a host.
#[derive(utoipa::ToSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsResult {
    /// TLS, with a certificate that the policy proves.
    Verified,
    /// TLS, with whatever certificate.
    Encrypted,
    /// Clear text.
    Clear,
    /// The host does not offer STARTTLS, or refuses it.
    StarttlsNotSupported,
    /// The handshake failed, or the session broke in it.
    HandshakeFailed,
    /// The certificate is for another name.
    CertificateHostMismatch,
    /// The certificate's time is over.
    CertificateExpired,
    /// Nobody who is trusted stands behind the certificate.
    CertificateNotTrusted,
    /// The certificate matches no TLSA record.
    TlsaMismatch,
    /// The TLSA records could not be looked up, or were forged.
    TlsaUnavailable,
    /// The MTA-STS policy does not list the host.
    MxNotListed,
    /// The host does not offer REQUIRETLS, or cannot be proven to belong to the domain.
    RequireTlsNotSupported,
}

impl TlsPolicy {
    /// As the API writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequireTls => "require_tls",
            Self::Dane => "dane",
            Self::MtaSts => "mta_sts",
            Self::MtaStsTesting => "mta_sts_testing",
            Self::Verify => "verify",
            Self::Require => "require",
            Self::Remembered => "remembered",
            Self::Prefer => "prefer",
            Self::Off => "off",
            Self::Waived => "waived",
        }
    }
}

impl TlsResult {
    /// As the API writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Encrypted => "encrypted",
            Self::Clear => "clear",
            Self::StarttlsNotSupported => "starttls_not_supported",
            Self::HandshakeFailed => "handshake_failed",
            Self::CertificateHostMismatch => "certificate_host_mismatch",
            Self::CertificateExpired => "certificate_expired",
            Self::CertificateNotTrusted => "certificate_not_trusted",
            Self::TlsaMismatch => "tlsa_mismatch",
            Self::TlsaUnavailable => "tlsa_unavailable",
            Self::MxNotListed => "mx_not_listed",
            Self::RequireTlsNotSupported => "require_tls_not_supported",
        }
    }
}

/// The facts of one attempt: what the API shows of it.
#[derive(utoipa::ToSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub at: OffsetDateTime,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The MX host, if one was reached or tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mx_host: Option<String>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub mx_ip: Option<IpAddr>,
    /// TLS version and cipher suite, absent for clear text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// The source address it left from, if it left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub source_ip: Option<IpAddr>,
    /// The pool of that address, where pools are configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// The smart host, `host:port`, absent if it went to the MX hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smart_host: Option<String>,
    /// Why TLS was used as it was; absent where no session was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_policy: Option<TlsPolicy>,
    /// What came of that; absent where it did not come to TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_result: Option<TlsResult>,
    /// How far it got.
    pub stage: Stage,
    /// The reply that decided, or what went wrong, on one line.
    pub reply: String,
    /// The enhanced status: the server's, or ours (RFC 3463) where no reply came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub enhanced_status: Option<EnhancedStatus>,
    /// How it ended.
    pub outcome: Outcome,
    /// What a failure says something about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Why it failed, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<BounceClass>,
    /// True if the end of the content was sent and no reply came: the next hop may have taken the message.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outcome_unknown: bool,
    /// True if the next hop was asked for the delivery reports that the sender asked for (RFC 3461): success is its to tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub next_hop_reports: bool,
    /// The dialogue, `C: ` and `S: ` lines; content and secrets left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transcript: Vec<String>,
}

impl Attempt {
    /// The end of a delivery whose time was over before it could be tried again (RFC 3463 4.4.7).
    #[must_use]
    pub fn never_made(at: OffsetDateTime) -> Self {
        Self {
            at,
            duration_ms: 0,
            mx_host: None,
            mx_ip: None,
            tls: None,
            source_ip: None,
            pool: None,
            smart_host: None,
            tls_policy: None,
            tls_result: None,
            stage: Stage::Dns,
            reply: "not taken by any mail host before it expired".into(),
            enhanced_status: Some(EnhancedStatus::new(4, 4, 7)),
            outcome: Outcome::Expired,
            scope: None,
            class: Some(BounceClass::Other),
            outcome_unknown: false,
            next_hop_reports: false,
            transcript: Vec::new(),
        }
    }
}
