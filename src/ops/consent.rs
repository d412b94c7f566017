//! Asks those whom a route forwards to, by mail, whether they agree.
//!
//! Answers: each target of a verified domain gets one letter with a link that its owner opens and confirms; `pennypost route confirm` has it sent again.
//! Does not: ask where no link can lead here (`server.public_url`), and says so.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use uuid::Uuid;

use crate::accept::{Accept, AcceptError};
use crate::access::{Caller, Scope};
use crate::clock::Clock;
use crate::model::KeyId;
use crate::outbox::IdempotencyKey;
use crate::routes::{Routes, ToAsk};
use crate::store::StoreError;
use crate::supervisor::Supervisor;
use crate::telemetry::metrics;

/// How often it is looked whether somebody is to be asked.
const POLL: Duration = Duration::from_secs(10);
/// Letters of one look.
const CHUNK: i64 = 20;

/// Sends the letters.
#[derive(Clone)]
pub struct Consent {
    /// Whom to ask.
    pub routes: Routes,
    /// The way out.
    pub accept: Accept,
    /// Time.
    pub clock: Clock,
    /// Where the link leads: `https://mail.example.com`. Empty: nowhere.
    pub public_url: String,
}

impl Consent {
    /// Asks until the process drains.
    pub async fn run(self, supervisor: Supervisor) {
        let mut is_told = false;
        while !supervisor.is_draining() {
            match self.round().await {
                Ok(true) => {}
                Ok(false) if is_told => {}
                Ok(false) => {
                    is_told = true;
                    let fix = "set server.public_url to the https address of this server";
                    tracing::warn!(fix, "a route waits for the consent of those it forwards to, and no link can be mailed to them");
                }
                Err(error) => {
                    metrics::database_error(error.kind());
                    tracing::warn!(%error, "those whom routes forward to could not be asked; trying again");
                }
            }
            tokio::select! {
                () = self.clock.sleep(POLL) => {}
                () = supervisor.draining() => {}
            }
        }
    }

    /// Asks some; false if somebody waits and no link can be made.
    async fn round(&self) -> Result<bool, StoreError> {
        let waiting = self.routes.to_ask(CHUNK).await?;
        if self.public_url.is_empty() {
            return Ok(waiting.is_empty());
        }
        for ask in waiting {
            match self.send(&ask).await {
                Ok(()) => {
                    self.routes.asked(&ask).await?;
                    tracing::info!(route = %ask.route, "somebody was asked whether a route may forward to them");
                }
                Err(error) => tracing::warn!(route = %ask.route, %error, "a letter that asks for consent could not be sent; trying again"),
            }
        }
        Ok(true)
    }

    async fn send(&self, ask: &ToAsk) -> Result<(), AcceptError> {
        let link = format!("{}/forwarding/confirm?token={}", self.public_url.trim_end_matches('/'), self.routes.token(ask));
        let text = format!(
            "Somebody set up {domain} so that mail to\n\n    {pattern}\n\nis forwarded to this address, {target}.\n\nIf you want that, open this page within seven days \
             and confirm it there:\n\n{link}\n\nIf you do not, do nothing: without your consent nothing is forwarded.\n",
            domain = ask.domain,
            pattern = ask.pattern,
            target = ask.target,
        );
        let request = json!({
            "from": format!("postmaster@{}", ask.domain), "to": ask.target, "subject": format!("Forward mail for {} to you?", ask.pattern), "text": text,
            "stream": "forwarding-consent", "headers": { "Auto-Submitted": "auto-generated" },
        });
        let request = serde_json::from_value(request).map_err(|error| AcceptError::Unavailable(error.to_string()))?;
        let caller =
            Caller { project: ask.project, key: KeyId::from_uuid(Uuid::nil()), name: "forwarding".into(), scope: Scope::Send, domains: None };
        // A node that dies before it has noted that it asked asks once all the same: the same within ten minutes.
        let slot = self.clock.now().unix_timestamp().div_euclid(600);
        let request_hash: [u8; 32] =
            digest(&SHA256, format!("{} {} {slot}", ask.route, ask.target).as_bytes()).as_ref().try_into().unwrap_or_default();
        let key = IdempotencyKey { key: format!("consent {}", URL_SAFE_NO_PAD.encode(request_hash)), request_hash };
        self.accept.send(&caller, request, Some(key)).await.map(|_| ())
    }
}
