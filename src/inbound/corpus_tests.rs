//! Real reports of some 50 mail systems, beside the verdicts of an analyser that nobody here wrote.
//!
//! Reads the directory that `PENNYPOST_CORPUS` names, or `bounces` in it: mails (`*.eml`), and `expected.json` with reason and hardness for each. Its reasons are
//! not ours, so each stands for the classes that say the same. Skips, and says so, where the directory is absent.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::classify::meaning;
use crate::deliver::class::Rules;
use crate::mail::report::{Action, Arrival, RecipientReport, read};
use crate::model::BounceClass::{
    Authentication, BadDomain, BadMailbox, Content, Full, Inactive, Network, Other, Policy, Rate, Relay, Reputation, Size, Tls,
};
use crate::model::{BounceClass, EmailAddress};

#[derive(serde::Deserialize)]
struct Expected {
    hard: bool,
    reason: String,
}

/// What is in a mail, in the words of both.
struct Row {
    file: String,
    expected: Expected,
    recipient: Option<EmailAddress>,
    class: Option<BounceClass>,
    hard: bool,
    kind: &'static str,
    diagnostic: String,
}

/// The classes that say what a reason of the analyser says.
fn classes(reason: &str) -> &'static [BounceClass] {
    match reason {
        "userunknown" => &[BadMailbox],
        "hasmoved" => &[BadMailbox, Inactive],
        "hostunknown" | "notaccept" => &[BadDomain],
        "mailboxfull" => &[Full],
        // Refused by a filter of the recipient, in the words of which there often is no such user.
        "filtered" => &[BadMailbox, Inactive, Policy],
        "suspend" => &[Inactive],
        "rejected" => &[Authentication, Policy, Reputation],
        "blocked" => &[Reputation, Policy],
        "badreputation" => &[Reputation, Rate],
        "requireptr" | "authfailure" => &[Authentication],
        "policyviolation" => &[Policy, Content],
        "securityerror" => &[Policy, Authentication, Tls],
        "spamdetected" | "virusdetected" | "contenterror" | "notcompliantrfc" => &[Content],
        "mesgtoobig" | "exceedlimit" => &[Size],
        "toomanyconn" => &[Rate],
        "norelaying" => &[Relay],
        "expired" => &[Network],
        "networkerror" => &[Network, BadDomain],
        "systemerror" => &[Other, Network],
        "mailererror" | "onhold" | "undefined" | "syntaxerror" => &[Other],
        _ => &[],
    }
}

fn row(file: String, mail: &[u8], expected: Expected) -> Row {
    let empty = Row { file, expected, recipient: None, class: None, hard: false, kind: "nothing", diagnostic: String::new() };
    match read(mail) {
        Arrival::Other => empty,
        Arrival::AutoReply(original) => Row { kind: "vacation", recipient: original.from, ..empty },
        Arrival::Feedback(report) => Row { kind: "feedback", recipient: report.recipients.into_iter().next(), ..empty },
        Arrival::Delivery(report) => {
            let Some(first) = report.recipients.into_iter().next() else { return Row { kind: "no recipient", ..empty } };
            let RecipientReport { recipient, action, diagnostic, code, status, stage, .. } = first.clone();
            let meaning = meaning(&Rules::built_in(), &first);
            let kind = if matches!(action, Action::Failed | Action::Delayed) { "bounce" } else { "delivered" };
            let diagnostic = format!("{code:?} {} {stage:?} {diagnostic}", status.map(|status| status.to_string()).unwrap_or_default());
            Row {
                kind,
                recipient: Some(recipient),
                class: meaning.map(|meaning| meaning.class),
                hard: meaning.is_some_and(|meaning| meaning.hard),
                diagnostic,
                ..empty
            }
        }
    }
}

impl Row {
    fn is_bounce(&self) -> bool {
        !matches!(self.expected.reason.as_str(), "feedback" | "vacation" | "delivered")
    }

    /// A recipient was found, or the mail was seen to be no bounce.
    fn is_found(&self) -> bool {
        if self.is_bounce() { self.recipient.is_some() && self.kind == "bounce" } else { self.kind == self.expected.reason }
    }

    fn agrees_on_class(&self) -> bool {
        if self.is_bounce() { self.class.is_some_and(|class| classes(&self.expected.reason).contains(&class)) } else { self.is_found() }
    }
}

#[test]
fn real_reports_are_read_as_an_independent_analyser_reads_them() {
    let named = std::env::var_os("PENNYPOST_CORPUS").map(PathBuf::from);
    let places = named.into_iter().flat_map(|named| [named.join("bounces"), named]);
    let Some(directory) = places.into_iter().find(|place| place.join("expected.json").is_file()) else {
        println!("skipped: PENNYPOST_CORPUS names no directory that holds bounces");
        return;
    };
    let expected = std::fs::read(directory.join("expected.json")).expect("expected.json is there");
    let expected: BTreeMap<String, Vec<Expected>> = serde_json::from_slice(&expected).expect("expected.json is readable");
    let rows: Vec<Row> = expected
        .into_iter()
        .filter_map(|(file, mut verdicts)| {
            let mail = std::fs::read(directory.join(&file)).ok()?;
            Some(row(file, &mail, if verdicts.is_empty() { return None } else { verdicts.remove(0) }))
        })
        .collect();
    let share = |fits: &dyn Fn(&Row) -> bool| {
        let count = rows.iter().filter(|row| fits(row)).count();
        count * 1_000 / rows.len().max(1)
    };
    let found = share(&Row::is_found);
    let hard = share(&|row: &Row| row.hard == row.expected.hard);
    let class = share(&Row::agrees_on_class);
    for row in rows.iter().filter(|row| !row.is_found() || row.hard != row.expected.hard || !row.agrees_on_class()) {
        let short: String = row.diagnostic.chars().take(140).collect();
        let class = row.class.map_or("-", BounceClass::name);
        let mark = |right: bool, name: &'static str| if right { "" } else { name };
        let wrong =
            [mark(row.is_found(), "recipient "), mark(row.hard == row.expected.hard, "hard "), mark(row.agrees_on_class(), "class ")].concat();
        println!(
            "{:<26} {wrong:<22} theirs {} {}  ours {} {class} {}  {short}",
            row.file, row.expected.reason, row.expected.hard, row.kind, row.hard
        );
    }
    let percent = |thousandths: usize| format!("{}.{} %", thousandths / 10, thousandths % 10);
    println!(
        "{} reports: recipient found in {}, hard or not agreed in {}, class agreed in {}",
        rows.len(),
        percent(found),
        percent(hard),
        percent(class)
    );
    assert!(found >= 970 && hard >= 950 && class >= 850, "found {found}, hard {hard}, class {class} of 1000");
}
