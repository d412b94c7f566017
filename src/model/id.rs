//! Prefixed, time-ordered ids: `msg_01jd…` is a UUIDv7 in Crockford's base 32.
//!
//! Answers: how an id reads and which text is one. The text sorts as the id does, so a list by id is a list by time.
//! Does not: make ids (see [`crate::clock::Clock`], which owns time and randomness).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters of a UUID in base 32: 128 bits in groups of five.
const ENCODED_LEN: usize = 26;

/// The text is not an id of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an id that starts with \"{prefix}\" followed by 26 letters and digits")]
pub struct IdError {
    prefix: &'static str,
}

fn encode(id: Uuid) -> String {
    let value = id.as_u128();
    (0..ENCODED_LEN)
        .map(|place| {
            let shift = 5 * (ENCODED_LEN - 1 - place);
            let digit = usize::try_from((value >> shift) & 31).unwrap_or(0);
            ALPHABET.get(digit).map_or('0', |&octet| char::from(octet))
        })
        .collect()
}

fn decode(text: &str) -> Option<Uuid> {
    if text.len() != ENCODED_LEN || text.as_bytes().first().is_none_or(|first| *first > b'7') {
        return None;
    }
    text.bytes()
        .try_fold(0_u128, |value, octet| {
            let digit = ALPHABET.iter().position(|known| *known == octet)?;
            Some((value << 5) | digit as u128)
        })
        .map(Uuid::from_u128)
}

macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What every id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps a UUID that is known to be an id of this kind.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// The bare UUID, as the database keeps it.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix($prefix).and_then(decode).map(Self).ok_or(IdError { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

prefixed_id!(
    /// An isolated space: domains, keys, messages.
    ProjectId, "prj_"
);
prefixed_id!(
    /// A sending domain of a project.
    DomainId, "dom_"
);
prefixed_id!(
    /// A DKIM key of a domain.
    DkimKeyId, "dkm_"
);
prefixed_id!(
    /// An API key.
    KeyId, "key_"
);
prefixed_id!(
    /// A user who submits by SMTP.
    SmtpUserId, "smu_"
);
prefixed_id!(
    /// An accepted message.
    MessageId, "msg_"
);
prefixed_id!(
    /// An entry of the event log.
    EventId, "evt_"
);
prefixed_id!(
    /// An entry of the audit trail.
    AuditId, "aud_"
);
prefixed_id!(
    /// An entry of the suppression list.
    SuppressionId, "sup_"
);
prefixed_id!(
    /// A report of a receiver about mail in the name of a domain.
    ReportId, "rpt_"
);
prefixed_id!(
    /// Where mail from the world goes.
    RouteId, "rte_"
);
prefixed_id!(
    /// A message from the world at one address of ours.
    IncomingId, "inc_"
);
prefixed_id!(
    /// An endpoint that is told by HTTP.
    WebhookId, "whk_"
);
prefixed_id!(
    /// What an endpoint is told.
    WebhookMessageId, "whm_"
);
prefixed_id!(
    /// A certificate that we show.
    CertificateId, "crt_"
);

/// A running process: `nod_` and its incarnation in hexadecimal. A restart has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(i64);

impl NodeId {
    /// Of an incarnation.
    #[must_use]
    pub const fn from_incarnation(incarnation: i64) -> Self {
        Self(incarnation)
    }

    /// The incarnation: positive.
    #[must_use]
    pub const fn incarnation(self) -> i64 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nod_{:016x}", self.0)
    }
}

impl FromStr for NodeId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = IdError { prefix: "nod_" };
        let digits = text.strip_prefix("nod_").filter(|digits| digits.len() == 16 && digits.bytes().all(|octet| octet.is_ascii_hexdigit()));
        digits.and_then(|digits| i64::from_str_radix(digits, 16).ok()).map(Self).ok_or(wrong)
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One message to one recipient: `dlv_<message>_<number>`. The number counts the recipients of the message from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    /// The message.
    pub message: MessageId,
    /// The place of the recipient in the envelope, from 0.
    pub rcpt_no: u16,
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dlv_{}_{}", encode(self.message.uuid()), self.rcpt_no)
    }
}

impl fmt::Debug for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DeliveryId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let parts = text.strip_prefix("dlv_").and_then(|rest| rest.split_once('_'));
        parts
            .and_then(|(message, number)| {
                let canonical = number == "0" || !number.starts_with('0');
                let rcpt_no = number.parse().ok().filter(|_| canonical && !number.starts_with('+'))?;
                Some(Self { message: MessageId(decode(message)?), rcpt_no })
            })
            .ok_or(IdError { prefix: "dlv_" })
    }
}

impl Serialize for DeliveryId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DeliveryId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_itself_and_sorts_as_its_number() {
        let low = MessageId::from_uuid(Uuid::from_u128(5));
        let high = MessageId::from_uuid(Uuid::from_u128(u128::MAX));
        assert_eq!(low.to_string().parse::<MessageId>(), Ok(low));
        assert_eq!(high.to_string().parse::<MessageId>(), Ok(high));
        assert!(low.to_string() < high.to_string());
    }

    #[test]
    fn a_delivery_names_its_message_and_recipient() {
        let id = DeliveryId { message: MessageId::from_uuid(Uuid::from_u128(77)), rcpt_no: 12 };
        assert_eq!(id.to_string().parse::<DeliveryId>(), Ok(id));
        for bad in ["dlv_", "dlv_0000000000000000000000000a_", "dlv_0000000000000000000000000a_01", "dlv_0000000000000000000000000a_+1"] {
            assert!(bad.parse::<DeliveryId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn other_texts_are_not_ids() {
        for bad in
            ["", "msg_", "key_0000000000000000000000000a", "msg_8zzzzzzzzzzzzzzzzzzzzzzzzz", "msg_0000000000000000000000000u", "msg_00' or 1=1--"]
        {
            assert!(bad.parse::<MessageId>().is_err(), "{bad}");
        }
    }
}
