//! Values read a moment ago, kept for a fixed time and in a bounded number.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::{Clock, Tick};

/// Entries at most; when they are exceeded all are forgotten and read again.
const MAX_ENTRIES: usize = 4_096;

/// A bounded memory whose entries grow old.
pub(super) struct Recent<K, V> {
    keep: Duration,
    entries: Mutex<HashMap<K, (Tick, V)>>,
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    /// Keeps entries for `keep`.
    pub(super) fn new(keep: Duration) -> Self {
        Self { keep, entries: Mutex::default() }
    }

    /// The value under `key`, unless it has grown old.
    pub(super) fn get(&self, clock: &Clock, key: &K) -> Option<V> {
        let entries = self.entries.lock();
        let (read_at, value) = entries.get(key)?;
        (clock.tick().since(*read_at) < self.keep).then(|| value.clone())
    }

    /// Keeps a value that was asked for at `read_at`.
    pub(super) fn put(&self, read_at: Tick, key: K, value: V) {
        let mut entries = self.entries.lock();
        if entries.len() >= MAX_ENTRIES {
            entries.clear();
        }
        entries.insert(key, (read_at, value));
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.entries.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_for_its_time_and_no_longer() {
        let clock = Clock::movable();
        let recent = Recent::new(Duration::from_secs(5));
        recent.put(clock.tick(), 1, 'a');
        assert_eq!(recent.get(&clock, &1), Some('a'));
        clock.advance(Duration::from_secs(5));
        assert_eq!(recent.get(&clock, &1), None);
    }

    #[test]
    fn the_memory_is_bounded() {
        let clock = Clock::movable();
        let recent = Recent::new(Duration::from_secs(5));
        for key in 0..=MAX_ENTRIES {
            recent.put(clock.tick(), key, ());
        }
        assert_eq!(recent.entries.lock().len(), 1);
    }
}
