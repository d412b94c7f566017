//! The reverse-path that a transaction carries: a bounce address of ours where the domain has one, else the message's own.
//!
//! Answers: what stands in MAIL FROM. It names the delivery when the transaction has one recipient, else the message; a project
//! that asks for strict VERP gets one transaction for each recipient. The null reverse-path stays null (RFC 5321 4.5.5).
//! Does not: make or check the token (`mail::verp`), or look at DNS; `domains` remembers what the last check found.

use std::sync::Arc;

use super::job::Job;
use crate::domains::{BouncePath, Domains};
use crate::mail::verp::Named;
use crate::model::ReversePath;
use crate::outbox::OutboundMessage;

/// Parts a job whose project wants one transaction for each recipient; the job to begin with, and the others.
pub(super) async fn separate(domains: &Domains, job: Job) -> (Job, Vec<Job>) {
    let Job { message, domain, hosts, route, mut deliveries } = job;
    let mut others = Vec::new();
    if deliveries.len() > 1 && path(domains, &message).await.is_some_and(|path| path.strict) {
        let alone = |delivery| Job {
            message: Arc::clone(&message),
            domain: domain.clone(),
            hosts: Arc::clone(&hosts),
            route: Arc::clone(&route),
            deliveries: vec![delivery],
        };
        others.extend(deliveries.drain(1..).map(alone));
    }
    (Job { message, domain, hosts, route, deliveries }, others)
}

/// The reverse-path of the transaction of `job`.
pub(super) async fn of(domains: &Domains, job: &Job) -> ReversePath {
    let own = || job.message.reverse_path.clone();
    let Some(path) = path(domains, &job.message).await else { return own() };
    let named = match job.deliveries.as_slice() {
        [only] => Named::Delivery(only.id()),
        _ => Named::Message(job.message.id),
    };
    domains.bounce_address(&path, named).map_or_else(own, ReversePath::Address)
}

/// Where bounces of a message come back to us; none if they do not. While the database is away the message's own path serves: a
/// bounce then goes to its author, as it does for every domain without a return path.
async fn path(domains: &Domains, message: &OutboundMessage) -> Option<BouncePath> {
    message.reverse_path.address()?;
    match domains.bounce_path(message.domain?).await {
        Ok(path) => path,
        Err(error) => {
            tracing::debug!(%error, message = %message.id, "the return path is not known now");
            None
        }
    }
}
