//! Values read a while ago, kept in memory for a fixed time and in a bounded number.
//!
//! Answers: what was read lately, so that it need not be read again. Does not: notice that it changed; who changes it says `forget`.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::{Clock, Tick};

/// Entries at most; when they are exceeded, the old ones are forgotten, and all if none is old.
const MAX_ENTRIES: usize = 20_000;

/// A bounded memory whose entries grow old.
#[derive(Debug)]
pub struct Recent<K, V> {
    keep: Duration,
    entries: Mutex<HashMap<K, (Tick, V)>>,
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    /// Keeps entries for `keep`.
    #[must_use]
    pub fn new(keep: Duration) -> Self {
        Self { keep, entries: Mutex::default() }
    }

    /// The value under `key`, unless it has grown old.
    #[must_use]
    pub fn get(&self, clock: &Clock, key: &K) -> Option<V> {
        let entries = self.entries.lock();
        let (read_at, value) = entries.get(key)?;
        (clock.tick().since(*read_at) < self.keep).then(|| value.clone())
    }

    /// Keeps a value that was asked for at `read_at`.
    pub fn put(&self, read_at: Tick, key: K, value: V) {
        let mut entries = self.entries.lock();
        if entries.len() >= MAX_ENTRIES {
            entries.retain(|_, (earlier, _)| read_at.since(*earlier) < self.keep);
        }
        if entries.len() >= MAX_ENTRIES {
            entries.clear();
        }
        entries.insert(key, (read_at, value));
    }

    /// Forgets one value.
    pub fn forget(&self, key: &K) {
        self.entries.lock().remove(key);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.entries.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_for_its_time_and_the_memory_is_bounded() {
        let clock = Clock::movable();
        let recent = Recent::new(Duration::from_mins(1));
        recent.put(clock.tick(), 0, 'a');
        assert_eq!(recent.get(&clock, &0), Some('a'));
        clock.advance(Duration::from_mins(1));
        assert_eq!(recent.get(&clock, &0), None);
        for key in 0..MAX_ENTRIES {
            recent.put(clock.tick(), key, 'b');
        }
        recent.put(clock.tick(), MAX_ENTRIES, 'c');
        assert!(recent.entries.lock().len() <= MAX_ENTRIES);
        assert_eq!(recent.get(&clock, &MAX_ENTRIES), Some('c'));
        recent.forget(&MAX_ENTRIES);
        assert_eq!(recent.get(&clock, &MAX_ENTRIES), None);
    }
}
