//! What the world may bring: mail to our routes, bounce addresses and postmasters (RFC 5321 on port 25).
//!
//! Answers: hands an address to `inbound` at RCPT, and the message at its end, with what is known of the connection.
//! Does not: relay, whoever asks; or know routes, which `inbound` does.

use std::net::IpAddr;

use super::Door;
use crate::inbound::{Arrived, Place};
use crate::model::Reply;
use crate::smtp::server::path::Recipient;
use crate::smtp::server::session::{Greeting, Message};

/// Who brings a message, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bringer<'b> {
    /// Their address.
    pub(super) peer: IpAddr,
    /// What they call themselves, and how they greeted.
    pub(super) client: Option<(&'b str, Greeting)>,
    /// Version and cipher, within TLS.
    pub(super) tls: Option<&'b str>,
}

/// May mail go to this address? `places` are those of the transaction so far.
pub(super) async fn may_receive(door: &Door, places: &mut Vec<Place>, to: &Recipient) -> Reply {
    let address = match to {
        Recipient::Address(address) => Some(address),
        Recipient::Postmaster => None,
    };
    door.reception.may_receive(places, address).await
}

/// Takes a message for the addresses that were accepted.
pub(super) async fn take(door: &Door, places: &[Place], bringer: Bringer<'_>, message: Message) -> Reply {
    let (helo, greeting) = bringer.client.unwrap_or(("unknown", Greeting::Helo));
    let protocol = match (greeting, bringer.tls, message.parameters.smtputf8) {
        (Greeting::Helo, ..) => "SMTP",
        (Greeting::Ehlo, None, false) => "ESMTP",
        (Greeting::Ehlo, Some(_), false) => "ESMTPS",
        (Greeting::Ehlo, None, true) => "UTF8SMTP",
        (Greeting::Ehlo, Some(_), true) => "UTF8SMTPS",
    };
    let arrived = Arrived {
        peer: bringer.peer,
        helo: helo.to_owned(),
        tls: bringer.tls.map(str::to_owned),
        protocol,
        reverse_path: message.reverse_path,
        recipients: places.iter().map(|place| place.recipient.clone()).collect(),
        content: message.content.into(),
    };
    // Boxed: it holds all that checking and forwarding need, and every connection would have room for it.
    Box::pin(door.reception.arrived(places, arrived)).await
}
