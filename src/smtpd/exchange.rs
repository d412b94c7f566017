//! What the world may bring: mail to our bounce addresses and our addresses for complaints, and nothing else (RFC 5321 on port 25).
//!
//! Answers: whether an address is one of them, and what is told about a report: it is taken once its events are committed.
//! Does not: relay, whoever asks; have mailboxes; or know what a report means, which `inbound` does.

use super::Door;
use crate::inbound::{InboundError, Mailbox};
use crate::model::{EmailAddress, Reply};
use crate::smtp::server::path::Recipient;
use crate::smtp::server::session::Message;

/// May mail go to this address?
pub(super) async fn may_receive(door: &Door, to: &Recipient) -> Reply {
    let Recipient::Address(address) = to else { return Reply::new(550, "5.1.1 there are no mailboxes here") };
    match door.inbound.mailbox(address).await {
        Ok(Some(_)) => Reply::new(250, "2.1.5 ok"),
        Ok(None) => Reply::new(550, "5.7.1 this server takes reports to its bounce addresses and relays for nobody"),
        Err(error) => put_off(&error),
    }
}

/// Takes a report for all the addresses that it came to. What was told before is not told again, so a sender may repeat all of it.
pub(super) async fn take(door: &Door, message: &Message) -> Reply {
    let heard = match mailboxes(door, message).await {
        Ok(mailboxes) => door.inbound.arrived(&mailboxes, &message.content).await,
        Err(error) => Err(error),
    };
    match heard {
        Ok(heard) => {
            tracing::debug!(?heard, "a report arrived");
            Reply::new(250, "2.6.0 heard")
        }
        Err(error) => put_off(&error),
    }
}

async fn mailboxes(door: &Door, message: &Message) -> Result<Vec<Mailbox>, InboundError> {
    let mut asked: Vec<&EmailAddress> = Vec::new();
    let mut mailboxes = Vec::new();
    for named in &message.recipients {
        let Recipient::Address(address) = &named.recipient else { continue };
        if !asked.contains(&address) {
            asked.push(address);
            mailboxes.extend(door.inbound.mailbox(address).await?);
        }
    }
    Ok(mailboxes)
}

fn put_off(error: &InboundError) -> Reply {
    match error {
        InboundError::OnItsWay => Reply::new(451, "4.3.0 what you report about is still written down; come back in a minute"),
        InboundError::Store(error) => {
            tracing::warn!(%error, "a report could not be kept; its sender tries again");
            Reply::new(451, "4.3.0 the report cannot be kept now; try again later")
        }
    }
}
