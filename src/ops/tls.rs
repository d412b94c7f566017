//! TLS upkeep: MTA-STS policies looked after, daily reports sent (RFC 8461 3.3, RFC 8460 5).
//!
//! Every step can be repeated and run on several nodes at once: a report is taken up by one of them, and mailed under an idempotency key.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;
use uuid::Uuid;

use crate::accept::Accept;
use crate::access::{Caller, Scope};
use crate::clock::Clock;
use crate::mail::tls_report::{self, TlsReport};
use crate::model::{EmailAddress, KeyId, ProjectId};
use crate::net::dns::Resolver;
use crate::outbox::IdempotencyKey;
use crate::store::StoreError;
use crate::supervisor::Supervisor;
use crate::telemetry::metrics;
use crate::transit::Transit;
use crate::transit::report::{Destination, Report};

/// Time between two rounds.
const ROUND: Duration = Duration::from_mins(5);
/// What a report is (RFC 8460 6.4).
const MEDIA_TYPE: &str = "application/tlsrpt+gzip";

/// Keeps TLS in order.
pub struct TlsUpkeep {
    /// What is known of hosts and policies.
    pub transit: Transit,
    /// Takes reports that go by mail.
    pub accept: Accept,
    /// Whose messages they are.
    pub project: ProjectId,
    /// DNS.
    pub resolver: Resolver,
    /// Time.
    pub clock: Clock,
}

impl TlsUpkeep {
    /// Runs every five minutes until the process drains.
    pub async fn run(self, supervisor: Supervisor) {
        let mut validates = None;
        while !supervisor.is_draining() {
            let ended = tokio::select! {
                ended = self.round(&mut validates) => ended,
                () = supervisor.draining() => return,
            };
            if let Err(error) = ended {
                metrics::database_error(error.kind());
                tracing::warn!(%error, "TLS upkeep failed; trying again in five minutes");
            }
            tokio::select! {
                () = self.clock.sleep(ROUND) => {}
                () = supervisor.draining() => {}
            }
        }
    }

    async fn round(&self, validates: &mut Option<bool>) -> Result<(), StoreError> {
        let now = self.resolver.is_validating().await;
        metrics::dnssec_validating(now);
        if validates.replace(now) != Some(now) && self.transit.settings().dane {
            if now {
                tracing::info!("the resolver validates DNSSEC; DANE is used");
            } else {
                tracing::warn!("no trusted resolver validates DNSSEC, so DANE is not used; docs/operate/tls.md says how to set one up");
            }
        }
        self.transit.refresh_policies().await?;
        loop {
            let reports = self.transit.due_reports().await?;
            if reports.is_empty() {
                return Ok(());
            }
            for report in reports {
                self.report(&report).await?;
            }
        }
    }

    /// Hands one report over; it ends when one of those who ask for it has it (RFC 8460 3), or nobody asks any more.
    async fn report(&self, report: &Report) -> Result<(), StoreError> {
        let (destinations, mut is_sent) = match &report.destinations {
            Ok(destinations) => (destinations.as_slice(), destinations.is_empty()),
            Err(error) => {
                metrics::tls_report("failed");
                tracing::warn!(domain = %report.domain, day = %report.day, %error, "who asks for a TLS report cannot be looked up");
                (&[][..], false)
            }
        };
        for destination in destinations {
            match self.send(report, destination).await {
                Ok(()) => {
                    is_sent = true;
                    metrics::tls_report("sent");
                    tracing::info!(domain = %report.domain, day = %report.day, "TLS report sent");
                }
                Err(reason) => {
                    metrics::tls_report("failed");
                    tracing::warn!(domain = %report.domain, day = %report.day, reason, "a TLS report could not be sent");
                }
            }
        }
        if !is_sent && report.is_last_try {
            metrics::tls_report("given_up");
            tracing::warn!(domain = %report.domain, day = %report.day, "a TLS report is given up");
        }
        if is_sent || report.is_last_try { self.transit.end_report(report).await } else { Ok(()) }
    }

    async fn send(&self, report: &Report, destination: &Destination) -> Result<(), String> {
        match destination {
            Destination::Mail(to) => self.mail(report, to).await,
            Destination::Https(host, port, path) => {
                let content = Bytes::copy_from_slice(&report.content);
                let answer = self.transit.https().post(host, *port, path, MEDIA_TYPE, content).await.map_err(|error| error.to_string())?;
                if (200..300).contains(&answer.status) { Ok(()) } else { Err(format!("{host} answers with status {}", answer.status)) }
            }
        }
    }

    /// As any message of ours: checked, signed by the domain of its sender, kept until it is taken.
    async fn mail(&self, report: &Report, to: &EmailAddress) -> Result<(), String> {
        let from = EmailAddress::parse(&self.transit.settings().report_from).map_err(|error| error.to_string())?;
        let Report { domain, id, range, content, .. } = report;
        let message = tls_report::compose(&TlsReport { from: &from, to, domain, id, range: *range, content });
        let request_hash = digest::digest(&digest::SHA256, &message).as_ref().try_into().unwrap_or_default();
        let request = json!({
            "envelope": { "from": from.to_string(), "to": to.to_string() },
            "raw": STANDARD.encode(&message),
            "stream": "tls-reports",
            "priority": "bulk",
        });
        let request = serde_json::from_value(request).map_err(|error| error.to_string())?;
        let caller =
            Caller { project: self.project, key: KeyId::from_uuid(Uuid::nil()), name: "TLS reports".into(), scope: Scope::Send, domains: None };
        let key = IdempotencyKey { key: format!("tls-report {id} {to}"), request_hash };
        self.accept.send(&caller, request, Some(key)).await.map(|_| ()).map_err(|error| error.to_string())
    }
}
