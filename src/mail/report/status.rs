//! The fields that a delivery report says to machines (RFC 3464 2.2, 2.3; RFC 6533), wherever they stand.
//!
//! Answers: for each recipient address, action, status, diagnostic, host. Some systems print these fields into the words for people, or
//! lose the boundary before them, so texts are looked through by the names of the fields.
//! Does not: read other words; `text` does.

use time::OffsetDateTime;

use super::address;
use super::original::message_id;
use super::parts::Anatomy;
use super::said::{said, status_of};
use super::{Action, MAX_RECIPIENTS, RecipientReport, is_vague, phrases, text};
use crate::mail::headers::mailbox::date;
use crate::model::{EmailAddress, EnhancedStatus};

/// What the fields tell.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// There are such fields.
    pub(super) is_report: bool,
    pub(super) reporting_mta: Option<String>,
    pub(super) envelope_id: Option<String>,
    pub(super) message_id: Option<String>,
    pub(super) arrived: Option<OffsetDateTime>,
    pub(super) recipients: Vec<RecipientReport>,
}

/// The fields of one recipient.
#[derive(Debug, Default)]
struct Fields {
    recipients: [Option<String>; 3],
    action: Option<String>,
    status: Option<String>,
    diagnostic: Option<String>,
    remote: Option<String>,
}

/// A field about one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Final,
    Original,
    Actual,
    Action,
    Status,
    Diagnostic,
    Remote,
}

/// Reads the parts for machines; without any, the words for people.
pub(super) fn read(anatomy: &Anatomy) -> Told {
    let mut told = Told { is_report: !anatomy.status.is_empty(), ..Told::default() };
    for part in &anatomy.status {
        told.take(part);
    }
    if told.recipients.is_empty() {
        for part in &anatomy.texts {
            told.take(part);
        }
        told.is_report |= !told.recipients.is_empty();
    }
    told
}

impl Told {
    fn take(&mut self, part: &str) {
        let mut current = Fields::default();
        for line in unfolded(part) {
            if line.is_empty() {
                if current.names_recipient() {
                    self.finish(std::mem::take(&mut current));
                }
                continue;
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
            match field(&name) {
                Some(name) => {
                    if current.has(name) {
                        self.finish(std::mem::take(&mut current));
                    }
                    current.set(name, value);
                }
                None => self.about_message(&name, value),
            }
        }
        self.finish(current);
    }

    fn about_message(&mut self, name: &str, value: &str) {
        match name {
            "reporting-mta" => self.reporting_mta = self.reporting_mta.take().or_else(|| host(value)),
            "original-envelope-id" => self.envelope_id = self.envelope_id.take().or_else(|| Some(text::shorten(value)).filter(|id| !id.is_empty())),
            "x-original-message-id" | "message-id" | "original-message-id" => self.message_id = self.message_id.take().or_else(|| message_id(value)),
            "arrival-date" => self.arrived = self.arrived.or_else(|| date(value.as_bytes())),
            _ => {}
        }
    }

    fn finish(&mut self, fields: Fields) {
        if self.recipients.len() < MAX_RECIPIENTS
            && let Some(recipient) = fields.report()
        {
            self.recipients.push(recipient);
        }
    }
}

impl Fields {
    fn slot(&mut self, name: Name) -> &mut Option<String> {
        let [last, first, actual] = &mut self.recipients;
        match name {
            Name::Final => last,
            Name::Original => first,
            Name::Actual => actual,
            Name::Action => &mut self.action,
            Name::Status => &mut self.status,
            Name::Diagnostic => &mut self.diagnostic,
            Name::Remote => &mut self.remote,
        }
    }

    fn has(&mut self, name: Name) -> bool {
        self.slot(name).is_some()
    }

    fn set(&mut self, name: Name, value: &str) {
        *self.slot(name) = Some(value.to_owned());
    }

    fn names_recipient(&self) -> bool {
        self.recipients.iter().any(Option::is_some)
    }

    fn report(self) -> Option<RecipientReport> {
        let [last, first, actual] = self.recipients.map(|value| value.as_deref().and_then(address_of));
        let recipient = last.clone().or_else(|| first.clone()).or(actual)?;
        let status = self.status.unwrap_or_default();
        let given = status_of(&status);
        let diagnostic = self.diagnostic.as_deref().map(said_part).unwrap_or_default();
        let quoted = said(diagnostic);
        // The comment of the status: `5.1.10 (host/domain does not accept mail)`.
        let comment = status.split_once('(').map(|(_, comment)| comment.trim_end_matches(')').to_owned()).unwrap_or_default();
        let told_by_host = quoted.status.filter(|status| !is_vague(*status));
        let status = told_by_host.or(given).or(quoted.status);
        Some(RecipientReport {
            recipient,
            original_recipient: first,
            action: self.action.as_deref().and_then(action).unwrap_or_else(|| by_status(status)),
            status,
            code: quoted.code,
            stage: phrases::stage_of(diagnostic).or_else(|| phrases::stage_of(&comment)),
            diagnostic: text::shorten(if quoted.text.is_empty() { &comment } else { &quoted.text }),
            reply: text::shorten(&quoted.quoted),
            remote_mta: self.remote.as_deref().and_then(host),
        })
    }
}

fn field(name: &str) -> Option<Name> {
    Some(match name {
        "final-recipient" => Name::Final,
        "original-recipient" => Name::Original,
        "x-actual-recipient" => Name::Actual,
        "action" => Name::Action,
        "status" => Name::Status,
        "diagnostic-code" => Name::Diagnostic,
        "remote-mta" => Name::Remote,
        _ => return None,
    })
}

/// The lines of a text with folded ones joined to the one before.
fn unfolded(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let folded = line.starts_with([' ', '\t']) && !line.trim().is_empty() && !starts_field(line);
        match lines.last_mut().filter(|last| folded && !last.is_empty()) {
            Some(last) => {
                last.push(' ');
                last.push_str(line.trim());
            }
            None => lines.push(line.trim().to_owned()),
        }
    }
    lines
}

/// True of an indented line that is a field all the same.
fn starts_field(line: &str) -> bool {
    line.split_once(':')
        .is_some_and(|(name, _)| field(&name.trim().to_ascii_lowercase()).is_some_and(|name| !matches!(name, Name::Action | Name::Status)))
}

/// `rfc822; bee@example.net`, with or without its type and brackets; `utf-8` addresses may have `\x{…}` in them (RFC 6533 3).
fn address_of(value: &str) -> Option<EmailAddress> {
    let text = value.split_once(';').map_or(value, |(_, text)| text);
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x{") {
        plain.push_str(before);
        let (digits, left) = after.split_once('}')?;
        plain.push(u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)?);
        rest = left;
    }
    plain.push_str(rest);
    address::first(&plain)
}

/// The words of a diagnostic without its type.
fn said_part(value: &str) -> &str {
    match value.split_once(';') {
        Some((kind, text)) if kind.len() <= 40 && !kind.trim().contains(' ') => text.trim(),
        _ => value,
    }
}

/// The name of a host, without its type and what stands in brackets after it.
pub(super) fn host(value: &str) -> Option<String> {
    let text = value.split_once(';').map_or(value, |(_, text)| text).trim();
    let name = text.split([' ', '(']).next().unwrap_or_default().trim_end_matches('.');
    ((1..=255).contains(&name.len()) && !name.contains(char::is_control)).then(|| name.to_owned())
}

fn action(value: &str) -> Option<Action> {
    let low = value.to_ascii_lowercase();
    let known: &[(&str, Action)] = &[
        ("fail", Action::Failed),
        ("expired", Action::Failed),
        ("undeliver", Action::Failed),
        ("delay", Action::Delayed),
        ("deliver", Action::Delivered),
        ("relay", Action::Relayed),
        ("expand", Action::Expanded),
    ];
    known.iter().find(|(start, _)| low.starts_with(start)).map(|(_, action)| *action)
}

fn by_status(status: Option<EnhancedStatus>) -> Action {
    match status.map(|status| status.class) {
        Some(2) => Action::Delivered,
        _ => Action::Failed,
    }
}
