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
use crate::mail::report::Action;
use crate::mail::report::compose::Returned;
use crate::model::report_wishes::{ReportOn, ReportReturns, ReportWishes};

/// What a report tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Failed,
    Delayed,
    /// Taken by the next hop, which was not asked for reports (RFC 3461 6.2.2).
    Relayed,
    /// As a host behind the next hop says.
    RelayedOn,
    /// In the mailbox, as the next hop or one behind it says.
    Delivered,
    /// Gone on to several addresses, as one of them says.
    Expanded,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Relayed | Self::RelayedOn => "relayed",
            Self::Delivered => "delivered",
            Self::Expanded => "expanded",
        }
    }

    /// Its part of the key under which a report is sent once.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::RelayedOn => "relayed on",
            other => other.name(),
        }
    }

    pub(super) const fn action(self) -> Action {
        match self {
            Self::Failed => Action::Failed,
            Self::Delayed => Action::Delayed,
            Self::Relayed | Self::RelayedOn => Action::Relayed,
            Self::Delivered => Action::Delivered,
            Self::Expanded => Action::Expanded,
        }
    }

    /// Of a success that was reported to us.
    const fn of_success(action: Action) -> Option<Self> {
        match action {
            Action::Relayed => Some(Self::RelayedOn),
            Action::Delivered => Some(Self::Delivered),
            Action::Expanded => Some(Self::Expanded),
            Action::Failed | Action::Delayed => None,
        }
    }
}

/// What a report asks whether it is wanted.
const fn occasion(kind: Kind) -> ReportOn {
    match kind {
        Kind::Failed => ReportOn::Failure,
        Kind::Delayed => ReportOn::Delay,
        Kind::Relayed | Kind::RelayedOn | Kind::Delivered | Kind::Expanded => ReportOn::Success,
    }
}

/// How much of the message goes back with a report.
pub(super) fn returned(wishes: &ReportWishes) -> Returned {
    if wishes.ret == Some(ReportReturns::Full) { Returned::Full } else { Returned::Headers }
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
    /// The success that was reported to us, and the facts of that.
    pub(super) reported: Option<(Action, Value)>,
}

impl Standing {
    /// What can be told now.
    fn kind(&self, age: Duration, delay: Duration) -> Option<Kind> {
        match self.last {
            Some(EventKind::Bounced | EventKind::Expired | EventKind::Suppressed) => Some(Kind::Failed),
            // Who was asked for reports tells it: to the author, or if our bounce address stood in MAIL FROM to us.
            Some(EventKind::Delivered) if self.facts.get("next_hop_reports") == Some(&Value::Bool(true)) => {
                self.reported.as_ref().and_then(|(action, _)| Kind::of_success(*action))
            }
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
pub(super) fn due(standings: &[Standing], wishes: &ReportWishes, told: &Told, age: Duration, delay: Duration) -> BTreeMap<Kind, Vec<u16>> {
    let mut reports: BTreeMap<Kind, Vec<u16>> = BTreeMap::new();
    for standing in standings {
        let Some(kind) = standing.kind(age, delay) else { continue };
        let known = told.get(&standing.rcpt_no).is_some_and(|kinds| kinds.contains(&kind));
        if !known && wishes.asks(&standing.recipient, occasion(kind)) {
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
        Standing { rcpt_no, recipient: recipient.to_owned(), outstanding: false, last, since, facts: Value::Null, reported: None }
    }

    #[test]
    fn reports_are_due_as_they_were_asked_for() {
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        let wishes = |notify: Value| ReportWishes::of(&json!({ "dsn": { "recipients": { "Bee@example.net": { "notify": notify } } } })).unwrap();
        let plain = ReportWishes::default();
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
    fn success_is_told_by_whom_it_was_passed_on_to_and_by_us_if_they_told_us() {
        let wishes = ReportWishes::of(&json!({ "dsn": { "recipients": { "bee@example.net": { "notify": ["success"] } } } })).unwrap();
        for (reported, expected) in [
            (None, None),
            (Some(Action::Delivered), Some(Kind::Delivered)),
            (Some(Action::Relayed), Some(Kind::RelayedOn)),
            (Some(Action::Expanded), Some(Kind::Expanded)),
            (Some(Action::Delayed), None),
        ] {
            let mut standing = standing(0, "bee@example.net", Some(EventKind::Delivered));
            standing.facts = json!({ "next_hop_reports": true });
            standing.reported = reported.map(|action| (action, Value::Null));
            let found = due(&[standing.clone()], &wishes, &Told::new(), Duration::ZERO, Duration::ZERO);
            assert_eq!(found, expected.map(|kind| (kind, vec![0])).into_iter().collect(), "{reported:?}");
            let unasked = due(&[standing], &ReportWishes::default(), &Told::new(), Duration::ZERO, Duration::ZERO);
            assert!(unasked.is_empty());
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
        let found = due(&standings, &ReportWishes::default(), &told, Duration::ZERO, Duration::from_secs(1));
        assert_eq!(found, [(Kind::Failed, vec![0, 2])].into());
    }
}
