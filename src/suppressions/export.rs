//! The whole list as text: CSV (RFC 4180) or one JSON object a line.
//!
//! Answers: the list in pieces, each read by keyset, so that a list of any length is written out in little memory and with no
//! transaction open. What is exported can be imported again.

use time::format_description::well_known::Rfc3339;

use super::{SuppressionFilter, SuppressionView, Suppressions};
use crate::model::ProjectId;
use crate::model::page::PageRequest;
use crate::store::StoreError;
use uuid::Uuid;

/// Entries of one piece.
const PIECE: u16 = 1_000;
/// The columns of the CSV form, in their order.
pub const COLUMNS: [&str; 8] = ["address", "stream", "reason", "origin", "class", "message_id", "note", "created_at"];

/// How a list is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a line of names.
    #[default]
    Csv,
    /// A JSON object a line.
    Jsonl,
}

impl Format {
    /// The media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Jsonl => "application/x-ndjson",
        }
    }

    /// The format of a media type.
    #[must_use]
    pub fn of_media_type(text: &str) -> Option<Self> {
        match text.split(';').next().map(|essence| essence.trim().to_ascii_lowercase()).as_deref() {
            Some("text/csv") => Some(Self::Csv),
            Some("application/x-ndjson" | "application/jsonl" | "application/jsonlines") => Some(Self::Jsonl),
            _ => None,
        }
    }
}

/// Where an export stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place(Option<Uuid>, bool);

impl Suppressions {
    /// The next piece of a project's list behind `place`, as text; none at the end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn export(&self, project: ProjectId, format: Format, place: Place) -> Result<Option<(String, Place)>, StoreError> {
        let Place(after, begun) = place;
        if begun && after.is_none() {
            return Ok(None);
        }
        let page = self.list(project, &SuppressionFilter::default(), PageRequest { limit: PIECE, after }).await?;
        let mut text = String::new();
        if !begun && format == Format::Csv {
            text.push_str(&COLUMNS.join(","));
            text.push_str("\r\n");
        }
        for entry in &page.data {
            text.push_str(&line(entry, format));
        }
        let next = page.next_cursor.is_some().then(|| page.data.last().map(|last| last.id.uuid())).flatten();
        Ok(Some((text, Place(next, true))))
    }
}

/// An entry as one line.
#[must_use]
pub fn line(entry: &SuppressionView, format: Format) -> String {
    if format == Format::Jsonl {
        let text = serde_json::to_string(entry).unwrap_or_default();
        return format!("{text}\n");
    }
    let cells = [
        entry.address.clone(),
        entry.stream.clone().unwrap_or_default(),
        entry.reason.name().to_owned(),
        entry.origin.name().to_owned(),
        entry.class.map(|class| class.to_string()).unwrap_or_default(),
        entry.message_id.map(|id| id.to_string()).unwrap_or_default(),
        entry.note.clone().unwrap_or_default(),
        entry.created_at.format(&Rfc3339).unwrap_or_default(),
    ];
    format!("{}\r\n", cells.map(quoted).join(","))
}

/// A cell, in quotes where its text needs them (RFC 4180 2.6).
fn quoted(cell: String) -> String {
    if cell.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}
