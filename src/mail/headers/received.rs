//! The trace field of a message that was submitted (RFC 5321 4.4, RFC 3848, RFC 6531 3.7.3).
//!
//! Answers: `Received:` with our name, the protocol, the message's id and the time. It says nothing of the client: where our users are is nobody's business.

use time::OffsetDateTime;

use crate::mail::headers_write::date_time;

/// The field with its line end. `protocol` is as registered: `ESMTPSA` for mail over TLS from somebody who signed in.
#[must_use]
pub fn received(hostname: &str, protocol: &str, id: &str, at: OffsetDateTime) -> String {
    format!("Received: by {hostname} with {protocol}\r\n\tid {id}; {}\r\n", date_time(at))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn it_reads_like_this() {
        let field = received("mail.example.com", "ESMTPSA", "msg_1", datetime!(2026-12-01 09:00 +1));
        assert_eq!(field, "Received: by mail.example.com with ESMTPSA\r\n\tid msg_1; Tue, 1 Dec 2026 08:00:00 +0000\r\n");
    }
}
