//! What a client is told when a message is not taken: the reply, and the slug that refused requests are counted by.
//!
//! Answers: 4yz where trying again helps, 5yz where it does not, each with an enhanced code (RFC 3463) and the fix.
//! Does not: decide.

use super::options::field_of;
use crate::accept::AcceptError;
use crate::accept::fault::FieldError;
use crate::mail::headers::RawProblem;
use crate::model::{EmailAddress, Reply};

/// Faults told in one reply.
const MAX_FAULTS: usize = 5;

/// A refused message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What the client is told.
    pub(super) reply: Reply,
    /// For the figures.
    pub(super) slug: &'static str,
}

impl Refusal {
    fn new(code: u16, text: impl Into<String>, slug: &'static str) -> Self {
        Self { reply: Reply::new(code, text), slug }
    }

    /// A field of ours is wrong.
    pub(super) fn option(fault: &str) -> Self {
        Self::new(554, format!("5.6.0 {fault}"), "invalid-request")
    }

    /// The message is not one.
    pub(super) fn message(problems: &[RawProblem]) -> Self {
        let told: Vec<_> = problems.iter().take(MAX_FAULTS).map(ToString::to_string).collect();
        Self::new(554, format!("5.6.0 {}", told.join("\n")), "invalid-message")
    }

    /// The message has gone in circles (RFC 5321 6.3).
    pub(super) fn looping(relays: usize) -> Self {
        Self::new(554, format!("5.4.6 the message has passed {relays} servers; it goes in circles"), "looping")
    }

    /// The sender is another's.
    pub(super) fn sender(field: &str, address: &EmailAddress) -> Self {
        let fix = "send as yourself, or have the address allowed (pennypost smtp-user add --send-as)";
        Self::new(550, format!("5.7.1 {field} {address} is not an address you may send as; {fix}"), "sender-not-allowed")
    }
}

impl From<AcceptError> for Refusal {
    fn from(error: AcceptError) -> Self {
        let text = error.to_string();
        match error {
            AcceptError::Invalid(faults) => {
                let told: Vec<_> = faults.iter().take(MAX_FAULTS).map(fault).collect();
                Self::new(554, format!("5.6.0 {}", told.join("\n")), "invalid-request")
            }
            AcceptError::SenderNotVerified { .. } => Self::new(550, format!("5.7.1 {text}"), "sender-not-verified"),
            AcceptError::Forbidden(_) => Self::new(550, format!("5.7.1 {text}"), "domain-not-allowed"),
            AcceptError::TooLarge { .. } => Self::new(552, format!("5.3.4 {text}"), "message-too-large"),
            AcceptError::Overloaded => Self::new(451, "4.3.2 more messages come in than can be stored; try again in a moment", "overloaded"),
            AcceptError::StorageFull => Self::new(452, "4.3.1 there is no room for more messages; try again later", "storage-full"),
            AcceptError::Unavailable(cause) => {
                tracing::warn!(error = cause, "a submitted message was put off");
                Self::new(451, "4.3.0 messages cannot be stored now; try again in a moment", "unavailable")
            }
            AcceptError::KeyReused => {
                Self::new(554, "5.6.0 the Idempotency-Key stands for another message; give each its own", "idempotency-key-reuse")
            }
            AcceptError::InProgress => {
                Self::new(451, "4.5.0 the first message with this Idempotency-Key is not answered yet", "idempotency-in-progress")
            }
        }
    }
}

/// One fault, by the name of the header field that it came from.
fn fault(fault: &FieldError) -> String {
    match field_of(&fault.pointer) {
        Some(field) => format!("{field}: {}", fault.reason),
        None => fault.reason.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accept::NotVerified;
    use crate::accept::fault::Code;
    use crate::mail::headers::check_raw;
    use crate::model::DomainName;
    use crate::smtp::server::reply;

    #[test]
    fn every_refusal_has_its_codes() {
        let domain = DomainName::parse("a.example").unwrap();
        let fault = |pointer: &str| FieldError { pointer: pointer.to_owned(), code: Code::InvalidTag, reason: "why".to_owned() };
        for (error, begins) in [
            (AcceptError::Invalid(vec![fault("/tags/x"), fault("/raw")]), "554 5.6.0 X-Pennypost-Tag: why why"),
            (AcceptError::SenderNotVerified { domain: domain.clone(), why: NotVerified::Unknown }, "550 5.7.1 a.example is not a domain"),
            (AcceptError::Forbidden(domain), "550 5.7.1 "),
            (AcceptError::TooLarge { limit: 7 }, "552 5.3.4 "),
            (AcceptError::Overloaded, "451 4.3.2 "),
            (AcceptError::StorageFull, "452 4.3.1 "),
            (AcceptError::Unavailable("postgres://user:hunter2@db".to_owned()), "451 4.3.0 "),
            (AcceptError::KeyReused, "554 5.6.0 "),
            (AcceptError::InProgress, "451 4.5.0 "),
        ] {
            let told = Refusal::from(error).reply;
            assert!(told.to_string().starts_with(begins) && !told.text.contains("hunter2"), "{told}");
            assert_eq!(told.enhanced.map(|status| u16::from(status.class)), Some(told.code / 100), "{told}");
        }
        let mut written = Vec::new();
        reply::write(&mut written, &Refusal::from(AcceptError::Invalid(vec![fault("/tags/x"), fault("/raw")])).reply);
        assert_eq!(String::from_utf8(written).unwrap(), "554-5.6.0 X-Pennypost-Tag: why\r\n554 5.6.0 why\r\n", "each line has its codes, once");
        let problems = check_raw(b"Subject: a\r\nSubject: b\r\n\r\nx\0\r\n").unwrap_err();
        let mut written = Vec::new();
        reply::write(&mut written, &Refusal::message(&problems).reply);
        let written = String::from_utf8(written).unwrap();
        assert!(written.lines().count() > 1 && written.lines().all(|line| line.matches("5.6.0").count() == 1), "{written}");
    }
}
