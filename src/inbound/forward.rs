//! Forwarding: a message that came by a route, sent on to those who agreed.

use super::Reception;
use super::authenticate::{Arrived, Authenticated};
use super::route::Destination;
use crate::model::{EmailAddress, Reply};
use crate::routes::Target;

impl Reception {
    /// Sends a message on. The reply is what the sender is told.
    #[expect(clippy::unused_async, reason = "a message is sent within the session")]
    pub(super) async fn forward(
        &self,
        destination: &Destination,
        targets: &[&Target],
        _recipient: &EmailAddress,
        arrived: &Arrived,
        authenticated: &Authenticated,
    ) -> Reply {
        tracing::warn!(route = ?destination.route, targets = targets.len(), peer = %arrived.peer, ?authenticated, host = self.hostname, "not forwarded");
        Reply::new(451, "4.3.0 forwarding is not ready")
    }
}
