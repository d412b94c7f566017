//! Forwarding: a message that came by a route, passed on to those who agreed, within the session of who brought it.
//!
//! Answers: the reply of the next server, as ours. The message is committed first, so the engine takes it like any other: same places, limits, pauses, TLS and ways
//! out. The session waits for the end of the first attempt: a refusal is passed back; a 4xx, a site that is held back or silence ends the wait with 250, and the
//! outbox goes on trying. Body and signed fields stay as they came; our fields stand before them; the reverse-path becomes ours, the null one stays null.
//! Does not: hold a connection to the database while it waits, or send reports (`give_back`).

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::json;

use super::Reception;
use super::authenticate::{Arrived, Authenticated};
use super::route::Destination;
use crate::accept::relay::Relayed;
use crate::accept::{AcceptError, Accepted};
use crate::clock::time_of;
use crate::events::EventKind;
use crate::mail::authenticate::seals::ArcState;
use crate::mail::dkim;
use crate::mail::parse::HeaderView;
use crate::model::message::Label;
use crate::model::{DeliveryId, DomainName, EmailAddress, MessageId, Reply, ReversePath, RouteId};
use crate::outbox::{IdempotencyKey, Seen};
use crate::routes::Target;
use crate::store::forwarded::{self as table, ForwardedRow};
use crate::store::incoming::{self, IncomingEventRow};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics;

/// The stream of what is passed on: rules of egress pools may name it.
pub const STREAM: &str = "forwarding";
/// When it is first looked whether a report is owed: the session is over by then.
const FIRST_LOOK: Duration = Duration::from_mins(2);

/// What became of a message for one target.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Passed {
    /// Taken, now or by the outbox.
    Taken(MessageId, Seen),
    /// Refused by the next server: it said this.
    Refused(MessageId, String),
    /// It could not be kept.
    Failed(Reply),
}

impl Reception {
    /// Sends a message on. The reply is what the sender is told.
    pub(super) async fn forward(
        &self,
        destination: &Destination,
        targets: &[&Target],
        recipient: &EmailAddress,
        arrived: &Arrived,
        authenticated: &Authenticated,
    ) -> Reply {
        if let ReversePath::Address(path) = &arrived.reverse_path
            && self.reports.domains.read_forward_address(path).is_ok()
        {
            metrics::incoming("looping");
            return Reply::new(554, "5.4.6 this server passed the message on itself; it goes in circles");
        }
        if !self.forward_pace.admits(&self.reports.clock, destination.route, self.settings.forward_per_minute) {
            metrics::incoming("too_many");
            tracing::warn!(route = ?destination.route, limit = self.settings.forward_per_minute, "a route passes on as much as it may (inbound.forward_per_minute)");
            return Reply::new(451, "4.7.1 more mail comes to this address than is passed on; try again later");
        }
        let letter = Letter { destination, recipient, arrived, authenticated };
        let passed = join_all(targets.iter().map(|target| self.pass(&letter, &target.address))).await;
        let reply = combined(&passed);
        if reply.code == 250 {
            self.tell_forwarded(&letter, targets, &passed).await;
        }
        for one in &passed {
            metrics::forwarded(match one {
                Passed::Taken(_, Seen::Delivered(_)) => "delivered",
                Passed::Taken(..) => "queued",
                Passed::Refused(..) => "refused",
                Passed::Failed(_) => "failed",
            });
        }
        self.settle_refused(&passed, reply.code == 250).await;
        tracing::info!(route = ?destination.route, peer = %arrived.peer, targets = targets.len(), code = reply.code, "a message from the world was passed on");
        reply
    }

    /// Passes a message on to one target.
    async fn pass(&self, letter: &Letter<'_>, target: &EmailAddress) -> Passed {
        match self.try_pass(letter, target).await {
            Ok(passed) => passed,
            Err(error) => {
                metrics::database_error(error.kind());
                tracing::warn!(%error, "mail cannot be passed on now; its sender tries again");
                Passed::Failed(Reply::new(451, "4.3.0 mail cannot be passed on now; try again later"))
            }
        }
    }

    async fn try_pass(&self, letter: &Letter<'_>, target: &EmailAddress) -> Result<Passed, StoreError> {
        let clock = &self.reports.clock;
        let id = MessageId::from_uuid(clock.uuid());
        let Some(reverse_path) = self.reverse_path(letter, id).await? else {
            return Ok(Passed::Failed(Reply::new(550, "5.1.8 the name of this domain leaves no room for a reverse-path")));
        };
        let content = self.letter(letter, target, id).await;
        self.keep_forwarded(letter, target, id).await?;
        let mut wait = self.claims.witnesses().watch(DeliveryId { message: id, rcpt_no: 0 });
        let stream = Label::parse(STREAM).map_err(|_| StoreError::Corrupt("the stream of forwards".to_owned()))?;
        let relayed = Relayed { id, project: letter.destination.project, reverse_path, recipient: target.clone(), content, stream };
        match self.accept.relay(relayed, Some(letter.key(target))).await {
            Ok(Accepted { replayed: true, id: earlier, .. }) => {
                table::remove(&self.reports.store, id.uuid()).await?;
                self.before(earlier).await
            }
            Ok(Accepted { suppressed: 1.., .. }) => {
                Ok(Passed::Refused(id, "550 5.7.1 the address that this mail is passed on to takes no mail from here".to_owned()))
            }
            Ok(_) => {
                let limit = Duration::from_secs(self.settings.forward_wait_seconds);
                Ok(match clock.timeout(limit, wait.seen()).await.unwrap_or(Seen::Waits) {
                    Seen::Bounced(said) => Passed::Refused(id, said),
                    seen => Passed::Taken(id, seen),
                })
            }
            Err(error) => {
                let unknown = matches!(error, AcceptError::Unavailable(_));
                // Whether it was written is not known: its row stays, or a bounce of it would lead nowhere.
                if !unknown {
                    table::remove(&self.reports.store, id.uuid()).await?;
                }
                tracing::warn!(%error, "mail cannot be passed on now; its sender tries again");
                Ok(Passed::Failed(match error {
                    AcceptError::StorageFull => Reply::new(452, "4.3.1 there is no room for more messages; try again later"),
                    _ => Reply::new(451, "4.3.0 mail cannot be passed on now; try again later"),
                }))
            }
        }
    }

    /// What became of the same message when it was brought before: its sender did not hear our answer.
    async fn before(&self, id: MessageId) -> Result<Passed, StoreError> {
        let last = table::last_word(&self.reports.store, id.uuid()).await?;
        let said =
            || last.data.as_ref().and_then(|data| data.get("reply")).and_then(|reply| reply.as_str()).unwrap_or("550 5.0.0 refused").to_owned();
        Ok(match last.kind.and_then(EventKind::from_stored) {
            Some(EventKind::Bounced) if !last.outstanding => Passed::Refused(id, said()),
            _ => Passed::Taken(id, Seen::Waits),
        })
    }

    /// The reverse-path under which it goes on; none: there is no room for one.
    async fn reverse_path(&self, letter: &Letter<'_>, id: MessageId) -> Result<Option<ReversePath>, StoreError> {
        if letter.arrived.reverse_path.address().is_none() {
            return Ok(Some(ReversePath::Null));
        }
        let domains = &self.reports.domains;
        let address = match &letter.destination.domain {
            Some((domain, name)) => domains.forward_address(*domain, name, id).await?,
            None => DomainName::parse(&self.hostname).ok().and_then(|name| domains.forward_address_at(&name, id)),
        };
        Ok(address.map(ReversePath::Address))
    }

    async fn keep_forwarded(&self, letter: &Letter<'_>, target: &EmailAddress, id: MessageId) -> Result<(), StoreError> {
        let Letter { destination, recipient, arrived, authenticated } = letter;
        let row = ForwardedRow {
            message_id: id.uuid(),
            project_id: destination.project.uuid(),
            domain_id: destination.domain.as_ref().map(|(domain, _)| domain.uuid()),
            route_id: destination.route.map(RouteId::uuid),
            recipient: recipient.to_string(),
            target: target.to_string(),
            reverse_path: arrived.reverse_path.to_stored(),
            authenticated: authenticated.sender_proven,
            passed_back: false,
        };
        table::insert(&self.reports.store, &row, self.reports.clock.now() + FIRST_LOOK).await
    }

    /// The message with our fields before it.
    async fn letter(&self, letter: &Letter<'_>, target: &EmailAddress, id: MessageId) -> Bytes {
        let Letter { destination, recipient, arrived, authenticated } = letter;
        let to = recipient.to_string();
        let received = arrived.received(&self.hostname, authenticated, &id.to_string(), time_of(id.uuid()), &to);
        let mut octets = self.seal(destination, arrived, authenticated).await.unwrap_or_default();
        octets.extend_from_slice(received.as_bytes());
        octets.extend_from_slice(format!("X-Forwarded-To: {target}\r\nX-Forwarded-For: {to}\r\nDelivered-To: {to}\r\n").as_bytes());
        octets.extend_from_slice(authenticated.fields.as_bytes());
        octets.extend_from_slice(&arrived.content);
        octets.into()
    }

    /// An ARC set by the domain that passes the message on; none without a key, or where there is nothing to add.
    async fn seal(&self, destination: &Destination, arrived: &Arrived, authenticated: &Authenticated) -> Option<Vec<u8>> {
        let (domain, _) = destination.domain.as_ref().filter(|_| self.settings.arc_seal)?;
        let signers = self.reports.domains.signers(*domain).await.inspect_err(|error| tracing::warn!(%error, "no key to seal with")).ok()?;
        let (content, results, at) = (arrived.content.clone(), authenticated.results.clone(), self.reports.clock.now());
        let chain = authenticated.chain.unwrap_or(ArcState::None);
        let sealing = tokio::task::spawn_blocking(move || signers.first().map(|signer| dkim::seal(signer, &content, &results, chain, at)));
        match sealing.await.ok()?? {
            Ok(set) => set,
            Err(error) => {
                tracing::debug!(%error, "a message cannot be sealed; it goes on without");
                None
            }
        }
    }

    /// Writes the events that tell of it. The message is committed already: should this fail, it goes on all the same.
    async fn tell_forwarded(&self, letter: &Letter<'_>, targets: &[&Target], passed: &[Passed]) {
        let Letter { destination, recipient, arrived, authenticated } = letter;
        let view = HeaderView::read(&arrived.content);
        let shown = |text: &str| text.replace('\0', "").chars().take(500).collect::<String>();
        let to: Vec<_> = targets
            .iter()
            .zip(passed)
            .map(|(target, passed)| {
                let (message, state) = match passed {
                    Passed::Taken(id, Seen::Delivered(_)) => (Some(id), "delivered"),
                    Passed::Taken(id, _) => (Some(id), "queued"),
                    Passed::Refused(id, _) => (Some(id), "bounced"),
                    Passed::Failed(_) => (None, "failed"),
                };
                json!({"address": target.address, "message_id": message, "state": state})
            })
            .collect();
        let data = json!({
            "route_id": destination.route, "action": "forward", "reverse_path": arrived.reverse_path.to_stored(), "from": shown(&view.from.join(", ")),
            "subject": shown(&view.subject), "size": arrived.content.len(), "authentication": authenticated.told(), "targets": to,
        });
        let written = async {
            self.reports.store.ensure_partitions_for(self.reports.clock.now()).await?;
            let mut tx = self.reports.store.begin().await?;
            for kind in [EventKind::Received, EventKind::Forwarded] {
                let row = IncomingEventRow {
                    id: self.reports.clock.uuid(),
                    project_id: destination.project.uuid(),
                    kind: kind.to_stored(),
                    recipient: recipient.to_string(),
                    data: data.clone(),
                };
                incoming::tell(&mut tx, &row).await?;
            }
            Store::commit(tx).await
        };
        if let Err(error) = written.await {
            metrics::database_error(error.kind());
            tracing::warn!(%error, "that a message was passed on could not be written to the events");
        }
    }

    /// Where the sender was told of a refusal, nothing is owed to it.
    async fn settle_refused(&self, passed: &[Passed], taken: bool) {
        for one in passed {
            if let Passed::Refused(id, _) = one
                && !taken
                && let Err(error) = table::pass_back(&self.reports.store, id.uuid()).await
            {
                metrics::database_error(error.kind());
                tracing::warn!(%error, message = %id, "that a refusal was passed back could not be written; its sender may hear of it twice");
            }
        }
    }
}

/// A message that is to be passed on.
struct Letter<'l> {
    destination: &'l Destination,
    recipient: &'l EmailAddress,
    arrived: &'l Arrived,
    authenticated: &'l Authenticated,
}

impl Letter<'_> {
    /// The same for the same message from the same sender to the same target: one that is brought again because our reply was lost is not passed on twice.
    fn key(&self, target: &EmailAddress) -> IdempotencyKey {
        let mut text = format!("{}\n{target}\n{}\n", self.recipient, self.arrived.reverse_path).into_bytes();
        text.extend_from_slice(&self.arrived.content);
        let hash = digest(&SHA256, &text);
        let request_hash: [u8; 32] = hash.as_ref().try_into().unwrap_or_default();
        IdempotencyKey { key: format!("forward {}", URL_SAFE_NO_PAD.encode(request_hash)), request_hash }
    }
}

/// One reply for all targets: taken if one took it; else refused as one refused it, unless another could not be reached.
fn combined(passed: &[Passed]) -> Reply {
    let mut failed = None;
    let mut refused = None;
    for one in passed {
        match one {
            Passed::Taken(_, Seen::Delivered(said)) if passed.len() == 1 => return back(said, 250, "2.0.0"),
            Passed::Taken(id, _) => return Reply::new(250, format!("2.0.0 taken as {id}, to be passed on")),
            Passed::Failed(reply) => failed = failed.or(Some(reply.clone())),
            Passed::Refused(_, said) => refused = refused.or(Some(said)),
        }
    }
    match (failed, refused) {
        (Some(reply), _) => reply,
        (None, Some(said)) => back(said, 550, "5.0.0"),
        (None, None) => Reply::new(450, "4.2.1 nobody has agreed yet to get what is forwarded from here; try again later"),
    }
}

/// What the next server said, as a reply of ours: on one line, printable, of the class that it decided.
fn back(said: &str, class: u16, status: &str) -> Reply {
    let text: String =
        said.chars().map(|character| if character.is_ascii_graphic() || character == ' ' { character } else { ' ' }).take(400).collect();
    let code =
        text.get(..3).and_then(|code| code.parse::<u16>().ok()).filter(|code| code / 100 == class / 100 && text.as_bytes().get(3) == Some(&b' '));
    match code {
        // A 354 or 221 of the next server would end more than this message.
        Some(code) if code != 221 => Reply::new(code, text.get(4..).unwrap_or_default().trim()),
        _ => Reply::new(class, format!("{status} {}", text.trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> MessageId {
        MessageId::from_uuid(uuid::Uuid::from_u128(1))
    }

    #[test]
    fn what_the_next_server_said_is_said_again_on_one_line() {
        for (said, class, reply) in [
            ("550 5.1.1 no such user", 550, (550, "5.1.1 no such user")),
            ("554 5.7.1 a\nb\u{7f}", 550, (554, "5.7.1 a b")),
            ("550", 550, (550, "5.0.0 550")),
            ("the domain does not exist", 550, (550, "5.0.0 the domain does not exist")),
            ("450 4.2.1 no", 550, (550, "5.0.0 450 4.2.1 no")),
            ("250 2.0.0 taken", 250, (250, "2.0.0 taken")),
            ("221 bye", 250, (250, "2.0.0 221 bye")),
        ] {
            let got = back(said, class, if class == 250 { "2.0.0" } else { "5.0.0" });
            assert_eq!((got.code, got.text.as_str()), reply, "{said}");
        }
    }

    #[test]
    fn one_target_that_takes_it_is_enough_and_a_failure_outweighs_a_refusal() {
        let taken = Passed::Taken(id(), Seen::Waits);
        let refused = Passed::Refused(id(), "550 5.1.1 no".to_owned());
        let failed = Passed::Failed(Reply::new(451, "4.3.0 later"));
        for (passed, code) in [
            (vec![taken.clone(), refused.clone()], 250),
            (vec![refused.clone(), failed.clone()], 451),
            (vec![refused.clone(), refused], 550),
            (vec![failed, taken], 250),
            (vec![], 450),
        ] {
            assert_eq!(combined(&passed).code, code, "{passed:?}");
        }
    }
}
