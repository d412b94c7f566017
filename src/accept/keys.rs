//! Idempotency keys: whether a request was accepted before, and which rows say that this one is now.
//!
//! Answers: the same key within 24 hours is the same message, on whichever nodes and days the requests arrive.
//! Keys are kept in a table for each day (UTC), and the database sees two equal keys only within one. So in the first hour of a day a key is written
//! under the day before as well: two requests that meet over midnight, even at once, then meet in a table they share. It holds as long as the clocks
//! of two nodes, and the beginning and the end of a commit, are less than that hour apart.

use std::collections::HashMap;

use aws_lc_rs::digest;
use time::{Date, Duration, OffsetDateTime};
use uuid::Uuid;

use super::batch::{SubmitError, Submitted};
use crate::clock::{Clock, first_id_at, time_of};
use crate::model::MessageId;
use crate::outbox::{IdempotencyKey, NewMessage};
use crate::store::message::KeyOwner;
use crate::store::outbox::KeyRow;
use crate::store::{Store, StoreError};

/// How long a key is kept.
const KEPT: Duration = Duration::DAY;

/// What is known of each of these messages of one project from requests that were accepted before.
pub(super) async fn earlier(
    store: &Store,
    clock: &Clock,
    messages: &[(NewMessage, Option<IdempotencyKey>)],
) -> Result<Vec<Option<Result<Submitted, SubmitError>>>, StoreError> {
    let hashes: Vec<Option<Vec<u8>>> = messages.iter().map(|(_, key)| key.as_ref().map(|key| hash(&key.key))).collect();
    let wanted: Vec<Vec<u8>> = hashes.iter().flatten().cloned().collect();
    let Some((first, _)) = messages.first().filter(|_| !wanted.is_empty()) else { return Ok(messages.iter().map(|_| None).collect()) };
    let now = clock.now();
    let days = [now.date(), day_before(now.date())];
    let mut owners: HashMap<Vec<u8>, KeyOwner> = HashMap::new();
    for owner in store.key_owners(first.project.uuid(), &wanted, &days).await? {
        if time_of(owner.message_id) >= now - KEPT {
            owners.entry(owner.key_hash.clone()).or_insert(owner);
        }
    }
    let replayed: Vec<Uuid> = owners.values().map(|owner| owner.message_id).collect();
    let suppressed = if replayed.is_empty() { Vec::new() } else { store.refused_at_accept(&replayed).await? };
    let answer = |(hash, (_, key)): (Option<Vec<u8>>, &(NewMessage, Option<IdempotencyKey>))| {
        let owner = owners.get(&hash?)?;
        if owner.request_hash != key.as_ref()?.request_hash {
            return Some(Err(SubmitError::KeyReused));
        }
        let suppressed = suppressed.iter().filter(|(id, _)| *id == owner.message_id).count();
        Some(Ok(Submitted::Replayed {
            id: MessageId::from_uuid(owner.message_id),
            deliveries: u16::try_from(owner.deliveries).unwrap_or(0),
            suppressed: u16::try_from(suppressed).unwrap_or(u16::MAX),
        }))
    };
    Ok(hashes.into_iter().zip(messages).map(answer).collect())
}

/// The rows to write for messages that come with a key.
pub(super) fn rows<'m>(now: OffsetDateTime, messages: impl Iterator<Item = (&'m NewMessage, &'m IdempotencyKey)>) -> Vec<KeyRow> {
    let days = days(now);
    let row = |message: &NewMessage, key: &IdempotencyKey, day| KeyRow {
        day,
        project_id: message.project.uuid(),
        key_hash: hash(&key.key),
        request_hash: key.request_hash.to_vec(),
        message_id: message.id.uuid(),
        deliveries: i16::try_from(message.envelope.recipients.len()).unwrap_or(i16::MAX),
    };
    messages.flat_map(|(message, key)| days.iter().map(move |day| row(message, key, *day))).collect()
}

/// The least id of a message whose key still stands.
pub(super) fn first_valid(now: OffsetDateTime) -> Uuid {
    first_id_at(now - KEPT)
}

/// The days under which a key is written now.
fn days(now: OffsetDateTime) -> Vec<Date> {
    let today = now.date();
    if now.hour() == 0 { vec![day_before(today), today] } else { vec![today] }
}

fn day_before(day: Date) -> Date {
    day.saturating_sub(Duration::DAY)
}

fn hash(text: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use time::macros::{date, datetime};

    use super::*;

    #[test]
    fn in_the_first_hour_of_a_day_a_key_stands_under_the_day_before_as_well() {
        assert_eq!(days(datetime!(2026-12-31 23:59:59.9 UTC)), [date!(2026 - 12 - 31)]);
        assert_eq!(days(datetime!(2027-01-01 00:00 UTC)), [date!(2026 - 12 - 31), date!(2027 - 01 - 01)]);
        assert_eq!(days(datetime!(2027-01-01 00:59:59 UTC)), [date!(2026 - 12 - 31), date!(2027 - 01 - 01)]);
        assert_eq!(days(datetime!(2027-01-01 01:00 UTC)), [date!(2027 - 01 - 01)]);
    }
}
