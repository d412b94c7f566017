//! The paths of MAIL and RCPT (RFC 5321 4.1.2, RFC 6531 3.3).
//!
//! Answers: which address stands between the brackets, and what follows them. Source routes are refused (RFC 5321 F.2 lets a server do so): the
//! address behind them is not always the one a reader takes for it. Spaces before the bracket, which some clients write, are passed over.
//! Does not: know who may send to whom.

use crate::model::address::AddressError;
use crate::model::{EmailAddress, ReversePath};

/// Whom RCPT names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// An address.
    Address(EmailAddress),
    /// `<postmaster>` without a domain: that of the host spoken to (RFC 5321 4.5.1).
    Postmaster,
}

/// Why a text is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No `<` where the path begins, or no `>` that ends it.
    #[error("write the address in angle brackets, like <user@example.com>")]
    Brackets,
    /// `<@a,@b:user@c>`
    #[error("source routes are not accepted; write the address alone")]
    SourceRoute,
    /// `<>` where there must be a recipient.
    #[error("a recipient cannot be empty")]
    NoRecipient,
    /// Not an address.
    #[error("{0}")]
    Address(#[from] AddressError),
}

/// A path, and what stands behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<'a, T> {
    /// The address.
    pub value: T,
    /// It was written with octets beyond ASCII, which takes the parameter SMTPUTF8 (RFC 6531 3.4).
    pub is_utf8: bool,
    /// The parameters, as they stand.
    pub rest: &'a str,
}

/// The path of MAIL FROM.
///
/// # Errors
/// [`PathError`].
pub fn reverse(text: &str) -> Result<Path<'_, ReversePath>, PathError> {
    let (inside, rest) = bracketed(text)?;
    let value = if inside.is_empty() { ReversePath::Null } else { ReversePath::Address(address(inside)?) };
    Ok(Path { value, is_utf8: !inside.is_ascii(), rest })
}

/// The path of RCPT TO.
///
/// # Errors
/// [`PathError`].
pub fn forward(text: &str) -> Result<Path<'_, Recipient>, PathError> {
    let (inside, rest) = bracketed(text)?;
    let value = match inside {
        "" => return Err(PathError::NoRecipient),
        alone if alone.eq_ignore_ascii_case("postmaster") => Recipient::Postmaster,
        other => Recipient::Address(address(other)?),
    };
    Ok(Path { value, is_utf8: !inside.is_ascii(), rest })
}

fn address(text: &str) -> Result<EmailAddress, PathError> {
    if text.starts_with('@') { Err(PathError::SourceRoute) } else { Ok(EmailAddress::parse(text)?) }
}

/// What stands between the brackets, and behind them. A `>` in a quoted local part does not end the path.
fn bracketed(text: &str) -> Result<(&str, &str), PathError> {
    let inner = text.trim_start_matches(' ').strip_prefix('<').ok_or(PathError::Brackets)?;
    let (mut quoted, mut escaped) = (false, false);
    for (at, character) in inner.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => {
                let rest = inner.get(at + 1..).unwrap_or_default();
                let ends = rest.is_empty() || rest.starts_with(' ');
                return if ends { Ok((inner.get(..at).unwrap_or_default(), rest)) } else { Err(PathError::Brackets) };
            }
            _ => {}
        }
    }
    Err(PathError::Brackets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_they_are_meant() {
        for (text, address, rest) in [
            ("<a@b.example>", "<a@b.example>", ""),
            (" <a@b.example> SIZE=1", "<a@b.example>", " SIZE=1"),
            ("<>", "<>", ""),
            ("<\"a b\"@c.example> X", "<\"a b\"@c.example>", " X"),
            ("<\"a\\\"b\"@c.example>", "<\"a\\\"b\"@c.example>", ""),
            ("<A.B@C.Example>", "<A.B@c.example>", ""),
        ] {
            let path = reverse(text).unwrap();
            assert_eq!((path.value.to_string().as_str(), path.rest), (address, rest), "{text}");
        }
        assert!(reverse("<ü@b.example>").unwrap().is_utf8 && !reverse("<u@b.example>").unwrap().is_utf8);
        for text in ["<postmaster>", "<PostMaster> X=y"] {
            assert_eq!(forward(text).unwrap().value, Recipient::Postmaster);
        }
    }

    #[test]
    fn what_could_be_meant_otherwise_is_refused() {
        for (text, error) in [
            ("a@b.example", PathError::Brackets),
            ("<a@b.example", PathError::Brackets),
            ("<a@b.example>x", PathError::Brackets),
            ("<\"a@b.example>", PathError::Brackets),
            ("<a@b.example>>", PathError::Brackets),
            ("<@ours.example:user@other.example>", PathError::SourceRoute),
            ("<@a.example,@b.example:c@d.example>", PathError::SourceRoute),
            ("<>", PathError::NoRecipient),
        ] {
            assert_eq!(forward(text).map(|path| path.value), Err(error), "{text}");
        }
        for text in [
            "<\"user@other.example\">",
            "<user>",
            "<user@localhost>",
            "<user@[127.0.0.1]>",
            "<user@[IPv6:::1]>",
            "<user@127.0.0.1>",
            "<other.example!user>",
            "<\"a> SIZE=1 <b\"@c.example>",
            "<a b@c.example>",
            "<a@b@c.example>",
        ] {
            assert!(matches!(forward(text), Err(PathError::Address(_))), "{text}");
        }
    }
}
