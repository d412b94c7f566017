//! What a sender asked of delivery reports when the message was submitted (RFC 3461 4): RET and ENVID of the message, NOTIFY and ORCPT of a recipient.
//!
//! Answers: that, out of the metadata in which it is kept; and what it asks about a recipient. Does not: write parameters (`smtp::command`) or reports.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// How much of a message goes back with a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportReturns {
    /// RET=FULL.
    Full,
    /// RET=HDRS.
    Headers,
}

/// A word of NOTIFY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportOn {
    /// No report whatever happens; it stands alone.
    Never,
    /// When it was delivered.
    Success,
    /// When it could not be.
    Failure,
    /// When it takes long.
    Delay,
}

/// What was asked for about a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ReportWishes {
    /// RET.
    #[serde(default)]
    pub ret: Option<ReportReturns>,
    /// ENVID, decoded.
    #[serde(default)]
    pub envid: Option<String>,
    /// By recipient, as the envelope has it.
    #[serde(default)]
    pub recipients: BTreeMap<String, ReportWish>,
}

/// What was asked for about one recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ReportWish {
    /// NOTIFY; none: failures, and perhaps delays.
    #[serde(default)]
    pub notify: Option<Vec<ReportOn>>,
    /// ORCPT, `type;address`, decoded.
    #[serde(default)]
    pub orcpt: Option<String>,
}

impl ReportWishes {
    /// Out of the metadata of a submitted message, where they stand as `dsn`; none if nothing of this form does.
    #[must_use]
    pub fn of(metadata: &Value) -> Option<Self> {
        Self::of_dsn(metadata.get("dsn")?)
    }

    /// Out of what stands there.
    #[must_use]
    pub fn of_dsn(dsn: &Value) -> Option<Self> {
        Self::deserialize(dsn).ok()
    }

    /// What was asked for about a recipient.
    #[must_use]
    pub fn about(&self, recipient: &str) -> Option<&ReportWish> {
        self.recipients.iter().find(|(address, _)| address.eq_ignore_ascii_case(recipient)).map(|(_, wish)| wish)
    }

    /// True if a report is wanted for this recipient when that happens. What is not said is as RFC 3461 4.1 has it: failures and delays.
    #[must_use]
    pub fn asks(&self, recipient: &str, when: ReportOn) -> bool {
        match self.about(recipient).and_then(|wish| wish.notify.as_ref()) {
            Some(notify) => notify.contains(&when),
            None => matches!(when, ReportOn::Failure | ReportOn::Delay),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn wishes_are_read_and_what_is_of_another_form_is_none() {
        let metadata = json!({ "order": 7, "dsn": { "ret": "headers", "envid": "order7", "recipients": {
            "Bee@example.net": { "notify": ["success", "delay"], "orcpt": "rfc822;old@example.net" } } } });
        let wishes = ReportWishes::of(&metadata).unwrap();
        assert_eq!((wishes.ret, wishes.envid.as_deref()), (Some(ReportReturns::Headers), Some("order7")));
        let asked = [ReportOn::Success, ReportOn::Failure, ReportOn::Delay]
            .map(|when| (wishes.asks("bee@EXAMPLE.net", when), wishes.asks("ant@example.net", when)));
        assert_eq!(asked, [(true, false), (false, true), (true, true)]);
        for other in [
            json!({}),
            json!({ "dsn": 7 }),
            json!({ "dsn": { "ret": "half" } }),
            json!({ "dsn": { "recipients": { "a@b": { "notify": ["often"] } } } }),
        ] {
            assert_eq!(ReportWishes::of(&other), None, "{other}");
        }
    }
}
