//! Suppresses addresses of which receivers say that nobody reads mail there, and addresses whose owners complain.
//!
//! Answers: reads bounces and complaints by cursor; entries and cursor are written in one transaction, so an entry that somebody
//! removes stays removed until something new happens. Only [`BounceClass::condemns_address`] counts: a block list, a full
//! mailbox, a refused message say nothing about the address (R20 to R22).
//! A bounce holds for all streams of the project; a complaint for the stream it is about.

use std::time::Duration;

use crate::clock::{Clock, time_of};
use crate::events::EventKind;
use crate::model::{BounceClass, EmailAddress};
use crate::store::consumer::{self, CondemningRow};
use crate::store::suppression::{self as table, SuppressionRow};
use crate::store::{Store, StoreError};
use crate::supervisor::Supervisor;
use crate::suppressions::Target;
use crate::telemetry::metrics;

const NAME: &str = "suppress";
/// How often the log is looked at.
const POLL: Duration = Duration::from_secs(1);
/// Events read in one transaction.
const CHUNK: usize = 500;

/// Reads bounces and complaints.
#[derive(Debug)]
pub struct Suppress {
    /// The database.
    pub store: Store,
    /// Time.
    pub clock: Clock,
}

impl Suppress {
    /// Runs until the process drains.
    pub async fn run(self, supervisor: Supervisor) {
        while !supervisor.is_draining() {
            let more = match self.round().await {
                Ok(read) => read == CHUNK,
                Err(error) => {
                    metrics::database_error(error.kind());
                    tracing::warn!(%error, "bounces could not be read for the suppression list; trying again");
                    false
                }
            };
            tokio::select! {
                () = self.clock.sleep(if more { Duration::ZERO } else { POLL }) => {}
                () = supervisor.draining() => {}
            }
        }
    }

    /// Reads what is new, at most 500 events; answers how many it read.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was written and the cursor stands where it stood.
    pub async fn round(&self) -> Result<usize, StoreError> {
        let mut tx = self.store.begin().await?;
        let Some(cursor) = consumer::take(&mut tx, NAME).await? else { return Ok(0) };
        if cursor.ahead {
            consumer::restart(&mut tx, NAME).await?;
            Store::commit(tx).await?;
            tracing::warn!("the event log was restored on another server; the suppression list goes on with what happens from now on");
            return Ok(0);
        }
        let events = consumer::condemning(&mut tx, cursor, i64::try_from(CHUNK).unwrap_or(i64::MAX)).await?;
        let Some(last) = events.last() else { return Ok(0) };
        let entries: Vec<SuppressionRow> = events.iter().filter_map(|event| self.entry(event)).collect();
        let added = if entries.is_empty() { 0 } else { table::insert(&mut tx, &entries).await? };
        consumer::advance(&mut tx, NAME, last.xact, last.id).await?;
        Store::commit(tx).await?;
        if added > 0 {
            metrics::suppressed_addresses("automatic", added);
            tracing::info!(addresses = added, "suppressed after bounces and complaints");
        }
        Ok(events.len())
    }

    fn entry(&self, event: &CondemningRow) -> Option<SuppressionRow> {
        let address = EmailAddress::parse(event.recipient.as_deref()?).ok()?;
        let class = event.data.get("class").and_then(|class| class.as_str()?.parse::<BounceClass>().ok());
        let (reason, stream) = match EventKind::from_stored(event.kind)? {
            EventKind::Bounced if class.is_some_and(BounceClass::condemns_address) => ("bounce", String::new()),
            EventKind::Complained => ("complaint", event.stream.clone().unwrap_or_default()),
            _ => return None,
        };
        Some(SuppressionRow {
            id: self.clock.uuid(),
            project_id: event.project_id,
            address: Target::from(&address).to_string(),
            stream,
            reason: reason.to_owned(),
            origin: "automatic".to_owned(),
            class: class.filter(|_| reason == "bounce").map(|class| class.name().to_owned()),
            message_id: event.message_id,
            note: None,
            created_at: time_of(event.id),
        })
    }
}
