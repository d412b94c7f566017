//! What a command prints: text and tables for people, one JSON document for programs, notes on stderr.
//!
//! Does not: fail when nobody reads; a closed pipe ends the printing and not the work.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use comfy_table::presets::{NOTHING, UTF8_HORIZONTAL_ONLY};
use comfy_table::{ContentArrangement, Table};
use owo_colors::OwoColorize;
use serde::Serialize;
use serde_json::Value;

use super::{Global, failure};

/// Where and how to print.
#[derive(Clone, Debug)]
pub struct Output {
    json: bool,
    color: bool,
    quiet: bool,
}

/// Whether a line tells of something good or bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Green.
    Good,
    /// Red.
    Bad,
    /// Yellow.
    Waiting,
}

impl Output {
    /// As the command line asks for.
    #[must_use]
    pub fn new(global: &Global) -> Self {
        let color = colors_allowed(global) && std::io::stdout().is_terminal();
        Self { json: global.json, color, quiet: global.quiet > 0 }
    }

    /// True if programs read along: then only [`Self::document`] may print on stdout.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// True if colours are wanted.
    #[must_use]
    pub const fn has_color(&self) -> bool {
        self.color
    }

    /// The one JSON document of a command.
    ///
    /// # Errors
    /// The value cannot be written as JSON.
    pub fn document<T: Serialize + ?Sized>(&self, value: &T) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        print(&text);
        Ok(())
    }

    /// A line for people on stdout; nothing with `--json`.
    pub fn line(&self, text: impl AsRef<str>) {
        if !self.json {
            print(text.as_ref());
        }
    }

    /// A remark on stderr; nothing with `-q`.
    pub fn note(&self, text: impl AsRef<str>) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr(), "{}", text.as_ref());
        }
    }

    /// Either the JSON document or the text for people.
    ///
    /// # Errors
    /// As [`Self::document`].
    pub fn show<T: Serialize + ?Sized>(&self, value: &T, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        if self.json {
            return self.document(value);
        }
        print(&text());
        Ok(())
    }

    /// A text in the colour of its tone, where colours are wanted.
    #[must_use]
    pub fn toned(&self, tone: Tone, text: &str) -> String {
        match tone {
            _ if !self.color => text.to_owned(),
            Tone::Good => text.green().to_string(),
            Tone::Bad => text.red().to_string(),
            Tone::Waiting => text.yellow().to_string(),
        }
    }

    /// Tells of an error and gives the code to end with.
    #[must_use]
    pub fn failed(&self, error: &anyhow::Error) -> ExitCode {
        let _ = writeln!(std::io::stderr(), "{}", failure::text(error));
        failure::exit_code(error)
    }
}

/// True unless `--no-color` or a NO_COLOR that is not empty forbids colours.
#[must_use]
pub fn colors_allowed(global: &Global) -> bool {
    !global.no_color && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A line on stderr, whatever the flags say.
pub fn stderr_line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = stdout.write_all(b"\n");
    }
}

/// A table of `rows`, each a JSON object; a column is its title and the pointer to its value.
#[must_use]
pub fn table(columns: &[(&str, &str)], rows: &[Value]) -> String {
    cells(
        &columns.iter().map(|(title, _)| (*title).to_owned()).collect::<Vec<_>>(),
        rows.iter().map(|row| columns.iter().map(|(_, pointer)| row.pointer(pointer).map(plain).unwrap_or_default()).collect()),
    )
}

/// A table of texts: as wide as the terminal, or as its content where there is none.
#[must_use]
pub fn cells(titles: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    if std::io::stdout().is_terminal() {
        table.load_style(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.load_style(NOTHING);
    }
    table.set_header(titles);
    let rows = rows.map(|row| row.into_iter().map(printable).collect::<Vec<_>>()).collect::<Vec<_>>();
    if rows.is_empty() {
        return "nothing to show\n".to_owned();
    }
    table.add_rows(rows);
    table.lines().flat_map(|line| [line.trim_end().to_owned(), "\n".to_owned()]).collect()
}

/// Text from elsewhere without what would steer a terminal.
#[must_use]
pub fn printable(text: String) -> String {
    if text.chars().any(char::is_control) {
        text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
    } else {
        text
    }
}

/// A JSON value as a cell: text without quotes, null as a dash.
#[must_use]
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_reads_its_cells_by_pointer_and_disarms_them() {
        let rows = [json!({"id": "msg_1", "to": ["a@b.example", "c@d.example"], "at": null}), json!({"id": "\u{1b}[31m", "n": {"x": 3}})];
        let text = table(&[("ID", "/id"), ("TO", "/to"), ("AT", "/at"), ("X", "/n/x")], &rows);
        insta::assert_snapshot!(text);
        assert_eq!(table(&[("ID", "/id")], &[]), "nothing to show\n");
    }
}
