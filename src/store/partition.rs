//! The daily partitions of `message`, `event` and `idempotency`.
//!
//! Answers: makes them ahead of time and drops them when their retention is over.

use std::sync::atomic::{AtomicI32, Ordering};

use sqlx::query;
use time::{Date, OffsetDateTime};

use super::limit::{Limited, PATIENT};
use super::{Store, StoreError};

/// Parents whose partitions are dropped by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitioned {
    /// Messages.
    Message,
    /// The event log.
    Event,
    /// Idempotency keys.
    Idempotency,
}

/// The last day this process knows to have partitions, as a Julian day number.
#[derive(Debug, Default)]
pub(super) struct LastDay(AtomicI32);

impl Store {
    /// Makes sure that rows made at `now` have a partition: the days around it, once a day. Cheap to call before each write.
    pub async fn ensure_partitions_for(&self, now: OffsetDateTime) -> Result<(), StoreError> {
        let last = now.date().saturating_add(time::Duration::days(2));
        // Another day, not only a later one: a clock that was ahead may have been put right.
        if self.last_day.0.load(Ordering::Acquire) != last.to_julian_day() {
            self.ensure_partitions(now.date().saturating_sub(time::Duration::days(1)), last).await?;
            self.last_day.0.store(last.to_julian_day(), Ordering::Release);
        }
        Ok(())
    }

    /// Makes the partitions of the days from `first` to `last`, those that are missing.
    pub async fn ensure_partitions(&self, first: Date, last: Date) -> Result<(), StoreError> {
        query!("select ensure_partitions($1, $2)", first, last).execute(self.pool()).limited(PATIENT).await?;
        Ok(())
    }

    /// Drops the partitions that hold nothing of `before` or later. Answers how many.
    pub async fn drop_partitions(&self, parent: Partitioned, before: Date) -> Result<i32, StoreError> {
        let name = match parent {
            Partitioned::Message => "message",
            Partitioned::Event => "event",
            Partitioned::Idempotency => "idempotency",
        };
        let dropped = query!(r#"select drop_partitions($1, $2) as "dropped!""#, name, before).fetch_one(self.pool()).limited(PATIENT).await?;
        Ok(dropped.dropped)
    }
}
