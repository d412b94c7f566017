//! A list from a file: CSV (RFC 4180) or one JSON object a line.
//!
//! Answers: all entries of the file, or the faults of it, each with its line; then nothing is kept. The text is gone through
//! twice, to check and to write, so that a long list needs little memory; entries that are there already stay as they are.

use std::io::{BufRead, BufReader, Read};

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::export::Format;
use super::{MAX_NOTE_CHARACTERS, NewSuppression, Origin, SuppressionReason, Suppressions, Target, table};
use crate::model::ProjectId;
use crate::model::message::Label;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics;

/// Entries of one file at most.
pub const MAX_ENTRIES: u64 = 1_000_000;
/// Octets of a line at most.
const MAX_LINE_OCTETS: u64 = 16 * 1024;
/// Faults told of one file at most.
const MAX_FAULTS: usize = 100;
/// Entries written in one statement.
const CHUNK: usize = 1_000;
/// Columns that an export has and an import does not need.
const PASSED_OVER: [&str; 4] = ["id", "origin", "class", "message_id"];

/// What is wrong with one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {field}: {reason}")]
pub struct LineFault {
    /// Its number, from 1.
    pub line: u64,
    /// The field, or `line` for the whole.
    pub field: &'static str,
    /// Why, with what is expected.
    pub reason: String,
}

/// Why a file was not imported. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Lines are wrong.
    #[error("{} lines are wrong: {}", .0.len(), .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Wrong(Vec<LineFault>),
    /// It cannot be read.
    #[error("the list cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an import did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Imported {
    /// Entries that are new.
    pub added: u64,
    /// Entries that were there, and stay as they were.
    pub unchanged: u64,
}

impl Suppressions {
    /// Imports a file that `open` opens, twice.
    ///
    /// # Errors
    /// [`ImportError`]; then nothing was kept.
    pub async fn import<R: Read + Send + 'static>(
        &self,
        project: ProjectId,
        format: Format,
        open: impl Fn() -> std::io::Result<R>,
    ) -> Result<Imported, ImportError> {
        let faults: Vec<LineFault> = entries(format, open()?, MAX_ENTRIES).filter_map(Result::err).take(MAX_FAULTS).collect();
        if !faults.is_empty() {
            return Err(ImportError::Wrong(faults));
        }
        let mut tx = self.store.begin().await?;
        let (mut given, mut added, mut chunk) = (0_u64, 0_u64, Vec::with_capacity(CHUNK));
        let mut entries = entries(format, open()?, MAX_ENTRIES);
        loop {
            let next = entries.next().transpose().map_err(|fault| ImportError::Wrong(vec![fault]))?;
            let is_last = next.is_none();
            chunk.extend(next.map(|entry| self.row(project, entry, Origin::Import)));
            if chunk.len() == CHUNK || is_last {
                given += chunk.len() as u64;
                added += table::insert(&mut tx, &chunk).await?;
                chunk.clear();
            }
            if is_last {
                break;
            }
        }
        Store::commit(tx).await?;
        metrics::suppressed_addresses(Origin::Import.name(), added);
        tracing::info!(added, unchanged = given - added, "suppressions imported");
        Ok(Imported { added, unchanged: given - added })
    }
}

type Entries = Box<dyn Iterator<Item = Result<NewSuppression, LineFault>> + Send>;

/// The entries of a text, one by one, `most` at most.
fn entries(format: Format, text: impl Read + Send + 'static, most: u64) -> Entries {
    match format {
        Format::Csv => Box::new(csv_entries(text, most)),
        Format::Jsonl => Box::new(json_entries(text, most)),
    }
}

/// One entry as a file spells it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spelled {
    #[serde(alias = "email")]
    address: String,
    #[serde(default)]
    stream: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default, rename = "id")]
    _id: Option<serde::de::IgnoredAny>,
    #[serde(default, rename = "origin")]
    _origin: Option<serde::de::IgnoredAny>,
    #[serde(default, rename = "class")]
    _class: Option<serde::de::IgnoredAny>,
    #[serde(default, rename = "message_id")]
    _message_id: Option<serde::de::IgnoredAny>,
}

impl Spelled {
    fn set(&mut self, column: &str, value: String) {
        match column {
            "address" | "email" => self.address = value,
            "stream" => self.stream = Some(value),
            "reason" => self.reason = Some(value),
            "note" => self.note = Some(value),
            "created_at" => self.created_at = Some(value),
            _ => {}
        }
    }

    fn read(self, line: u64) -> Result<NewSuppression, LineFault> {
        let fault = |field, reason: String| LineFault { line, field, reason };
        let target = Target::parse(&self.address).map_err(|error| fault("address", error.to_string()))?;
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let stream = given(self.stream).map(|text| Label::parse(&text).map_err(|error| fault("stream", error.to_string()))).transpose()?;
        let reasons = || format!("expected one of {}", SuppressionReason::ALL.map(SuppressionReason::name).join(", "));
        let reason = given(self.reason).map(|text| SuppressionReason::from_name(&text).ok_or_else(|| fault("reason", reasons()))).transpose()?;
        let created_at = given(self.created_at)
            .map(|text| {
                OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| fault("created_at", "expected a time like 2026-12-01T09:00:00Z".to_owned()))
            })
            .transpose()?;
        let note = given(self.note);
        if note.as_ref().is_some_and(|note| note.chars().count() > MAX_NOTE_CHARACTERS || note.contains('\0')) {
            return Err(fault("note", format!("expected at most {MAX_NOTE_CHARACTERS} characters, none of them NUL")));
        }
        Ok(NewSuppression { target, stream, reason: reason.unwrap_or_default(), note, created_at })
    }
}

fn csv_entries<R: Read + Send>(text: R, most: u64) -> impl Iterator<Item = Result<NewSuppression, LineFault>> + Send {
    let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(text);
    let (mut columns, mut has_names, mut over) = (None::<Vec<String>>, false, false);
    reader.into_records().zip(0_u64..).filter_map(move |(record, number)| {
        if over {
            return None;
        }
        let fault = |line, field, reason: &str| Some(Err(LineFault { line, field, reason: reason.to_owned() }));
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                over = true;
                return fault(error.position().map_or(number + 1, csv::Position::line), "line", "not CSV in UTF-8");
            }
        };
        let line = record.position().map_or(number + 1, csv::Position::line);
        // The line of names is no entry.
        if number >= most + u64::from(has_names) {
            over = true;
            return fault(line, "line", "more than 1,000,000 entries; split the file");
        }
        let Some(columns) = &columns else {
            let names: Vec<String> = record.iter().map(|name| name.trim_start_matches('\u{feff}').to_ascii_lowercase()).collect();
            if !names.iter().any(|name| name == "address" || name == "email") {
                // No line of names: a bare list of addresses.
                columns = Some(vec!["address".to_owned()]);
                return Some(of_record(&record, &["address".to_owned()], line));
            }
            let known = |name: &String| {
                ["address", "email", "stream", "reason", "note", "created_at"].contains(&name.as_str()) || PASSED_OVER.contains(&name.as_str())
            };
            if !names.iter().all(known) {
                over = true;
                return fault(line, "line", "a column has another name than address, stream, reason, note, created_at");
            }
            (columns, has_names) = (Some(names), true);
            return None;
        };
        Some(of_record(&record, columns, line))
    })
}

fn of_record(record: &csv::StringRecord, columns: &[String], line: u64) -> Result<NewSuppression, LineFault> {
    if record.len() > columns.len() {
        return Err(LineFault { line, field: "line", reason: format!("has {} cells; expected {}", record.len(), columns.len()) });
    }
    let mut spelled = Spelled::default();
    for (column, cell) in columns.iter().zip(record) {
        spelled.set(column, cell.trim_start_matches('\u{feff}').to_owned());
    }
    spelled.read(line)
}

fn json_entries<R: Read + Send>(text: R, most: u64) -> impl Iterator<Item = Result<NewSuppression, LineFault>> + Send {
    let (mut reader, mut line, mut over) = (BufReader::new(text), 0_u64, false);
    std::iter::from_fn(move || {
        loop {
            if over {
                return None;
            }
            line += 1;
            let mut octets = Vec::new();
            let read = (&mut reader).take(MAX_LINE_OCTETS).read_until(b'\n', &mut octets);
            let fault = |reason: &str| Some(Err(LineFault { line, field: "line", reason: reason.to_owned() }));
            match read {
                Ok(0) => return None,
                Err(_) => over = true,
                Ok(_) if octets.len() as u64 >= MAX_LINE_OCTETS && !octets.ends_with(b"\n") => over = true,
                Ok(_) => {}
            }
            if over {
                return fault("is longer than 16,384 octets, or cannot be read");
            }
            if line > most {
                over = true;
                return fault("more than 1,000,000 lines; split the file");
            }
            if octets.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            // A list would be read as the fields in their order.
            if !octets.trim_ascii_start().starts_with(b"{") {
                return fault("expected an object, like {\"address\": \"bee@example.net\"}");
            }
            return match serde_json::from_slice::<Spelled>(&octets) {
                Ok(spelled) => Some(spelled.read(line)),
                Err(error) => {
                    let text = error.to_string();
                    fault(text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text))
                }
            };
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn read(format: Format, text: &'static str) -> Vec<String> {
        let shown = |entry: NewSuppression| {
            let stream = entry.stream.map(|stream| stream.as_str().to_owned()).unwrap_or_default();
            format!("{} {} {} {}", entry.target, stream, entry.reason.name(), entry.note.unwrap_or_default())
        };
        entries(format, text.as_bytes(), MAX_ENTRIES).map(|entry| entry.map_or_else(|fault| fault.to_string(), shown)).collect()
    }

    #[test]
    fn both_forms_and_a_bare_list_are_read() {
        let csv = "Address,Stream,note,created_at,origin\r\nBee@Example.net,news,\"hi, \"\"x\"\"\",2026-01-01T00:00:00Z,api\r\n@x.example\r\n";
        assert_eq!(read(Format::Csv, csv), ["bee@example.net news manual hi, \"x\"", "@x.example  manual "]);
        assert_eq!(read(Format::Csv, "a@example.net\n\nb@example.net\n"), ["a@example.net  manual ", "b@example.net  manual "]);
        let json = "{\"address\": \"a@example.net\", \"reason\": \"bounce\", \"stream\": null}\n\n{\"email\": \"@x.example\", \"class\": \"full\"}";
        assert_eq!(read(Format::Jsonl, json), ["a@example.net  bounce ", "@x.example  manual "]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (format, text, expected) in [
            (Format::Csv, "address\na@example.net\nnobody\n", "line 3: address: the address has no @"),
            (Format::Csv, "address,reason\na@example.net,because\n", "line 2: reason: expected one of bounce, complaint, unsubscribe, manual"),
            (Format::Csv, "address,stream\na@example.net,a b\n", "line 2: stream: expected 1 to 64"),
            (Format::Csv, "address,colour\na@example.net,red\n", "line 1: line: a column has another name"),
            (Format::Csv, "a@example.net,b@example.net\n", "line 1: line: has 2 cells; expected 1"),
            (Format::Csv, "address,created_at\na@example.net,yesterday\n", "line 2: created_at: expected a time"),
            (Format::Jsonl, "{\"address\": \"a@example.net\"}\n[]\n", "line 2: line: expected an object"),
            (Format::Jsonl, "{\"adress\": \"a@example.net\"}\n", "line 1: line: unknown field `adress`"),
            (Format::Jsonl, "{\"address\": \"a@example.net\"", "line 1: line: EOF"),
        ] {
            let found = read(format, text);
            assert!(found.last().is_some_and(|last| last.starts_with(expected)), "{text}: {found:?}");
        }
        for (note, expected) in
            [("x".repeat(MAX_NOTE_CHARACTERS), None), ("x".repeat(MAX_NOTE_CHARACTERS + 1), Some("note")), ("\0".into(), Some("note"))]
        {
            let spelled = Spelled { address: "a@example.net".into(), note: Some(note), ..Spelled::default() };
            assert_eq!(spelled.read(1).err().map(|fault| fault.field), expected);
        }
    }

    #[test]
    fn a_list_ends_at_its_limit() {
        let json = "{\"address\":\"a@x.example\"}\n{\"address\":\"b@x.example\"}\n\n\n";
        for (format, text) in [
            (Format::Csv, "address\na@x.example\nb@x.example\nc@x.example\nd@x.example\n"),
            (Format::Csv, "a@x.example\nb@x.example\nc@x.example\nd@x.example\n"),
            (Format::Jsonl, json),
        ] {
            let found: Vec<_> = entries(format, text.as_bytes(), 2).map(|entry| entry.map(|_| ()).map_err(|fault| fault.to_string())).collect();
            let [Ok(()), Ok(()), Err(fault)] = found.as_slice() else { panic!("{text}: {found:?}") };
            assert!(fault.contains("more than 1,000,000"), "{text}: {fault}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_read_into_memory() {
        struct Endless(Arc<AtomicU64>);
        impl Read for Endless {
            fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
                assert!(self.0.fetch_add(room.len() as u64, Ordering::Relaxed) < 1024 * 1024, "read on and on");
                room.fill(b'x');
                Ok(room.len())
            }
        }
        let read = Arc::new(AtomicU64::new(0));
        let found: Vec<_> = entries(Format::Jsonl, Endless(Arc::clone(&read)), MAX_ENTRIES).take(3).collect();
        assert_eq!(found.len(), 1);
        assert!(read.load(Ordering::Relaxed) <= 2 * MAX_LINE_OCTETS, "{read:?}");
    }
}
