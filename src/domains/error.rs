//! Why a domain cannot be had, checked or signed for.

use super::MAX_NAME_OCTETS;
use super::keys::KeyError;
use super::seal::SealError;
use crate::mail::dkim::DkimError;
use crate::store::StoreError;

/// Why a domain could not be added, found or checked.
#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    /// The project has it already.
    #[error("the domain was added before")]
    Exists,
    /// Another project proves it too.
    #[error("the domain belongs to another project, whose DKIM record still stands in DNS")]
    TakenElsewhere,
    /// The project has no such domain.
    #[error("no such domain")]
    NotFound,
    /// The name leaves no room for the records below it.
    #[error("the domain is longer than {MAX_NAME_OCTETS} octets, too long for the records below it")]
    TooLong,
    /// The zone for DKIM keys leaves no room for the names in it.
    #[error("domain and zone together are too long for the names of keys, which have 253 octets at most")]
    ZoneTooLong,
    /// The record that a next key would replace may still be needed.
    #[error("the keys were changed less than a week ago; mail signed with the ones before may still be on its way. Rotate again after that week")]
    TooSoon,
    /// The key brought along is none that can sign.
    #[error("the key cannot be used: {0}")]
    BadKey(DkimError),
    /// The domain has, or had, a key under that selector.
    #[error("the selector was used before; a key comes under one that receivers have not seen with another key")]
    SelectorInUse,
    /// No keys could be made.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why there is nothing to sign with.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The domain is gone or has no active key.
    #[error("the domain has no DKIM key")]
    NoKey,
    /// The key does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The key is not one.
    #[error("the DKIM key is damaged: {0}")]
    Dkim(#[from] DkimError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
