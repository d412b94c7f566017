//! Checks the raw form: an envelope and a whole message (RFC 5322).
//!
//! Answers: may these bytes leave as they are. Does not: repair them.

use super::{Content, Raw, addresses};
use crate::accept::fault::{Code, Faults};
use crate::accept::request::{EnvelopeRequest, SendRequest};
use crate::config::Limits;
use crate::mail::headers::{RawHeaders, check_raw};
use crate::model::{EmailAddress, ReversePath};

/// Judges the raw form of a request.
pub(super) fn check(request: SendRequest, limits: &Limits, faults: &mut Faults) -> Option<(Vec<EmailAddress>, Content)> {
    refuse_parts(&request, faults);
    let envelope = request.envelope.as_ref().and_then(|envelope| read_envelope(&envelope.0, limits, faults));
    if request.envelope.is_none() {
        faults.add("/envelope", Code::Required, "a raw message needs its envelope");
    }
    let bytes = match request.raw {
        None => {
            faults.add("/raw", Code::Required, "an envelope needs a raw message");
            None
        }
        Some(raw) => {
            if raw.0.is_none() {
                faults.add("/raw", Code::InvalidBase64, "expected base64 with padding (RFC 4648 4), without line ends");
            }
            raw.0
        }
    }?;
    let headers = read_headers(&bytes, faults)?;
    let (reverse_path, recipients) = envelope?;
    Some((recipients, Content::Raw(Box::new(Raw { reverse_path, headers, bytes, trace: None }))))
}

/// Fields that describe a message to compose have no place beside one that is whole.
fn refuse_parts(request: &SendRequest, faults: &mut Faults) {
    for (given, pointer) in [
        (request.from.is_some(), "/from"),
        (!request.to.is_empty(), "/to"),
        (!request.cc.is_empty(), "/cc"),
        (!request.bcc.is_empty(), "/bcc"),
        (!request.reply_to.is_empty(), "/reply_to"),
        (request.subject.is_some(), "/subject"),
        (request.text.is_some(), "/text"),
        (request.html.is_some(), "/html"),
        (!request.headers.is_empty(), "/headers"),
        (!request.attachments.is_empty(), "/attachments"),
    ] {
        if given {
            faults.add(pointer, Code::Conflict, "not beside raw: the message is sent as it is");
        }
    }
}

fn read_envelope(envelope: &EnvelopeRequest, limits: &Limits, faults: &mut Faults) -> Option<(ReversePath, Vec<EmailAddress>)> {
    let reverse_path = match envelope.from.as_str() {
        "<>" => Some(ReversePath::Null),
        text => addresses::address(text, || "/envelope/from".to_owned(), faults).map(ReversePath::Address),
    };
    let mut given = Vec::with_capacity(envelope.to.as_slice().len());
    for (place, text) in envelope.to.as_slice().iter().enumerate() {
        given.extend(addresses::address(text, || envelope.to.pointer("/envelope/to", place), faults));
    }
    let recipients = addresses::distinct(given.iter());
    addresses::count(envelope.to.as_slice().len(), recipients.len(), "/envelope/to", limits.recipients, faults);
    reverse_path.map(|reverse_path| (reverse_path, recipients))
}

fn read_headers(bytes: &[u8], faults: &mut Faults) -> Option<RawHeaders> {
    check_raw(bytes)
        .map_err(|problems| {
            for problem in problems {
                faults.add("/raw", Code::InvalidMessage, problem);
            }
        })
        .ok()
}
