//! Secrets at rest: AES-256-GCM under one master key (rule C4).
//!
//! Answers: how a secret column is written and read. A sealed value is bound to its table, column and row: moved to another, it
//! does not open. Layout: one octet of version, 12 of nonce, then ciphertext and tag.
//! Does not: keep the master key in the database; it is a file of the operator's, 32 octets in base64, readable by its owner only.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use crate::clock::Clock;
use crate::model::Secret;

const VERSION: u8 = 1;
const KEY_OCTETS: usize = 32;
/// A key file has 44 characters and a line end; more is another file.
const MAX_FILE_OCTETS: u64 = 256;

/// Why a secret could not be sealed or opened, or the master key not be had.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The value was not sealed for this place, or under another master key.
    #[error("a secret in the database does not open: another master key, or the value was moved or damaged")]
    DoesNotOpen,
    /// The cipher refused.
    #[error("the secret could not be sealed")]
    Cipher,
    /// The key file cannot be read or made.
    #[error("the master key file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read the key file.
    #[error("the master key file {0} is open to other users; run: chmod 600 {0}")]
    OpenToOthers(PathBuf),
    /// The file holds something else.
    #[error("the master key file {0} does not hold 32 octets in base64")]
    NotAKey(PathBuf),
}

/// The one place a sealed value belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The row.
    pub row: Uuid,
}

impl Place {
    fn aad(&self) -> Aad<Vec<u8>> {
        let mut octets = format!("pennypost\0{}\0{}\0", self.table, self.column).into_bytes();
        octets.extend_from_slice(self.row.as_bytes());
        Aad::from(octets)
    }
}

/// Seals and opens. Clones share the key.
#[derive(Clone)]
pub struct Sealer {
    key: Arc<LessSafeKey>,
    derive: hmac::Key,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// Reads the master key.
    ///
    /// # Errors
    /// [`SealError::File`], [`SealError::OpenToOthers`], [`SealError::NotAKey`].
    pub fn read(path: &Path) -> Result<Self, SealError> {
        let failed = |source| SealError::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        // Asked of the open file, so that it cannot be exchanged in between.
        let facts = file.metadata().map_err(failed)?;
        if facts.mode() & 0o077 != 0 {
            return Err(SealError::OpenToOthers(path.to_owned()));
        }
        let mut text = String::new();
        file.take(MAX_FILE_OCTETS).read_to_string(&mut text).map_err(failed)?;
        let octets = STANDARD.decode(text.trim()).ok().and_then(|octets| <[u8; KEY_OCTETS]>::try_from(octets).ok());
        Self::from_key(&Secret::new(octets.ok_or_else(|| SealError::NotAKey(path.to_owned()))?))
    }

    /// Reads the master key, or makes one where there is no file yet. Safe to run in two processes at once: both get the same key.
    ///
    /// # Errors
    /// As [`Sealer::read`].
    pub fn read_or_make(path: &Path, clock: &Clock) -> Result<Self, SealError> {
        match Self::read(path) {
            Err(SealError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        make_file(path, clock).map_err(|source| SealError::File { path: path.to_owned(), source })?;
        Self::read(path)
    }

    /// Takes a key as it is.
    ///
    /// # Errors
    /// [`SealError::Cipher`].
    pub fn from_key(key: &Secret<[u8; KEY_OCTETS]>) -> Result<Self, SealError> {
        let derive = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
        let key = UnboundKey::new(&AES_256_GCM, key.expose()).map_err(|_| SealError::Cipher)?;
        Ok(Self { key: Arc::new(LessSafeKey::new(key)), derive })
    }

    /// A key for one other purpose, which tells nothing of the master key or of keys for other purposes.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Secret<[u8; KEY_OCTETS]> {
        let tag = hmac::sign(&self.derive, format!("pennypost\0derive\0{purpose}").as_bytes());
        Secret::new(tag.as_ref().try_into().unwrap_or([0; KEY_OCTETS]))
    }

    /// Seals `plain` for `place`, with a fresh nonce.
    ///
    /// # Errors
    /// [`SealError::Cipher`].
    pub fn seal(&self, clock: &Clock, place: Place, plain: &Secret<Vec<u8>>) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_LEN] = clock.random();
        let mut text = plain.expose().clone();
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), place.aad(), &mut text).map_err(|_| SealError::Cipher)?;
        Ok([&[VERSION], nonce.as_slice(), text.as_slice()].concat())
    }

    /// Opens what was sealed for `place`.
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`].
    pub fn open(&self, place: Place, sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
        let rest = sealed.strip_prefix(&[VERSION]).ok_or(SealError::DoesNotOpen)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::DoesNotOpen)?;
        let mut text = text.to_vec();
        let plain = self.key.open_in_place(Nonce::assume_unique_for_key(*nonce), place.aad(), &mut text).map_err(|_| SealError::DoesNotOpen)?.len();
        text.truncate(plain);
        Ok(Secret::new(text))
    }
}

/// Writes a new key beside `path` and links it into place: whole or not at all, and never over a key that is there.
fn make_file(path: &Path, clock: &Clock) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::create_dir_all(directory)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", clock.uuid().simple()));
    let beside = PathBuf::from(beside);
    let written = write_key(&beside, clock).and_then(|()| match fs::hard_link(&beside, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    fs::remove_file(&beside)?;
    written
}

fn write_key(path: &Path, clock: &Clock) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{}", STANDARD.encode(clock.random::<KEY_OCTETS>()))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn sealer() -> Sealer {
        Sealer::from_key(&Secret::new([7; KEY_OCTETS])).unwrap()
    }

    fn place(row: u128) -> Place {
        Place { table: "dkim_key", column: "private_key", row: Uuid::from_u128(row) }
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_only() {
        let (sealer, clock) = (sealer(), Clock::system());
        let plain = Secret::new(b"a private key".to_vec());
        let sealed = sealer.seal(&clock, place(1), &plain).unwrap();
        assert_eq!(sealer.open(place(1), &sealed).unwrap(), plain);
        assert!(!sealed.windows(7).any(|window| window == b"private"));
        for elsewhere in [place(2), Place { table: "api_key", ..place(1) }, Place { column: "public_record", ..place(1) }] {
            assert!(matches!(sealer.open(elsewhere, &sealed), Err(SealError::DoesNotOpen)), "{elsewhere:?}");
        }
        let other = Sealer::from_key(&Secret::new([8; KEY_OCTETS])).unwrap();
        assert!(matches!(other.open(place(1), &sealed), Err(SealError::DoesNotOpen)));
    }

    #[test]
    fn any_changed_or_missing_octet_is_noticed() {
        let (sealer, clock) = (sealer(), Clock::system());
        let sealed = sealer.seal(&clock, place(1), &Secret::new(vec![1, 2, 3])).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealer.open(place(1), &changed).is_err(), "octet {at}");
            assert!(sealer.open(place(1), &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn the_same_secret_never_looks_the_same() {
        let (sealer, clock) = (sealer(), Clock::system());
        let plain = Secret::new(vec![0; 32]);
        assert_ne!(sealer.seal(&clock, place(1), &plain).unwrap(), sealer.seal(&clock, place(1), &plain).unwrap());
    }

    #[test]
    fn the_key_file_is_made_once_and_kept_from_others() {
        let clock = Clock::system();
        let directory = std::env::temp_dir().join(format!("pennypost-seal-{}", clock.uuid()));
        let path = directory.join("master.key");
        let sealed = Sealer::read_or_make(&path, &clock).unwrap().seal(&clock, place(1), &Secret::new(vec![9])).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(*Sealer::read_or_make(&path, &clock).unwrap().open(place(1), &sealed).unwrap().expose(), vec![9]);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Sealer::read(&path), Err(SealError::OpenToOthers(_))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "c2hvcnQ=\n").unwrap();
        assert!(matches!(Sealer::read_or_make(&path, &clock), Err(SealError::NotAKey(_))));
        fs::remove_dir_all(&directory).unwrap();
    }
}
