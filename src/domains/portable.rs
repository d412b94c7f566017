//! Domains and their DKIM keys as they are carried to another database (`portable`).
//!
//! Answers: the keys of a domain with their secrets, and a domain with keys that are brought along, made ready outside the transaction that
//! writes it. Does not: carry what DNS said, or the delegation of DKIM names; a domain that was brought here is pending until a check finds its record.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::keys::{self, KeyState, Making, NewKey};
use super::{DomainError, DomainState, Domains, MAX_NAME_OCTETS, StsMode};
use crate::mail::dkim;
use crate::model::{DomainId, DomainName, ProjectId, Secret};
use crate::store::domain::{self as table, DkimKeyRow, DomainRow};
use crate::store::{StoreError, Tx};

/// Characters of base64 on one line of PEM (RFC 7468 2).
const PEM_LINE: usize = 64;
/// Octets of the salt of [`Domains::portable_salt`].
pub const SALT_OCTETS: usize = 16;

/// A DKIM key with its secret.
#[derive(Clone, Debug)]
pub struct PortableKey {
    /// Its selector.
    pub selector: String,
    /// What it does.
    pub state: KeyState,
    /// The TXT record, whole and unquoted.
    pub record: String,
    /// The private key, PKCS#8 in PEM.
    pub pem: Secret<String>,
}

/// A domain that is about to be written.
#[derive(Clone, Debug)]
pub struct PreparedDomain {
    row: DomainRow,
    keys: Vec<DkimKeyRow>,
}

impl PreparedDomain {
    /// Its id.
    #[must_use]
    pub const fn id(&self) -> DomainId {
        DomainId::from_uuid(self.row.id)
    }
}

/// Keys that are about to be written as the next ones of a domain.
#[derive(Clone, Debug)]
pub struct PreparedKeys {
    domain: DomainId,
    keys: Vec<DkimKeyRow>,
}

impl Domains {
    /// The keys of a domain that are not retired, with their secrets, in the order of their selectors.
    ///
    /// # Errors
    /// [`DomainError::NotFound`], [`DomainError::Keys`], [`DomainError::Store`].
    pub async fn portable_keys(&self, project: ProjectId, id: DomainId) -> Result<Vec<PortableKey>, DomainError> {
        let (_, keys) = self.read(project, id).await?;
        let mut portable = Vec::with_capacity(keys.len());
        for (key, view) in keys.iter().zip(keys::views(&keys)) {
            let der = keys::open(&self.inner.sealer, key).map_err(keys::KeyError::Seal)?;
            portable.push(PortableKey { selector: view.selector, state: view.state, record: key.public_record.clone(), pem: pem(&der) });
        }
        portable.sort_by(|one, other| one.selector.cmp(&other.selector));
        Ok(portable)
    }

    /// Salt for a passphrase: the same whenever this house is asked, another in every other.
    #[must_use]
    pub fn portable_salt(&self) -> [u8; SALT_OCTETS] {
        let mut salt = [0; SALT_OCTETS];
        let derived = self.inner.sealer.derive("export.salt");
        salt.iter_mut().zip(derived.expose()).for_each(|(octet, from)| *octet = *from);
        salt
    }

    /// Makes a domain ready to be written, with the keys given or, if there are none, with new ones.
    ///
    /// # Errors
    /// [`DomainError::TooLong`], [`DomainError::BadKey`], [`DomainError::Keys`].
    pub async fn prepare(
        &self,
        project: ProjectId,
        name: &DomainName,
        mta_sts: StsMode,
        keys: &[PortableKey],
    ) -> Result<PreparedDomain, DomainError> {
        if name.as_str().len() > MAX_NAME_OCTETS {
            return Err(DomainError::TooLong);
        }
        let id = self.inner.clock.uuid();
        let keys = if keys.is_empty() {
            let making = Making { domain: id, state: KeyState::Active, delegation: None, in_use: &[] };
            keys::make(&self.inner.sealer, &self.inner.clock, making).await?
        } else {
            keys.iter().map(|key| self.sealed(name, id, key, key.state)).collect::<Result<_, _>>()?
        };
        let row = DomainRow {
            id,
            project_id: project.uuid(),
            name: name.to_string(),
            state: DomainState::Pending.as_str().to_owned(),
            created_at: self.inner.clock.now(),
            verified_at: None,
            checked_at: None,
            failing_since: None,
            findings: serde_json::Value::Array(Vec::new()),
            mta_sts: mta_sts.as_str().to_owned(),
            dkim_zone: None,
        };
        Ok(PreparedDomain { row, keys })
    }

    /// Makes keys ready to become the next ones of a domain: like those of a rotation they sign once a check sees their records in DNS.
    ///
    /// # Errors
    /// [`DomainError::BadKey`], [`DomainError::Keys`].
    pub fn prepare_keys(&self, id: DomainId, name: &DomainName, keys: &[PortableKey]) -> Result<PreparedKeys, DomainError> {
        let keys = keys.iter().map(|key| self.sealed(name, id.uuid(), key, KeyState::Next)).collect::<Result<_, _>>()?;
        Ok(PreparedKeys { domain: id, keys })
    }

    /// Writes a domain. Commits nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_prepared(&self, tx: &mut Tx, domain: &PreparedDomain) -> Result<(), StoreError> {
        table::insert_within(tx, &domain.row, &domain.keys).await
    }

    /// Writes the next keys of a domain. Commits nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_keys(&self, tx: &mut Tx, keys: &PreparedKeys) -> Result<(), StoreError> {
        table::replace_next_keys_within(tx, keys.domain, &keys.keys, &[]).await
    }

    fn sealed(&self, name: &DomainName, domain: uuid::Uuid, key: &PortableKey, state: KeyState) -> Result<DkimKeyRow, DomainError> {
        let (algorithm, pair) = dkim::import(&key.pem).map_err(DomainError::BadKey)?;
        // What cannot sign here must not be kept.
        dkim::Signer::new(name, &key.selector, algorithm, &pair.private_der).map_err(DomainError::BadKey)?;
        let new = NewKey { domain, state, selector: key.selector.clone(), algorithm, pair };
        Ok(keys::sealed(&self.inner.sealer, &self.inner.clock, new)?)
    }
}

/// PKCS#8 in PEM (RFC 7468 10).
fn pem(der: &Secret<Vec<u8>>) -> Secret<String> {
    let text = STANDARD.encode(der.expose());
    let mut lines = vec!["-----BEGIN PRIVATE KEY-----"];
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(PEM_LINE).unwrap_or((rest, ""));
        lines.push(line);
        rest = after;
    }
    lines.push("-----END PRIVATE KEY-----\n");
    Secret::new(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_either_algorithm_reads_back_from_its_pem() {
        for algorithm in [dkim::Algorithm::Rsa2048, dkim::Algorithm::Ed25519] {
            let pair = dkim::generate(algorithm).unwrap();
            let (read, again) = dkim::import(&pem(&pair.private_der)).unwrap();
            assert_eq!((read, again.record), (algorithm, pair.record));
        }
    }
}
