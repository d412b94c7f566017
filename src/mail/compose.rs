//! From a draft to the octets of a message.
//!
//! Answers: the message as it is signed and sent (RFC 5322, RFC 2045 to 2047, RFC 2231). Only ASCII, so that no relay has to re-encode it and break
//! the signature, except that an address whose local part is not ASCII stands as it is (RFC 6532; then the transaction needs SMTPUTF8). CRLF line
//! ends, no line over 998 octets, one final CRLF. The same draft gives the same octets.
//! Does not: check who may send, make ids or read the clock. There is no Bcc: who gets the message is the envelope's matter.

use time::OffsetDateTime;

use super::body::{begin_multipart, boundary, end_multipart, next_part, push_attachment, push_text};
use super::headers_write::HeaderWriter;
pub use super::headers_write::date_time;
pub use super::media::{ContentId, ContentIdError, MediaType, MediaTypeError, safe_file_name};
use crate::model::{HeaderName, HeaderText, Mailbox};

/// What a message shall say.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The one author.
    pub from: Mailbox,
    /// The To field; if To and Cc are empty it names undisclosed recipients.
    pub to: Vec<Mailbox>,
    /// The Cc field.
    pub cc: Vec<Mailbox>,
    /// The Reply-To field.
    pub reply_to: Vec<Mailbox>,
    /// The Subject field.
    pub subject: HeaderText,
    /// The body as plain text.
    pub text: Option<String>,
    /// The body as HTML.
    pub html: Option<String>,
    /// Further fields, in order. Those this file writes itself must not be among them; `accept` refuses them, and here they are left out.
    pub headers: Vec<(HeaderName, HeaderText)>,
    /// Files.
    pub attachments: Vec<Attachment>,
    /// The Message-ID, without angle brackets: `<unique>@<domain>`.
    pub message_id: String,
    /// The Date field.
    pub date: OffsetDateTime,
}

/// A file that goes with a message.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The name as given; [`safe_file_name`] makes the one shown.
    pub filename: String,
    /// The octets.
    pub content: Vec<u8>,
    /// Their kind.
    pub content_type: MediaType,
    /// Set: the file is shown inside the HTML, which refers to it as `cid:<id>`.
    pub content_id: Option<ContentId>,
}

/// Writes the message.
#[must_use]
pub fn compose(draft: &Draft) -> Vec<u8> {
    let mut output = Vec::with_capacity(estimate(draft));
    push_header(&mut output, draft);
    Body::of(draft).push(&mut output);
    output
}

/// True if a draft may not bring this field along: it is written here, by the relays, or by who receives.
#[must_use]
pub fn is_reserved_field(name: &HeaderName) -> bool {
    const NAMES: [&str; 17] = [
        "From",
        "Sender",
        "Reply-To",
        "To",
        "Cc",
        "Bcc",
        "Subject",
        "Date",
        "Message-ID",
        "MIME-Version",
        "Received",
        "Return-Path",
        "DKIM-Signature",
        "Authentication-Results",
        "Delivered-To",
        "X-Original-To",
        "Received-SPF",
    ];
    const PREFIXES: [&str; 3] = ["content-", "resent-", "arc-"];
    let starts = |prefix: &str| name.as_str().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    NAMES.iter().any(|reserved| name.is(reserved)) || PREFIXES.into_iter().any(starts)
}

fn push_header(output: &mut Vec<u8>, draft: &Draft) {
    let mut writer = HeaderWriter::new(output);
    writer.date(draft.date);
    writer.mailboxes("From", std::slice::from_ref(&draft.from));
    writer.mailboxes("Reply-To", &draft.reply_to);
    writer.mailboxes("To", &draft.to);
    if draft.to.is_empty() && draft.cc.is_empty() {
        // Without a destination field some receivers take mail for junk; an empty group is the form for it (RFC 5322 3.4, A.1.3).
        writer.token("To", "undisclosed-recipients:;");
    }
    writer.mailboxes("Cc", &draft.cc);
    writer.message_id(&draft.message_id);
    writer.text("Subject", &draft.subject);
    for (name, value) in draft.headers.iter().filter(|(name, _)| !is_reserved_field(name)) {
        writer.text(name.as_str(), value);
    }
    writer.token("MIME-Version", "1.0");
}

/// Room for the whole message, so that it is written without being moved.
fn estimate(draft: &Draft) -> usize {
    let text = draft.text.as_ref().map_or(0, String::len) + draft.html.as_ref().map_or(0, String::len);
    let files: usize = draft.attachments.iter().map(|file| file.content.len() / 54 * 74 + file.filename.len() * 3 + 400).sum();
    2048 + text + text / 4 + files
}

/// The parts of the body: `mixed(alternative(text, related(html, inline..)), files..)`, each level only if it is needed.
struct Body<'a> {
    seed: &'a str,
    text: Option<&'a str>,
    html: Option<&'a str>,
    inline: Vec<&'a Attachment>,
    files: Vec<&'a Attachment>,
}

impl<'a> Body<'a> {
    fn of(draft: &'a Draft) -> Self {
        // Without HTML nothing refers to an inline file.
        let (inline, files) = draft.attachments.iter().partition(|file| file.content_id.is_some() && draft.html.is_some());
        Self { seed: &draft.message_id, text: draft.text.as_deref(), html: draft.html.as_deref(), inline, files }
    }

    fn push(&self, output: &mut Vec<u8>) {
        if self.files.is_empty() {
            return self.push_content(output);
        }
        let boundary = boundary(self.seed, 0);
        begin_multipart(output, "multipart/mixed", &boundary);
        if self.text.is_some() || self.html.is_some() {
            next_part(output, &boundary);
            self.push_content(output);
        }
        for file in &self.files {
            next_part(output, &boundary);
            push_attachment(output, file);
        }
        end_multipart(output, &boundary);
    }

    /// What is read: text, HTML, or both to choose from.
    fn push_content(&self, output: &mut Vec<u8>) {
        match (self.text, self.html) {
            (Some(text), Some(html)) => {
                let boundary = boundary(self.seed, 1);
                begin_multipart(output, "multipart/alternative", &boundary);
                next_part(output, &boundary);
                push_text(output, "text/plain", text);
                next_part(output, &boundary);
                self.push_html(output, html);
                end_multipart(output, &boundary);
            }
            (None, Some(html)) => self.push_html(output, html),
            (text, None) => push_text(output, "text/plain", text.unwrap_or_default()),
        }
    }

    fn push_html(&self, output: &mut Vec<u8>, html: &str) {
        if self.inline.is_empty() {
            return push_text(output, "text/html", html);
        }
        let boundary = boundary(self.seed, 2);
        begin_multipart(output, "multipart/related", &boundary);
        next_part(output, &boundary);
        push_text(output, "text/html", html);
        for file in &self.inline {
            next_part(output, &boundary);
            push_attachment(output, file);
        }
        end_multipart(output, &boundary);
    }
}

#[cfg(test)]
mod tests;
