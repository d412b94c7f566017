//! The commands a sender writes (RFC 5321 4.1.1), each onto the end of a buffer.
//!
//! Answers: how MAIL, RCPT and the others read on the wire. Addresses come as model types, which hold no space, bracket or line
//! end outside of quotes, so nothing can be injected; the one free text, our own name, is cleaned here.
//! Does not: send.

use std::io::Write;

use super::extension::{Extensions, Size};
use super::report_parameters;
use crate::model::report_wishes::ReportWishes;
use crate::model::{EmailAddress, ReversePath};

/// `EHLO name`, or `HELO name` if `extended` is not wanted. Characters no host name or address literal has are left out.
pub fn hello(buffer: &mut Vec<u8>, name: &str, verb: Hello) {
    buffer.extend_from_slice(match verb {
        Hello::Ehlo => b"EHLO ",
        Hello::Helo => b"HELO ",
    });
    buffer.extend(name.bytes().filter(|octet| octet.is_ascii_alphanumeric() || b".-_[]:".contains(octet)));
    buffer.extend_from_slice(b"\r\n");
}

/// How a session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hello {
    /// With extensions.
    Ehlo,
    /// For servers that refuse EHLO.
    Helo,
}

/// What MAIL says about the message.
#[derive(Clone, Copy, Debug)]
pub struct MailParameters<'a> {
    /// Octets of the content.
    pub size: usize,
    /// The content has octets above 127.
    pub eight_bit: bool,
    /// An address or header field needs SMTPUTF8.
    pub smtputf8: bool,
    /// The message must not go on without TLS (RFC 8689).
    pub require_tls: bool,
    /// What was asked of delivery reports (RFC 3461).
    pub reports: Option<&'a ReportWishes>,
}

/// `MAIL FROM:<..>` with the parameters the server offers.
pub fn mail(buffer: &mut Vec<u8>, from: &ReversePath, parameters: MailParameters<'_>, extensions: &Extensions) {
    buffer.extend_from_slice(b"MAIL FROM:<");
    if let ReversePath::Address(address) = from {
        path(buffer, address);
    }
    buffer.push(b'>');
    if extensions.size != Size::NotOffered {
        buffer.extend_from_slice(b" SIZE=");
        number(buffer, parameters.size);
    }
    if parameters.eight_bit && extensions.eight_bit_mime {
        buffer.extend_from_slice(b" BODY=8BITMIME");
    }
    if parameters.smtputf8 && extensions.smtputf8 {
        buffer.extend_from_slice(b" SMTPUTF8");
    }
    if parameters.require_tls && extensions.require_tls {
        buffer.extend_from_slice(b" REQUIRETLS");
    }
    if let Some(wishes) = parameters.reports.filter(|_| extensions.dsn) {
        report_parameters::mail(buffer, wishes);
    }
    buffer.extend_from_slice(b"\r\n");
}

/// `RCPT TO:<..>` with what was asked of delivery reports, if the server offers them.
pub fn rcpt(buffer: &mut Vec<u8>, to: &EmailAddress, reports: Option<&ReportWishes>, extensions: &Extensions) {
    buffer.extend_from_slice(b"RCPT TO:<");
    path(buffer, to);
    buffer.push(b'>');
    if let Some(wishes) = reports.filter(|_| extensions.dsn) {
        report_parameters::rcpt(buffer, to, wishes);
    }
    buffer.extend_from_slice(b"\r\n");
}

/// `BDAT n LAST` (RFC 3030); `octets` of content must follow at once.
pub fn bdat_last(buffer: &mut Vec<u8>, octets: usize) {
    buffer.extend_from_slice(b"BDAT ");
    number(buffer, octets);
    buffer.extend_from_slice(b" LAST\r\n");
}

fn path(buffer: &mut Vec<u8>, address: &EmailAddress) {
    buffer.extend_from_slice(address.local().as_bytes());
    buffer.push(b'@');
    buffer.extend_from_slice(address.domain().as_str().as_bytes());
}

fn number(buffer: &mut Vec<u8>, number: usize) {
    // Writing to a Vec cannot fail.
    let _ = write!(buffer, "{number}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut buffer = Vec::new();
        write(&mut buffer);
        String::from_utf8(buffer).expect("text")
    }

    #[test]
    fn mail_carries_only_what_the_server_offers() {
        let from = ReversePath::Address(EmailAddress::parse("ü@example.com").expect("an address"));
        let wishes = ReportWishes { envid: Some("7".to_owned()), ..ReportWishes::default() };
        let parameters = MailParameters { size: 12, eight_bit: true, smtputf8: true, require_tls: true, reports: Some(&wishes) };
        let all = Extensions { size: Size::Unlimited, eight_bit_mime: true, smtputf8: true, require_tls: true, dsn: true, ..Extensions::default() };
        assert_eq!(
            written(|buffer| mail(buffer, &from, parameters, &all)),
            "MAIL FROM:<ü@example.com> SIZE=12 BODY=8BITMIME SMTPUTF8 REQUIRETLS ENVID=7\r\n"
        );
        assert_eq!(written(|buffer| mail(buffer, &ReversePath::Null, parameters, &Extensions::default())), "MAIL FROM:<>\r\n");
    }

    #[test]
    fn a_name_from_the_configuration_cannot_end_the_line() {
        assert_eq!(written(|buffer| hello(buffer, "a.example\r\nMAIL FROM:<x@y.example>", Hello::Ehlo)), "EHLO a.exampleMAILFROM:xy.example\r\n");
        assert_eq!(written(|buffer| hello(buffer, "[IPv6:::1]", Hello::Helo)), "HELO [IPv6:::1]\r\n");
    }

    #[test]
    fn quoted_local_parts_keep_their_quotes() {
        let to = EmailAddress::parse("\"a b\"@example.com").expect("an address");
        assert_eq!(written(|buffer| rcpt(buffer, &to, None, &Extensions::default())), "RCPT TO:<\"a b\"@example.com>\r\n");
        let (asked, offered) = (ReportWishes::default(), Extensions { dsn: true, ..Extensions::default() });
        assert_eq!(written(|buffer| rcpt(buffer, &to, Some(&asked), &Extensions::default())), "RCPT TO:<\"a b\"@example.com>\r\n", "not offered");
        assert_eq!(
            written(|buffer| rcpt(buffer, &to, Some(&asked), &offered)),
            "RCPT TO:<\"a b\"@example.com> ORCPT=rfc822;\"a+20b\"@example.com\r\n"
        );
        assert_eq!(written(|buffer| bdat_last(buffer, 86)), "BDAT 86 LAST\r\n");
    }
}
