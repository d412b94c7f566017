//! A model of the outbox: three nodes claim, send, settle, give back, die and are taken over in any order, on the real statements.
//!
//! At the end each delivery is over exactly once, has its events in order, and came more than once only where that was told.

use std::collections::BTreeMap;
use std::time::Duration;

use pennypost::clock::Clock;
use pennypost::store::Store;
use pennypost::store::outbox::{DeliveryRow, Due, MessageRow, SettleRow, WAITING};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use time::OffsetDateTime;
use uuid::Uuid;

use super::world::database;

const NODES: usize = 3;
const LANES: [i32; 3] = [-7, 0, 9];
const CASES: u32 = 48;
const DEFERRED: i16 = 2;
const DELIVERED: i16 = 3;
const EXPIRED: i16 = 5;
const UNKNOWN: &str = r#"{"outcome_unknown":true}"#;

type Id = (Uuid, i16);

/// One step of one node.
#[derive(Clone, Debug)]
enum Step {
    /// Accepts a message of so many recipients, claimed at once or not.
    Accept { node: usize, recipients: i16, claimed: bool },
    /// Claims up to so many of each lane.
    Claim { node: usize, room: i32 },
    /// Puts the oldest so many of its claims on the wire.
    Send { node: usize, count: usize },
    /// Writes the outcome of what it sent: taken, or to be tried again.
    Settle { node: usize, taken: bool },
    /// Writes the outcomes of what it sent before it was fenced.
    ComeLate { node: usize },
    /// Gives back what it did not send.
    Release { node: usize },
    /// Gives back one claim whose task broke off.
    BreakOff { node: usize },
    /// Dies; another process starts in its place.
    Crash { node: usize },
    /// Sleeps past its heartbeat, wakes up, and goes on under a new incarnation; the old one's outcomes come late.
    Sleep { node: usize },
    /// Looks for dead nodes and takes over up to so many deliveries of each.
    TakeOver { node: usize, count: usize },
    /// Expires what waited too long.
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0..NODES;
    prop_oneof![
        4 => (node.clone(), 1..4_i16, any::<bool>()).prop_map(|(node, recipients, claimed)| Step::Accept { node, recipients, claimed }),
        5 => (node.clone(), 1..4_i32).prop_map(|(node, room)| Step::Claim { node, room }),
        5 => (node.clone(), 1..4_usize).prop_map(|(node, count)| Step::Send { node, count }),
        5 => (node.clone(), any::<bool>()).prop_map(|(node, taken)| Step::Settle { node, taken }),
        2 => node.clone().prop_map(|node| Step::ComeLate { node }),
        2 => node.clone().prop_map(|node| Step::Release { node }),
        1 => node.clone().prop_map(|node| Step::BreakOff { node }),
        2 => node.clone().prop_map(|node| Step::Crash { node }),
        2 => node.clone().prop_map(|node| Step::Sleep { node }),
        3 => (node, 1..3_usize).prop_map(|(node, count)| Step::TakeOver { node, count }),
        1 => Just(Step::Expire),
    ]
}

/// What a node has in memory.
struct Process {
    incarnation: i64,
    claims: Vec<(Id, bool)>,
    /// Sent under an incarnation that is fenced now; their outcomes come late.
    late: Vec<(i64, Id)>,
}

struct Model<'s> {
    store: &'s Store,
    clock: Clock,
    url: String,
    project: Uuid,
    nodes: Vec<Process>,
    recipients: BTreeMap<Id, String>,
    copies: BTreeMap<Id, usize>,
}

impl<'s> Model<'s> {
    async fn new(store: &'s Store, url: String) -> Self {
        let clock = Clock::system();
        let project = clock.uuid();
        let mut model = Self { store, clock, url, project, nodes: Vec::new(), recipients: BTreeMap::new(), copies: BTreeMap::new() };
        for _ in 0..NODES {
            let process = model.process().await;
            model.nodes.push(process);
        }
        model
    }

    async fn process(&self) -> Process {
        let incarnation = (i64::from_be_bytes(self.clock.random()) & i64::MAX).max(1);
        self.store.register_node(incarnation, "model").await.unwrap();
        Process { incarnation, claims: Vec::new(), late: Vec::new() }
    }

    async fn take(&mut self, step: &Step) {
        match *step {
            Step::Accept { node, recipients, claimed } => self.accept(node, recipients, claimed).await,
            Step::Claim { node, room } => self.claim(node, room).await,
            Step::Send { node, count } => {
                for (id, sent) in self.nodes[node].claims.iter_mut().filter(|(_, sent)| !*sent).take(count) {
                    *sent = true;
                    *self.copies.entry(*id).or_default() += 1;
                }
            }
            Step::Settle { node, taken } => self.settle(node, taken).await,
            Step::ComeLate { node } => self.come_late(node).await,
            Step::Release { node } => {
                let back: Vec<Id> = self.nodes[node].claims.extract_if(.., |(_, sent)| !*sent).map(|(id, _)| id).collect();
                let (messages, numbers): (Vec<_>, Vec<_>) = back.iter().copied().unzip();
                let released = self.store.release(self.nodes[node].incarnation, &messages, &numbers, OffsetDateTime::UNIX_EPOCH).await.unwrap();
                assert_eq!(released, back.len() as u64, "all were still its own");
            }
            Step::BreakOff { node } => {
                if let Some(((message, number), _)) = self.nodes[node].claims.pop() {
                    let owner = self.nodes[node].incarnation;
                    let freed = self.store.release_uncertain(owner, message, number, self.clock.uuid(), UNKNOWN).await.unwrap();
                    assert_eq!(freed, 1);
                }
            }
            Step::Crash { node } => {
                self.fence(node).await;
                self.nodes[node] = self.process().await;
            }
            Step::Sleep { node } => {
                self.fence(node).await;
                let (fresh, old) = (self.process().await, self.nodes[node].incarnation);
                let process = &mut self.nodes[node];
                process.incarnation = fresh.incarnation;
                process.late.extend(process.claims.drain(..).filter(|(_, sent)| *sent).map(|(id, _)| (old, id)));
            }
            Step::TakeOver { node, count } => self.take_over(node, count).await,
            Step::Expire => {
                let ids: Vec<Uuid> = (0..100).map(|_| self.clock.uuid()).collect();
                self.store.expire_unclaimed(&ids, EXPIRED, "{}", Duration::ZERO).await.unwrap();
            }
        }
    }

    /// The heartbeat of an incarnation was found too old.
    async fn fence(&self, node: usize) {
        let incarnation = self.nodes[node].incarnation;
        database::execute(&self.url, &format!("update node set fenced_at = now() where incarnation = {incarnation}")).await;
        assert_eq!(self.store.heartbeat(incarnation).await.unwrap(), None, "a fenced incarnation is told so");
    }

    async fn accept(&mut self, node: usize, recipients: i16, claimed: bool) {
        let (id, now) = (self.clock.uuid(), self.clock.now());
        let owner = if claimed { self.nodes[node].incarnation } else { WAITING };
        // Every fourth message has expired when it comes to be claimed.
        let expires_at = if self.clock.pick(4) == 0 { now - Duration::from_secs(1) } else { now + Duration::from_hours(1) };
        let deliveries: Vec<DeliveryRow> = (0..recipients)
            .map(|rcpt_no| DeliveryRow {
                message_id: id,
                rcpt_no,
                project_id: self.project,
                lane: LANES[self.clock.pick(LANES.len())],
                owner,
                priority: 1,
                next_at: now - Duration::from_secs(1),
                expires_at,
                recipient: format!("r{rcpt_no}@example.net"),
                stream: "transactional".into(),
            })
            .collect();
        for row in &deliveries {
            self.recipients.insert((id, row.rcpt_no), row.recipient.clone());
            if claimed {
                self.nodes[node].claims.push(((id, row.rcpt_no), false));
            }
        }
        let mut connection = self.store.connection().await.unwrap();
        Store::insert_messages(&mut *connection, vec![message_row(id, self.clock.uuid(), self.project, now, recipients)], deliveries).await.unwrap();
    }

    async fn claim(&mut self, node: usize, room: i32) {
        let due = Due::Now { moved: Duration::ZERO };
        let rows = self.store.claim(self.nodes[node].incarnation, &LANES, &[room; 3], due, self.clock.uuid()).await.unwrap();
        for row in rows {
            let id = (row.message_id, row.rcpt_no);
            let holders = self.nodes.iter().filter(|process| process.claims.iter().any(|(held, _)| *held == id)).count();
            assert_eq!(holders, 0, "{id:?} was claimed twice");
            self.nodes[node].claims.push((id, false));
        }
    }

    async fn settle(&mut self, node: usize, taken: bool) {
        let owner = self.nodes[node].incarnation;
        let sent: Vec<Id> = self.nodes[node].claims.extract_if(.., |(_, sent)| *sent).map(|(id, _)| id).collect();
        let rows = sent.iter().map(|id| self.outcome(*id, taken)).collect();
        assert_eq!(self.store.settle(owner, rows).await.unwrap(), sent.len() as u64, "a live node settles all it sent");
        if !taken {
            // What was refused was no copy.
            for id in &sent {
                *self.copies.entry(*id).or_default() -= 1;
            }
        }
    }

    /// The outcomes of a fenced incarnation come: written if nobody took over yet, else not.
    async fn come_late(&mut self, node: usize) {
        for (dead, id) in std::mem::take(&mut self.nodes[node].late) {
            let held = self.nodes.iter().any(|process| process.claims.iter().any(|(claimed, _)| *claimed == id));
            let written = self.store.settle(dead, vec![self.outcome(id, true)]).await.unwrap();
            assert!(written == 0 || !held, "{id:?} belongs to another now");
        }
    }

    fn outcome(&self, (message_id, rcpt_no): Id, taken: bool) -> SettleRow {
        SettleRow {
            message_id,
            rcpt_no,
            next_at: (!taken).then(|| self.clock.now() - Duration::from_secs(1)),
            event_id: self.clock.uuid(),
            project_id: self.project,
            kind: if taken { DELIVERED } else { DEFERRED },
            recipient: self.recipients[&(message_id, rcpt_no)].clone(),
            data: "{}".to_owned(),
        }
    }

    async fn take_over(&self, node: usize, count: usize) {
        for dead in self.store.fence_silent_nodes(self.nodes[node].incarnation, Duration::from_hours(1)).await.unwrap() {
            let ids: Vec<Uuid> = (0..count).map(|_| self.clock.uuid()).collect();
            if self.store.take_over(dead.incarnation, &ids, UNKNOWN).await.unwrap() == 0 {
                assert!(self.store.remove_node(dead.incarnation).await.unwrap());
            } else {
                // Stays while it owns something.
                let owns = !self.store.owned(dead.incarnation).await.unwrap().is_empty();
                assert!(!owns || !self.store.remove_node(dead.incarnation).await.unwrap());
            }
        }
    }

    /// Lets the nodes that live finish everything.
    async fn finish(&mut self) {
        for node in 0..NODES {
            self.take(&Step::Send { node, count: usize::MAX }).await;
            self.take(&Step::Settle { node, taken: true }).await;
        }
        self.take_over(0, 1_000).await;
        self.take_over(0, 1_000).await;
        assert!(self.store.unknown_owners().await.unwrap().is_empty());
        self.take(&Step::Claim { node: 0, room: 1_000 }).await;
        for node in 0..NODES {
            self.come_late(node).await;
        }
        self.take(&Step::Send { node: 0, count: usize::MAX }).await;
        self.take(&Step::Settle { node: 0, taken: true }).await;
    }

    async fn check(&self) {
        let messages: Vec<Uuid> = self.recipients.keys().map(|(message, _)| *message).collect();
        assert!(self.store.outstanding(&messages).await.unwrap().is_empty(), "nothing is outstanding");
        let mut events: BTreeMap<Id, Vec<(i16, bool)>> = BTreeMap::new();
        for event in self.store.timeline(&messages).await.unwrap() {
            if let (Some(message), Some(number)) = (event.message_id, event.rcpt_no) {
                events.entry((message, number)).or_default().push((event.kind, event.data["outcome_unknown"] == true));
            }
        }
        for id in self.recipients.keys() {
            let told = events.get(id).unwrap_or_else(|| panic!("{id:?} was lost"));
            let ends = told.iter().filter(|(kind, _)| *kind != DEFERRED).count();
            assert_eq!(ends, 1, "{id:?} ended {ends} times: {told:?}");
            let unknown = told.iter().filter(|(_, unknown)| *unknown).count();
            let copies = self.copies.get(id).copied().unwrap_or_default();
            let delivered = usize::from(told.iter().any(|(kind, _)| *kind == DELIVERED));
            assert!(copies >= delivered && copies <= delivered + unknown, "{id:?}: {copies} copies, {told:?}");
        }
        for process in &self.nodes {
            assert!(self.store.remove_node(process.incarnation).await.unwrap(), "a node that holds nothing may go");
        }
    }
}

fn message_row(id: Uuid, event_id: Uuid, project_id: Uuid, now: OffsetDateTime, recipients: i16) -> MessageRow {
    MessageRow {
        id,
        event_id,
        project_id,
        domain_id: None,
        reverse_path: "hello@sender.example".into(),
        header_from: "hello@sender.example".into(),
        subject: "Hello".into(),
        header_message_id: id.to_string(),
        tags: serde_json::json!({}),
        metadata: serde_json::json!({}),
        priority: 1,
        stream: "model".into(),
        origin: 1,
        send_at: None,
        expires_at: now,
        recipients,
        size: 5,
        flags: 0,
        encoding: 0,
        content: b"Hello".to_vec(),
        accepted: "{}".into(),
    }
}

#[test]
fn in_whatever_order_nodes_work_and_die_each_delivery_ends_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (store, url) = runtime.block_on(async {
        let url = database::fresh().await;
        let store = Store::connect(&url, 2).await.unwrap();
        store.migrate().await.unwrap();
        store.ensure_partitions_for(Clock::system().now()).await.unwrap();
        (store, url)
    });
    let seed = std::env::var("OUTBOX_SEED").map_or_else(|_| u64::from_be_bytes(Clock::system().random()), |seed| seed.parse().unwrap());
    println!("OUTBOX_SEED={seed}");
    let config = Config { cases: CASES, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
    let steps = proptest::collection::vec(step(), 1..40);
    let result = TestRunner::new(config).run(&steps, |steps| {
        runtime.block_on(async {
            let mut model = Model::new(&store, url.clone()).await;
            for step in &steps {
                model.take(step).await;
            }
            model.finish().await;
            model.check().await;
        });
        Ok(())
    });
    if let Err(error) = result {
        panic!("OUTBOX_SEED={seed}: {error}");
    }
}
