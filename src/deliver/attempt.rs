//! From what happened on the wire to what is written: the facts of an attempt, its outcome, the next due time.
//!
//! The single place where a verdict becomes a settlement, for every stage and every failure.

use std::net::IpAddr;

use time::OffsetDateTime;

use super::connect::TlsFacts;
use super::departure::Way;
use super::engine::Engine;
use super::sign::SignError;
use super::verdict::{self, Verdict};
use crate::clock::Tick;
use crate::events::EventKind;
use crate::model::outcome::{Attempt, DeliveryState, Outcome, Stage};
use crate::model::{BounceClass, EnhancedStatus};
use crate::outbox::settle::Settlement;
use crate::outbox::{ClaimedDelivery, Seen};
use crate::telemetry::metrics;

/// Name of the host that a delivery kept in the sandbox shows.
pub const SANDBOX_HOST: &str = "sandbox";

/// What all recipients of a transaction share.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// When the attempt began.
    pub at: OffsetDateTime,
    /// The same on the monotonic clock.
    pub started: Tick,
    /// The host reached or tried last.
    pub mx_host: Option<String>,
    /// Its address.
    pub mx_ip: Option<IpAddr>,
    /// The way it took.
    pub way: Way,
    /// What was asked of delivery reports was passed on.
    pub passes_reports: bool,
    /// What there is to tell of TLS.
    pub tls: TlsFacts,
    /// The dialogue.
    pub transcript: Vec<String>,
}

/// How one recipient fared.
#[derive(Clone, Debug)]
pub struct Ending {
    /// How far it got.
    pub stage: Stage,
    /// The reply, or what went wrong, on one line.
    pub reply: String,
    /// What that means.
    pub verdict: Verdict,
}

impl Engine {
    /// Writes the end of an attempt on one delivery.
    pub(super) async fn conclude(&self, delivery: ClaimedDelivery, circumstances: &Circumstances, ending: Ending) {
        let clock = &self.parts.clock;
        let now = clock.now();
        let Ending { stage, reply, verdict } = ending;
        let is_over = now >= delivery.expires_at;
        let (outcome, next_at) = match verdict.outcome {
            Outcome::Deferred if is_over && self.parts.node.may_expire() => (Outcome::Expired, None),
            Outcome::Deferred => {
                let next_at = now + self.schedule.wait(delivery.attempt, verdict.min_wait, clock);
                // The end is told when it comes, not at an attempt after it.
                (Outcome::Deferred, Some(if is_over { next_at } else { next_at.min(delivery.expires_at) }))
            }
            other => (other, None),
        };
        let took = clock.tick().since(circumstances.started);
        let delivered = outcome == Outcome::Delivered;
        let facts = Attempt {
            at: circumstances.at,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            mx_host: circumstances.mx_host.clone(),
            mx_ip: circumstances.mx_ip,
            source_ip: circumstances.way.source,
            pool: circumstances.way.pool.as_deref().map(str::to_owned),
            smart_host: circumstances.way.smart_host.as_deref().map(str::to_owned),
            tls: circumstances.tls.got.clone(),
            tls_policy: circumstances.tls.policy,
            tls_result: circumstances.tls.result,
            stage,
            reply,
            enhanced_status: Some(verdict.enhanced_status),
            outcome,
            scope: (!delivered).then_some(verdict.scope),
            class: verdict.class,
            outcome_unknown: verdict.outcome_unknown,
            next_hop_reports: delivered && circumstances.passes_reports,
            transcript: circumstances.transcript.clone(),
        };
        if verdict.outcome_unknown {
            metrics::outcome_unknown(1);
        }
        metrics::attempt(stage, outcome, took);
        metrics::egress_attempt(circumstances.way.pool.clone(), circumstances.way.source, circumstances.way.smart_host.clone(), outcome);
        if let Some(class) = verdict.class {
            metrics::failure(class, outcome);
        }
        log_end(&delivery, &facts, next_at);
        let (id, seen) = (delivery.id(), Seen::of(outcome, &facts.reply));
        self.write(delivery, outcome, next_at, &facts).await;
        self.parts.claims.witnesses().tell(id, seen);
    }

    /// Ends a delivery whose time was over before it could be tried.
    pub(super) async fn expire(&self, delivery: ClaimedDelivery) {
        let facts = Attempt::never_made(self.parts.clock.now());
        log_end(&delivery, &facts, None);
        self.write(delivery, Outcome::Expired, None, &facts).await;
    }

    /// Puts off deliveries whose message cannot be signed. While the database is away nothing counts as an attempt: the claims are
    /// given back by being dropped.
    pub(super) async fn leave_unsigned(&self, deliveries: Vec<ClaimedDelivery>, error: &SignError) {
        tracing::error!(%error, deliveries = deliveries.len(), "a message cannot be signed; it waits");
        if error.is_transient() {
            return;
        }
        let circumstances = Circumstances {
            at: self.parts.clock.now(),
            started: self.parts.clock.tick(),
            mx_host: None,
            mx_ip: None,
            way: Way::default(),
            passes_reports: false,
            tls: TlsFacts::default(),
            transcript: Vec::new(),
        };
        for delivery in deliveries {
            let reply = format!("the message cannot be signed: {error}");
            let ending =
                Ending { stage: Stage::Sign, reply, verdict: verdict::verdict(&self.parts.rules, Stage::Sign, verdict::Ending::Unsigned, None) };
            self.conclude(delivery, &circumstances, ending).await;
        }
    }

    /// Keeps a message here instead of sending it.
    pub(super) async fn keep_in_sandbox(&self, delivery: ClaimedDelivery) {
        let facts = Attempt {
            at: self.parts.clock.now(),
            duration_ms: 0,
            mx_host: Some(SANDBOX_HOST.into()),
            mx_ip: None,
            tls: None,
            source_ip: None,
            pool: None,
            smart_host: None,
            tls_policy: None,
            tls_result: None,
            stage: Stage::EndOfData,
            reply: "250 2.0.0 kept in the sandbox".into(),
            enhanced_status: Some(EnhancedStatus::new(2, 0, 0)),
            outcome: Outcome::Delivered,
            scope: None,
            class: None,
            outcome_unknown: false,
            next_hop_reports: false,
            transcript: Vec::new(),
        };
        let (id, seen) = (delivery.id(), Seen::of(Outcome::Delivered, &facts.reply));
        self.write(delivery, Outcome::Delivered, None, &facts).await;
        self.parts.claims.witnesses().tell(id, seen);
    }

    async fn write(&self, delivery: ClaimedDelivery, outcome: Outcome, next_at: Option<OffsetDateTime>, facts: &Attempt) {
        let kind = match outcome {
            Outcome::Delivered => EventKind::Delivered,
            Outcome::Deferred => EventKind::Deferred,
            Outcome::Bounced => EventKind::Bounced,
            Outcome::Expired => EventKind::Expired,
        };
        if let Some(state) = final_state(outcome) {
            metrics::settled_finally(state, 1);
        }
        let facts = serde_json::to_string(facts).unwrap_or_else(|_| "{}".into());
        self.parts.settler.settle(Settlement { delivery, kind, next_at, facts }).await;
    }
}

const fn final_state(outcome: Outcome) -> Option<DeliveryState> {
    match outcome {
        Outcome::Delivered => Some(DeliveryState::Delivered),
        Outcome::Bounced => Some(DeliveryState::Bounced),
        Outcome::Expired => Some(DeliveryState::Expired),
        Outcome::Deferred => None,
    }
}

/// One line for each failed attempt; successes are counted, and told at debug level. No addresses: the id leads to them.
fn log_end(delivery: &ClaimedDelivery, facts: &Attempt, next_at: Option<OffsetDateTime>) {
    let id = delivery.id();
    let host = facts.mx_host.as_deref().unwrap_or("-");
    let source = facts.source_ip.map(|address| address.to_string()).unwrap_or_default();
    let pool = facts.pool.as_deref().unwrap_or("-");
    let class = class_name(facts);
    match facts.outcome {
        Outcome::Delivered => tracing::debug!(delivery = %id, host, source, pool, "delivered"),
        Outcome::Deferred => {
            let retry_at = next_at.map(|at| at.to_string()).unwrap_or_default();
            tracing::info!(delivery = %id, host, source, pool, stage = ?facts.stage, class, reply = facts.reply, retry_at, "deferred");
        }
        Outcome::Bounced | Outcome::Expired => {
            tracing::info!(delivery = %id, host, source, pool, stage = ?facts.stage, class, reply = facts.reply, outcome = ?facts.outcome, "not delivered");
        }
    }
}

fn class_name(facts: &Attempt) -> &'static str {
    facts.class.map_or("-", BounceClass::name)
}
