//! One certificate from an authority: order, proofs, request, chain (RFC 8555 7.4).
//!
//! Answers: chain and key, or what went wrong in the authority's own words. What was published is withdrawn whatever happens.
//! Does not: say when; [`super::keeper`] does.

use std::fmt::Write;
use std::time::Duration;

use instant_acme::{Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier, NewOrder, Order, OrderStatus, Problem};

use super::challenge::{Proof, Prover};
use crate::clock::Clock;
use crate::config::AcmeChallenge;
use crate::domains::SealError;
use crate::model::Secret;
use crate::net::x509::{self, X509Error};
use crate::store::StoreError;

/// How long the authority may take to look at the proofs, and again to sign.
const PATIENCE: Duration = Duration::from_mins(3);
/// Between two looks at an order; the last repeats.
const LOOKS: [Duration; 4] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5)];

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    /// The authority says no, or cannot be reached.
    #[error("{0}")]
    Acme(#[from] Error),
    /// The authority saw no proof.
    #[error("the authority did not find the names to be ours: {0}")]
    Unproven(String),
    /// It wants another kind of proof.
    #[error("the authority offers no {1} for {0}")]
    NotOffered(String, &'static str),
    /// A record of dns-01 could not be published.
    #[error("{0}")]
    Record(String),
    /// No request could be made.
    #[error(transparent)]
    Request(#[from] X509Error),
    /// The order did not end in time.
    #[error("the authority did not get done in time")]
    Late,
    /// It does not go on, for a reason of ours.
    #[error("{0}")]
    Stopped(&'static str),
    /// A secret.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was had cannot be used.
    #[error("what the authority sent cannot be used: {0}")]
    Unusable(String),
}

impl OrderError {
    /// True if the authority says that it is asked too often.
    pub(super) fn is_rate_limit(&self) -> bool {
        matches!(self, Self::Acme(Error::Api(problem)) if is_type(problem, "rateLimited"))
    }

    /// True if the authority does not know our account.
    pub(super) fn is_unknown_account(&self) -> bool {
        matches!(self, Self::Acme(Error::Api(problem)) if is_type(problem, "accountDoesNotExist"))
    }
}

fn is_type(problem: &Problem, name: &str) -> bool {
    problem.r#type.as_deref().and_then(|kind| kind.strip_prefix("urn:ietf:params:acme:error:")) == Some(name)
}

/// A chain and its key, both in PEM form.
#[derive(Debug)]
pub(super) struct Obtained {
    pub(super) chain: String,
    pub(super) key: Secret<Vec<u8>>,
}

/// Gets a certificate for `names`; `replaces` is the one that it follows, where the authority wants to know.
pub(super) async fn obtain(
    account: &Account,
    names: &[String],
    replaces: Option<CertificateIdentifier<'_>>,
    prover: &Prover<'_>,
) -> Result<Obtained, OrderError> {
    let identifiers: Vec<Identifier> = names.iter().map(|name| Identifier::Dns(name.clone())).collect();
    let plain = NewOrder::new(&identifiers);
    let mut order = match replaces {
        None => account.new_order(&plain).await?,
        Some(old) => match account.new_order(&NewOrder::new(&identifiers).replaces(old)).await {
            // It was followed already, or the authority has no such thing: then it is an order as any other.
            Err(Error::Unsupported(_)) => account.new_order(&plain).await?,
            Err(Error::Api(problem)) if is_type(&problem, "alreadyReplaced") => account.new_order(&plain).await?,
            other => other?,
        },
    };
    let proven = prove(&mut order, prover).await;
    let withdrawn = prover.withdraw().await;
    proven?;
    withdrawn?;
    let request = x509::request(names)?;
    order.finalize_csr(&request.der).await?;
    until(&mut order, prover.clock, |status| status == OrderStatus::Valid).await?;
    let chain = order.certificate().await?.ok_or(OrderError::Late)?;
    Ok(Obtained { chain, key: request.key })
}

async fn prove(order: &mut Order, prover: &Prover<'_>) -> Result<(), OrderError> {
    let proofs = proofs(order, prover.kind).await?;
    if !proofs.is_empty() {
        prover.publish(&proofs).await?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Pending
                && let Some(mut challenge) = authorization.challenge(kind(prover.kind))
            {
                challenge.set_ready().await?;
            }
        }
    }
    match until(order, prover.clock, |status| matches!(status, OrderStatus::Ready | OrderStatus::Valid)).await {
        Err(OrderError::Unproven(told)) => Err(OrderError::Unproven(faults(order).await.unwrap_or(told))),
        other => other,
    }
}

/// What has to be shown for the names that the authority does not take for ours already.
async fn proofs(order: &mut Order, wanted: AcmeChallenge) -> Result<Vec<Proof>, OrderError> {
    let mut proofs = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let Identifier::Dns(name) = authorization.identifier().identifier.clone() else { continue };
        let challenge = authorization.challenge(kind(wanted)).ok_or_else(|| OrderError::NotOffered(name.clone(), wanted.as_str()))?;
        let shown = challenge.key_authorization();
        let digest = shown.digest().as_ref().iter().fold(String::new(), |mut digits, octet| {
            // Writing to a text cannot fail.
            let _ = write!(digits, "{octet:02x}");
            digits
        });
        proofs.push(Proof { name, token: challenge.token.clone(), text: shown.as_str().to_owned(), digest, record: shown.dns_value() });
    }
    Ok(proofs)
}

const fn kind(wanted: AcmeChallenge) -> ChallengeType {
    match wanted {
        AcmeChallenge::Http01 => ChallengeType::Http01,
        AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
        AcmeChallenge::Dns01 => ChallengeType::Dns01,
    }
}

/// Looks at the order until it is as it should be, or never will be.
async fn until(order: &mut Order, clock: &Clock, is_done: impl Fn(OrderStatus) -> bool) -> Result<(), OrderError> {
    let deadline = clock.tick().plus(PATIENCE);
    let [.., longest] = LOOKS;
    for wait in LOOKS.into_iter().chain(std::iter::repeat(longest)) {
        clock.sleep(wait).await;
        let state = order.refresh().await?;
        if is_done(state.status) {
            return Ok(());
        }
        if state.status == OrderStatus::Invalid {
            return Err(OrderError::Unproven(state.error.as_ref().map_or_else(|| "it says no more".to_owned(), ToString::to_string)));
        }
        if clock.tick() >= deadline {
            break;
        }
    }
    Err(OrderError::Late)
}

/// What the authority says of each proof that it did not find.
async fn faults(order: &mut Order) -> Option<String> {
    let mut told = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let state = authorization.refresh().await.ok()?;
        let name = state.identifier().to_string();
        told.extend(state.challenges.iter().filter_map(|challenge| challenge.error.as_ref()).map(|error| format!("{name}: {error}")));
    }
    (!told.is_empty()).then(|| told.join("; "))
}
