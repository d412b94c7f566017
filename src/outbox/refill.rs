//! Refill: claims waiting deliveries when memory has room, lane by lane.
//!
//! Answers: what comes next out of the database. Lanes take turns and each gets as much as it has free seats, so a domain with
//! a million waiting messages delays no other. Never claims by due time alone: behind a blocked domain that reads all its rows.
//! Of a lane at rest only those come that somebody asked to try at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::claims::{ClaimFacts, ClaimedDelivery, Claims, Dropped, Hurry, OutboundMessage, Seat};
use super::content;
use super::handoff::Handoff;
use super::node::Node;
use crate::clock::Clock;
use crate::failpoint::Failpoint;
use crate::model::message::{Priority, TlsNeed};
use crate::model::outcome::DeliveryState;
use crate::model::report_wishes::ReportWishes;
use crate::model::{DeliveryId, DomainId, EmailAddress, MessageId, ProjectId, ReversePath};
use crate::store::message::ContentRow;
use crate::store::operator::PARKED;
use crate::store::outbox::{ClaimedRow, Due};
use crate::store::{Store, StoreError};
use crate::supervisor::Supervisor;
use crate::telemetry::{metrics, spans};
use tracing::Instrument;

/// How often the database is asked when nobody says that something waits.
const POLL: Duration = Duration::from_secs(1);
/// Lanes looked at in one round.
const LANES: i64 = 1_000;
/// Deliveries claimed in one statement.
const CLAIM: usize = 256;
/// Lanes in one statement.
const GROUP: usize = 64;
/// Content fetched in one statement, in octets.
const FETCH_OCTETS: usize = 4 * 1024 * 1024;

/// Brings waiting deliveries into memory.
#[derive(Debug)]
pub struct Refill {
    /// The database.
    pub store: Store,
    /// Time.
    pub clock: Clock,
    /// The books.
    pub claims: Arc<Claims>,
    /// Whose claims they are.
    pub node: Arc<Node>,
    /// Where they go.
    pub handoff: Handoff,
}

impl Refill {
    /// Runs until the process drains.
    pub async fn run(self, supervisor: Supervisor) {
        let mut cursor = i32::MIN;
        while !supervisor.is_draining() {
            let busy = match self.round(&mut cursor).await {
                Ok(handed_over) => handed_over > 0,
                Err(error) => {
                    metrics::database_error(error.kind());
                    tracing::warn!(%error, "waiting deliveries could not be claimed; trying again");
                    false
                }
            };
            // After a fruitful round the next one follows as soon as there is room, else after a while.
            tokio::select! {
                () = self.claims.room(), if !busy => {}
                () = self.clock.sleep(if busy { Duration::ZERO } else { POLL }) => {}
                () = supervisor.draining() => {}
            }
        }
    }

    /// Looks at one stretch of lanes and claims what fits. Answers how many deliveries it handed over, put aside or ended.
    async fn round(&self, cursor: &mut i32) -> Result<usize, StoreError> {
        if self.claims.orders().is_drained() || !self.claims.has_room() || !self.node.may_send(self.node.incarnation()) {
            return Ok(0);
        }
        let waiting = self.store.waiting_lanes(*cursor, LANES).await?;
        let is_all = *cursor == i32::MIN && waiting.len() < usize::try_from(LANES).unwrap_or(0);
        if is_all {
            self.claims.only_backlogs(&waiting.iter().copied().collect());
        }
        *cursor = if waiting.len() < usize::try_from(LANES).unwrap_or(0) { i32::MIN } else { waiting.last().copied().unwrap_or(i32::MIN) };
        let now = self.clock.tick();
        let (open, shut): (Vec<(i32, usize)>, Vec<_>) =
            waiting.into_iter().map(|lane| (lane, self.claims.free_seats(lane, now))).partition(|(_, free)| *free > 0);
        let mut total = self.hurry(&shut.into_iter().map(|(lane, _)| lane).collect::<Vec<_>>()).await?;
        for group in open.chunks(GROUP) {
            if !self.claims.has_room() {
                break;
            }
            total += self.claim_group(group).await?;
        }
        Ok(total)
    }

    /// Claims of lanes that rest, or are full, what somebody asked to try at once.
    async fn hurry(&self, shut: &[i32]) -> Result<usize, StoreError> {
        if shut.is_empty() {
            return Ok(0);
        }
        let (owner, mut total) = (self.node.incarnation(), 0);
        let mut lanes = self.store.hurried_lanes(shut).await?;
        lanes.retain(|lane| self.claims.free_seats_in_a_hurry(*lane) > 0);
        for lanes in lanes.chunks(GROUP) {
            let (_, rooms) = rooms(lanes.iter().map(|lane| (*lane, self.claims.free_seats_in_a_hurry(*lane))));
            let Claim { ours, parked, ended } = self.claim(owner, lanes, &rooms, Due::Hurried).await?;
            total += self.load(owner, ours).await? + parked.len() + ended.len();
        }
        Ok(total)
    }

    async fn claim_group(&self, group: &[(i32, usize)]) -> Result<usize, StoreError> {
        let (lanes, rooms) = rooms(group.iter().copied());
        let owner = self.node.incarnation();
        let Claim { ours, parked, ended } = self.claim(owner, &lanes, &rooms, Due::Now { moved: self.clock.moved() }).await?;
        let mut counts: HashMap<i32, i32> = HashMap::new();
        for lane in ours.iter().map(|claimed| claimed.row.lane).chain(parked.iter().copied()).chain(ended.iter().copied()) {
            *counts.entry(lane).or_default() += 1;
        }
        for (lane, room) in lanes.iter().zip(&rooms) {
            self.claims.set_backlog(*lane, counts.get(lane).copied().unwrap_or(0) >= *room);
        }
        Ok(self.load(owner, ours).await? + parked.len() + ended.len())
    }

    /// Claims, and enters what it got into the books at once.
    async fn claim(&self, owner: i64, lanes: &[i32], rooms: &[i32], due: Due) -> Result<Claim, StoreError> {
        let _claiming = self.claims.claiming().await;
        let rows = match self.store.claim(owner, lanes, rooms, due, self.clock.uuid()).instrument(spans::outbox_claim()).await {
            Ok(rows) => rows,
            Err(error) => {
                // The claim may have been made and only its answer lost.
                self.claims.suspect();
                return Err(error);
            }
        };
        if !rows.is_empty() {
            Failpoint::ClaimMade.reach();
        }
        let (ended, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.suppressed);
        let ended: Vec<i32> = ended.into_iter().map(|row| row.lane).collect();
        if !ended.is_empty() {
            metrics::settled_finally(DeliveryState::Suppressed, ended.len() as u64);
            tracing::info!(deliveries = ended.len(), "not sent: suppressed since they were accepted");
        }
        metrics::claimed(rows.len() as u64);
        let (mut ours, mut parked) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            match EmailAddress::parse(&row.recipient) {
                Ok(_) if row.owner == PARKED => parked.push(row.lane),
                Ok(recipient) => {
                    let id = DeliveryId { message: MessageId::from_uuid(row.message_id), rcpt_no: u16::try_from(row.rcpt_no).unwrap_or(0) };
                    let seat = self.claims.seat_for_fetched(row.lane, id);
                    ours.push(Claimed { row, recipient, seat });
                }
                Err(error) => tracing::error!(message = %MessageId::from_uuid(row.message_id), %error, "a stored recipient is not an address"),
            }
        }
        Ok(Claim { ours, parked, ended })
    }

    /// Fetches the content of claimed deliveries and hands them over, in portions; gives back what has no room. Answers how many
    /// it handed over.
    async fn load(&self, owner: i64, claimed: Vec<Claimed>) -> Result<usize, StoreError> {
        let mut unloaded = Unloaded { claims: &self.claims, owner, rows: by_message(claimed) };
        let mut handed_over = 0;
        let ids: Vec<Uuid> = unloaded.rows.iter().map(|(id, _)| *id).collect();
        let sizes: HashMap<Uuid, usize> =
            self.store.sizes(&ids).await?.into_iter().map(|(id, size)| (id, usize::try_from(size).unwrap_or(0))).collect();
        while !unloaded.rows.is_empty() {
            let mut octets = 0;
            let mut grants = HashMap::new();
            for (id, _) in &unloaded.rows {
                let size = sizes.get(id).copied().unwrap_or(0);
                if octets > 0 && octets + size > FETCH_OCTETS {
                    break;
                }
                let Some(grant) = self.claims.grant(size) else { break };
                octets += size;
                grants.insert(*id, grant);
            }
            if grants.is_empty() {
                self.give_back(unloaded).await?;
                return Ok(handed_over);
            }
            let wanted: Vec<Uuid> = grants.keys().copied().collect();
            let mut contents: HashMap<Uuid, ContentRow> = self.store.contents(&wanted).await?.into_iter().map(|row| (row.id, row)).collect();
            let mut ready = Vec::new();
            for (id, list) in unloaded.rows.drain(..grants.len()) {
                let (Some(grant), Some(row)) = (grants.remove(&id), contents.remove(&id)) else {
                    tracing::error!(message = %MessageId::from_uuid(id), "a delivery waits whose message is gone");
                    continue;
                };
                let message = Arc::new(outbound(row, grant)?);
                ready.extend(list.into_iter().map(|claimed| delivery(owner, &message, claimed)));
            }
            Failpoint::ClaimLoaded.reach();
            handed_over += ready.len();
            self.handoff.give(ready).await;
        }
        Ok(handed_over)
    }

    /// Gives back at once what has no room: it is due, and another node may have room for it.
    async fn give_back(&self, mut unloaded: Unloaded<'_>) -> Result<(), StoreError> {
        let refs: Vec<_> = unloaded.ids().map(|id| (unloaded.owner, id)).collect();
        self.node.release(&refs, self.clock.now()).await?;
        unloaded.rows.clear();
        Ok(())
    }
}

/// Lanes with how many deliveries to claim of each: its free seats, or its share of one statement's claims.
fn rooms(group: impl ExactSizeIterator<Item = (i32, usize)>) -> (Vec<i32>, Vec<i32>) {
    let share = (CLAIM / group.len().max(1)).max(4);
    group.map(|(lane, free)| (lane, i32::try_from(free.min(share)).unwrap_or(0))).unzip()
}

fn by_message(claimed: Vec<Claimed>) -> Vec<(Uuid, Vec<Claimed>)> {
    let mut by_message: Vec<(Uuid, Vec<Claimed>)> = Vec::new();
    let mut place: HashMap<Uuid, usize> = HashMap::new();
    for claimed in claimed {
        let message = claimed.row.message_id;
        let index = *place.entry(message).or_insert_with(|| {
            by_message.push((message, Vec::new()));
            by_message.len() - 1
        });
        if let Some((_, list)) = by_message.get_mut(index) {
            list.push(claimed);
        }
    }
    by_message
}

fn delivery(owner: i64, message: &Arc<OutboundMessage>, claimed: Claimed) -> ClaimedDelivery {
    let Claimed { row, recipient, seat } = claimed;
    let facts = ClaimFacts {
        owner,
        rcpt_no: u16::try_from(row.rcpt_no).unwrap_or(0),
        recipient,
        attempt: u16::try_from(row.attempt).unwrap_or(0),
        priority: Priority::from_stored(row.priority),
        expires_at: row.expires_at,
        hurry: if row.hurried { Hurry::Asked } else { Hurry::None },
    };
    ClaimedDelivery::new(Arc::clone(message), seat, facts)
}

/// What came of asking for deliveries.
struct Claim {
    ours: Vec<Claimed>,
    /// The lane of each that was put aside, for it is paused.
    parked: Vec<i32>,
    /// The lane of each that ended, for it was suppressed since it was accepted.
    ended: Vec<i32>,
}

/// A claim without its message's content.
struct Claimed {
    row: ClaimedRow,
    recipient: EmailAddress,
    seat: Seat,
}

/// Claims whose content is not loaded yet; given back when dropped, whatever the reason.
struct Unloaded<'a> {
    claims: &'a Claims,
    owner: i64,
    rows: Vec<(Uuid, Vec<Claimed>)>,
}

impl Unloaded<'_> {
    fn ids(&self) -> impl Iterator<Item = DeliveryId> {
        self.rows.iter().flat_map(|(_, list)| list).map(|claimed| DeliveryId {
            message: MessageId::from_uuid(claimed.row.message_id),
            rcpt_no: u16::try_from(claimed.row.rcpt_no).unwrap_or(0),
        })
    }
}

impl Drop for Unloaded<'_> {
    fn drop(&mut self) {
        let dropped: Vec<Dropped> = self.ids().map(|id| Dropped { owner: self.owner, id, uncertain: false }).collect();
        // Out of the ledger first: what is noted while it is held counts as held again.
        self.rows.clear();
        self.claims.note_dropped(dropped);
    }
}

fn outbound(row: ContentRow, grant: super::claims::Grant) -> Result<OutboundMessage, StoreError> {
    let reverse_path = ReversePath::from_stored(&row.reverse_path).map_err(|error| StoreError::Corrupt(format!("stored reverse-path: {error}")))?;
    Ok(OutboundMessage {
        id: MessageId::from_uuid(row.id),
        project: ProjectId::from_uuid(row.project_id),
        stream: row.stream.into_boxed_str(),
        domain: row.domain_id.map(DomainId::from_uuid),
        reverse_path,
        content: content::unpack(row.encoding, row.content, row.size)?,
        eight_bit: row.flags & 1 != 0,
        smtputf8: row.flags & 2 != 0,
        tls: TlsNeed::from_flags(row.flags),
        reports: row.dsn.as_ref().and_then(ReportWishes::of_dsn).map(Box::new),
        signature: tokio::sync::OnceCell::new(),
        grant,
    })
}
