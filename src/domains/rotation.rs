//! New keys for a domain: made on a schedule, on request, or brought along.
//!
//! Answers: how a domain gets its next keys. Whatever their origin, they sign only once a check sees their records in DNS, and until then the
//! present keys do (fault K13): there is no moment without a key that receivers can look up.
//! Does not: publish records; their owner does.

use std::time::Duration;

use time::OffsetDateTime;

use super::keys::{self, KeyState, Making, NewKey};
use super::{DomainError, DomainView, Domains};
use crate::mail::dkim;
use crate::model::{DomainId, ProjectId, Secret};
use crate::store::domain as table;

/// How long the record of a key stays after it signed: mail waits for five days at most.
const SELECTOR_RESTS: Duration = Duration::from_hours(24 * 7);
/// Domains that get new keys in one round.
const ROUND: i64 = 20;

impl Domains {
    /// Makes new keys, whose records stand in the view beside the present ones. The present keys sign until a check sees the new ones
    /// in DNS (fault K13); their records should stay published for a week after that, for mail still on its way.
    ///
    /// Delegated keys take turns under two selectors, so the record of the last but one key is replaced: not within that week.
    ///
    /// # Errors
    /// [`DomainError::TooSoon`], [`DomainError::NotFound`], [`DomainError::Keys`], [`DomainError::Store`].
    pub async fn rotate_dkim(&self, project: ProjectId, id: DomainId) -> Result<DomainView, DomainError> {
        let (row, present) = self.read(project, id).await?;
        let delegation = super::delegation_of(&row)?;
        let active = present.iter().filter(|key| key.state == KeyState::Active.as_str());
        let in_use: Vec<&str> = active.map(|key| key.selector.as_str()).collect();
        let making = Making { domain: id.uuid(), state: KeyState::Next, delegation: delegation.as_ref(), in_use: &in_use };
        let keys = keys::make(&self.inner.sealer, &self.inner.clock, making).await?;
        let selectors: Vec<String> = keys.iter().map(|key| key.selector.clone()).collect();
        if table::retired_lately(&self.inner.store, id, &selectors, self.inner.clock.now() - SELECTOR_RESTS).await? {
            return Err(DomainError::TooSoon);
        }
        table::replace_next_keys(&self.inner.store, id, &keys, &selectors).await?;
        tracing::info!(domain = %id, "new DKIM keys wait for their records to be published");
        self.get(project, id).await
    }

    /// Takes a key that is in use elsewhere, as PEM, under its selector. Like a key of a rotation it signs once a check sees its record in DNS,
    /// which for such a key stands there already. Next keys that wait for their records are thrown away.
    ///
    /// # Errors
    /// [`DomainError::BadKey`], [`DomainError::SelectorInUse`], [`DomainError::NotFound`], [`DomainError::Keys`], [`DomainError::Store`].
    pub async fn import_dkim(&self, project: ProjectId, id: DomainId, selector: &str, pem: &Secret<String>) -> Result<DomainView, DomainError> {
        let (row, _) = self.read(project, id).await?;
        let (algorithm, pair) = dkim::import(pem).map_err(DomainError::BadKey)?;
        // What cannot sign here must not be kept.
        dkim::Signer::new(&super::name_of(&row)?, selector, algorithm, &pair.private_der).map_err(DomainError::BadKey)?;
        let key = NewKey { domain: id.uuid(), state: KeyState::Next, selector: selector.to_owned(), algorithm, pair };
        let key = keys::sealed(&self.inner.sealer, &self.inner.clock, key)?;
        match table::replace_next_keys(&self.inner.store, id, &[key], &[]).await {
            Err(error) if error.is_conflict_on("dkim_key_selector") => return Err(DomainError::SelectorInUse),
            other => other?,
        }
        tracing::info!(domain = %id, selector, "a DKIM key was imported");
        self.get(project, id).await
    }

    /// Makes next keys for verified domains whose keys are older than the settings want, at most 20; how many. To be called every minute or so.
    ///
    /// # Errors
    /// As [`Domains::rotate_dkim`].
    pub async fn rotate_due(&self) -> Result<usize, DomainError> {
        let Some(age) = self.inner.settings.rotate_after else { return Ok(0) };
        let before: OffsetDateTime = self.inner.clock.now() - age;
        let due = table::rotation_due(&self.inner.store, before, ROUND).await?;
        for (project, id) in &due {
            match self.rotate_dkim(*project, *id).await {
                Ok(_) | Err(DomainError::NotFound | DomainError::TooSoon) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(due.len())
    }
}
