//! Hosts that spoke TLS: one that suddenly does not is more likely attacked or broken than converted.
//!
//! Answers: may this host be spoken to in the clear, where no policy says. A host that spoke TLS within [`KEPT`] may not, until it has been
//! without for `delivery_tls.downgrade_hours`; then it counts as one that gave TLS up and is forgotten.
//! Does not: know the host's certificate; any TLS counts.

use std::time::Duration;

use time::OffsetDateTime;

use super::Transit;
use crate::store::{StoreError, tls as table};

/// How long a host is remembered after it last spoke TLS.
pub(super) const KEPT: Duration = Duration::from_hours(24 * 30);
/// How stale the time of the last TLS may be in the database.
const WRITE_EVERY: time::Duration = time::Duration::HOUR;

/// Hosts whose TLS was not written yet, at most.
const MAX_UNWRITTEN: usize = 50_000;

/// What is known of a host: when it last spoke TLS and since when it does not.
pub(super) type Known = Option<(OffsetDateTime, Option<OffsetDateTime>)>;

impl Transit {
    /// True if the host must not be spoken to in the clear: it spoke TLS before.
    pub async fn binds(&self, host: &str) -> bool {
        let inner = &*self.inner;
        let grace = time::Duration::hours(i64::try_from(inner.settings.downgrade_hours).unwrap_or(0));
        if grace.is_zero() {
            return false;
        }
        let now = inner.clock.now();
        match self.known(host).await {
            Ok(Some((seen, missing))) => now - seen < KEPT && missing.is_none_or(|since| now - since < grace),
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(%error, host, "whether the host spoke TLS before cannot be read");
                false
            }
        }
    }

    /// Notes that the host spoke TLS. Known to this node at once, to others within a minute.
    pub async fn spoke_tls(&self, host: &str) {
        let inner = &*self.inner;
        let now = inner.clock.now();
        if inner.settings.downgrade_hours == 0 {
            return;
        }
        let is_fresh = |known: Known| known.is_some_and(|(seen, missing)| missing.is_none() && now - seen < WRITE_EVERY);
        if is_fresh(self.known(host).await.unwrap_or(None)) {
            return;
        }
        inner.hosts.put(inner.clock.tick(), host.to_owned(), Some((now, None)));
        let mut spoke = inner.spoke.lock();
        if spoke.len() < MAX_UNWRITTEN {
            spoke.insert(host.to_owned(), now);
        }
    }

    /// Writes which hosts spoke TLS since it was last called.
    ///
    /// # Errors
    /// [`StoreError`]; they are noted again when they next speak it.
    pub(super) async fn write_hosts(&self) -> Result<(), StoreError> {
        let spoke = std::mem::take(&mut *self.inner.spoke.lock());
        if spoke.is_empty() {
            return Ok(());
        }
        table::hosts_spoke(&self.inner.store, spoke.into_iter().collect()).await
    }

    /// Notes that a host that is remembered did not speak TLS.
    pub async fn missed_tls(&self, host: &str) {
        let inner = &*self.inner;
        let now = inner.clock.now();
        let Ok(Some((seen, missing))) = self.known(host).await else { return };
        inner.spoke.lock().remove(host);
        if let Err(error) = table::host_missed(&inner.store, host, seen, now).await {
            tracing::warn!(%error, host, "that the host speaks no TLS could not be noted");
        }
        inner.hosts.put(inner.clock.tick(), host.to_owned(), Some((seen, missing.or(Some(now)))));
    }

    /// Forgets a host that took mail in the clear, if it is remembered.
    pub async fn gave_tls_up(&self, host: &str) {
        let inner = &*self.inner;
        if self.known(host).await.unwrap_or(None).is_none() {
            return;
        }
        inner.spoke.lock().remove(host);
        tracing::warn!(host, "the host spoke TLS before and gave it up; mail goes in the clear again");
        if let Err(error) = table::forget_host(&inner.store, host).await {
            tracing::warn!(%error, host, "the host could not be forgotten");
        }
        inner.hosts.put(inner.clock.tick(), host.to_owned(), None);
    }

    async fn known(&self, host: &str) -> Result<Known, StoreError> {
        let inner = &*self.inner;
        let key = host.to_owned();
        if let Some(known) = inner.hosts.get(&inner.clock, &key) {
            return Ok(known);
        }
        let known = table::host(&inner.store, host).await?;
        inner.hosts.put(inner.clock.tick(), key, known);
        Ok(known)
    }
}
