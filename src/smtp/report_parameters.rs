//! The parameters that ask a server for delivery reports (RFC 3461 4, RFC 6533 3), each onto the end of a buffer.
//!
//! Answers: RET, ENVID, NOTIFY and ORCPT as they stand on the wire. What is written is encoded, so nothing in it can end the word or the line; what has
//! no encoding that every server reads is left out. Does not: ask whether the server offers them.

use std::io::Write;

use crate::model::EmailAddress;
use crate::model::report_wishes::{ReportOn, ReportReturns, ReportWishes};

/// Octets of an encoded ENVID (RFC 3461 4.4).
const MAX_ENVID: usize = 100;
/// Octets of an encoded ORCPT (RFC 3461 4.2).
const MAX_ORCPT: usize = 500;

/// ` RET=.. ENVID=..`
pub(super) fn mail(buffer: &mut Vec<u8>, wishes: &ReportWishes) {
    if let Some(ret) = wishes.ret {
        buffer.extend_from_slice(match ret {
            ReportReturns::Full => b" RET=FULL",
            ReportReturns::Headers => b" RET=HDRS",
        });
    }
    if let Some(envid) = wishes.envid.as_deref().and_then(xtext).filter(|envid| (1..=MAX_ENVID).contains(&envid.len())) {
        buffer.extend_from_slice(b" ENVID=");
        buffer.extend_from_slice(&envid);
    }
}

/// ` NOTIFY=.. ORCPT=..`. A recipient whose sender gave no ORCPT is its own (RFC 3461 5.2.1).
pub(super) fn rcpt(buffer: &mut Vec<u8>, to: &EmailAddress, wishes: &ReportWishes) {
    let address = to.to_string();
    let wish = wishes.about(&address);
    let words: Vec<&str> = wish.and_then(|wish| wish.notify.as_ref()).into_iter().flatten().copied().map(word).collect();
    if !words.is_empty() {
        // Writing to a Vec cannot fail.
        let _ = write!(buffer, " NOTIFY={}", words.join(","));
    }
    let original = wish.and_then(|wish| wish.orcpt.clone()).unwrap_or_else(|| format!("rfc822;{address}"));
    if let Some(original) = orcpt(&original) {
        buffer.extend_from_slice(b" ORCPT=");
        buffer.extend_from_slice(&original);
    }
}

const fn word(when: ReportOn) -> &'static str {
    match when {
        ReportOn::Never => "NEVER",
        ReportOn::Success => "SUCCESS",
        ReportOn::Failure => "FAILURE",
        ReportOn::Delay => "DELAY",
    }
}

fn orcpt(original: &str) -> Option<Vec<u8>> {
    let (kind, address) = original.split_once(';')?;
    let is_atom = !kind.is_empty() && kind.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
    let encoded = if kind.eq_ignore_ascii_case("utf-8") { unitext(address) } else { xtext(address)? };
    let whole = [kind.as_bytes(), b";", &encoded].concat();
    (is_atom && !encoded.is_empty() && whole.len() <= MAX_ORCPT).then_some(whole)
}

/// xtext (RFC 3461 4): printable US-ASCII without `+` and `=`, all else as `+HH`. None if there is more than US-ASCII: servers would read octets.
fn xtext(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() {
        return None;
    }
    let mut encoded = Vec::with_capacity(text.len());
    for octet in text.bytes() {
        if matches!(octet, b'!'..=b'~') && !matches!(octet, b'+' | b'=') {
            encoded.push(octet);
        } else {
            let _ = write!(encoded, "+{octet:02X}");
        }
    }
    Some(encoded)
}

/// utf-8-addr-xtext (RFC 6533 3): as ASCII, with other characters as `\x{HEX}`.
fn unitext(text: &str) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_graphic() && !matches!(character, '+' | '=' | '\\') {
            let _ = write!(encoded, "{character}");
        } else {
            let _ = write!(encoded, "\\x{{{:X}}}", u32::from(character));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(dsn: &serde_json::Value, to: &str) -> (String, String) {
        let wishes = ReportWishes::of_dsn(dsn).unwrap();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        mail(&mut first, &wishes);
        rcpt(&mut second, &EmailAddress::parse(to).unwrap(), &wishes);
        (String::from_utf8(first).unwrap(), String::from_utf8(second).unwrap())
    }

    #[test]
    fn what_was_asked_for_stands_on_the_wire_as_it_came() {
        let dsn = json!({ "ret": "full", "envid": "QQ+1", "recipients": { "a@example.net": { "notify": ["success", "delay"], "orcpt": "rfc822;a+b@c.example" } } });
        let expected = (" RET=FULL ENVID=QQ+2B1".to_owned(), " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@c.example".to_owned());
        assert_eq!(written(&dsn, "A@example.net"), expected);
        assert_eq!(written(&dsn, "b+c@example.net").1, " ORCPT=rfc822;b+2Bc@example.net");
        let never = json!({ "ret": "headers", "recipients": { "a@example.net": { "notify": ["never"], "orcpt": "utf-8;\u{fc}=@c.example" } } });
        assert_eq!(written(&never, "a@example.net"), (" RET=HDRS".to_owned(), " NOTIFY=NEVER ORCPT=utf-8;\\x{FC}\\x{3D}@c.example".to_owned()));
    }

    #[test]
    fn nothing_that_was_asked_for_can_end_the_word_or_the_line() {
        let dsn = json!({ "envid": "a b\r\nRCPT TO:<x@y.example>", "recipients": { "a@example.net": { "orcpt": "rfc822;a\r\nDATA" } } });
        let (first, second) = written(&dsn, "a@example.net");
        assert_eq!(first, " ENVID=a+20b+0D+0ARCPT+20TO:<x@y.example>");
        assert_eq!(second, " ORCPT=rfc822;a+0D+0ADATA");
        for (orcpt, envid) in
            [("rfc822;\u{fc}@c.example", "\u{fc}"), ("no type", ""), ("a b;c", &"x".repeat(101)), (&format!("rfc822;{}", "x".repeat(500)), "")]
        {
            let dsn = json!({ "envid": envid, "recipients": { "a@example.net": { "orcpt": orcpt } } });
            assert_eq!(written(&dsn, "a@example.net"), (String::new(), String::new()), "{orcpt}");
        }
    }
}
