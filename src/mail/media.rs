//! What an attachment is called and what kind it is, in forms that cannot harm the message or its reader.
//!
//! Answers: is this text a media type for an attachment (RFC 2045 5.1, RFC 6838 4.2), a Content-ID (RFC 2392), and which file name is shown for
//! the one given (RFC 2183 2.3). Does not: look into the content, or judge which kinds of file are welcome.

use std::fmt;

/// Octets of a file name: what file systems take.
pub const MAX_FILE_NAME_OCTETS: usize = 255;
/// Octets of a media type: two names of 127 (RFC 6838 4.2).
const MAX_MEDIA_TYPE_OCTETS: usize = 255;
/// Octets of a Content-ID without its brackets: it stands unfolded on one line.
const MAX_CONTENT_ID_OCTETS: usize = 200;
/// The name of a file that has none.
const NAMELESS: &str = "attachment";

/// Why a text is not a media type for an attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MediaTypeError {
    /// Not `type/subtype`.
    #[error("a media type has the form type/subtype, like application/pdf")]
    Invalid,
    /// `text/plain; charset=..`
    #[error("parameters of a media type are not accepted; the character set of text is found by itself")]
    Parameters,
    /// `multipart/..` or `message/..`, whose content would have to be a message itself (RFC 2046 5).
    #[error("multipart and message types are not accepted as attachments; send a saved message as application/octet-stream")]
    Composite,
}

/// The kind of an attachment's content, `type/subtype` in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType(String);

impl MediaType {
    /// Reads `type/subtype`.
    ///
    /// # Errors
    /// [`MediaTypeError`] names what is wrong.
    pub fn parse(text: &str) -> Result<Self, MediaTypeError> {
        if text.contains(';') {
            return Err(MediaTypeError::Parameters);
        }
        let (kind, subtype) = text.split_once('/').ok_or(MediaTypeError::Invalid)?;
        if text.len() > MAX_MEDIA_TYPE_OCTETS || !is_restricted_name(kind) || !is_restricted_name(subtype) {
            return Err(MediaTypeError::Invalid);
        }
        let text = text.to_ascii_lowercase();
        if text.starts_with("multipart/") || text.starts_with("message/") {
            return Err(MediaTypeError::Composite);
        }
        Ok(Self(text))
    }

    /// `application/octet-stream`: content of which nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        Self("application/octet-stream".to_owned())
    }

    /// `type/subtype`
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for `text/..`.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.0.starts_with("text/")
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The names that may be registered (RFC 6838 4.2): narrower than the tokens of RFC 2045.
fn is_restricted_name(text: &str) -> bool {
    let starts_well = text.bytes().next().is_some_and(|octet| octet.is_ascii_alphanumeric());
    starts_well && text.len() <= 127 && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&octet))
}

/// A text that cannot stand in a Content-ID field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a content id has 1 to 200 printable ASCII characters without spaces, brackets, quotes, commas, semicolons and backslashes")]
pub struct ContentIdError;

/// The name by which HTML refers to an inline attachment: `cid:<this>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentId(String);

impl ContentId {
    /// Reads the id, with or without angle brackets.
    ///
    /// # Errors
    /// [`ContentIdError`]
    pub fn parse(text: &str) -> Result<Self, ContentIdError> {
        let plain = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(text);
        let fits = (1..=MAX_CONTENT_ID_OCTETS).contains(&plain.len());
        if !fits || !plain.bytes().all(|octet| octet.is_ascii_graphic() && !b"<>()[]\",;\\".contains(&octet)) {
            return Err(ContentIdError);
        }
        Ok(Self(plain.to_owned()))
    }

    /// The id without brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name shown for an attachment: the last part of the path given, without characters that file systems reserve or that make a name look
/// like another (controls, bidirectional marks, invisible characters), at most 255 octets with its extension kept.
#[must_use]
pub fn safe_file_name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let cleaned: String =
        last.chars().filter(|&character| !is_hidden(character)).map(|character| if is_reserved(character) { '_' } else { character }).collect();
    let trimmed = cleaned.trim_matches(is_lost_at_the_edge);
    if trimmed.is_empty() { NAMELESS.to_owned() } else { shorten(trimmed) }
}

/// Cuts the stem so that name and extension fit.
fn shorten(name: &str) -> String {
    if name.len() <= MAX_FILE_NAME_OCTETS {
        return name.to_owned();
    }
    let extension = name.rfind('.').and_then(|dot| name.get(dot..)).filter(|extension| extension.len() <= 16).unwrap_or_default();
    let mut end = MAX_FILE_NAME_OCTETS - extension.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let shortened = format!("{}{extension}", name.get(..end).unwrap_or_default());
    // The cut may have come behind a space.
    shortened.trim_end_matches(is_lost_at_the_edge).to_owned()
}

/// Windows drops trailing dots and spaces; a leading dot hides the file.
fn is_lost_at_the_edge(character: char) -> bool {
    character == '.' || character.is_whitespace()
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn is_reserved(character: char) -> bool {
    matches!(character, '<' | '>' | ':' | '"' | '|' | '?' | '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_media_types_pass() {
        for good in ["application/pdf", "text/csv", "image/svg+xml", "application/vnd.oasis.opendocument.text", "Image/PNG"] {
            assert_eq!(MediaType::parse(good).map(|media| media.to_string()), Ok(good.to_ascii_lowercase()), "{good}");
        }
        for (bad, error) in [
            ("", MediaTypeError::Invalid),
            ("pdf", MediaTypeError::Invalid),
            ("/pdf", MediaTypeError::Invalid),
            ("application/", MediaTypeError::Invalid),
            ("a/b/c", MediaTypeError::Invalid),
            ("text/pl ain", MediaTypeError::Invalid),
            ("text/plain\r\nX: y", MediaTypeError::Invalid),
            ("tëxt/plain", MediaTypeError::Invalid),
            ("text/plain; charset=utf-8", MediaTypeError::Parameters),
            ("Multipart/mixed", MediaTypeError::Composite),
            ("message/rfc822", MediaTypeError::Composite),
        ] {
            assert_eq!(MediaType::parse(bad), Err(error), "{bad:?}");
        }
        assert_eq!(MediaType::parse(&format!("a/{}", "b".repeat(128))), Err(MediaTypeError::Invalid));
    }

    #[test]
    fn a_content_id_stays_inside_its_brackets() {
        assert_eq!(ContentId::parse("<logo@x.example>").map(|id| id.as_str().to_owned()), Ok("logo@x.example".to_owned()));
        assert!(ContentId::parse("logo").is_ok());
        for bad in ["", "<>", "a b", "a>b", "a\r\nX: y", "ü", "a\"b", &"x".repeat(201)] {
            assert_eq!(ContentId::parse(bad), Err(ContentIdError), "{bad:?}");
        }
    }

    #[test]
    fn file_names_lose_paths_and_disguises() {
        for (given, shown) in [
            ("a.pdf", "a.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\p\\a b.txt", "a b.txt"),
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
            ("a\r\nX: y.txt", "aX_ y.txt"),
            ("a\0b", "ab"),
            ("", "attachment"),
            ("..", "attachment"),
            ("/", "attachment"),
            (".htaccess", "htaccess"),
            ("a.exe. ", "a.exe"),
            ("=?utf-8?Q?a.exe?=", "=_utf-8_Q_a.exe_="),
            ("Grüße 世界.txt", "Grüße 世界.txt"),
        ] {
            assert_eq!(safe_file_name(given), shown, "{given:?}");
        }
        let long = safe_file_name(&format!("{}.pdf", "ü".repeat(300)));
        assert!(long.len() <= MAX_FILE_NAME_OCTETS && long.ends_with("ü.pdf"), "{long}");
        assert_eq!(safe_file_name(&"x".repeat(300)).len(), MAX_FILE_NAME_OCTETS);
        let spaced = format!("{} {}", "x".repeat(MAX_FILE_NAME_OCTETS - 1), "x".repeat(40));
        assert_eq!(safe_file_name(&spaced).len(), MAX_FILE_NAME_OCTETS - 1, "no space at the end, where the cut was");
    }
}
