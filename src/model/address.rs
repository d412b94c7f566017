//! Mail addresses: `local@domain`, and `Name <local@domain>`.
//!
//! Answers: is this text one address that can stand in an envelope and a header, and what is its one spelling
//! (RFC 5321 4.1.2, RFC 6531 3.3). Comments, groups, source routes, address literals and obsolete forms are refused.
//! Does not: know whether anybody reads mail there.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::domain_name::{DomainName, DomainNameError};
use super::header::{HeaderError, HeaderText};

/// Octets of a local part (RFC 5321 4.5.3.1.1).
pub const MAX_LOCAL_OCTETS: usize = 64;
/// Octets of an address, so that the path with its brackets has 256 (RFC 5321 4.5.3.1.3).
pub const MAX_ADDRESS_OCTETS: usize = 254;

/// Why a text is not one mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing there.
    #[error("the address is empty")]
    Empty,
    /// No `@`.
    #[error("the address has no @")]
    NoAt,
    /// More than one address, or a group.
    #[error("expected one address; put a display name that holds , ; : or @ in double quotes")]
    NotOne,
    /// The local part has over 64 octets.
    #[error("the part before @ is longer than 64 octets")]
    LocalTooLong,
    /// The address has over 254 octets.
    #[error("the address is longer than 254 octets")]
    TooLong,
    /// The local part has a character or form that is not sent.
    #[error("the part before @ is not valid")]
    LocalInvalid,
    /// `Name <addr` or text after `>`.
    #[error("the angle brackets around the address do not match")]
    Brackets,
    /// The display name has a character that no header may hold.
    #[error("the display name: {0}")]
    Name(HeaderError),
    /// The display name holds an address of its own, which mail programs may show instead of the real one.
    #[error("the display name holds an @, which readers could take for the address")]
    NameHoldsAddress,
    /// The domain.
    #[error(transparent)]
    Domain(#[from] DomainNameError),
}

/// An address in its one spelling: the local part as given (needless quotes removed), the domain in A-labels.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress {
    local: Box<str>,
    domain: DomainName,
}

impl EmailAddress {
    /// Reads `local@domain`.
    ///
    /// # Errors
    /// [`AddressError`] names what is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoAt)?;
        let local = canonical_local(local)?;
        let domain = DomainName::parse(domain)?;
        if local.len() + 1 + domain.as_str().len() > MAX_ADDRESS_OCTETS {
            return Err(AddressError::TooLong);
        }
        Ok(Self { local: local.into(), domain })
    }

    /// The part before the `@`, quoted where it must be.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain.
    #[must_use]
    pub const fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// True if the local part needs SMTPUTF8 (RFC 6531): the domain never does, it is kept in A-labels.
    #[must_use]
    pub fn needs_smtputf8(&self) -> bool {
        !self.local.is_ascii()
    }
}

/// Checks a local part and removes quotes that are not needed, since `"a"@x` and `a@x` are one mailbox (RFC 5321 4.1.2).
fn canonical_local(text: &str) -> Result<String, AddressError> {
    if text.len() > MAX_LOCAL_OCTETS {
        return Err(AddressError::LocalTooLong);
    }
    if is_dot_string(text) {
        return Ok(text.to_owned());
    }
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(if text.contains(['"', ',', ';', ':', '(', '<', '@']) {
        AddressError::NotOne
    } else {
        AddressError::LocalInvalid
    })?;
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        let literal = match character {
            '\\' => characters.next().ok_or(AddressError::LocalInvalid)?,
            '"' => return Err(AddressError::LocalInvalid),
            other => other,
        };
        // A quoted angle bracket is legal and is taken for the end of the path by receivers with simple parsers.
        if !(literal == ' ' || literal.is_ascii_graphic()) || matches!(literal, '<' | '>') {
            return Err(AddressError::LocalInvalid);
        }
        plain.push(literal);
    }
    if plain.is_empty() {
        return Err(AddressError::LocalInvalid);
    }
    Ok(if is_dot_string(&plain) { plain } else { text.to_owned() })
}

/// Dot-string of RFC 5321 4.1.2 with the UTF-8 of RFC 6531 3.3.
fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_atext(character: char) -> bool {
    if character.is_ascii() {
        character.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(character)
    } else {
        !character.is_control()
            && !character.is_whitespace()
            && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EmailAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl Serialize for EmailAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EmailAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// An address with an optional display name, as a From or To field shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// The display name, decoded.
    pub name: Option<HeaderText>,
    /// The address.
    pub address: EmailAddress,
}

impl Mailbox {
    /// Reads `local@domain`, `<local@domain>`, `Name <local@domain>` or `"Name, quoted" <local@domain>`.
    ///
    /// # Errors
    /// [`AddressError`] names what is wrong; more than one address is [`AddressError::NotOne`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim_matches(' ');
        let Some(before_close) = text.strip_suffix('>') else {
            if text.contains(['<', '>']) && !text.starts_with('"') {
                return Err(AddressError::Brackets);
            }
            return Ok(Self { name: None, address: EmailAddress::parse(text)? });
        };
        let (name, address) = before_close.rsplit_once('<').ok_or(AddressError::Brackets)?;
        let address = EmailAddress::parse(address)?;
        let name = display_name(name.trim_matches(' '))?;
        Ok(Self { name, address })
    }
}

fn display_name(text: &str) -> Result<Option<HeaderText>, AddressError> {
    if text.is_empty() {
        return Ok(None);
    }
    let plain = match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => unquoted(quoted)?,
        None if text.contains(['<', '>', '"', ',', ';', ':', '(', ')', '@']) => return Err(AddressError::NotOne),
        None => text.to_owned(),
    };
    if plain.contains('@') {
        return Err(AddressError::NameHoldsAddress);
    }
    let name = HeaderText::parse(&plain).map_err(AddressError::Name)?;
    Ok(Some(name).filter(|name| !name.as_str().is_empty()))
}

/// The text between the quotes of a quoted string, without its backslashes (RFC 5322 3.2.4).
pub(crate) fn unquoted(quoted: &str) -> Result<String, AddressError> {
    let mut plain = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.push(characters.next().ok_or(AddressError::NotOne)?),
            '"' => return Err(AddressError::NotOne),
            other => plain.push(other),
        }
    }
    Ok(plain)
}

/// Without quotes, spaces at the ends of a name would be lost, and these characters mean something (RFC 5322 3.2.3).
fn needs_quotes(name: &str) -> bool {
    name.starts_with(' ') || name.ends_with(' ') || name.contains(['<', '>', '"', ',', ';', ':', '(', ')', '\\', '.'])
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            None => write!(f, "{}", self.address),
            Some(name) if needs_quotes(name.as_str()) => {
                let escaped = name.as_str().replace('\\', "\\\\").replace('"', "\\\"");
                write!(f, "\"{escaped}\" <{}>", self.address)
            }
            Some(name) => write!(f, "{} <{}>", name.as_str(), self.address),
        }
    }
}

impl FromStr for Mailbox {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_mail_is_sent_to_are_accepted() {
        for (text, spelling) in [
            ("a@example.com", "a@example.com"),
            ("A.b+c@Example.COM", "A.b+c@example.com"),
            ("\"a\"@example.com", "a@example.com"),
            ("\"a b\"@example.com", "\"a b\"@example.com"),
            ("\"a@evil.example x\"@good.example", "\"a@evil.example x\"@good.example"),
            ("üser@bücher.example", "üser@xn--bcher-kva.example"),
            ("!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"),
            ("🐧@example.com", "🐧@example.com"),
        ] {
            assert_eq!(EmailAddress::parse(text).map(|address| address.to_string()), Ok(spelling.to_owned()), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "a",
            "@example.com",
            "a@",
            "a@localhost",
            "u@[127.0.0.1]",
            "u@1.2.3.4",
            "@a,@b:c@d.example",
            "a@b@c.example",
            ".a@example.com",
            "a..b@example.com",
            "a.@example.com",
            "a b@example.com",
            "a\"b@example.com",
            "\"a\"b@example.com",
            "\"foo@x> ORCPT=rfc822;y\"@z.example",
            "a@b.example> SIZE=1",
            "a@b.example\r\nRCPT TO:<c@d.example>",
            "a\0@example.com",
            "\"\"@example.com",
            "(c)a@example.com",
            "a@victim.example,",
        ] {
            assert!(EmailAddress::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(EmailAddress::parse(&format!("{}@example.com", "a".repeat(65))), Err(AddressError::LocalTooLong));
        let long = format!("{}@{}.example", "a".repeat(64), ["b".repeat(60).as_str(); 3].join("."));
        assert_eq!(EmailAddress::parse(&long), Err(AddressError::TooLong));
    }

    #[test]
    fn a_mailbox_reads_back_as_itself() {
        for text in
            ["a@example.com", "Bee <b@example.org>", "\"Bee, Inc.\" <b@example.org>", "Grüße 世界 <b@example.org>", "\" Bee \" <b@example.org>"]
        {
            let mailbox = Mailbox::parse(text);
            assert_eq!(mailbox.as_ref().map(ToString::to_string), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_from_that_could_deceive_is_refused() {
        for text in [
            "a@x.example, b@y.example",
            "Group: a@x.example;",
            "a@victim.example,",
            "x <victim@bank .com>",
            "Penny",
            "boss@bank.example <evil@x.example>",
            "\"boss@bank.example\" <evil@x.example>",
            "A (comment) <a@x.example>",
            "<a@b.example> SIZE=1",
            "A\r\nBcc: c@d.example <a@x.example>",
            "a <b@c.example> <d@e.example>",
            "<@a.example,@b.example:c@d.example>",
            "Name <>",
        ] {
            assert!(Mailbox::parse(text).is_err(), "{text:?}");
        }
    }
}
