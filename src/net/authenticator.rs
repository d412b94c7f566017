//! Mail looked at as its receivers do: SPF evaluated (RFC 7208 4), DKIM signatures verified (RFC 6376 6), with the DNS as it is now.
//!
//! Answers: what a receiver would find. The judging is mail-auth's, none of the code that signs takes part.
//! Does not: reject anything.

use std::net::IpAddr;
use std::time::Duration;

use mail_auth::hickory_resolver::config::{ResolveHosts, ResolverConfig, ResolverOpts};
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator, Parameters, SpfResult};

use super::dns::{Resolver, ResolverError, name_server};

/// What SPF says of one address (RFC 7208 2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spf {
    /// It may send.
    Pass,
    /// It may not.
    Fail,
    /// It probably may not.
    SoftFail,
    /// Nothing is said.
    Neutral,
    /// There is no record.
    None,
    /// The record cannot be evaluated.
    PermError,
    /// The DNS gave no answer.
    TempError,
}

impl Spf {
    /// As Authentication-Results writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::Neutral => "neutral",
            Self::None => "none",
            Self::PermError => "permerror",
            Self::TempError => "temperror",
        }
    }
}

/// One signature of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// `d=`
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// What is wrong with it.
    pub verdict: Result<(), String>,
}

/// Asks the same servers as a [`Resolver`], anew.
#[derive(Clone)]
pub struct Authenticator(MessageAuthenticator);

impl Authenticator {
    /// Over the servers of `resolver`; one look-up takes at most `limit`.
    ///
    /// # Errors
    /// [`ResolverError::Build`].
    pub fn new(resolver: &Resolver, limit: Duration) -> Result<Self, ResolverError> {
        let servers = resolver.servers().iter().map(|server| name_server(*server)).collect();
        let mut options = ResolverOpts::default();
        options.ndots = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.timeout = limit;
        let config = ResolverConfig::from_name_servers(servers);
        MessageAuthenticator::new(config, options).map(Self).map_err(|error| ResolverError::Build(error.to_string()))
    }

    /// What SPF of `domain` says of mail from `postmaster@<domain>` that comes from `address` with the EHLO name `helo`.
    pub async fn spf(&self, address: IpAddr, domain: &str, helo: &str) -> Spf {
        let sender = format!("postmaster@{domain}");
        let output = self.0.verify_spf(SpfParameters::verify_mail_from(address, helo, helo, &sender)).await;
        match output.result() {
            SpfResult::Pass => Spf::Pass,
            SpfResult::Fail => Spf::Fail,
            SpfResult::SoftFail => Spf::SoftFail,
            SpfResult::Neutral => Spf::Neutral,
            SpfResult::None => Spf::None,
            SpfResult::PermError => Spf::PermError,
            SpfResult::TempError => Spf::TempError,
        }
    }

    /// The signatures of a message, each verified with the key in DNS. Empty if it is no message or has none.
    pub async fn dkim(&self, message: &[u8]) -> Vec<Signature> {
        let Some(parsed) = AuthenticatedMessage::parse(message) else { return Vec::new() };
        let outputs = self.0.verify_dkim(Parameters::new(&parsed)).await;
        let told = parsed.dkim_headers.iter().zip(outputs.iter());
        told.map(|(field, output)| Signature {
            domain: field.header.d.clone(),
            selector: field.header.s.clone(),
            verdict: match output.result() {
                DkimResult::Pass => Ok(()),
                DkimResult::None => Err("no signature".to_owned()),
                DkimResult::Neutral(error) | DkimResult::Fail(error) | DkimResult::PermError(error) | DkimResult::TempError(error) => {
                    Err(error.to_string())
                }
            },
        })
        .collect()
    }
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authenticator")
    }
}
