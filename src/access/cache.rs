//! Keys seen a moment ago, so that a busy sender does not cost a query per request; and when keys were last used.
//!
//! Answers: the row of a key as it was at most [`FRESH`] ago. So long can a key revoked through another node still be taken here.
//! Does not: keep unknown keys: a stranger could fill the memory with them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Caller;
use crate::clock::{Clock, Tick};

/// How long a row is believed.
pub(super) const FRESH: Duration = Duration::from_secs(5);
/// Rows kept at most; when they are exceeded all are forgotten and asked for again.
const MAX_ROWS: usize = 4_096;

/// What is remembered of a key.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// SHA-256 of the whole key.
    pub(super) hash: [u8; 32],
    /// Who the key acts for.
    pub(super) caller: Caller,
    /// When it ends.
    pub(super) expires_at: Option<OffsetDateTime>,
    /// True once it was revoked.
    pub(super) revoked: bool,
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    rows: Mutex<HashMap<String, (Tick, Arc<Known>)>>,
    used: Mutex<HashMap<Uuid, OffsetDateTime>>,
}

impl Cache {
    /// The row found by `lookup`, if it is fresh.
    pub(super) fn get(&self, clock: &Clock, lookup: &str) -> Option<Arc<Known>> {
        let rows = self.rows.lock();
        let (read_at, known) = rows.get(lookup)?;
        (clock.tick().since(*read_at) < FRESH).then(|| Arc::clone(known))
    }

    /// Remembers a row that was asked for at `read_at`.
    pub(super) fn put(&self, read_at: Tick, lookup: &str, known: Arc<Known>) {
        let mut rows = self.rows.lock();
        if rows.len() >= MAX_ROWS {
            rows.clear();
        }
        rows.insert(lookup.to_owned(), (read_at, known));
    }

    /// Forgets the row of a key.
    pub(super) fn forget(&self, key: Uuid) {
        self.rows.lock().retain(|_, (_, known)| known.caller.key.uuid() != key);
    }

    /// Notes that a key was used.
    pub(super) fn mark_used(&self, key: Uuid, at: OffsetDateTime) {
        self.used.lock().insert(key, at);
    }

    /// The keys used since the last call and when, in the order of their ids.
    pub(super) fn take_used(&self) -> Vec<(Uuid, OffsetDateTime)> {
        let mut used: Vec<_> = std::mem::take(&mut *self.used.lock()).into_iter().collect();
        used.sort_unstable();
        used
    }
}
