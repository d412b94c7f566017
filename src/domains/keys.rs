//! DKIM keys of the domains: made, sealed, and opened to sign.
//!
//! Answers: two keys for a new domain, RSA-2048 for all receivers and Ed25519 (RFC 8463) for those that know it, each under a
//! selector of its own (rule C8).
//! Does not: sign (see [`crate::mail::dkim`]).

use time::OffsetDateTime;
use uuid::Uuid;

use super::SignerError;
use super::delegation::Delegation;
use super::seal::{Place, SealError, Sealer};
use crate::clock::Clock;
use crate::mail::dkim::{self, Algorithm, DkimError, KeyPair, Signer};
use crate::model::{DomainName, Secret};
use crate::store::domain::DkimKeyRow;

/// Characters of a selector: those that are not taken for each other.
const ALPHABET: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";
const SELECTOR_CHARACTERS: usize = 6;

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Signs: also the key of a new domain, which is not verified before its record stands.
    Active,
    /// Signs as soon as its record stands: the key of a rotation.
    Next,
}

impl KeyState {
    /// As the database writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Next => "next",
        }
    }
}

/// A key without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DkimKeyView {
    /// Its selector.
    pub selector: String,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Bits of an RSA key.
    pub bits: Option<usize>,
    /// What it does.
    pub state: KeyState,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When a check last saw its record in DNS.
    pub seen_at: Option<OffsetDateTime>,
}

/// The keys of a domain as they are shown.
pub(super) fn views(keys: &[DkimKeyRow]) -> Vec<DkimKeyView> {
    let view = |key: &DkimKeyRow| DkimKeyView {
        selector: key.selector.clone(),
        algorithm: if proves(key) { Algorithm::Rsa2048 } else { Algorithm::Ed25519 },
        bits: dkim::rsa_bits(&key.public_record),
        state: if key.state == KeyState::Next.as_str() { KeyState::Next } else { KeyState::Active },
        created_at: key.created_at,
        seen_at: key.seen_at,
    };
    keys.iter().map(view).collect()
}

/// Why no keys could be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The generator failed.
    #[error("no DKIM key could be made: {0}")]
    Dkim(#[from] DkimError),
    /// The key could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The task that makes keys ended early.
    #[error("no DKIM key could be made: the task was stopped")]
    Stopped,
}

/// Which keys to make.
#[derive(Clone, Copy, Debug)]
pub(super) struct Making<'a> {
    pub(super) domain: Uuid,
    pub(super) state: KeyState,
    /// Where their selectors lead; none: under selectors that were never used before.
    pub(super) delegation: Option<&'a Delegation>,
    /// Selectors of keys that stay.
    pub(super) in_use: &'a [&'a str],
}

/// Makes a set of keys for a domain.
pub(super) async fn make(sealer: &Sealer, clock: &Clock, making: Making<'_>) -> Result<Vec<DkimKeyRow>, KeyError> {
    let (sealer, clock) = (sealer.clone(), clock.clone());
    let Making { domain, state, delegation, in_use } = making;
    let wanted = [Algorithm::Rsa2048, Algorithm::Ed25519]
        .map(|algorithm| (algorithm, delegation.map_or_else(|| selector(&clock, algorithm), |delegation| delegation.free(algorithm, in_use))));
    // An RSA key takes a good part of a second.
    let making = move || {
        wanted.map(|(algorithm, selector)| sealed(&sealer, &clock, NewKey { domain, state, selector, algorithm, pair: dkim::generate(algorithm)? }))
    };
    tokio::task::spawn_blocking(making).await.map_err(|_| KeyError::Stopped)?.into_iter().collect()
}

/// A key that is to be kept.
pub(super) struct NewKey {
    pub(super) domain: Uuid,
    pub(super) state: KeyState,
    pub(super) selector: String,
    pub(super) algorithm: Algorithm,
    pub(super) pair: KeyPair,
}

/// The row of a key, its private half sealed.
pub(super) fn sealed(sealer: &Sealer, clock: &Clock, key: NewKey) -> Result<DkimKeyRow, KeyError> {
    let id = clock.uuid();
    Ok(DkimKeyRow {
        id,
        domain_id: key.domain,
        selector: key.selector,
        algorithm: stored(key.algorithm).to_owned(),
        state: key.state.as_str().to_owned(),
        private_key: sealer.seal(clock, place(id), &key.pair.private_der)?,
        public_record: key.pair.record,
        created_at: clock.now(),
        seen_at: None,
    })
}

/// Signers for the keys that receivers can look up; for all active keys while none was seen in DNS. RSA first.
pub(super) fn signers(sealer: &Sealer, domain: &DomainName, keys: &[DkimKeyRow]) -> Result<Vec<Signer>, SignerError> {
    let active: Vec<&DkimKeyRow> = keys.iter().filter(|key| key.state == KeyState::Active.as_str()).collect();
    let any_seen = active.iter().any(|key| key.seen_at.is_some());
    let mut signers = Vec::new();
    for algorithm in [Algorithm::Rsa2048, Algorithm::Ed25519] {
        for key in active.iter().filter(|key| key.algorithm == stored(algorithm) && (key.seen_at.is_some() || !any_seen)) {
            signers.push(Signer::new(domain, &key.selector, algorithm, &open(sealer, key)?)?);
        }
    }
    if signers.is_empty() { Err(SignerError::NoKey) } else { Ok(signers) }
}

/// True for a key whose record proves the domain: every receiver knows RSA.
pub(super) fn proves(key: &DkimKeyRow) -> bool {
    key.algorithm == stored(Algorithm::Rsa2048)
}

pub(super) fn open(sealer: &Sealer, key: &DkimKeyRow) -> Result<Secret<Vec<u8>>, SealError> {
    sealer.open(place(key.id), &key.private_key)
}

const fn place(row: Uuid) -> Place {
    Place { table: "dkim_key", column: "private_key", row }
}

const fn stored(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Rsa2048 => "rsa2048",
        Algorithm::Ed25519 => "ed25519",
    }
}

/// A selector that was never used before: an old record that still stands under it would be taken for the new one.
fn selector(clock: &Clock, algorithm: Algorithm) -> String {
    let random: String = clock
        .random::<SELECTOR_CHARACTERS>()
        .iter()
        .map(|octet| ALPHABET.get(usize::from(octet & 31)).map_or('2', |character| char::from(*character)))
        .collect();
    let suffix = match algorithm {
        Algorithm::Rsa2048 => "rsa",
        Algorithm::Ed25519 => "ed",
    };
    format!("pp-{random}-{suffix}")
}
