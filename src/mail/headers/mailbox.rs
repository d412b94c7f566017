//! Values of fields, read strictly: one mailbox, one id, a date, text.
//!
//! Answers: what a field says, decoded (RFC 5322 3.3, 3.4, 3.6.4; RFC 2047). From is read by the rules for addresses of `model`, not by a lenient
//! parser: what a lenient reader and a strict one would take for different authors is refused.
//! Does not: read lists of addresses; `parse` shows those, leniently.

use mail_parser::parsers::MessageStream;
use time::OffsetDateTime;

use crate::model::address::{AddressError, unquoted};
use crate::model::header::breaks_lines;
use crate::model::{EmailAddress, HeaderText, Mailbox};

/// The value without its folds: each line end goes, the white space stays (RFC 5322 2.2.3); none at the ends.
#[must_use]
pub(super) fn unfold(value: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(value).into_owned();
    text.retain(|character| !matches!(character, '\r' | '\n'));
    text.trim_matches([' ', '\t']).to_owned()
}

/// Unstructured text, decoded, as it may be stored and shown.
#[must_use]
pub(in crate::mail) fn text(value: &[u8]) -> String {
    printable(decode(value))
}

/// The text with a space for a tab and U+FFFD for any other control or line end: the database takes no NUL, a list no line breaks.
#[must_use]
pub(in crate::mail) fn printable(text: String) -> String {
    if text.chars().any(breaks_lines) { text.replace('\t', " ").replace(breaks_lines, "\u{fffd}") } else { text }
}

/// Unstructured text, decoded. White space at the ends is kept only if it was encoded.
fn decode(value: &[u8]) -> String {
    // The decoder wants a line end.
    let line = [value.trim_ascii(), b"\r\n"].concat();
    let decoded = MessageStream::new(&line).parse_unstructured();
    decoded.as_text().unwrap_or_default().to_owned()
}

/// The one mailbox of a From or Sender field.
pub(super) fn mailbox(value: &[u8]) -> Result<Mailbox, AddressError> {
    let unfolded = unfold(value).replace('\t', " ");
    let Some((name, rest)) = unfolded.rsplit_once('<') else { return Mailbox::parse(&unfolded) };
    let address = rest.strip_suffix('>').ok_or(AddressError::Brackets)?;
    let address = EmailAddress::parse(address)?;
    let name = display_name(name.trim_matches(' '))?;
    if let Some(name) = &name
        && name.as_str().contains('@')
        && !name.as_str().eq_ignore_ascii_case(&address.to_string())
    {
        return Err(AddressError::NameHoldsAddress);
    }
    Ok(Mailbox { name, address })
}

/// A display name: a quoted string, or words some of which are encoded (RFC 5322 3.2.5; RFC 2047 5 (3)).
fn display_name(text: &str) -> Result<Option<HeaderText>, AddressError> {
    let plain = match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => unquoted(quoted)?,
        // A mailbox or comment hides among the words.
        None if text.contains(['"', ',', ';', ':', '(', ')', '<', '>', '@']) => return Err(AddressError::NotOne),
        None => text.to_owned(),
    };
    // Encoded words inside quotes mean nothing by RFC 2047, and many readers show them decoded all the same.
    let decoded = if plain.contains("=?") { decode(plain.as_bytes()) } else { plain };
    let name = HeaderText::parse(&decoded).map_err(AddressError::Name)?;
    Ok(Some(name).filter(|name| !name.as_str().is_empty()))
}

/// The id of a Message-ID field, without its brackets.
#[must_use]
pub(super) fn message_id(value: &[u8]) -> Option<String> {
    let unfolded = unfold(value);
    let id = unfolded.strip_prefix('<')?.strip_suffix('>')?;
    let fits = !id.is_empty() && id.bytes().all(|octet| octet.is_ascii_graphic() && !matches!(octet, b'<' | b'>'));
    fits.then(|| id.to_owned())
}

/// The time of a Date field.
#[must_use]
pub(in crate::mail) fn date(value: &[u8]) -> Option<OffsetDateTime> {
    let line = [value, b"\r\n"].concat();
    let parsed = MessageStream::new(&line).parse_date();
    let date = parsed.as_datetime().filter(|date| date.is_valid())?;
    OffsetDateTime::from_unix_timestamp(date.to_timestamp()).ok()
}
