//! What is wrong with one field of a request: where, which rule, why.
//!
//! Does not: decide; the checks do. Codes are part of the API: they are added to, never renamed.

use serde::Serialize;
use utoipa::ToSchema;

/// Faults told of one request at most; a request with more is as wrong, and the answer stays short.
pub const MAX_FAULTS: usize = 100;

/// Which rule a field breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The field must be there.
    Required,
    /// The field is not known.
    UnknownField,
    /// The field has another JSON type.
    WrongType,
    /// The field cannot be given beside another one.
    Conflict,
    /// Not part of this version.
    NotSupported,
    /// A line end or control character where a header would be made of it.
    HeaderInjection,
    /// A header field that Pennypost or a receiver writes.
    ReservedHeader,
    /// Not a header field name or value.
    InvalidHeader,
    /// A header field given twice.
    DuplicateHeader,
    /// More header fields than allowed.
    TooManyHeaders,
    /// Not one mail address.
    InvalidAddress,
    /// Not a domain name.
    InvalidDomain,
    /// No recipient at all.
    NoRecipients,
    /// More recipients than allowed.
    TooManyRecipients,
    /// Neither `text` nor `html`.
    NoContent,
    /// Not base64.
    InvalidBase64,
    /// A file name with a path, a direction override or more than 255 octets.
    InvalidFilename,
    /// Not a media type for one file.
    InvalidContentType,
    /// Not a content id, or one given twice.
    InvalidContentId,
    /// A file that receivers refuse: a program.
    ForbiddenAttachment,
    /// A file without content.
    EmptyAttachment,
    /// More files than allowed.
    TooManyAttachments,
    /// Not a tag's key or value.
    InvalidTag,
    /// More tags than allowed.
    TooManyTags,
    /// Not an object, too large, or with a character that is not kept.
    InvalidMetadata,
    /// Not a short word of letters, digits, `_`, `-`, `.`.
    InvalidLabel,
    /// Not a time in RFC 3339 with a zone.
    InvalidTime,
    /// A time that is over.
    TimeInPast,
    /// A time too far ahead.
    TimeTooFar,
    /// A raw message that is not one (RFC 5322).
    InvalidMessage,
    /// Outside its limits.
    OutOfRange,
    /// Not one of the values that are known.
    UnknownValue,
    /// A line of a list that cannot be read.
    InvalidLine,
    /// Not a URL that may be posted to.
    InvalidUrl,
}

impl Code {
    /// The code as the API shows it.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::UnknownField => "unknown-field",
            Self::WrongType => "wrong-type",
            Self::Conflict => "conflict",
            Self::NotSupported => "not-supported",
            Self::HeaderInjection => "header-injection",
            Self::ReservedHeader => "reserved-header",
            Self::InvalidHeader => "invalid-header",
            Self::DuplicateHeader => "duplicate-header",
            Self::TooManyHeaders => "too-many-headers",
            Self::InvalidAddress => "invalid-address",
            Self::InvalidDomain => "invalid-domain",
            Self::NoRecipients => "no-recipients",
            Self::TooManyRecipients => "too-many-recipients",
            Self::NoContent => "no-content",
            Self::InvalidBase64 => "invalid-base64",
            Self::InvalidFilename => "invalid-filename",
            Self::InvalidContentType => "invalid-content-type",
            Self::InvalidContentId => "invalid-content-id",
            Self::ForbiddenAttachment => "forbidden-attachment",
            Self::EmptyAttachment => "empty-attachment",
            Self::TooManyAttachments => "too-many-attachments",
            Self::InvalidTag => "invalid-tag",
            Self::TooManyTags => "too-many-tags",
            Self::InvalidMetadata => "invalid-metadata",
            Self::InvalidLabel => "invalid-label",
            Self::InvalidTime => "invalid-time",
            Self::TimeInPast => "time-in-past",
            Self::TimeTooFar => "time-too-far",
            Self::InvalidMessage => "invalid-message",
            Self::OutOfRange => "out-of-range",
            Self::UnknownValue => "unknown-value",
            Self::InvalidLine => "invalid-line",
            Self::InvalidUrl => "invalid-url",
        }
    }
}

/// One fault of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field, as a JSON pointer into the request (RFC 6901); empty for the request as a whole.
    #[schema(example = "/to/0")]
    pub pointer: String,
    /// The rule. More codes may be added.
    #[schema(value_type = String, example = "invalid-address")]
    pub code: Code,
    /// Why, for people.
    #[schema(example = "the address has no @")]
    pub reason: String,
}

/// Collects the faults of a request.
#[derive(Debug, Default)]
pub struct Faults(Vec<FieldError>);

impl Faults {
    /// Notes a fault, up to [`MAX_FAULTS`].
    pub fn add(&mut self, pointer: impl Into<String>, code: Code, reason: impl std::fmt::Display) {
        if self.0.len() < MAX_FAULTS {
            self.0.push(FieldError { pointer: pointer.into(), code, reason: reason.to_string() });
        }
    }

    /// The value, unless there was a fault.
    ///
    /// # Errors
    /// All faults, if there is one.
    pub fn or<T>(self, value: Option<T>) -> Result<T, Vec<FieldError>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self.0),
        }
    }
}

/// Octets of a name that an answer repeats.
const MAX_NAME_OCTETS: usize = 256;

/// A JSON pointer one step below another (RFC 6901 3). A name too long to be repeated is left out: the pointer names what holds it.
#[must_use]
pub fn below(parent: &str, name: &str) -> String {
    if name.len() > MAX_NAME_OCTETS {
        return parent.to_owned();
    }
    format!("{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
}
