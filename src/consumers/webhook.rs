//! Tells endpoints what happened: reads the event log for each and writes down what it is to be told.
//!
//! Answers: each event is told to each endpoint that wants its kind, from the moment it was made; cursor and messages are written in one
//! transaction. Does not: post; `consumers::post` does.

use std::collections::HashMap;

use serde_json::json;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::clock::Clock;
use crate::events::feed;
use crate::store::event::EventRow;
use crate::store::webhook as endpoints;
use crate::store::webhook_message::{self as table, NewWebhookMessage, WantedRow};
use crate::store::{Store, StoreError};
use crate::webhooks::KEEP_TRYING;

/// Endpoints read for in one transaction.
const READERS: i64 = 50;
/// Events of one endpoint read in one transaction.
const CHUNK: usize = 200;

/// Transactions that a cursor may lie behind where nothing was wanted.
const STRIDE: i64 = 100;

/// Reads events for endpoints.
#[derive(Clone, Debug)]
pub struct Tell {
    /// The database.
    pub store: Store,
    /// Time.
    pub clock: Clock,
}

impl Tell {
    /// Reads what is new for every endpoint. True: there is more.
    ///
    /// # Errors
    /// [`StoreError`]; what was committed before stays.
    pub async fn round(&self) -> Result<bool, StoreError> {
        let (mut after, mut is_more) = (Uuid::nil(), false);
        loop {
            let mut tx = self.store.begin().await?;
            let readers = endpoints::take_readers(&mut tx, after, READERS).await?;
            let Some(last) = readers.last() else { return Ok(is_more) };
            after = last.id;
            let ids: Vec<Uuid> = readers.iter().filter(|reader| !reader.ahead).map(|reader| reader.id).collect();
            let wanted = table::wanted(&mut tx, &ids, i64::try_from(CHUNK).unwrap_or(i64::MAX)).await?;
            let mut read: HashMap<Uuid, (usize, i64, Uuid)> = HashMap::new();
            for event in &wanted {
                let seen = read.entry(event.webhook_id).or_insert((0, 0, Uuid::nil()));
                *seen = (seen.0 + 1, event.xact, event.id);
            }
            // Where all was read that there is, the cursor goes on to where reading ended, or events that nobody wants would be looked at again
            // and again; but not by each transaction, or the rows would be written all the time for nothing.
            let cursors = readers.iter().filter_map(|reader| match read.get(&reader.id) {
                Some((CHUNK.., xact, id)) => Some((reader.id, *xact, *id)),
                Some((_, xact, id)) if *xact >= reader.horizon => Some((reader.id, *xact, *id)),
                None if !reader.ahead && reader.horizon - reader.xact < STRIDE => None,
                _ => Some((reader.id, reader.horizon, Uuid::nil())),
            });
            let cursors: Vec<_> = cursors.collect();
            is_more |= read.values().any(|(events, ..)| *events >= CHUNK);
            let messages: Vec<_> = wanted.into_iter().filter_map(|event| self.message(event)).collect();
            if !messages.is_empty() {
                table::enqueue(&mut tx, &messages).await?;
            }
            endpoints::advance(&mut tx, &cursors).await?;
            Store::commit(tx).await?;
        }
    }

    /// What an endpoint is told of an event; nothing of kinds that a newer version wrote.
    fn message(&self, event: WantedRow) -> Option<NewWebhookMessage> {
        let WantedRow { webhook_id, id, xact, message_id, rcpt_no, kind, recipient, data } = event;
        let view = feed::view(EventRow { id, xact, message_id, rcpt_no, kind, recipient, data })?;
        let payload = json!({ "type": view.kind, "timestamp": view.at.format(&Rfc3339).unwrap_or_default(), "data": view });
        let now = self.clock.now();
        Some(NewWebhookMessage {
            id: self.clock.uuid(),
            webhook_id,
            kind,
            payload: Some(payload.to_string().replace("\\u0000", "\\ufffd")),
            incoming_id: None,
            next_at: now,
            give_up_at: now + KEEP_TRYING,
        })
    }
}
