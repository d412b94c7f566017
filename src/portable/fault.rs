//! What is wrong in a text, with the line and the field.

use std::fmt;

use toml::Spanned;

/// One thing to correct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1; none: of the whole text.
    pub line: Option<usize>,
    /// The field, as in `project[0].domain[1].name`.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if self.field.is_empty() { f.write_str(&self.reason) } else { write!(f, "{}: {}", self.field, self.reason) }
    }
}

/// Nothing follows: a fault was noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noted;

/// What was found wrong so far.
#[derive(Debug)]
pub(super) struct Faults<'t> {
    text: &'t str,
    found: Vec<Fault>,
}

impl<'t> Faults<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, found: Vec::new() }
    }

    /// Notes a fault of a value.
    pub(super) fn at<T>(&mut self, value: &Spanned<T>, field: impl Into<String>, reason: impl fmt::Display) {
        self.place(Some(value.span().start), field.into(), &reason);
    }

    /// Notes a fault at an octet of the text.
    pub(super) fn place(&mut self, offset: Option<usize>, field: String, reason: &dyn fmt::Display) {
        let line = offset.map(|offset| self.text.bytes().take(offset).filter(|octet| *octet == b'\n').count() + 1);
        self.found.push(Fault { line, field, reason: reason.to_string() });
    }

    /// The value, or its fault noted.
    pub(super) fn take<T, V, E: fmt::Display>(&mut self, value: &Spanned<T>, field: &str, read: impl FnOnce(&T) -> Result<V, E>) -> Option<V> {
        match read(value.get_ref()) {
            Ok(read) => Some(read),
            Err(error) => {
                self.at(value, field, error);
                None
            }
        }
    }

    pub(super) fn is_none(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn into_found(mut self) -> Vec<Fault> {
        self.found.sort_by_key(|fault| fault.line);
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_tells_line_field_and_reason() {
        let mut faults = Faults::new("format = 1\n[[project]]\nname = 7\n");
        faults.at(&Spanned::new(30..31, ()), "project[0].name", "expected a name");
        assert_eq!(faults.into_found().first().map(ToString::to_string).as_deref(), Some("line 3: project[0].name: expected a name"));
        assert_eq!(Fault { line: None, field: String::new(), reason: "empty".to_owned() }.to_string(), "empty");
    }
}
