//! Keeps what came: for reading by the API, and for the endpoints of routes.
//!
//! Answers: messages, events and what endpoints are to be told, written in one transaction. Content is kept once for each project, however many of
//! its addresses it came to; what differs stands before it.
//! Does not: post to endpoints.

use serde_json::json;

use super::Reception;
use super::authenticate::{Arrived, Authenticated};
use super::route::{Destination, Place};
use crate::clock::time_of;
use crate::events::EventKind;
use crate::mail::headers::delivered;
use crate::mail::parse::HeaderView;
use crate::model::{EmailAddress, IncomingId, ProjectId};
use crate::outbox::content::pack;
use crate::routes::Action;
use crate::store::incoming::{self as table, ContentRow, IncomingEventRow, IncomingRow};
use crate::store::{Store, StoreError, Tx};

/// Octets of a header field that lists show.
const MAX_SHOWN_OCTETS: usize = 2_000;

impl Reception {
    /// Keeps a message for some of its recipients. Committed when it returns; answers the ids in the order of the recipients.
    pub(super) async fn keep(
        &self,
        arrived: &Arrived,
        authenticated: &Authenticated,
        places: &[(&Place, &Destination)],
    ) -> Result<Vec<IncomingId>, StoreError> {
        self.reports.store.ensure_partitions_for(self.reports.clock.now()).await?;
        let view = HeaderView::read(&arrived.content);
        let (encoding, packed) = pack(&arrived.content);
        let size = i32::try_from(arrived.content.len()).unwrap_or(i32::MAX);
        let mut contents: Vec<(ProjectId, uuid::Uuid)> = Vec::new();
        let mut kept = Vec::with_capacity(places.len());
        let mut tx = self.reports.store.begin().await?;
        for (place, destination) in places {
            let project = destination.project;
            let known = contents.iter().find(|(known, _)| *known == project).map(|(_, id)| *id);
            let content_id = known.unwrap_or_else(|| self.reports.clock.uuid());
            if known.is_none() {
                let row = ContentRow { id: content_id, project_id: project.uuid(), size, encoding, content: packed.clone() };
                table::insert_content(&mut tx, &row).await?;
                contents.push((project, content_id));
            }
            let id = IncomingId::from_uuid(self.reports.clock.uuid());
            table::insert(&mut tx, &self.row(id, content_id, arrived, authenticated, &view, &place.recipient, destination)).await?;
            self.tell(&mut tx, id, arrived, &view, &place.recipient, destination).await?;
            kept.push(id);
        }
        Store::commit(tx).await?;
        Ok(kept)
    }

    #[expect(clippy::too_many_arguments, reason = "a row is made of all that is known")]
    fn row(
        &self,
        id: IncomingId,
        content_id: uuid::Uuid,
        arrived: &Arrived,
        authenticated: &Authenticated,
        view: &HeaderView,
        recipient: &EmailAddress,
        destination: &Destination,
    ) -> IncomingRow {
        let address = recipient.to_string();
        let trace = [
            delivered(&arrived.reverse_path.to_string(), &address),
            authenticated.fields.clone(),
            arrived.received(&self.hostname, authenticated, &id.to_string(), time_of(id.uuid()), &address),
        ]
        .concat();
        IncomingRow {
            id: id.uuid(),
            project_id: destination.project.uuid(),
            content_id,
            route_id: destination.route.map(crate::model::RouteId::uuid),
            recipient: address,
            reverse_path: arrived.reverse_path.to_stored(),
            header_from: shown(&view.from.join(", ")),
            subject: shown(&view.subject),
            header_message_id: view.message_id.as_deref().map(shown),
            peer: arrived.peer.to_string(),
            helo: arrived.helo.clone(),
            tls: arrived.tls.clone(),
            authentication: authenticated.told(),
            trace,
        }
    }

    /// Writes the event, and what the endpoint of the route is to be told.
    async fn tell(
        &self,
        tx: &mut Tx,
        id: IncomingId,
        arrived: &Arrived,
        view: &HeaderView,
        recipient: &EmailAddress,
        destination: &Destination,
    ) -> Result<(), StoreError> {
        let data = json!({
            "incoming_id": id, "route_id": destination.route, "action": destination.action.name(),
            "reverse_path": arrived.reverse_path.to_stored(), "from": shown(&view.from.join(", ")), "subject": shown(&view.subject),
            "size": arrived.content.len(),
        });
        let event = IncomingEventRow {
            id: self.reports.clock.uuid(),
            project_id: destination.project.uuid(),
            kind: EventKind::Received.to_stored(),
            recipient: recipient.to_string(),
            data,
        };
        table::tell(tx, &event).await?;
        if let Action::Webhook { webhook, .. } = &destination.action {
            self.webhooks.enqueue_incoming(tx, *webhook, id).await?;
        }
        Ok(())
    }
}

/// A text of a stranger, as long as the database shall keep it.
fn shown(text: &str) -> String {
    let mut end = text.len().min(MAX_SHOWN_OCTETS);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lists_show_is_bounded_and_holds_no_nul() {
        assert_eq!(shown("a\0b"), "a\u{fffd}b");
        assert_eq!(shown(&"\u{fc}".repeat(1_001)).len(), 2_000);
        assert_eq!(shown(&format!("x{}", "\u{fc}".repeat(1_001))).len(), 1_999);
    }
}
