//! Every span by its name: what a trace of one message is made of.
//!
//! `http.request` holds `accept.submit`; `accept.commit` is one group commit; `deliver.attempt` is one claim spent on the network and holds
//! `deliver.lookup`, `deliver.session` and `deliver.transaction`; `outbox.claim` and `outbox.settle` are one batch each. Spans are of level
//! debug, so they are made only where traces are exported. Does not: hold addresses or content; ids lead to them.

use tracing::{Span, debug_span};

use crate::model::MessageId;

/// One HTTP request; `route` is the pattern, not the path, which may hold ids.
#[must_use]
pub fn http_request(method: &str, route: &str, request_id: &str) -> Span {
    debug_span!(target: "pennypost", "http.request", method, route, request_id, status = tracing::field::Empty)
}

/// One message on its way into a batch, until it is committed.
#[must_use]
pub fn accept_submit(message: MessageId) -> Span {
    debug_span!(target: "pennypost", "accept.submit", %message)
}

/// One group commit.
#[must_use]
pub fn accept_commit(messages: usize, deliveries: usize) -> Span {
    debug_span!(target: "pennypost", "accept.commit", messages, deliveries)
}

/// One claim of waiting deliveries.
#[must_use]
pub fn outbox_claim() -> Span {
    debug_span!(target: "pennypost", "outbox.claim", deliveries = tracing::field::Empty)
}

/// One batch of outcomes being written.
#[must_use]
pub fn outbox_settle(outcomes: usize) -> Span {
    debug_span!(target: "pennypost", "outbox.settle", outcomes)
}

/// One attempt to deliver a message to the recipients of one domain.
#[must_use]
pub fn deliver_attempt(message: MessageId, domain: &str, recipients: usize) -> Span {
    debug_span!(target: "pennypost", "deliver.attempt", %message, domain, recipients)
}

/// Looking up MX hosts and their addresses.
#[must_use]
pub fn deliver_lookup(domain: &str) -> Span {
    debug_span!(target: "pennypost", "deliver.lookup", domain)
}

/// Opening one SMTP session: TCP, greeting, EHLO, STARTTLS.
#[must_use]
pub fn deliver_session(mx_host: &str) -> Span {
    debug_span!(target: "pennypost", "deliver.session", mx_host)
}

/// One MAIL to final dot inside a session.
#[must_use]
pub fn deliver_transaction(mx_host: &str, octets: usize) -> Span {
    debug_span!(target: "pennypost", "deliver.transaction", mx_host, octets)
}

/// Making the DKIM signatures of one message.
#[must_use]
pub fn sign(message: MessageId) -> Span {
    debug_span!(target: "pennypost", "deliver.sign", %message)
}
