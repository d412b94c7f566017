//! Passwords of SMTP users: made here, kept as Argon2id, and checked without filling memory or processors.
//!
//! Answers: a fresh password `pp_smtp_` with 18 random characters (107 bits) and a checksum of 6; its hash; whether a password is the one that was hashed.
//! The checksum tells what was mistyped, or is somebody's password elsewhere, before anything is hashed: the guesses that come all day cost next to
//! nothing. It holds no secret, so whoever means this server makes guesses that pass it; how many of those are hashed, the lock-out limits
//! (`smtpd::attempts`), and how many at once, [`AT_ONCE`].
//! Does not: let users choose passwords, which people have elsewhere too.

use std::sync::Arc;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use super::token;
use crate::clock::Clock;
use crate::model::Secret;

const PREFIX: &str = "pp_smtp_";
const RANDOM_CHARACTERS: usize = 18;
/// Passwords hashed at once: each takes 19 MiB and some 30 ms of one processor.
const AT_ONCE: usize = 2;
const SALT_OCTETS: usize = 16;

/// The hash could not be made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a password could not be hashed")]
pub struct HashError;

/// Hashes passwords on threads that may wait, a few at a time.
#[derive(Clone, Debug)]
pub(super) struct Hasher {
    places: Arc<Semaphore>,
    clock: Clock,
}

impl Hasher {
    pub(super) fn new(clock: Clock) -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)), clock }
    }

    /// A fresh password.
    pub(super) fn generate(&self) -> Secret<String> {
        let mut password = format!("{PREFIX}{}", token::random_characters(&self.clock, RANDOM_CHARACTERS));
        password.push_str(&token::checksum(&password));
        Secret::new(password)
    }

    /// Its hash, as a PHC string.
    pub(super) async fn hash(&self, password: &Secret<String>) -> Result<String, HashError> {
        let (password, salt) = (password.clone(), self.clock.random::<SALT_OCTETS>());
        self.run(move || {
            let hashed = argon().hash_password_with_salt(password.expose().as_bytes(), &salt);
            hashed.map(|hash| hash.to_string()).map_err(|_| HashError)
        })
        .await
    }

    /// True if `password` is the one that was hashed. A hash that cannot be read is an error, at once: it stands in the database, and no client chose it.
    pub(super) async fn verify(&self, password: &Secret<String>, hash: &str) -> Result<bool, HashError> {
        let (password, hash) = (password.clone(), hash.to_owned());
        self.run(move || match argon().verify_password(password.expose().as_bytes(), hash.as_str()) {
            Ok(()) => Ok(true),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
            Err(_) => Err(HashError),
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T, HashError> + Send + 'static) -> Result<T, HashError> {
        let _place = self.places.acquire().await.map_err(|_| HashError)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| HashError)?
    }
}

/// True if the text is formed like a password of ours and its checksum is right.
pub(super) fn is_well_formed(text: &str) -> bool {
    let whole = text.len() == PREFIX.len() + RANDOM_CHARACTERS + token::CHECKSUM_CHARACTERS && text.starts_with(PREFIX);
    let checked = text.len().checked_sub(token::CHECKSUM_CHARACTERS).and_then(|at| text.split_at_checked(at));
    whole && checked.is_some_and(|(checked, sum)| token::checksum(checked) == sum)
}

/// True for a hash that [`Hasher::verify`] can check, in no more memory and passes than one of ours.
pub(super) fn is_hash(text: &str) -> bool {
    let ours = format!("$argon2id$v=19$m={},t={},p={}$", Params::DEFAULT_M_COST, Params::DEFAULT_T_COST, Params::DEFAULT_P_COST);
    text.starts_with(&ours) && argon2::PasswordHash::new(text).is_ok_and(|hash| hash.salt.is_some() && hash.hash.is_some())
}

/// Argon2id with the memory and passes that OWASP names: 19 MiB, two passes, one lane.
fn argon() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_again_and_another_is_not() {
        let hasher = Hasher::new(Clock::system());
        let (one, other) = (hasher.generate(), hasher.generate());
        let hash = hasher.hash(&one).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !hash.contains(one.expose()), "{hash}");
        assert_ne!(hash, hasher.hash(&one).await.unwrap(), "the salt is another");
        assert!(hasher.verify(&one, &hash).await.unwrap());
        assert!(!hasher.verify(&other, &hash).await.unwrap());
        assert_eq!(hasher.verify(&one, "no hash").await, Err(HashError));
    }

    #[test]
    fn a_guess_is_told_from_a_password_that_was_made_here() {
        let hasher = Hasher::new(Clock::system());
        let password = hasher.generate();
        assert_eq!(password.expose().len(), 32);
        assert!(is_well_formed(password.expose()));
        let mistyped = format!("{}x", password.expose().get(..31).unwrap());
        for text in ["", "hunter2", "pp_smtp_", "pp_smtp_ééééééééé", &password.expose().to_lowercase(), &mistyped] {
            assert!(!is_well_formed(text) || text == password.expose(), "{text}");
        }
    }
}
