//! The time limits of an SMTP session, in one table (RFC 5321 4.5.3.2).
//!
//! Does not: wait; every wait goes through the [`crate::clock::Clock`].

use std::time::Duration;

/// How long each step may take. A limit on a reply holds for the whole reply, however slowly its octets come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP connection. The RFC has no figure; systems give up by themselves after one to two minutes.
    pub connect: Duration,
    /// The first 220 (RFC 5321 4.5.3.2.1).
    pub greeting: Duration,
    /// EHLO, HELO, RSET, STARTTLS. The RFC names none; as for MAIL.
    pub command: Duration,
    /// The TLS handshake.
    pub handshake: Duration,
    /// MAIL (4.5.3.2.2).
    pub mail: Duration,
    /// RCPT (4.5.3.2.3).
    pub rcpt: Duration,
    /// DATA up to its 354 (4.5.3.2.4).
    pub data_start: Duration,
    /// Each block of content handed to TCP (4.5.3.2.5).
    pub data_block: Duration,
    /// The whole content, so that a host that reads octet by octet does not hold a session for ever.
    pub data_total: Duration,
    /// The reply to the end of the content (4.5.3.2.6). Shorter would make duplicates (RFC 1047).
    pub data_end: Duration,
    /// QUIT: nothing depends on its reply.
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            greeting: Duration::from_mins(5),
            command: Duration::from_mins(5),
            handshake: Duration::from_mins(1),
            mail: Duration::from_mins(5),
            rcpt: Duration::from_mins(5),
            data_start: Duration::from_mins(2),
            data_block: Duration::from_mins(3),
            data_total: Duration::from_mins(30),
            data_end: Duration::from_mins(10),
            quit: Duration::from_secs(5),
        }
    }
}
