//! Certificates that are in no file: had by ACME or imported, kept in the database, shown by every node.
//!
//! Answers: which there are, how their renewal goes; takes one that an operator brings. `keeper` shows them and has them renewed, `order` gets one
//! from the authority, `challenge` proves that the names are ours.
//! Does not: read certificate files; `net::server_tls` does.

mod account;
mod challenge;
mod hook;
pub mod keeper;
pub mod listen;
mod order;
mod renewal;
mod transport;
mod view;

use uuid::Uuid;

use crate::clock::Clock;
use crate::domains::seal::Place;
use crate::domains::{SealError, Sealer};
use crate::model::{CertificateId, Secret};
use crate::net::server_tls::{Kept, ServerTlsError};
use crate::net::x509::{self, X509Error};
use crate::store::certificate::{self, CertificateRow};
use crate::store::{Store, StoreError};

pub use keeper::{Keeper, KeeperParts};
pub use view::{CertificateSource, CertificateView};

/// What goes wrong with certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// What was brought is no certificate with its key.
    #[error("{0}")]
    Unfit(#[from] ServerTlsError),
    /// The certificate cannot be read.
    #[error("the certificate: {0}")]
    Unreadable(#[from] X509Error),
    /// Its time is over.
    #[error("the certificate ended on {0}")]
    Ended(time::Date),
    /// It is for no name.
    #[error("the certificate names no host")]
    Nameless,
    /// A key in the database does not open, or could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps certificates. Clones share the database.
#[derive(Clone, Debug)]
pub struct Certificates {
    store: Store,
    sealer: Sealer,
    clock: Clock,
}

impl Certificates {
    /// Over a database, with the master key for private keys.
    #[must_use]
    pub const fn new(store: Store, sealer: Sealer, clock: Clock) -> Self {
        Self { store, sealer, clock }
    }

    /// Those in use, and those that are wanted and not there yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self) -> Result<Vec<CertificateView>, StoreError> {
        list(&self.store, &self.clock).await
    }

    /// Takes a certificate with its chain and its key, both in PEM form, in place of one that was imported for the same names.
    ///
    /// # Errors
    /// [`CertificateError`] says what is wrong with them; nothing is kept then.
    pub async fn import(&self, chain: &[u8], key: &Secret<Vec<u8>>) -> Result<CertificateView, CertificateError> {
        Kept::parse(chain, key.expose())?;
        let facts = x509::facts(chain)?;
        if facts.not_after <= self.clock.now() {
            return Err(CertificateError::Ended(facts.not_after.date()));
        }
        if facts.names.is_empty() {
            return Err(CertificateError::Nameless);
        }
        let row = self.row(CertificateSource::Import, None, chain, key)?;
        certificate::import(&self.store, &row).await?;
        Ok(view::view(&row, None))
    }

    /// Removes a certificate. False: there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove(&self, id: CertificateId) -> Result<bool, StoreError> {
        certificate::remove(&self.store, id.uuid()).await
    }

    /// Asks the nodes to look at the orders with an authority now: those that failed are tried again, with `forced` all are renewed. Answers how many
    /// orders there are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hurry(&self, directory: &str, forced: bool) -> Result<u64, StoreError> {
        certificate::hurry(&self.store, directory, forced, self.clock.now()).await
    }

    /// Nodes that run.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn nodes(&self) -> Result<i64, StoreError> {
        self.store.live_nodes().await
    }

    /// The certificates to show, the best first. One that cannot be used is told and left out.
    async fn kept(&self) -> Result<Vec<Kept>, StoreError> {
        let rows = certificate::list(&self.store, self.clock.now()).await?;
        let open = |row: &CertificateRow| match self.open(row) {
            Ok(kept) => Some(kept),
            Err(error) => {
                tracing::error!(%error, names = row.names.join(","), "a certificate in the database cannot be used");
                None
            }
        };
        Ok(rows.iter().filter_map(open).collect())
    }

    fn open(&self, row: &CertificateRow) -> Result<Kept, CertificateError> {
        let key = self.sealer.open(place(row.id), &row.private_key)?;
        Ok(Kept::parse(row.chain.as_bytes(), key.expose())?)
    }

    /// The row of a certificate, its key sealed.
    fn row(
        &self,
        source: CertificateSource,
        directory: Option<&str>,
        chain: &[u8],
        key: &Secret<Vec<u8>>,
    ) -> Result<CertificateRow, CertificateError> {
        let facts = x509::facts(chain)?;
        let id = self.clock.uuid();
        let mut names = facts.names;
        names.sort();
        Ok(CertificateRow {
            id,
            source: source.as_str().to_owned(),
            directory: directory.map(str::to_owned),
            names,
            chain: String::from_utf8_lossy(chain).into_owned(),
            private_key: self.sealer.seal(&self.clock, place(id), key)?,
            issuer: facts.issuer,
            not_before: facts.not_before,
            not_after: facts.not_after,
            created_at: self.clock.now(),
        })
    }
}

/// The certificates of a database: those in use, and those that are wanted and not there yet.
pub(super) async fn list(store: &Store, clock: &Clock) -> Result<Vec<CertificateView>, StoreError> {
    let (rows, orders) = (certificate::list(store, clock.now()).await?, certificate::orders(store).await?);
    Ok(view::views(&rows, &orders))
}

const fn place(row: Uuid) -> Place {
    Place { table: "certificate", column: "private_key", row }
}
