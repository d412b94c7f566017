//! Checks `send_at` and `expires_at`: RFC 3339 with a zone, so no local time and no daylight saving gap can be meant.

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime, PrimitiveDateTime, UtcOffset};

use crate::accept::fault::{Code, Faults};

/// A time that was over less than this long ago means now: clocks differ and requests travel.
const GRACE: Duration = Duration::MINUTE;
/// How far ahead a message can be planned, and how long after that it can be kept trying.
const HORIZON: Duration = Duration::days(30);

/// What a time must look like, for people.
pub const TIME_FORM: &str = "expected RFC 3339 with a zone, like 2026-12-01T09:00:00Z";

/// When to send; none for now.
pub(super) fn send_at(text: Option<&str>, now: OffsetDateTime, faults: &mut Faults) -> Option<OffsetDateTime> {
    let at = read(text?, "/send_at", faults)?;
    if at < now - GRACE {
        faults.add("/send_at", Code::TimeInPast, "this time was more than a minute ago");
    } else if at > now + HORIZON {
        faults.add("/send_at", Code::TimeTooFar, "this time is more than 30 days ahead");
    }
    Some(at).filter(|at| *at > now)
}

/// When to give up, `start` being the time of the first attempt; none for the default.
pub(super) fn expires_at(text: Option<&str>, start: OffsetDateTime, faults: &mut Faults) -> Option<OffsetDateTime> {
    let at = read(text?, "/expires_at", faults)?;
    if at <= start {
        faults.add("/expires_at", Code::TimeInPast, "this time is not later than the first attempt");
    } else if at > start.saturating_add(HORIZON) {
        faults.add("/expires_at", Code::TimeTooFar, "this time is more than 30 days after the first attempt");
    }
    Some(at)
}

/// Reads RFC 3339 and turns it into UTC; none if it is not a time. What would be in the year 10000 by then is the last moment before.
pub fn read_time(text: &str) -> Option<OffsetDateTime> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(at.checked_to_offset(UtcOffset::UTC).unwrap_or(PrimitiveDateTime::MAX.assume_utc()))
}

fn read(text: &str, pointer: &str, faults: &mut Faults) -> Option<OffsetDateTime> {
    let at = read_time(text);
    if at.is_none() {
        faults.add(pointer, Code::InvalidTime, TIME_FORM);
    }
    at
}
