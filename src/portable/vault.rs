//! Secrets in the text, sealed under a passphrase: Argon2id makes two keys of it, one for AES-256-GCM and one for nonces.
//!
//! Answers: how a secret is written and read. Each is bound to its place: moved to another user or domain it does not open. The nonce is an HMAC
//! of place and secret, and the salt is the house's, so the same secret reads the same in each export: git shows what changed, and nothing else.
//! That two secrets are equal can be seen of the same place at two times alone.
//! Does not: keep the passphrase, or ask for it; it stands in a file that nobody else can read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::document::Encryption;
use crate::domains::portable::SALT_OCTETS;
use crate::model::Secret;

const METHOD: &str = "argon2id+aes-256-gcm";
const CHECK: &[&str] = &["check"];
const KEY_OCTETS: usize = 32;
/// What a guess costs: 64 MiB and three passes (RFC 9106 4, the second choice, with one lane).
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;
/// The most that a text may ask of this machine.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
const MAX_PASSES: u32 = 10;
/// Characters of a passphrase at least.
const MIN_PASSPHRASE: usize = 12;
const MAX_FILE_OCTETS: u64 = 4_096;

/// Why secrets cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file cannot be read.
    #[error("the passphrase file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read it.
    #[error("the passphrase file {0} is open to other users; run: chmod 600 {0}")]
    OpenToOthers(PathBuf),
    /// It is easily guessed.
    #[error("the passphrase in {0} has fewer than {MIN_PASSPHRASE} characters; `openssl rand -base64 24` makes a good one")]
    TooShort(PathBuf),
    /// The table `[encryption]` is not one of ours.
    #[error("the table [encryption] cannot be used: {0}")]
    Parameters(&'static str),
    /// It is another one.
    #[error("the passphrase is not the one that the secrets were sealed with")]
    WrongPassphrase,
    /// A value was changed, or belongs elsewhere.
    #[error("the secret does not open: it was changed, or belongs to another place")]
    DoesNotOpen,
    /// The cipher or the hash refused.
    #[error("the secret could not be sealed")]
    Cipher,
}

/// Seals and opens.
pub struct Vault {
    cipher: LessSafeKey,
    nonces: hmac::Key,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

/// Reads a passphrase: all of the file but the line end.
///
/// # Errors
/// [`VaultError::File`], [`VaultError::OpenToOthers`], [`VaultError::TooShort`].
pub fn read_passphrase(path: &Path) -> Result<Secret<String>, VaultError> {
    let failed = |source| VaultError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // Asked of the open file, so that it cannot be exchanged in between.
    if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
        return Err(VaultError::OpenToOthers(path.to_owned()));
    }
    let mut text = String::new();
    file.take(MAX_FILE_OCTETS).read_to_string(&mut text).map_err(failed)?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.chars().count() < MIN_PASSPHRASE {
        return Err(VaultError::TooShort(path.to_owned()));
    }
    Ok(Secret::new(text.to_owned()))
}

impl Vault {
    /// A vault to write to, and the table that lets it be opened again. Takes a good part of a second: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`VaultError::Cipher`].
    pub fn make(passphrase: &Secret<String>, salt: &[u8; SALT_OCTETS]) -> Result<(Self, Encryption), VaultError> {
        let vault = Self::derive(passphrase, salt, (MEMORY_KIB, PASSES, LANES))?;
        let check = vault.seal(CHECK, METHOD.as_bytes())?;
        let salt = STANDARD.encode(salt);
        Ok((vault, Encryption { method: METHOD.to_owned(), memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES, salt, check }))
    }

    /// Opens the vault of a text. As [`Vault::make`], it takes its time.
    ///
    /// # Errors
    /// [`VaultError::Parameters`], [`VaultError::WrongPassphrase`].
    pub fn open(passphrase: &Secret<String>, table: &Encryption) -> Result<Self, VaultError> {
        if table.method != METHOD {
            return Err(VaultError::Parameters("the method is unknown"));
        }
        if table.memory_kib > MAX_MEMORY_KIB || table.passes > MAX_PASSES || table.lanes != LANES {
            return Err(VaultError::Parameters("it asks for more memory, passes or lanes than any export does"));
        }
        let salt = STANDARD.decode(&table.salt).map_err(|_| VaultError::Parameters("the salt is not base64"))?;
        let vault = Self::derive(passphrase, &salt, (table.memory_kib, table.passes, table.lanes))
            .map_err(|_| VaultError::Parameters("Argon2 does not take these parameters"))?;
        match vault.unseal(CHECK, &table.check) {
            Ok(text) if text.expose() == METHOD.as_bytes() => Ok(vault),
            _ => Err(VaultError::WrongPassphrase),
        }
    }

    fn derive(passphrase: &Secret<String>, salt: &[u8], (memory, passes, lanes): (u32, u32, u32)) -> Result<Self, VaultError> {
        let parameters = Params::new(memory, passes, lanes, Some(2 * KEY_OCTETS)).map_err(|_| VaultError::Cipher)?;
        let mut keys = [0; 2 * KEY_OCTETS];
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
        argon.hash_password_into(passphrase.expose().as_bytes(), salt, &mut keys).map_err(|_| VaultError::Cipher)?;
        let (cipher, nonces) = keys.split_at(KEY_OCTETS);
        let cipher = UnboundKey::new(&AES_256_GCM, cipher).map_err(|_| VaultError::Cipher)?;
        Ok(Self { cipher: LessSafeKey::new(cipher), nonces: hmac::Key::new(hmac::HMAC_SHA256, nonces) })
    }

    /// Seals a secret for its place; base64.
    ///
    /// # Errors
    /// [`VaultError::Cipher`].
    pub fn seal(&self, place: &[&str], plain: &[u8]) -> Result<String, VaultError> {
        let bound = bound(place);
        let mut nonced = hmac::Context::with_key(&self.nonces);
        nonced.update(&bound);
        nonced.update(plain);
        let nonce: [u8; NONCE_LEN] = nonced.sign().as_ref().get(..NONCE_LEN).and_then(|part| part.try_into().ok()).ok_or(VaultError::Cipher)?;
        let mut text = plain.to_vec();
        self.cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut text).map_err(|_| VaultError::Cipher)?;
        Ok(STANDARD.encode([nonce.as_slice(), text.as_slice()].concat()))
    }

    /// Opens what was sealed for its place.
    ///
    /// # Errors
    /// [`VaultError::DoesNotOpen`].
    pub fn unseal(&self, place: &[&str], sealed: &str) -> Result<Secret<Vec<u8>>, VaultError> {
        let octets = STANDARD.decode(sealed).map_err(|_| VaultError::DoesNotOpen)?;
        let (nonce, text) = octets.split_first_chunk::<NONCE_LEN>().ok_or(VaultError::DoesNotOpen)?;
        let (nonce, mut text) = (Nonce::assume_unique_for_key(*nonce), text.to_vec());
        let plain = self.cipher.open_in_place(nonce, Aad::from(bound(place)), &mut text).map_err(|_| VaultError::DoesNotOpen)?.len();
        text.truncate(plain);
        Ok(Secret::new(text))
    }
}

/// The place as octets: each part with its length, so that no two places read alike.
fn bound(place: &[&str]) -> Vec<u8> {
    let mut octets = b"pennypost\0export\0".to_vec();
    for part in place {
        octets.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        octets.extend_from_slice(part.as_bytes());
    }
    octets
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn passphrase(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_secret_opens_in_its_place_with_its_passphrase_only() {
        let (vault, table) = Vault::make(&passphrase("correct horse battery"), &[7; 16]).unwrap();
        let sealed = vault.seal(&["default", "smtp_user", "i@a.example"], b"secret").unwrap();
        let again = Vault::open(&passphrase("correct horse battery"), &table).unwrap();
        assert_eq!(again.unseal(&["default", "smtp_user", "i@a.example"], &sealed).unwrap().expose(), b"secret");
        assert!(again.unseal(&["default", "smtp_user", "j@a.example"], &sealed).is_err());
        assert!(again.unseal(&["default", "smtp_useri", "@a.example"], &sealed).is_err(), "parts do not run into each other");
        let mut octets = STANDARD.decode(&sealed).unwrap();
        *octets.last_mut().unwrap() ^= 1;
        assert!(again.unseal(&["default", "smtp_user", "i@a.example"], &STANDARD.encode(octets)).is_err());
        assert!(matches!(Vault::open(&passphrase("correct horse batterie"), &table), Err(VaultError::WrongPassphrase)));
        for wrong in [
            Encryption { method: "rot13".to_owned(), ..table.clone() },
            Encryption { memory_kib: u32::MAX, ..table.clone() },
            Encryption { passes: 11, ..table.clone() },
            Encryption { salt: "?".to_owned(), ..table.clone() },
            Encryption { salt: String::new(), ..table.clone() },
        ] {
            assert!(matches!(Vault::open(&passphrase("correct horse battery"), &wrong), Err(VaultError::Parameters(_))), "{wrong:?}");
        }
    }

    #[test]
    fn the_same_secret_reads_the_same_in_each_export_and_another_differs_from_its_nonce_on() {
        let (vault, _) = Vault::make(&passphrase("correct horse battery"), &[7; 16]).unwrap();
        let seal = |place: &str, plain: &[u8]| vault.seal(&[place], plain).unwrap();
        assert_eq!(seal("a", b"one"), seal("a", b"one"));
        for other in [seal("b", b"one"), seal("a", b"two")] {
            assert_ne!(seal("a", b"one").get(..16), other.get(..16), "a nonce is used for one secret at one place");
        }
    }

    #[test]
    fn a_passphrase_file_that_others_can_read_or_that_says_little_is_refused() {
        let path = std::env::temp_dir().join(format!("pennypost-passphrase-{}", std::process::id()));
        std::fs::write(&path, "correct horse battery\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_passphrase(&path).unwrap().expose(), "correct horse battery");
        std::fs::write(&path, "short\n").unwrap();
        assert!(matches!(read_passphrase(&path), Err(VaultError::TooShort(_))));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read_passphrase(&path), Err(VaultError::OpenToOthers(_))));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(read_passphrase(&path), Err(VaultError::File { .. })));
    }
}
