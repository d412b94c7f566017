//! One process under load, killed at each named step in turn and at random instants, and started again at once.
//!
//! `CRASH_KILLS` says how often, `CRASH_SEED` repeats a run as far as chance goes. Nineteen of twenty kills are at named steps.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::sys::signal::Signal;
use pennypost::failpoint::Failpoint;
use sqlx::{Connection, Executor, PgConnection};

use super::dice::{Dice, size};
use super::node::Node;
use super::{CLIENTS, Field, Plan, Progress, conclude};
use crate::world::World;

/// How long a process may live without getting to its step.
const LIFE: Duration = Duration::from_secs(2);
/// The dead look silent: nobody has to wait for their heartbeats to be missed.
const SILENCE: &str = "update node set heartbeat_at = heartbeat_at - interval '1 minute' where fenced_at is null";

/// How processes died.
#[derive(Default)]
struct Deaths {
    at: BTreeMap<&'static str, usize>,
    at_random: usize,
    /// Of those, because a step was not reached.
    missed: BTreeMap<&'static str, usize>,
}

impl Deaths {
    fn all(&self) -> usize {
        self.at.values().sum::<usize>() + self.at_random
    }
}

#[tokio::test]
async fn killed_at_any_step_and_at_any_instant_nothing_accepted_is_lost_and_every_copy_too_many_is_told_of() {
    let kills = size("CRASH_KILLS", 24);
    let dice = Dice::from_env("CRASH_SEED");
    let plan = Plan { dice, hosts: 12, nasty: false, messages: usize::MAX, large: 12 };
    let field = Box::pin(Field::new(World::new().await, plan)).await;
    field.load.targets.lock().unwrap().truncate(1);
    let began = field.clock.tick();
    let mut operator = PgConnection::connect(&field.world.database_url).await.unwrap();
    let killing = async {
        let deaths = die(&field, &mut operator, dice, kills).await;
        field.load.stop.store(true, Ordering::Relaxed);
        let node = recover(&field, &mut operator).await;
        (deaths, node)
    };
    let ((deaths, node), ()) = tokio::join!(killing, field.load.run(CLIENTS));
    let findings = field.audit(&node).await;
    node.signal(Signal::SIGTERM);
    let ended = node.ends_within(Duration::from_secs(10)).await;
    assert!(ended.is_some_and(|status| status.success()), "a stop in order: {ended:?}");
    for (step, count) in &deaths.at {
        println!("  {step:<20} {count}");
    }
    println!("  {:<20} {} (of them because a step was not reached: {:?})", "at random", deaths.at_random, deaths.missed);
    conclude(&findings, deaths.all(), field.clock.tick().since(began));
    assert!(deaths.at.len() == steps().len() || kills < 2 * steps().len(), "each step was died at: {:?}", deaths.at);
}

/// The steps that a running gateway gets to; the schema has a test of its own.
fn steps() -> Vec<Failpoint> {
    Failpoint::ALL.into_iter().filter(|point| *point != Failpoint::MigrateApplied).collect()
}

async fn die(field: &Field, operator: &mut PgConnection, dice: Dice, kills: usize) -> Deaths {
    let steps = steps();
    let mut deaths = Deaths::default();
    let mut turn = 0;
    while deaths.all() < kills {
        operator.execute(SILENCE).await.unwrap();
        field.pass_time(operator).await.unwrap();
        let life = deaths.all();
        if life % 20 == 19 {
            let node = Node::start(&field.world, field.nodes[0], None);
            field.clock.sleep(Duration::from_millis(dice.roll(("instant", life), 500))).await;
            node.kill();
            deaths.at_random += 1;
            continue;
        }
        let step = steps[turn % steps.len()];
        if live_until(field, step, 1 + dice.roll(("arrival", life), arrivals(step))).await {
            *deaths.at.entry(step.name()).or_default() += 1;
            turn += 1;
        } else {
            deaths.at_random += 1;
            let missed = deaths.missed.entry(step.name()).or_default();
            *missed += 1;
            assert!(*missed < 10 + kills / 100, "{} is hardly ever reached", step.name());
        }
    }
    deaths
}

/// How often a step may be passed before the process dies there.
const fn arrivals(step: Failpoint) -> u64 {
    match step {
        Failpoint::AttemptInContent => 2,
        Failpoint::ClaimMade
        | Failpoint::ClaimLoaded
        | Failpoint::NodeJoined
        | Failpoint::NodeFenced
        | Failpoint::NodeTakingOver
        | Failpoint::NodeLeaving => 1,
        _ => 6,
    }
}

/// True if a process died at the step; else it was killed when its time was over.
async fn live_until(field: &Field, step: Failpoint, arrival: u64) -> bool {
    let node = Node::start(&field.world, field.nodes[0], Some((step, arrival)));
    if step == Failpoint::NodeLeaving && node.listening().await {
        field.clock.sleep(Duration::from_millis(50)).await;
        node.signal(Signal::SIGTERM);
    }
    let ended = node.ends_within(LIFE).await;
    if let Some(status) = ended {
        assert!(Node::was_killed(status), "{} ended by itself: {status:?}", step.name());
    }
    ended.is_some()
}

/// Lets one process finish everything.
async fn recover(field: &Field, operator: &mut PgConnection) -> Node {
    operator.execute(SILENCE).await.unwrap();
    let node = Node::start(&field.world, field.nodes[0], None);
    assert!(node.listening().await, "it does not start");
    let mut progress = Progress::new(&field.clock);
    loop {
        field.pass_time(operator).await.unwrap();
        let left = field.left(operator).await.unwrap();
        if left == 0 {
            return node;
        }
        progress.note(left);
        field.clock.sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn killed_while_the_schema_is_made_a_process_leaves_none_of_it_and_the_next_makes_it_whole() {
    let world = World::new().await;
    let listen = super::free_port(super::in_block(&world, 60));
    let dying = Node::start(&world, listen, Some((Failpoint::MigrateApplied, 1)));
    let ended = dying.ends_within(Duration::from_secs(20)).await;
    assert!(ended.is_some_and(Node::was_killed), "{ended:?}");
    let tables = "select count(*) from pg_tables where schemaname = 'public' and tablename <> 'migration_lock'";
    crate::world::gateway::eventually(|| async {
        let left = world.number(tables).await;
        if left == 0 { Ok(()) } else { Err(format!("{left} tables")) }
    })
    .await;
    let next = Node::start(&world, listen, None);
    assert!(next.listening().await, "it does not start");
    assert_eq!(world.number("select count(*) from pg_class where relname in ('message', 'delivery', 'event', 'node')").await, 4);
    next.signal(Signal::SIGTERM);
    assert!(next.ends_within(Duration::from_secs(10)).await.is_some_and(|status| status.success()));
}
