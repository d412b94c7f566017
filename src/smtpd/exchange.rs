//! What the world may bring: mail to our bounce addresses and reports about our domains, and nothing else (RFC 5321 on port 25).
//!
//! Answers: whether an address is one of those, and what is told about a report: it is taken once it is committed.
//! Does not: relay, whoever asks; have mailboxes; or know what a report means, which `inbound` does.

use super::Door;
use crate::inbound::InboundError;
use crate::model::{EmailAddress, Reply};
use crate::smtp::server::path::Recipient;
use crate::smtp::server::session::Message;

/// May mail go to this address? Only to one whose token is ours, or where reports about a domain of ours come.
pub(super) async fn may_receive(door: &Door, to: &Recipient) -> Reply {
    match to {
        Recipient::Address(address) if door.inbound.knows(address) => Reply::new(250, "2.1.5 ok"),
        Recipient::Address(address) => match door.inbound.report_box(address).await {
            Ok(Some(_)) => Reply::new(250, "2.1.5 ok"),
            Ok(None) => Reply::new(550, "5.7.1 this server takes reports to its own addresses and relays for nobody"),
            Err(error) => {
                tracing::warn!(%error, "a recipient could not be looked up; its sender tries again");
                Reply::new(451, "4.3.0 the address cannot be looked up now; try again later")
            }
        },
        Recipient::Postmaster => Reply::new(550, "5.1.1 there are no mailboxes here"),
    }
}

/// Takes a report at each address that it came to. What was told before is not told again, so a sender may repeat all of it.
pub(super) async fn take(door: &Door, message: &Message) -> Reply {
    for named in &message.recipients {
        let Recipient::Address(address) = &named.recipient else { continue };
        let taken = take_one(door, address, &message.content).await;
        match taken {
            Ok(()) => {}
            Err(InboundError::UnknownAddress(_)) => return Reply::new(550, "5.1.1 this is no bounce address of ours"),
            Err(InboundError::Store(error)) => {
                tracing::warn!(%error, "a report could not be kept; its sender tries again");
                return Reply::new(451, "4.3.0 the report cannot be kept now; try again later");
            }
        }
    }
    Reply::new(250, "2.6.0 heard")
}

async fn take_one(door: &Door, address: &EmailAddress, content: &[u8]) -> Result<(), InboundError> {
    if let Some(owner) = door.inbound.report_box(address).await? {
        door.inbound.domain_report_arrived(&owner, content.to_vec()).await?;
        return Ok(());
    }
    let heard = door.inbound.report_arrived(address, content).await?;
    tracing::debug!(recipient = %address, ?heard, "a report arrived");
    Ok(())
}
