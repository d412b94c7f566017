//! What a domain is used for here: whether its mail comes in, whether users submit mail as it.
//!
//! Does not: say which mail is taken or allowed; it says what the domain has to publish.

use std::collections::HashMap;

use uuid::Uuid;

use super::Domains;
use super::expected::Uses;
use crate::model::{DomainId, DomainName};
use crate::store::StoreError;
use crate::store::domain as table;

impl Domains {
    /// Whether mail for a domain of any project comes here: there is a route for it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn receives(&self, id: DomainId) -> Result<bool, StoreError> {
        Ok(self.uses(id.uuid()).await?.receives)
    }

    /// As [`Self::receives`] for the domain that owns a name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn receives_for(&self, name: &DomainName) -> Result<bool, StoreError> {
        match table::verified(&self.inner.store, name).await? {
            Some(row) => self.receives(DomainId::from_uuid(row.id)).await,
            None => Ok(false),
        }
    }

    /// Whether users submit mail as a domain.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn submits(&self, id: DomainId) -> Result<bool, StoreError> {
        Ok(self.uses(id.uuid()).await?.submits)
    }

    pub(super) async fn uses(&self, domain: Uuid) -> Result<Uses, StoreError> {
        Ok(uses_in(&table::uses(&self.inner.store, &[domain]).await?, domain))
    }
}

/// Those of one domain.
pub(super) fn uses_in(all: &HashMap<Uuid, table::UsesRow>, domain: Uuid) -> Uses {
    all.get(&domain).map_or_else(Uses::default, |row| Uses { receives: row.receives, submits: row.submits })
}
