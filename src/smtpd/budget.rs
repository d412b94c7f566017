//! How much memory messages may take while they come in.
//!
//! Answers: is there room, at once; nobody waits. Does not: count connections; `net::places` does.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Octets of one unit of memory.
const UNIT: usize = 1024;

/// The memory for messages on their way in. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    units: Arc<Semaphore>,
}

/// A connection's share of it.
#[derive(Debug, Default)]
pub(super) struct Share(Option<OwnedSemaphorePermit>);

impl Budget {
    /// Memory of `octets`.
    pub(super) fn new(octets: usize) -> Self {
        Self { units: Arc::new(Semaphore::new((octets / UNIT).clamp(1, Semaphore::MAX_PERMITS))) }
    }

    /// Makes `share` cover `octets`, and no more than a message needs. False: there is no room.
    pub(super) fn cover(&self, share: &mut Share, octets: usize) -> bool {
        let held = share.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = octets.div_ceil(UNIT);
        if wanted == 0 {
            share.0 = None;
        } else if wanted > held {
            let more = u32::try_from(wanted - held).unwrap_or(u32::MAX);
            let Ok(more) = Arc::clone(&self.units).try_acquire_many_owned(more) else { return false };
            match &mut share.0 {
                Some(share) => share.merge(more),
                none => *none = Some(more),
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shared_and_given_back() {
        let budget = Budget::new(10 * UNIT);
        let (mut one, mut other) = (Share::default(), Share::default());
        assert!(budget.cover(&mut one, 6 * UNIT) && budget.cover(&mut one, 100), "what it has is enough");
        assert!(!budget.cover(&mut other, 5 * UNIT) && budget.cover(&mut other, 4 * UNIT));
        assert!(budget.cover(&mut one, 0));
        assert!(budget.cover(&mut other, 10 * UNIT));
    }
}
