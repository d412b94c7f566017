//! Endpoints as they are carried to another database (`portable`).
//!
//! Answers: the secret of an endpoint, and an endpoint of a route with a secret that is brought along.

use uuid::Uuid;

use super::{Prepared, Url, WebhookError, Webhooks, place, secret};
use crate::model::{ProjectId, Secret, WebhookId};
use crate::store::webhook as table;

impl Webhooks {
    /// What an endpoint signs with.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`], [`WebhookError::Seal`], [`WebhookError::Store`].
    pub async fn portable_secret(&self, id: WebhookId) -> Result<Secret<Vec<u8>>, WebhookError> {
        let sealed = table::sealed_secret(&self.inner.store, id.uuid()).await?.ok_or(WebhookError::NotFound)?;
        Ok(self.inner.sealer.open(place("secret", id.uuid()), &sealed)?)
    }

    /// Makes an endpoint for the mail of `route`, not written yet, that signs with `key` or with a new secret.
    ///
    /// # Errors
    /// As [`Webhooks::prepare`].
    pub async fn prepare_with(&self, project: ProjectId, url: &Url, route: Uuid, key: Option<Secret<Vec<u8>>>) -> Result<Prepared, WebhookError> {
        let mut prepared = self.prepare(project, url, route).await?;
        if let Some(key) = key {
            prepared.row.secret = self.inner.sealer.seal(&self.inner.clock, place("secret", prepared.row.id), &key)?;
            prepared.secret = secret::text(&key);
        }
        Ok(prepared)
    }
}
