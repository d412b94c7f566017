//! The way from a claim to the engine: a bounded channel, so that `accept` and `deliver` need not know each other.

use tokio::sync::mpsc;

use super::claims::ClaimedDelivery;

/// Groups of claims in flight to the engine at most. Their deliveries are counted by `Claims` already.
const GROUPS: usize = 1_024;

/// The sending end: held by who claims.
#[derive(Clone, Debug)]
pub struct Handoff(mpsc::Sender<Vec<ClaimedDelivery>>);

/// The receiving end: held by the engine.
#[derive(Debug)]
pub struct Arrivals(mpsc::Receiver<Vec<ClaimedDelivery>>);

/// Makes the channel.
#[must_use]
pub fn channel() -> (Handoff, Arrivals) {
    let (sender, receiver) = mpsc::channel(GROUPS);
    (Handoff(sender), Arrivals(receiver))
}

impl Handoff {
    /// Hands claims over; waits while the engine is behind. If the engine is gone the claims are dropped, and so given back.
    pub async fn give(&self, claims: Vec<ClaimedDelivery>) {
        if !claims.is_empty() {
            let _gone = self.0.send(claims).await;
        }
    }
}

impl Arrivals {
    /// The next group; none when nobody can send any more.
    pub async fn next(&mut self) -> Option<Vec<ClaimedDelivery>> {
        self.0.recv().await
    }
}
