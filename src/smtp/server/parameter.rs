//! The parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), REQUIRETLS (RFC 8689), AUTH (RFC 4954 5), RET, ENVID,
//! NOTIFY and ORCPT (RFC 3461 4).
//!
//! Answers: what each says. A parameter that is not offered, given twice, or malformed is refused: a client that thinks it was heeded would be wrong.
//! Does not: act on them.

use std::collections::BTreeSet;

/// Octets of the decoded ENVID (RFC 3461 4.4).
const MAX_ENVID_OCTETS: usize = 100;
/// Octets of the decoded ORCPT (RFC 3461 4.2).
const MAX_ORCPT_OCTETS: usize = 500;
/// Digits of SIZE (RFC 1870 4).
const MAX_SIZE_DIGITS: usize = 20;

/// Why parameters are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// Not one of those offered.
    #[error("the parameter {0} is not offered here")]
    Unknown(String),
    /// Given twice.
    #[error("the parameter {0} is given twice")]
    Twice(String),
    /// Its value is not one.
    #[error("the value of the parameter {0} is not valid")]
    Invalid(String),
    /// Not `NAME` or `NAME=value`.
    #[error("a parameter has the form NAME or NAME=value")]
    Form,
}

/// What of the message a report shall hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// All of it.
    Full,
    /// Its header.
    Headers,
}

/// What MAIL says beside the path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// Octets that the client is going to send; the largest number there is if they do not fit one.
    pub size: Option<u64>,
    /// Addresses and header fields may be in UTF-8.
    pub smtputf8: bool,
    /// No next hop without proven TLS.
    pub require_tls: bool,
    /// What a report shall hold.
    pub ret: Option<Return>,
    /// The client's own name for this transaction, decoded.
    pub envid: Option<String>,
}

/// When reports are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one word of NOTIFY")]
pub struct Notify {
    /// Never; then nothing else.
    pub never: bool,
    /// When it was delivered.
    pub success: bool,
    /// When it could not be.
    pub failure: bool,
    /// When it takes long.
    pub delay: bool,
}

/// What RCPT says beside the path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RcptParameters {
    /// When reports are asked for.
    pub notify: Option<Notify>,
    /// `type;address` as the author wrote it, decoded.
    pub orcpt: Option<String>,
}

/// Reads the parameters of MAIL.
///
/// # Errors
/// [`ParameterError`] for the first that is wrong.
pub fn mail(text: &str) -> Result<MailParameters, ParameterError> {
    let mut found = MailParameters::default();
    for (name, value) in split(text)? {
        let invalid = || ParameterError::Invalid(name.clone());
        match (name.as_str(), value) {
            ("SIZE", Some(value)) => found.size = Some(size(value).ok_or_else(invalid)?),
            ("BODY", Some(value)) if value.eq_ignore_ascii_case("7BIT") || value.eq_ignore_ascii_case("8BITMIME") => {}
            ("SMTPUTF8", None) => found.smtputf8 = true,
            ("REQUIRETLS", None) => found.require_tls = true,
            ("RET", Some(value)) if value.eq_ignore_ascii_case("FULL") => found.ret = Some(Return::Full),
            ("RET", Some(value)) if value.eq_ignore_ascii_case("HDRS") => found.ret = Some(Return::Headers),
            ("ENVID", Some(value)) => {
                found.envid = Some(xtext(value).filter(|text| (1..=MAX_ENVID_OCTETS).contains(&text.len())).ok_or_else(invalid)?);
            }
            // Who else a relay signed in for is not our concern; it must only be well formed.
            ("AUTH", Some(value)) if xtext(value).is_some() => {}
            ("SIZE" | "BODY" | "SMTPUTF8" | "REQUIRETLS" | "RET" | "ENVID" | "AUTH", _) => return Err(invalid()),
            _ => return Err(ParameterError::Unknown(name)),
        }
    }
    Ok(found)
}

/// Reads the parameters of RCPT.
///
/// # Errors
/// [`ParameterError`] for the first that is wrong.
pub fn rcpt(text: &str) -> Result<RcptParameters, ParameterError> {
    let mut found = RcptParameters::default();
    for (name, value) in split(text)? {
        let invalid = || ParameterError::Invalid(name.clone());
        match (name.as_str(), value) {
            ("NOTIFY", Some(value)) => found.notify = Some(notify(value).ok_or_else(invalid)?),
            ("ORCPT", Some(value)) => found.orcpt = Some(orcpt(value).ok_or_else(invalid)?),
            ("NOTIFY" | "ORCPT", None) => return Err(invalid()),
            _ => return Err(ParameterError::Unknown(name)),
        }
    }
    Ok(found)
}

/// Name in upper case, and value, of each parameter.
fn split(text: &str) -> Result<Vec<(String, Option<&str>)>, ParameterError> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let named = name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-') && name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !named || value.is_some_and(str::is_empty) {
            return Err(ParameterError::Form);
        }
        let name = name.to_ascii_uppercase();
        if !seen.insert(name.clone()) {
            return Err(ParameterError::Twice(name));
        }
        found.push((name, value));
    }
    Ok(found)
}

fn size(text: &str) -> Option<u64> {
    let digits = text.len() <= MAX_SIZE_DIGITS && text.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn notify(text: &str) -> Option<Notify> {
    let mut found = Notify { never: false, success: false, failure: false, delay: false };
    for word in text.split(',') {
        let flag = match word.to_ascii_uppercase().as_str() {
            "NEVER" => &mut found.never,
            "SUCCESS" => &mut found.success,
            "FAILURE" => &mut found.failure,
            "DELAY" => &mut found.delay,
            _ => return None,
        };
        if std::mem::replace(flag, true) {
            return None;
        }
    }
    let alone = !(found.success || found.failure || found.delay);
    (!found.never || alone).then_some(found)
}

fn orcpt(text: &str) -> Option<String> {
    let (kind, address) = text.split_once(';')?;
    let atom = !kind.is_empty() && kind.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
    let address = xtext(address).filter(|address| (1..=MAX_ORCPT_OCTETS).contains(&address.len()))?;
    atom.then(|| format!("{};{address}", kind.to_ascii_lowercase()))
}

/// Decodes xtext (RFC 3461 4): `+HH` stands for an octet. UTF-8 beside it is let pass (RFC 6533 3); a control character is not.
fn xtext(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'+' => (upper_hex(rest.next()?)? << 4) | upper_hex(rest.next()?)?,
            b'=' => return None,
            other => other,
        });
    }
    String::from_utf8(octets).ok().filter(|decoded| !decoded.chars().any(char::is_control))
}

const fn upper_hex(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mail_says_is_read() {
        let found = mail(" size=1000 BODY=8BITMIME SMTPUTF8  RET=HDRS ENVID=QQ+2B1 AUTH=<> REQUIRETLS").unwrap();
        let expected =
            MailParameters { size: Some(1000), smtputf8: true, require_tls: true, ret: Some(Return::Headers), envid: Some("QQ+1".to_owned()) };
        assert_eq!(found, expected);
        assert_eq!(mail("").unwrap(), MailParameters::default());
        assert_eq!(mail("SIZE=99999999999999999999").unwrap().size, Some(u64::MAX), "20 digits that fit no number");
    }

    #[test]
    fn what_rcpt_says_is_read() {
        let found = rcpt("NOTIFY=SUCCESS,delay ORCPT=rfc822;a+2Bb@c.example").unwrap();
        assert_eq!(found.orcpt.as_deref(), Some("rfc822;a+b@c.example"));
        assert_eq!(found.notify, Some(Notify { never: false, success: true, failure: false, delay: true }));
        assert!(rcpt("NOTIFY=NEVER").unwrap().notify.unwrap().never);
    }

    #[test]
    fn wrong_parameters_are_refused_by_name() {
        let invalid = |name: &str| ParameterError::Invalid(name.to_owned());
        let long = format!("ENVID={}", "x".repeat(101));
        for (text, error) in [
            ("SIZE=-1", invalid("SIZE")),
            ("SIZE=1e9", invalid("SIZE")),
            ("SIZE=1000000000000000000000000000000", invalid("SIZE")),
            ("SIZE", invalid("SIZE")),
            ("SIZE=", ParameterError::Form),
            ("SIZE=1 size=2", ParameterError::Twice("SIZE".to_owned())),
            ("BODY=BINARYMIME", invalid("BODY")),
            ("SMTPUTF8=yes", invalid("SMTPUTF8")),
            ("RET=ALL", invalid("RET")),
            ("ENVID=+2b", invalid("ENVID")),
            ("ENVID=+0D+0A", invalid("ENVID")),
            (&long, invalid("ENVID")),
            ("HOLDFOR=60", ParameterError::Unknown("HOLDFOR".to_owned())),
            ("=x", ParameterError::Form),
            ("X\u{e9}=1", ParameterError::Form),
        ] {
            assert_eq!(mail(text), Err(error), "{text}");
        }
        for (text, error) in [
            ("NOTIFY=NEVER,FAILURE", invalid("NOTIFY")),
            ("NOTIFY=DELAY,DELAY", invalid("NOTIFY")),
            ("NOTIFY=SOMETIMES", invalid("NOTIFY")),
            ("ORCPT=a@b.example", invalid("ORCPT")),
            ("ORCPT=rfc822;a+ZZ", invalid("ORCPT")),
            ("NOTIFY=NEVER NOTIFY=NEVER", ParameterError::Twice("NOTIFY".to_owned())),
            ("SIZE=1", ParameterError::Unknown("SIZE".to_owned())),
        ] {
            assert_eq!(rcpt(text), Err(error), "{text}");
        }
    }
}
