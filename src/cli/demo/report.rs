//! What the demo shows at its end, and whether all of it was as expected.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::letters::Expected;
use super::verify::Signature;
use crate::cli::output::{Output, Tone, cells};
use crate::model::Secret;

/// What became of one delivery, beside what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    title: &'static str,
    recipient: &'static str,
    state: String,
    host: String,
    tls: String,
    replies: Vec<String>,
    /// What is not as expected; none if all is.
    wrong: Option<String>,
}

impl Finding {
    /// Compares the delivery that the API shows with what was expected of it.
    #[must_use]
    pub fn new(title: &'static str, expected: &Expected, delivery: &Value) -> Self {
        let attempts = delivery.get("attempts").and_then(Value::as_array).cloned().unwrap_or_default();
        let word = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let state = word(delivery, "state");
        let ends = attempts.iter().map(|attempt| (word(attempt, "outcome"), word(attempt, "reply"))).collect::<Vec<_>>();
        let as_expected = ends.len() == expected.attempts.len()
            && ends.iter().zip(expected.attempts).all(|((outcome, reply), (wanted, start))| outcome == wanted && reply.starts_with(start));
        let wrong = (state != expected.state || !as_expected).then(|| format!("expected {} after {:?}", expected.state, expected.attempts));
        let last = attempts.last().cloned().unwrap_or_default();
        let replies = ends.into_iter().map(|(_, reply)| reply).collect();
        Self { title, recipient: expected.recipient, state, host: word(&last, "mx_host"), tls: word(&last, "tls"), replies, wrong }
    }
}

/// Everything the demo found out.
#[derive(Clone, Debug)]
pub struct Report {
    /// Each delivery.
    pub findings: Vec<Finding>,
    /// Each signature of what arrived.
    pub signatures: Vec<Signature>,
    /// Messages that arrived.
    pub arrived: usize,
    /// Messages that had to.
    pub expected_arrivals: usize,
    /// Events by kind.
    pub events: BTreeMap<String, usize>,
    /// A command that sends the first message again.
    pub curl: String,
}

impl Report {
    /// True if every outcome is the expected one, and every message that arrived bears two signatures that verify.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.wrong().is_empty()
    }

    fn wrong(&self) -> Vec<String> {
        let mut wrong =
            self.findings.iter().filter_map(|finding| Some(format!("{}: {}", finding.recipient, finding.wrong.as_ref()?))).collect::<Vec<_>>();
        if self.arrived != self.expected_arrivals {
            wrong.push(format!("{} messages arrived, {} were expected", self.arrived, self.expected_arrivals));
        }
        let failed = self.signatures.iter().filter(|signature| !signature.passes());
        wrong.extend(failed.map(|signature| format!("signature {} to {}: {}", signature.key, signature.recipient, signature.result)));
        // RSA-2048 and Ed25519 side by side.
        if self.signatures.len() != 2 * self.arrived {
            wrong.push(format!("{} signatures on {} messages", self.signatures.len(), self.arrived));
        }
        let told = |kind: &str| self.events.get(kind).copied().unwrap_or(0);
        let delivered = self.findings.iter().filter(|finding| finding.state == "delivered").count();
        if told("delivered") != delivered || told("bounced") + delivered != self.findings.len() {
            wrong.push(format!("the events do not tell the same: {:?}", self.events));
        }
        wrong
    }

    /// For programs.
    #[must_use]
    pub fn document(&self) -> Value {
        let deliveries = self.findings.iter().map(|finding| {
            json!({"title": finding.title, "recipient": finding.recipient, "state": finding.state, "mx_host": finding.host, "tls": finding.tls,
                "replies": finding.replies, "as_expected": finding.wrong.is_none()})
        });
        json!({"ok": self.is_as_expected(), "deliveries": deliveries.collect::<Vec<_>>(), "signatures": self.signatures, "events": self.events,
            "wrong": self.wrong(), "curl": self.curl})
    }

    /// For people.
    #[must_use]
    pub fn text(&self, output: &Output) -> String {
        let titles = ["MESSAGE", "RECIPIENT", "OUTCOME", "MX HOST", "REPLIES"].map(str::to_owned);
        let rows = self.findings.iter().map(|finding| {
            let replies = finding.replies.join(" / ");
            vec![finding.title.to_owned(), finding.recipient.to_owned(), finding.state.clone(), finding.host.clone(), replies]
        });
        let passed = self.signatures.iter().filter(|signature| signature.passes()).count();
        let tls = self.findings.iter().filter(|finding| finding.state == "delivered" && !finding.tls.is_empty()).count();
        let events = self.events.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ");
        let mut lines = vec![
            String::new(),
            cells(&titles, rows),
            format!("DKIM    {passed} of {} signatures on {} messages verify with the keys in DNS", self.signatures.len(), self.arrived),
            format!("TLS     {tls} of {} deliveries", self.expected_arrivals),
            format!("events  {events}"),
            String::new(),
            "The first message was posted like this; `make dev` keeps a gateway running to try it on:".to_owned(),
            String::new(),
            self.curl.clone(),
            String::new(),
        ];
        let wrong = self.wrong();
        lines.push(if wrong.is_empty() {
            output.toned(Tone::Good, "Every outcome is as expected.")
        } else {
            output.toned(Tone::Bad, &format!("Not as expected:\n  {}", wrong.join("\n  ")))
        });
        lines.join("\n")
    }
}

/// A command for a POSIX shell that posts `request`.
#[must_use]
pub fn curl(url: &str, key: &Secret<String>, request: &Value) -> String {
    let body = request.to_string().replace('\'', "'\\''");
    format!("curl {url}/v1/send \\\n  -H 'Authorization: Bearer {}' -H 'Content-Type: application/json' \\\n  -d '{body}'", key.expose())
}

#[cfg(test)]
mod tests {
    use super::super::letters;
    use super::*;

    fn report(replies: &[(&str, &str)], state: &str) -> Report {
        let letter = letters::all().remove(3);
        let expected = letter.expected.first().unwrap().clone();
        let attempts =
            replies.iter().map(|(outcome, reply)| json!({"outcome": outcome, "reply": reply, "mx_host": "mx.florist.test", "tls": "TLSv1.3"}));
        let delivery = json!({"state": state, "attempts": attempts.collect::<Vec<_>>()});
        let signature = |key: &str| Signature { recipient: expected.recipient.to_owned(), key: key.to_owned(), result: "pass".to_owned() };
        Report {
            findings: vec![Finding::new(letter.title, &expected, &delivery)],
            signatures: vec![signature("r._domainkey.penny.test"), signature("e._domainkey.penny.test")],
            arrived: 1,
            expected_arrivals: 1,
            events: [("delivered".to_owned(), 1), ("accepted".to_owned(), 1)].into(),
            curl: curl("http://127.0.0.1:1", &Secret::new("pp_test_KEY".to_owned()), &json!({"text": "it's"})),
        }
    }

    #[test]
    fn what_is_as_expected_is_told_so() {
        let report = report(&[("deferred", "451 4.7.1 greylisted"), ("delivered", "250 2.0.0 ok")], "delivered");
        assert_eq!(report.wrong(), Vec::<String>::new());
        let global = crate::cli::Global { config: None, json: false, no_color: true, quiet: 0, verbose: 0 };
        insta::assert_snapshot!(report.text(&Output::new(&global)));
    }

    #[test]
    fn each_thing_that_is_not_as_expected_is_named() {
        let first_try = report(&[("delivered", "250 2.0.0 ok")], "delivered");
        assert!(first_try.wrong().iter().any(|wrong| wrong.contains("expected delivered after")), "{:?}", first_try.wrong());
        let mut forged = report(&[("deferred", "451 4.7.1 x"), ("delivered", "250 ok")], "delivered");
        forged.signatures.first_mut().unwrap().result = "Fail".to_owned();
        assert_eq!(forged.wrong(), ["signature r._domainkey.penny.test to greylist.emil@florist.test: Fail"]);
        forged.signatures.clear();
        assert_eq!(forged.wrong(), ["0 signatures on 1 messages"]);
        let mut lost = report(&[("deferred", "451 4.7.1 x"), ("delivered", "250 ok")], "delivered");
        lost.expected_arrivals = 2;
        lost.events.clear();
        assert_eq!(lost.wrong().len(), 2);
    }
}
