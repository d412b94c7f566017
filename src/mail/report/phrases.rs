//! The phrases of mail systems: where a returned message begins, what a subject announces, how far a session got.
//!
//! Answers: questions about words, by the tables of `phrases.txt`. Does not: hold what refusals mean; that is `deliver::class` and its rules.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::model::outcome::Stage;

const TEXT: &str = include_str!("phrases.txt");

/// Fields with which a returned message begins although no line announces it.
const HEADER_BEGINNINGS: &[&str] =
    &["Received: ", "Return-Path: ", "Return-path: ", "DKIM-Signature: ", "X-Received: ", "ARC-Seal: ", "X-Apparently-To: "];

/// Lines looked at for a header after a mark.
const LOOK_AHEAD: usize = 8;

/// The tables of the file, and those of stages in their order.
struct Tables {
    named: HashMap<&'static str, Vec<&'static str>>,
    stages: Vec<(Stage, Vec<&'static str>)>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut tables = Tables { named: HashMap::new(), stages: Vec::new() };
    let mut name = "";
    for line in TEXT.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(heading) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).filter(|heading| is_heading(heading)) {
            name = heading;
            if let Some(stage) = stage_named(heading) {
                tables.stages.push((stage, Vec::new()));
            }
        } else if name.starts_with("stage ") {
            tables.stages.iter_mut().next_back().into_iter().for_each(|(_, phrases)| phrases.push(line));
        } else {
            tables.named.entry(name).or_default().push(line);
        }
    }
    tables
});

/// Headings are the names of tables; a phrase may stand in brackets too.
fn is_heading(text: &str) -> bool {
    stage_named(text).is_some() || NAMES.contains(&text)
}

const NAMES: &[&str] =
    &["original marks", "header names", "auto subjects", "failure subjects", "failure texts", "delays", "reasons", "not recipients", "recipients"];

fn stage_named(heading: &str) -> Option<Stage> {
    let (_, name) = heading.strip_prefix("stage ")?.split_once(' ')?;
    serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
}

fn table(name: &str) -> &'static [&'static str] {
    TABLES.named.get(name).map(Vec::as_slice).unwrap_or_default()
}

/// True if the text, in any case, holds a phrase of the table.
fn holds(name: &str, text: &str) -> bool {
    let low = text.to_lowercase();
    table(name).iter().any(|phrase| low.contains(phrase))
}

/// The report of a text, and the message that it returns.
pub(super) fn cut(text: &str) -> (&str, Option<&str>) {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let begins = HEADER_BEGINNINGS.iter().any(|start| line.starts_with(start));
        if begins && at > 0 {
            return text.split_at_checked(at).map_or((text, None), |(report, original)| (report, Some(original)));
        }
        let after = at + line.len();
        if holds("original marks", line)
            && let (Some(report), Some(original)) = (text.get(..at), text.get(after..))
            && header_follows(original)
        {
            return (report, Some(original));
        }
        at = after;
    }
    (text, None)
}

fn header_follows(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).take(LOOK_AHEAD);
    lines.any(|line| {
        let name = line.split_once(':').map(|(name, _)| name.trim().to_ascii_lowercase());
        name.is_some_and(|name| table("header names").contains(&name.as_str()))
    })
}

/// How far the session got, by the words of a report.
#[must_use]
pub fn stage_of(text: &str) -> Option<Stage> {
    let low = text.to_lowercase();
    TABLES.stages.iter().find(|(_, phrases)| phrases.iter().any(|phrase| low.contains(phrase))).map(|(stage, _)| *stage)
}

/// True of the subject of an automatic reply.
pub(super) fn is_auto_subject(subject: &str) -> bool {
    let mut low = subject.to_lowercase();
    for prefix in ["re:", "aw:", "fw:", "fwd:", "sv:"] {
        if let Some(rest) = low.trim_start().strip_prefix(prefix) {
            low = rest.to_owned();
        }
    }
    let low = low.trim_start_matches(['*', '[', '(', '【', ' ']);
    table("auto subjects").iter().any(|start| low.starts_with(start.trim_start_matches(['[', '('])))
        || low.contains("out of office")
        || low.contains("autoreply")
}

/// True of the subject of a failure notice.
pub(super) fn is_failure_subject(subject: &str) -> bool {
    holds("failure subjects", subject)
}

/// True of the text of a failure notice.
pub(super) fn is_failure_text(text: &str) -> bool {
    holds("failure texts", text)
}

/// True if a notice tells of a delay.
pub(super) fn is_delay(text: &str) -> bool {
    holds("delays", text)
}

/// True if the text says why.
pub(super) fn tells_reason(text: &str) -> bool {
    holds("reasons", text)
}

/// True if what stands before an address says that it is somebody else's: its author's, or of those who can help.
pub(super) fn ends_before_others(before: &str) -> bool {
    ends("not recipients", before)
}

/// True if what stands before an address says that mail was sent to it.
pub(super) fn ends_before_recipient(before: &str) -> bool {
    ends("recipients", before)
}

fn ends(name: &str, before: &str) -> bool {
    let near = before.trim_end_matches([' ', '\t', '"', '\'', '(', '[']);
    table(name).iter().any(|phrase| near.strip_suffix(phrase).is_some_and(|rest| !rest.ends_with(char::is_alphanumeric)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_there_and_in_lower_case() {
        for name in NAMES {
            assert!(table(name).len() > 5, "{name}");
            assert!(table(name).iter().all(|phrase| phrase.to_lowercase() == **phrase), "{name}");
        }
        assert_eq!(TABLES.named.len(), NAMES.len(), "no phrase under another name");
        assert!(TABLES.stages.len() > 5 && TABLES.stages.iter().all(|(_, phrases)| !phrases.is_empty()));
        assert_eq!(stage_of("Said 550 (in reply to RCPT TO command)"), Some(Stage::Rcpt));
        assert_eq!(stage_of("nothing"), None);
    }
}
