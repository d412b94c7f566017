//! Who waits for the end of a delivery's first attempt: the session that brought a message which is passed on.
//!
//! Answers: how that attempt ended, to the one who waits for it in this process, in memory; nobody else notices. A delivery that is held back, by a pause, a limit
//! or the schedule, ends the wait at once. Does not: hold anything up. Who waits sets the time; what is told too late is told to nobody.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::model::DeliveryId;
use crate::model::outcome::Outcome;

/// How an attempt ended, as its witness is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Taken by the next hop, which said this.
    Delivered(String),
    /// Refused for good by the next hop, which said this.
    Bounced(String),
    /// It waits for another attempt, or for its first.
    Waits,
}

impl Seen {
    /// Of an outcome and the reply that it came from.
    #[must_use]
    pub fn of(outcome: Outcome, reply: &str) -> Self {
        match outcome {
            Outcome::Delivered => Self::Delivered(reply.to_owned()),
            Outcome::Bounced => Self::Bounced(reply.to_owned()),
            Outcome::Deferred | Outcome::Expired => Self::Waits,
        }
    }
}

/// Those who wait.
#[derive(Debug, Default)]
pub struct Witnesses {
    waiting: Mutex<HashMap<DeliveryId, oneshot::Sender<Seen>>>,
}

/// A wait. Dropped, it is over.
#[derive(Debug)]
pub struct Wait<'w> {
    id: DeliveryId,
    told: oneshot::Receiver<Seen>,
    witnesses: &'w Witnesses,
}

impl Witnesses {
    /// Waits for the first attempt at a delivery. Begun before the delivery is written, so that nothing is missed.
    pub fn watch(&self, id: DeliveryId) -> Wait<'_> {
        let (sender, told) = oneshot::channel();
        self.waiting.lock().insert(id, sender);
        Wait { id, told, witnesses: self }
    }

    /// Tells how an attempt ended, to who waits for it.
    pub fn tell(&self, id: DeliveryId, seen: Seen) {
        let mut waiting = self.waiting.lock();
        // Nearly always nobody waits, and most deliveries end here.
        if !waiting.is_empty()
            && let Some(sender) = waiting.remove(&id)
        {
            let _gone = sender.send(seen);
        }
    }
}

impl Wait<'_> {
    /// How the attempt ended.
    pub async fn seen(&mut self) -> Seen {
        (&mut self.told).await.unwrap_or(Seen::Waits)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.witnesses.waiting.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MessageId;

    fn id(number: u128) -> DeliveryId {
        DeliveryId { message: MessageId::from_uuid(uuid::Uuid::from_u128(number)), rcpt_no: 0 }
    }

    #[tokio::test]
    async fn who_waits_is_told_the_first_end_and_nobody_else() {
        let witnesses = Witnesses::default();
        let (mut one, mut two) = (witnesses.watch(id(1)), witnesses.watch(id(2)));
        witnesses.tell(id(3), Seen::Waits);
        witnesses.tell(id(1), Seen::of(Outcome::Bounced, "550 no"));
        witnesses.tell(id(1), Seen::of(Outcome::Delivered, "250 ok"));
        witnesses.tell(id(2), Seen::of(Outcome::Deferred, "450 later"));
        assert_eq!((one.seen().await, two.seen().await), (Seen::Bounced("550 no".to_owned()), Seen::Waits));
        let gone = witnesses.watch(id(4));
        drop(gone);
        assert!(witnesses.waiting.lock().is_empty(), "who stops waiting leaves nothing behind");
    }
}
