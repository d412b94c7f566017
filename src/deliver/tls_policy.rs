//! How TLS is used with one mail host: the one place that decides.
//!
//! Answers: what a session has to be, from the strictest word that applies: DANE (RFC 7672) before MTA-STS (RFC 8461 2) before the operator's
//! setting for the domain before the memory of what the host did. REQUIRETLS and `TLS-Required: No` (RFC 8689) are the message's own
//! word. No failure ever leads to clear text where a policy asks for TLS. Pure: everything known comes as an argument.
//! Does not: look anything up or connect (see `connect`), or say what a failure means for the delivery (see `verdict`).

use crate::config::{DeliveryTls, TlsSetting};
use crate::model::message::TlsNeed;
use crate::model::outcome::{TlsPolicy, TlsResult};
use crate::net::certificate::{Authorities, CertificateFault, Proof};
use crate::net::dane::Dane;
use crate::net::dnssec::Security;
use crate::net::mta_sts::{Mode, Policy};

/// All that bears on the decision.
#[derive(Clone, Copy, Debug)]
pub struct Knowledge<'k> {
    /// The mail host.
    pub host: &'k str,
    /// Whether it is proven that the domain names this host.
    pub security: Security,
    /// What the message wants.
    pub need: TlsNeed,
    /// What the DNS says of DANE at the host.
    pub dane: &'k Dane,
    /// The MTA-STS policy of the domain that is in force.
    pub sts: Option<&'k Policy>,
    /// The operator's word for the domain.
    pub setting: TlsSetting,
    /// The host spoke TLS before.
    pub is_remembered: bool,
}

/// What a session has to be.
#[derive(Clone, Debug)]
pub enum Demand {
    /// Clear text.
    Never,
    /// TLS if it can be had, else clear text (RFC 7435).
    IfOffered,
    /// TLS with any certificate.
    Encrypted,
    /// TLS with a certificate that is proven so.
    Proven(Proof),
}

/// A decision and its reason.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The reason.
    pub policy: TlsPolicy,
    /// What follows.
    pub demand: Demand,
}

/// Why a host must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// The domain's MTA-STS policy has other hosts.
    #[error("the MTA-STS policy of the domain does not list {0}")]
    NotListed(String),
    /// Nobody knows what the host's TLSA records demand.
    #[error("the TLSA records of {host} cannot be looked up: {reason}")]
    TlsaUnavailable {
        /// The host.
        host: String,
        /// What came instead.
        reason: String,
    },
    /// Proven TLS is a must for this message, and cannot be had.
    #[error("the message requires TLS (REQUIRETLS): {0}")]
    RequireTls(String),
    /// The host makes no promise for the rest of the way.
    #[error("the message needs REQUIRETLS, which the server does not offer")]
    RequireTlsMissing,
}

impl PolicyFault {
    /// As the API tells it.
    #[must_use]
    pub const fn result(&self) -> TlsResult {
        match self {
            Self::NotListed(_) => TlsResult::MxNotListed,
            Self::TlsaUnavailable { .. } => TlsResult::TlsaUnavailable,
            Self::RequireTls(_) | Self::RequireTlsMissing => TlsResult::RequireTlsNotSupported,
        }
    }

    /// The policy that says so.
    #[must_use]
    pub const fn policy(&self) -> TlsPolicy {
        match self {
            Self::NotListed(_) => TlsPolicy::MtaSts,
            Self::TlsaUnavailable { .. } => TlsPolicy::Dane,
            Self::RequireTls(_) | Self::RequireTlsMissing => TlsPolicy::RequireTls,
        }
    }
}

/// Decides. `authorities` stand behind certificates where no TLSA record does.
///
/// # Errors
/// [`PolicyFault`]: the host must not be used for this message.
pub fn decide(known: &Knowledge<'_>, authorities: &Authorities) -> Result<Decision, PolicyFault> {
    match known.need {
        TlsNeed::ByPolicy => ruled(known, authorities),
        TlsNeed::Required => required(known, authorities),
        // The receiving domain's policy is waived, the operator's is not.
        TlsNeed::Waived => Ok(match known.setting {
            TlsSetting::Prefer => Decision { policy: TlsPolicy::Waived, demand: Demand::IfOffered },
            setting => by_setting(setting, false, authorities),
        }),
    }
}

fn ruled(known: &Knowledge<'_>, authorities: &Authorities) -> Result<Decision, PolicyFault> {
    match known.dane {
        Dane::Records(records) => return Ok(Decision { policy: TlsPolicy::Dane, demand: Demand::Proven(Proof::Dane(records.clone())) }),
        Dane::Unusable => return Ok(Decision { policy: TlsPolicy::Dane, demand: Demand::Encrypted }),
        Dane::Unknown(reason) => return Err(PolicyFault::TlsaUnavailable { host: known.host.to_owned(), reason: reason.clone() }),
        Dane::Absent => {}
    }
    let mode = known.sts.map(|policy| policy.mode);
    if mode == Some(Mode::Enforce) {
        if !known.sts.is_some_and(|policy| policy.lists(known.host)) {
            return Err(PolicyFault::NotListed(known.host.to_owned()));
        }
        return Ok(Decision { policy: TlsPolicy::MtaSts, demand: Demand::Proven(Proof::Authority(authorities.clone())) });
    }
    let decision = by_setting(known.setting, known.is_remembered, authorities);
    Ok(match decision.policy {
        TlsPolicy::Prefer if mode == Some(Mode::Testing) => Decision { policy: TlsPolicy::MtaStsTesting, ..decision },
        _ => decision,
    })
}

fn by_setting(setting: TlsSetting, is_remembered: bool, authorities: &Authorities) -> Decision {
    let (policy, demand) = match setting {
        TlsSetting::Verify => (TlsPolicy::Verify, Demand::Proven(Proof::Authority(authorities.clone()))),
        TlsSetting::Require => (TlsPolicy::Require, Demand::Encrypted),
        TlsSetting::Off => (TlsPolicy::Off, Demand::Never),
        TlsSetting::Prefer if is_remembered => (TlsPolicy::Remembered, Demand::Encrypted),
        TlsSetting::Prefer => (TlsPolicy::Prefer, Demand::IfOffered),
    };
    Decision { policy, demand }
}

/// RFC 8689 4.2.1: the host's name comes by DNSSEC or an MTA-STS policy, and its certificate is proven.
fn required(known: &Knowledge<'_>, authorities: &Authorities) -> Result<Decision, PolicyFault> {
    let proof = match ruled(known, authorities) {
        Ok(Decision { demand: Demand::Proven(proof), policy: TlsPolicy::Dane | TlsPolicy::MtaSts }) => proof,
        Ok(_) if known.security == Security::Secure || known.sts.is_some_and(|policy| policy.lists(known.host)) => {
            Proof::Authority(authorities.clone())
        }
        Ok(_) => {
            let reason = format!("neither DNSSEC nor an MTA-STS policy proves that {} is a mail host of the domain", known.host);
            return Err(PolicyFault::RequireTls(reason));
        }
        Err(fault @ PolicyFault::NotListed(_)) => return Err(PolicyFault::RequireTls(fault.to_string())),
        Err(fault) => return Err(fault),
    };
    Ok(Decision { policy: TlsPolicy::RequireTls, demand: Demand::Proven(proof) })
}

/// The operator's word for a domain: the longest name that fits, else the default.
#[must_use]
pub fn setting(settings: &DeliveryTls, domain: &str) -> TlsSetting {
    if let Some(setting) = settings.domains.get(domain) {
        return *setting;
    }
    let mut rest = domain;
    while let Some(dot) = rest.find('.') {
        let parent = rest.get(dot..).unwrap_or_default();
        if let Some(setting) = settings.domains.get(parent) {
            return *setting;
        }
        rest = rest.get(dot + 1..).unwrap_or_default();
    }
    settings.default
}

/// As the API tells what is wrong with a certificate.
#[must_use]
pub const fn result_of(fault: &CertificateFault) -> TlsResult {
    match fault {
        CertificateFault::HostMismatch(_) => TlsResult::CertificateHostMismatch,
        CertificateFault::Expired => TlsResult::CertificateExpired,
        CertificateFault::NotTrusted(_) => TlsResult::CertificateNotTrusted,
        CertificateFault::NoTlsaMatch => TlsResult::TlsaMismatch,
    }
}

#[cfg(test)]
mod tests;
