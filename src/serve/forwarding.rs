//! Starts what goes with forwarding: who asks for consent, and who tells senders what became of their mail.

use super::{Start, host_name};
use crate::accept::Accept;
use crate::inbound::GiveBack;
use crate::ops::consent::Consent;

impl Start<'_> {
    /// Starts both; they end with the drain of the process.
    pub(super) fn forwarding(&self, accept: &Accept) {
        let (store, clock, hostname) = (self.house.store.clone(), self.clock.clone(), host_name(self.config));
        let give_back = GiveBack { store, accept: accept.clone(), clock: clock.clone(), hostname };
        self.supervisor.spawn("reports to senders of forwarded mail", give_back.run(self.supervisor.clone()));
        let (routes, public_url) = (self.house.routes.clone(), self.config.server.public_url.clone());
        let consent = Consent { routes, accept: accept.clone(), clock, public_url };
        self.supervisor.spawn("consent to forwarding", consent.run(self.supervisor.clone()));
    }
}
