//! Judges a request: everything that is wrong with it at once, or a value with grammar in every field.
//!
//! Answers: may this be composed and sent as it is. One file per noun: addresses, headers, attachments, labels (tags, metadata,
//! stream), times, raw messages.
//! Does not: know whose domain it is (see `accept`), touch a database, compose.
//! Invariant: what is refused leaves nothing behind, and nothing is repaired in silence.

mod addresses;
mod attachments;
mod headers;
mod labels;
mod raw;
#[cfg(test)]
mod tests;
pub mod times;

pub use times::{TIME_FORM, read_time};

use serde_json::Value;
use time::OffsetDateTime;

use super::fault::{Code, Faults, FieldError};
use super::request::SendRequest;
use crate::config::Limits;
use crate::mail::compose::Attachment;
use crate::mail::headers::RawHeaders;
use crate::model::message::{Label, Priority, Tags};
use crate::model::{EmailAddress, HeaderName, HeaderText, Mailbox, ReversePath};

/// A request that passed.
pub struct Checked {
    /// Who gets it: distinct, at least one.
    pub recipients: Vec<EmailAddress>,
    /// What they get.
    pub content: Content,
    /// Words to find it by.
    pub tags: Tags,
    /// The caller's object; empty if none was given.
    pub metadata: Value,
    /// Which goes first.
    pub priority: Priority,
    /// Its kind.
    pub stream: Label,
    /// When to send; none for now.
    pub send_at: Option<OffsetDateTime>,
    /// When to give up; none for the server's default.
    pub expires_at: Option<OffsetDateTime>,
    /// It must not leave without proven TLS (RFC 8689).
    pub require_tls: bool,
}

/// What is to be sent.
pub enum Content {
    /// Parts to compose.
    Parts(Box<Parts>),
    /// A whole message to send as it is.
    Raw(Box<Raw>),
}

/// The parts of a message to compose.
pub struct Parts {
    /// The author.
    pub from: Mailbox,
    /// Shown in To.
    pub to: Vec<Mailbox>,
    /// Shown in Cc.
    pub cc: Vec<Mailbox>,
    /// Where replies go.
    pub reply_to: Vec<Mailbox>,
    /// The subject.
    pub subject: HeaderText,
    /// The body as plain text.
    pub text: Option<String>,
    /// The body as HTML.
    pub html: Option<String>,
    /// Further fields.
    pub headers: Vec<(HeaderName, HeaderText)>,
    /// Files.
    pub attachments: Vec<Attachment>,
}

/// A whole message.
pub struct Raw {
    /// Where reports go.
    pub reverse_path: ReversePath,
    /// What its header says.
    pub headers: RawHeaders,
    /// The message.
    pub bytes: Vec<u8>,
    /// By which way it came, for the trace field in front of it (RFC 5321 4.4); none for what came by the API, which is the first hop.
    pub trace: Option<Trace>,
}

/// What a trace field says beside id and time.
pub struct Trace {
    /// Our name.
    pub hostname: String,
    /// The protocol as registered: `ESMTPSA`.
    pub protocol: &'static str,
}

/// Judges `request` at the time `now`.
///
/// # Errors
/// Every fault found, up to [`super::fault::MAX_FAULTS`].
pub fn check(request: SendRequest, limits: &Limits, now: OffsetDateTime) -> Result<Checked, Vec<FieldError>> {
    check_with(request, now, |request, faults| {
        if request.raw.is_some() || request.envelope.is_some() { raw::check(request, limits, faults) } else { parts(request, limits, faults) }
    })
}

/// Judges what was said beside a whole message that was read already, and how many recipients it has.
///
/// # Errors
/// As [`check`].
pub fn check_whole(
    options: SendRequest,
    recipients: &[EmailAddress],
    raw: Raw,
    limits: &Limits,
    now: OffsetDateTime,
) -> Result<Checked, Vec<FieldError>> {
    check_with(options, now, |_, faults| {
        let distinct = addresses::distinct(recipients.iter());
        addresses::count(recipients.len(), distinct.len(), "/envelope/to", limits.recipients, faults);
        Some((distinct, Content::Raw(Box::new(raw))))
    })
}

fn check_with(
    request: SendRequest,
    now: OffsetDateTime,
    content: impl FnOnce(SendRequest, &mut Faults) -> Option<(Vec<EmailAddress>, Content)>,
) -> Result<Checked, Vec<FieldError>> {
    let mut faults = Faults::default();
    if request.template {
        faults.add("/template", Code::NotSupported, "templates are not part of this version; give subject, text and html");
    }
    let tags = labels::tags(&request.tags, &mut faults);
    let stream = labels::stream(request.stream.as_deref(), &mut faults);
    let send_at = times::send_at(request.send_at.as_deref(), now, &mut faults);
    let expires_at = times::expires_at(request.expires_at.as_deref(), send_at.unwrap_or(now), &mut faults);
    let priority = request.priority.unwrap_or_default();
    let require_tls = request.require_tls;
    let mut request = request;
    let metadata = labels::metadata(request.metadata.take(), &mut faults);
    let content = content(request, &mut faults);
    let checked = content.zip(stream).map(|((recipients, content), stream)| Checked {
        recipients,
        content,
        tags,
        metadata,
        priority,
        stream,
        send_at,
        expires_at,
        require_tls,
    });
    faults.or(checked)
}

fn parts(request: SendRequest, limits: &Limits, faults: &mut Faults) -> Option<(Vec<EmailAddress>, Content)> {
    let from = addresses::author(request.from.as_deref(), faults);
    let to = addresses::list(&request.to, "/to", faults);
    let cc = addresses::list(&request.cc, "/cc", faults);
    let bcc = addresses::list(&request.bcc, "/bcc", faults);
    let reply_to = addresses::list(&request.reply_to, "/reply_to", faults);
    addresses::limit(reply_to.len(), "/reply_to", limits.recipients, faults);
    let recipients = addresses::distinct(to.iter().chain(&cc).chain(&bcc).map(|mailbox| &mailbox.address));
    let given = [&request.to, &request.cc, &request.bcc].map(|list| list.as_slice().len()).iter().sum();
    addresses::count(given, recipients.len(), "/to", limits.recipients, faults);
    let subject = headers::subject(request.subject.as_deref(), faults);
    if request.text.is_none() && request.html.is_none() {
        faults.add("/text", Code::NoContent, "give text, html or both");
    }
    let fields = headers::custom(&request.headers, limits.headers, faults);
    let attachments = attachments::check(request.attachments, limits.attachments, faults);
    let (text, html) = (request.text, request.html);
    let (from, subject) = from.zip(subject)?;
    Some((recipients, Content::Parts(Box::new(Parts { from, to, cc, reply_to, subject, text, html, headers: fields, attachments }))))
}
