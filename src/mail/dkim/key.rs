//! DKIM keys: made, read, and shown as the DNS record to publish.
//!
//! Answers: a fresh key pair as PKCS#8 DER with its record (RFC 6376 3.6.1; RFC 8463 3 for Ed25519), and a signature by such a key.
//! Does not: keep or seal keys; `domains` does.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize, PublicEncryptingKey};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use super::DkimError;
use crate::model::Secret;

/// What a key signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `rsa-sha256` with 2048 bits: what every verifier knows (RFC 8301 3.2).
    Rsa2048,
    /// `ed25519-sha256` (RFC 8463).
    Ed25519,
}

impl Algorithm {
    /// The value of `a=` in a signature.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa-sha256",
            Self::Ed25519 => "ed25519-sha256",
        }
    }

    /// The value of `k=` in a record.
    #[must_use]
    pub const fn key_tag(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// A fresh key pair.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The private key, PKCS#8 in DER.
    pub private_der: Secret<Vec<u8>>,
    /// The value of the TXT record at `<selector>._domainkey.<domain>`, whole and unquoted.
    pub record: String,
}

/// Makes a key pair. RSA takes some 100 ms: call it where blocking is allowed.
///
/// # Errors
/// [`DkimError::Generate`] if the library could not.
pub fn generate(algorithm: Algorithm) -> Result<KeyPair, DkimError> {
    let private_der = match algorithm {
        Algorithm::Rsa2048 => {
            let key = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| DkimError::Generate)?;
            key.as_der().map_err(|_| DkimError::Generate)?.as_ref().to_vec()
        }
        Algorithm::Ed25519 => {
            let key = Ed25519KeyPair::generate().map_err(|_| DkimError::Generate)?;
            key.to_pkcs8v1().map_err(|_| DkimError::Generate)?.as_ref().to_vec()
        }
    };
    let record = PrivateKey::read(algorithm, &private_der)?.record()?;
    Ok(KeyPair { private_der: Secret::new(private_der), record })
}

/// Reads a private key in PEM: PKCS#8 of RSA or Ed25519, or PKCS#1 of RSA, as other signers keep them.
///
/// # Errors
/// [`DkimError::PrivateKey`]; also for an RSA key under 2048 bits.
pub fn import(pem: &Secret<String>) -> Result<(Algorithm, KeyPair), DkimError> {
    let refused = DkimError::PrivateKey;
    let key = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_| refused)?;
    let rsa = match &key {
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()).ok(),
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok(),
        _ => None,
    };
    let (algorithm, private_der) = match (rsa, &key) {
        (Some(rsa), _) => (Algorithm::Rsa2048, rsa.as_der().map_err(|_| refused)?.as_ref().to_vec()),
        (None, PrivateKeyDer::Pkcs8(der)) => (Algorithm::Ed25519, der.secret_pkcs8_der().to_vec()),
        (None, _) => return Err(refused),
    };
    let record = PrivateKey::read(algorithm, &private_der)?.record()?;
    Ok((algorithm, KeyPair { private_der: Secret::new(private_der), record }))
}

/// The bits of the RSA key in a record; none if it is another key or none that may sign.
#[must_use]
pub fn rsa_bits(record: &str) -> Option<usize> {
    let value = record.split(';').find_map(|tag| tag.split_once('=').filter(|(name, _)| name.trim() == "p")).map(|(_, value)| value.trim())?;
    PublicEncryptingKey::from_der(&STANDARD.decode(value).ok()?).ok().map(|key| key.key_size_bits())
}

/// A private key, parsed.
pub(super) enum PrivateKey {
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl PrivateKey {
    pub(super) fn read(algorithm: Algorithm, der: &[u8]) -> Result<Self, DkimError> {
        let refused = |_| DkimError::PrivateKey;
        match algorithm {
            Algorithm::Rsa2048 => RsaKeyPair::from_pkcs8(der).map(Self::Rsa).map_err(refused),
            Algorithm::Ed25519 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Self::Ed25519).map_err(refused),
        }
    }

    /// The value of `a=`.
    pub(super) const fn tag(&self) -> &'static str {
        match self {
            Self::Rsa(_) => Algorithm::Rsa2048.tag(),
            Self::Ed25519(_) => Algorithm::Ed25519.tag(),
        }
    }

    /// Signs the canonical header fields. RFC 8463 3: Ed25519 signs their SHA-256, not the octets.
    pub(super) fn sign(&self, canonical: &[u8]) -> Result<Vec<u8>, DkimError> {
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), canonical, &mut signature).map_err(|_| DkimError::Sign)?;
                Ok(signature)
            }
            Self::Ed25519(key) => {
                let hash = digest(&SHA256, canonical);
                key.try_sign(hash.as_ref()).map(|signature| signature.as_ref().to_vec()).map_err(|_| DkimError::Sign)
            }
        }
    }

    /// The record: for RSA the SubjectPublicKeyInfo (RFC 6376 3.6.1 as corrected by erratum 3017), for Ed25519 the bare 32 octets.
    pub(super) fn record(&self) -> Result<String, DkimError> {
        let (algorithm, public) = match self {
            Self::Rsa(key) => {
                let der = key.public_key().as_der().map_err(|_| DkimError::PrivateKey)?;
                (Algorithm::Rsa2048, STANDARD.encode(der.as_ref()))
            }
            Self::Ed25519(key) => (Algorithm::Ed25519, STANDARD.encode(key.public_key().as_ref())),
        };
        Ok(format!("v=DKIM1; k={}; p={public}", algorithm.key_tag()))
    }
}
