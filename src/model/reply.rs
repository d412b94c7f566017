//! An SMTP reply: code, enhanced status, text (RFC 5321 4.2, RFC 3463).
//!
//! Does not: judge it. Whether a reply defers or bounces is said by `deliver::verdict` alone.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An enhanced status code `class.subject.detail` (RFC 3463).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnhancedStatus {
    /// 2, 4 or 5.
    pub class: u8,
    /// 0 to 999: address, mailbox, mail system, network, protocol, content, security.
    pub subject: u16,
    /// 0 to 999.
    pub detail: u16,
}

impl EnhancedStatus {
    /// Makes one of its three numbers.
    #[must_use]
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        Self { class, subject, detail }
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl FromStr for EnhancedStatus {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('.');
        let (Some(class), Some(subject), Some(detail), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else { return Err(()) };
        let number = |part: &str| {
            let fits = (1..=3).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_digit());
            if fits { part.parse::<u16>().map_err(|_| ()) } else { Err(()) }
        };
        let class = match class {
            "2" => 2,
            "4" => 4,
            "5" => 5,
            _ => return Err(()),
        };
        Ok(Self { class, subject: number(subject)?, detail: number(detail)? })
    }
}

impl Serialize for EnhancedStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EnhancedStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(|()| serde::de::Error::custom("not an enhanced status"))
    }
}

/// One whole reply. Multi-line texts are joined by `\n`, without the codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599 (the first digit decides, RFC 5321 4.3.2).
    pub code: u16,
    /// The enhanced status, if the text starts with one whose class fits the code.
    pub enhanced: Option<EnhancedStatus>,
    /// The text with the enhanced status still in it.
    pub text: String,
}

impl Reply {
    /// Makes a reply of its code and text; finds the enhanced status at the start of the text.
    #[must_use]
    pub fn new(code: u16, text: impl Into<String>) -> Self {
        let text = text.into();
        let enhanced = text
            .split([' ', '\n'])
            .next()
            .and_then(|word| word.parse::<EnhancedStatus>().ok())
            .filter(|status| u16::from(status.class) == code / 100);
        Self { code, enhanced, text }
    }

    /// 2yz
    #[must_use]
    pub const fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3yz
    #[must_use]
    pub const fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 4yz
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5yz
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }
}

impl fmt::Display for Reply {
    /// One line: lines of the text are joined by a blank.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        for line in self.text.split('\n').filter(|line| !line.is_empty()) {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_enhanced_status_is_found_only_where_its_class_fits() {
        assert_eq!(Reply::new(550, "5.1.1 no such user").enhanced, Some(EnhancedStatus::new(5, 1, 1)));
        assert_eq!(Reply::new(550, "4.1.1 odd").enhanced, None);
        assert_eq!(Reply::new(250, "ok").enhanced, None);
        assert_eq!(Reply::new(421, "4.7.28\nslow down").enhanced, Some(EnhancedStatus::new(4, 7, 28)));
        for bad in ["5.1", "5.1.1.1", "3.1.1", "5.+1.1", "5.1000.1", "5..1"] {
            assert!(bad.parse::<EnhancedStatus>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_reply_reads_as_one_line() {
        assert_eq!(Reply::new(550, "5.1.1 no\nsuch user").to_string(), "550 5.1.1 no such user");
    }
}
