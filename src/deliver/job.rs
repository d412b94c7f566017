//! A job: the deliveries of one message to one domain, which one transaction takes.
//!
//! Recipients of different domains never share a transaction: large receivers refuse that (Gmail, 451 4.3.0).

use std::sync::Arc;

use super::egress::Route;
use super::fair::Work;
use crate::model::message::Priority;
use crate::model::{DomainName, ProjectId};
use crate::outbox::{ClaimedDelivery, Hurry, OutboundMessage};

/// Deliveries of one message to one domain, for one transaction.
#[derive(Debug)]
pub struct Job {
    /// The message they share.
    pub message: Arc<OutboundMessage>,
    /// The recipients' domain.
    pub domain: DomainName,
    /// Its MX hosts, as far as known, or its smart host: a session to them takes the job, no other does.
    pub hosts: Arc<str>,
    /// The way it takes: a session of another does not take the job.
    pub route: Arc<Route>,
    /// At least one.
    pub deliveries: Vec<ClaimedDelivery>,
}

impl Job {
    /// True if somebody asked for this attempt: it does not wait for the end of a rest.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.deliveries.first().is_some_and(|delivery| delivery.hurry == Hurry::Asked)
    }
}

impl Work for Job {
    fn project(&self) -> ProjectId {
        self.message.project
    }

    /// The priority that its deliveries share.
    fn priority(&self) -> Priority {
        self.deliveries.first().map_or(Priority::Normal, |delivery| delivery.priority)
    }

    fn cost(&self) -> u64 {
        u64::try_from(self.deliveries.len()).unwrap_or(1)
    }
}

#[cfg(test)]
impl Job {
    /// A job for `domain` without a message of use.
    pub(super) fn for_tests(domain: &DomainName) -> Self {
        let claims = crate::outbox::Claims::new(usize::MAX);
        let message = OutboundMessage {
            id: crate::model::MessageId::from_uuid(uuid::Uuid::nil()),
            project: ProjectId::from_uuid(uuid::Uuid::nil()),
            stream: Box::from(""),
            domain: None,
            reverse_path: crate::model::ReversePath::from_stored("").unwrap(),
            content: bytes::Bytes::new(),
            eight_bit: false,
            smtputf8: false,
            tls: crate::model::message::TlsNeed::default(),
            reports: None,
            signature: tokio::sync::OnceCell::new(),
            grant: claims.grant(0).unwrap(),
        };
        Self { message: Arc::new(message), domain: domain.clone(), hosts: Arc::from(""), route: Arc::default(), deliveries: Vec::new() }
    }
}
