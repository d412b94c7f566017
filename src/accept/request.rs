//! What a caller asks for in `POST /v1/send`: the JSON, read but not yet judged.
//!
//! Answers: which fields there are and how they read. A field that is not listed is refused, as is one that is given twice.
//! Does not: check addresses, headers or limits (see `checks`); a wrong value is kept as it came, so that all faults of a
//! request can be told at once. Attachments are decoded from base64 (RFC 4648 4) while they are read: their text is never held.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use super::json::{self, Object};
use crate::model::message::Priority;

/// A message to send. Either `from`, recipients, `subject` and a body, or `envelope` and `raw`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "from": "Penny <hello@example.com>", "to": ["a@example.net"], "subject": "Hi", "text": "Hello from Pennypost.", "tags": {"flow": "signup"}
}))]
pub struct SendRequest {
    /// The author: `local@domain` or `Name <local@domain>`. The domain must be a verified domain of the project. Required unless `raw` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Recipients shown in To. At least one recipient is needed over `to`, `cc` and `bcc`; one address given twice gets one delivery.
    #[serde(default, skip_serializing_if = "OneOrMany::is_empty")]
    pub to: OneOrMany,
    /// Recipients shown in Cc.
    #[serde(default, skip_serializing_if = "OneOrMany::is_empty")]
    pub cc: OneOrMany,
    /// Recipients that no header names.
    #[serde(default, skip_serializing_if = "OneOrMany::is_empty")]
    pub bcc: OneOrMany,
    /// Where replies go, if not to `from`.
    #[serde(default, skip_serializing_if = "OneOrMany::is_empty")]
    pub reply_to: OneOrMany,
    /// The subject. Required unless `raw` is given; may be empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The body as plain text. `text`, `html` or both are needed unless `raw` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The body as HTML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// Further header fields, name to value. Fields that Pennypost writes itself are refused (`reserved-header`).
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    #[schema(value_type = BTreeMap<String, String>, example = json!({"X-Order": "7"}))]
    pub headers: Fields,
    /// Files to attach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<AttachmentRequest>)]
    pub attachments: Vec<Object<AttachmentRequest>>,
    /// Reserved: templates are not part of this version, and giving one is refused.
    #[serde(default, skip_serializing, deserialize_with = "present")]
    #[schema(ignore)]
    pub template: bool,
    /// Words to find the message by: at most 20; keys of 1 to 64 characters from `A-Z a-z 0-9 _ - .`, values of at most 256 characters.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    #[schema(value_type = BTreeMap<String, String>, example = json!({"flow": "signup"}))]
    pub tags: Fields,
    /// An object of your own, returned with the message and in its events: at most 8,192 octets of JSON. Never sent to recipients.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::unique_value")]
    #[schema(value_type = Object)]
    pub metadata: Option<serde_json::Value>,
    /// When to send: RFC 3339 with a zone, at most 30 days ahead. A time less than a minute ago means now; an earlier one is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub send_at: Option<String>,
    /// When to give up: RFC 3339 with a zone, later than `send_at` and at most 30 days after it. Left out: the server's `delivery.expire_seconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// Which messages go first when there is a choice; `normal` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::optional_word")]
    pub priority: Option<Priority>,
    /// A name for this kind of mail: 1 to 64 characters from `A-Z a-z 0-9 _ - .`; `transactional` unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// Send only over TLS whose certificate is proven, to hosts that promise the same for the rest of the way (REQUIRETLS, RFC 8689); where
    /// there is none, the message bounces. The header `TLS-Required: No` asks for the opposite: the receiving domain's policy is passed over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_tls: bool,
    /// Reverse-path and recipients of a `raw` message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<EnvelopeRequest>)]
    pub envelope: Option<Object<EnvelopeRequest>>,
    /// A whole RFC 5322 message in base64, sent as it is: Bcc fields are removed, Date and Message-ID added where missing. Needs `envelope`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    pub raw: Option<Base64>,
}

/// Reverse-path and recipients of a raw message (RFC 5321 2.3.1).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeRequest {
    /// The reverse-path: an address of a verified domain of the project, or `<>` for a report that must not be answered.
    #[schema(example = "hello@example.com")]
    pub from: String,
    /// The recipients. The header fields of the message are not looked at.
    pub to: OneOrMany,
}

/// A file to attach.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachmentRequest {
    /// The name shown, without a path: at most 255 octets.
    #[schema(example = "invoice.pdf")]
    pub filename: String,
    /// The content in base64. Files are never fetched: a URL or a path is refused.
    #[schema(value_type = String, example = "SGVsbG8=")]
    pub content: Base64,
    /// The media type; `application/octet-stream` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "application/pdf")]
    pub content_type: Option<String>,
    /// Makes the file an inline part that HTML shows by `cid:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "logo")]
    pub content_id: Option<String>,
}

/// One address or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One address.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    /// The addresses in the order given.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// The JSON pointer of an entry below the field's.
    #[must_use]
    pub fn pointer(&self, field: &str, place: usize) -> String {
        match self {
            Self::One(_) => field.to_owned(),
            Self::Many(_) => format!("{field}/{place}"),
        }
    }
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address or a list of addresses")
            }

            fn visit_str<E>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany::One(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<OneOrMany, E> {
                Ok(OneOrMany::One(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<OneOrMany, A::Error> {
                let mut many = Vec::new();
                while let Some(entry) = entries.next_element()? {
                    many.push(entry);
                }
                Ok(OneOrMany::Many(many))
            }
        }

        deserializer.deserialize_any(Read)
    }
}

/// Name and value pairs of a JSON object in the order given; a name given twice is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// True if there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object whose values are strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Fields, A::Error> {
                let mut seen = std::collections::BTreeSet::new();
                let mut fields = Vec::new();
                while let Some((name, value)) = entries.next_entry::<String, String>()? {
                    if !seen.insert(name.clone()) {
                        return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
                    }
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Read)
    }
}

/// Octets that were given in base64; none if the text was not base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base64(pub Option<Vec<u8>>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0.as_deref().unwrap_or_default()))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl Visitor<'_> for Read {
            type Value = Base64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string in base64")
            }

            fn visit_str<E>(self, text: &str) -> Result<Base64, E> {
                Ok(Base64(STANDARD.decode(text).ok()))
            }
        }

        deserializer.deserialize_str(Read)
    }
}

/// Reads anything, keeps only that it was there.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::<IgnoredAny>::deserialize(deserializer).map(|given| given.is_some())
}
