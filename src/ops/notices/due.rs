//! Which reports an author is owed about a message, by what became of it and by what was asked for (RFC 3461 4.1, 6.2).
//!
//! Answers: kind and recipients of each report, from the events of the message. Pure.
//! Not asked means: tell failures and delays, as RFC 3461 5.2.1 leaves to us. NOTIFY=NEVER is heeded.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::events::EventKind;
use crate::mail::report::compose::Returned;

/// What a report tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Failed,
    Delayed,
    /// Taken by the next hop, which was not asked for reports (RFC 3461 6.2.2).
    Relayed,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Relayed => "relayed",
        }
    }
}

/// What was asked for when the message was submitted: `dsn` in its metadata.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Wishes {
    #[serde(default)]
    pub(super) ret: Option<String>,
    #[serde(default)]
    pub(super) envid: Option<String>,
    #[serde(default)]
    pub(super) recipients: BTreeMap<String, Wish>,
}

/// What was asked for about one recipient.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Wish {
    #[serde(default)]
    pub(super) notify: Option<Vec<String>>,
    #[serde(default)]
    pub(super) orcpt: Option<String>,
}

impl Wishes {
    /// Out of a message's metadata; what is not of this form asks for nothing.
    pub(super) fn of(metadata: &Value) -> Self {
        metadata.get("dsn").and_then(|dsn| Self::deserialize(dsn).ok()).unwrap_or_default()
    }

    pub(super) fn returned(&self) -> Returned {
        if self.ret.as_deref() == Some("full") { Returned::Full } else { Returned::Headers }
    }

    pub(super) fn about(&self, recipient: &str) -> Option<&Wish> {
        self.recipients.iter().find(|(address, _)| address.eq_ignore_ascii_case(recipient)).map(|(_, wish)| wish)
    }

    fn asks(&self, recipient: &str, kind: Kind) -> bool {
        let word = match kind {
            Kind::Failed => "failure",
            Kind::Delayed => "delay",
            Kind::Relayed => "success",
        };
        match self.about(recipient).and_then(|wish| wish.notify.as_ref()) {
            Some(notify) => notify.iter().any(|asked| asked == word),
            None => kind != Kind::Relayed,
        }
    }
}

/// What became of the message for one recipient.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) rcpt_no: u16,
    pub(super) recipient: String,
    /// It is still tried, or waits.
    pub(super) outstanding: bool,
    /// The last event; none while nothing was tried.
    pub(super) last: Option<EventKind>,
    /// When that was.
    pub(super) since: OffsetDateTime,
    /// Its facts.
    pub(super) facts: Value,
}

impl Standing {
    /// What can be told now.
    fn kind(&self, age: Duration, delay: Duration) -> Option<Kind> {
        match self.last {
            Some(EventKind::Bounced | EventKind::Expired | EventKind::Suppressed) => Some(Kind::Failed),
            Some(EventKind::Delivered) => Some(Kind::Relayed),
            Some(EventKind::Deferred) if !delay.is_zero() && age >= delay => Some(Kind::Delayed),
            _ => None,
        }
    }

    /// True if nothing more is to be expected, but for what comes back.
    pub(super) const fn is_over(&self) -> bool {
        !self.outstanding && !matches!(self.last, None | Some(EventKind::Accepted | EventKind::Deferred))
    }
}

/// What was told, by the place of the recipient.
pub(super) type Told = BTreeMap<u16, Vec<Kind>>;

/// The reports that are due.
pub(super) fn due(standings: &[Standing], wishes: &Wishes, told: &Told, age: Duration, delay: Duration) -> BTreeMap<Kind, Vec<u16>> {
    let mut reports: BTreeMap<Kind, Vec<u16>> = BTreeMap::new();
    for standing in standings {
        let Some(kind) = standing.kind(age, delay) else { continue };
        let known = told.get(&standing.rcpt_no).is_some_and(|kinds| kinds.contains(&kind));
        if !known && wishes.asks(&standing.recipient, kind) {
            reports.entry(kind).or_default().push(standing.rcpt_no);
        }
    }
    reports
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn standing(rcpt_no: u16, recipient: &str, last: Option<EventKind>) -> Standing {
        let since = OffsetDateTime::UNIX_EPOCH;
        Standing { rcpt_no, recipient: recipient.to_owned(), outstanding: false, last, since, facts: Value::Null }
    }

    #[test]
    fn reports_are_due_as_they_were_asked_for() {
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        let wishes = |notify: Value| Wishes::of(&json!({ "dsn": { "recipients": { "Bee@example.net": { "notify": notify } } } }));
        let plain = Wishes::default();
        for (last, age, wishes, expected) in [
            (Some(EventKind::Bounced), 0, &plain, Some(Kind::Failed)),
            (Some(EventKind::Expired), 0, &plain, Some(Kind::Failed)),
            (Some(EventKind::Suppressed), 0, &plain, Some(Kind::Failed)),
            (Some(EventKind::Cancelled), 0, &plain, None),
            (Some(EventKind::Delivered), 0, &plain, None),
            (Some(EventKind::Deferred), 3, &plain, None),
            (Some(EventKind::Deferred), 4, &plain, Some(Kind::Delayed)),
            (None, 9, &plain, None),
            (Some(EventKind::Bounced), 0, &wishes(json!(["never"])), None),
            (Some(EventKind::Deferred), 9, &wishes(json!(["failure"])), None),
            (Some(EventKind::Delivered), 0, &wishes(json!(["success", "delay"])), Some(Kind::Relayed)),
            (Some(EventKind::Bounced), 0, &wishes(json!(["success", "delay"])), None),
            (Some(EventKind::Deferred), 9, &wishes(json!(["delay"])), Some(Kind::Delayed)),
        ] {
            let standings = [standing(3, "bee@example.net", last)];
            let found = due(&standings, wishes, &Told::new(), hours(age), hours(4));
            assert_eq!(found, expected.map(|kind| (kind, vec![3])).into_iter().collect(), "{last:?} {age} {wishes:?}");
            let told: Told = [(3, vec![Kind::Failed, Kind::Delayed, Kind::Relayed])].into();
            assert!(due(&standings, wishes, &told, hours(age), hours(4)).is_empty(), "told once");
            assert!(due(&standings, wishes, &Told::new(), hours(age), Duration::ZERO).keys().all(|kind| *kind != Kind::Delayed), "switched off");
        }
    }

    #[test]
    fn recipients_that_fare_alike_share_a_report() {
        let standings = [
            standing(0, "a@example.net", Some(EventKind::Bounced)),
            standing(1, "b@example.net", Some(EventKind::Delivered)),
            standing(2, "c@example.net", Some(EventKind::Expired)),
        ];
        let told: Told = [(1, vec![Kind::Delayed])].into();
        let found = due(&standings, &Wishes::default(), &told, Duration::ZERO, Duration::from_secs(1));
        assert_eq!(found, [(Kind::Failed, vec![0, 2])].into());
    }
}
