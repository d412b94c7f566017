//! What the world may bring: mail to our bounce addresses, and nothing else (RFC 5321 on port 25).
//!
//! Answers: whether an address is a bounce address of ours, and what is told about a report: it is taken once its events are committed.
//! Does not: relay, whoever asks; have mailboxes; or know what a report means, which `inbound` does.

use super::Door;
use crate::inbound::InboundError;
use crate::model::Reply;
use crate::smtp::server::path::Recipient;
use crate::smtp::server::session::Message;

/// May mail go to this address? Only to one whose token is ours.
pub(super) fn may_receive(door: &Door, to: &Recipient) -> Reply {
    match to {
        Recipient::Address(address) if door.inbound.knows(address) => Reply::new(250, "2.1.5 ok"),
        Recipient::Address(_) => Reply::new(550, "5.7.1 this server takes reports to its bounce addresses and relays for nobody"),
        Recipient::Postmaster => Reply::new(550, "5.1.1 there are no mailboxes here"),
    }
}

/// Takes a report at each bounce address that it came to. What was told before is not told again, so a sender may repeat all of it.
pub(super) async fn take(door: &Door, message: &Message) -> Reply {
    for named in &message.recipients {
        let Recipient::Address(address) = &named.recipient else { continue };
        match door.inbound.report_arrived(address, &message.content).await {
            Ok(heard) => tracing::debug!(recipient = %address, ?heard, "a report arrived"),
            Err(InboundError::UnknownAddress(_)) => return Reply::new(550, "5.1.1 this is no bounce address of ours"),
            Err(InboundError::Store(error)) => {
                tracing::warn!(%error, "a report could not be kept; its sender tries again");
                return Reply::new(451, "4.3.0 the report cannot be kept now; try again later");
            }
        }
    }
    Reply::new(250, "2.6.0 heard")
}
