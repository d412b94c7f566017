//! Two processes on one database deliver to hosts that fail in every way; every few seconds one of them, or the database, fares badly.
//!
//! `STORM_MESSAGES` says how many messages, `STORM_HOSTS` over how many hosts, `STORM_SEED` repeats a run as far as chance goes.
//! Time passes faster for what waits in the database; a process that waits in memory does not live long.

use std::time::Duration;

use nix::sys::signal::Signal;
use sqlx::{Connection, PgConnection};

use super::dice::{Dice, size};
use super::node::Node;
use super::{CLIENTS, Field, Plan, Progress, conclude};
use crate::world::World;
use crate::world::server::Server;

/// Between two misfortunes; the first few come sooner, or a small storm would be over before them.
const CALM: Duration = Duration::from_millis(2_500);
const FIRST_CALM: Duration = Duration::from_millis(400);
const FIRST: usize = 6;
const LOOK: Duration = Duration::from_millis(250);
/// Longer than the three seconds after which the other node takes over.
const SLEEP: Duration = Duration::from_millis(4_500);

/// What befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misfortune {
    /// kill -9.
    Killed,
    /// SIGTERM, and a second one if that takes long (K15).
    Stopped,
    /// SIGSTOP until the others take over, then SIGCONT (K16).
    Asleep,
    /// kill -9 of the database (P2).
    Database,
}

/// In turn.
const MISFORTUNES: [Misfortune; 8] = [
    Misfortune::Killed,
    Misfortune::Database,
    Misfortune::Killed,
    Misfortune::Stopped,
    Misfortune::Asleep,
    Misfortune::Killed,
    Misfortune::Killed,
    Misfortune::Killed,
];

/// What befell.
#[derive(Default)]
struct Log {
    killed: usize,
    stopped: usize,
    asleep: usize,
    database: usize,
}

#[tokio::test]
async fn in_a_storm_every_recipient_ends_as_its_host_says() {
    let (messages, hosts) = (size("STORM_MESSAGES", 150), size("STORM_HOSTS", 200));
    let dice = Dice::from_env("STORM_SEED");
    let mut server = Server::start().await;
    let plan = Plan { dice, hosts, nasty: true, messages, large: 40 };
    let field = Box::pin(Field::new(World::on(server.url()).await, plan)).await;
    let began = field.clock.tick();
    let mut nodes = [0, 1].map(|place| Node::start(&field.world, field.nodes[place], None));
    let storm = weather(&field, &mut server, &mut nodes, dice);
    let (log, ()) = tokio::join!(storm, field.load.run(CLIENTS));
    let findings = field.audit(&nodes[0]).await;
    for node in &nodes {
        node.signal(Signal::SIGTERM);
    }
    for node in &nodes {
        let ended = node.ends_within(Duration::from_secs(10)).await;
        assert!(ended.is_some_and(|status| status.success()), "a stop in order: {ended:?}");
    }
    let faults = field.book.read(|pages| pages.faults.values().sum::<usize>());
    println!("hosts failed {faults} times; stopped={} asleep={} database_killed={}", log.stopped, log.asleep, log.database);
    conclude(&findings, log.killed, field.clock.tick().since(began));
    assert!(faults > messages / 5, "the hosts were as bad as they should be: {faults}");
}

/// Until all is done: time passes, and every few seconds something befalls.
async fn weather(field: &Field, server: &mut Server, nodes: &mut [Node; 2], dice: Dice) -> Log {
    let mut log = Log::default();
    let mut operator = None;
    let mut progress = Progress::new(&field.clock);
    let mut next = field.clock.tick().plus(FIRST_CALM);
    let mut befallen = 0;
    loop {
        if field.clock.tick() > next {
            befall(field, server, nodes, (dice, befallen), &mut log).await;
            befallen += 1;
            next = field.clock.tick().plus(if befallen < FIRST { FIRST_CALM } else { CALM });
        }
        match look(field, &mut operator).await {
            Ok(0) => return log,
            Ok(left) => progress.note(left),
            // The database was killed, and the connection with it.
            Err(_) => operator = None,
        }
        field.clock.sleep(LOOK).await;
    }
}

/// Lets time pass and answers what is left.
async fn look(field: &Field, operator: &mut Option<PgConnection>) -> Result<usize, sqlx::Error> {
    let connection = match operator {
        Some(connection) => connection,
        None => operator.insert(PgConnection::connect(&field.world.database_url).await?),
    };
    field.pass_time(connection).await?;
    field.left(connection).await
}

async fn befall(field: &Field, server: &mut Server, nodes: &mut [Node; 2], (dice, befallen): (Dice, usize), log: &mut Log) {
    let place = usize::try_from(dice.roll(("whom", befallen), 2)).unwrap();
    match MISFORTUNES[befallen % MISFORTUNES.len()] {
        Misfortune::Killed => {
            nodes[place].kill();
            log.killed += 1;
        }
        Misfortune::Stopped => {
            nodes[place].signal(Signal::SIGTERM);
            if nodes[place].ends_within(Duration::from_secs(5)).await.is_none() {
                nodes[place].signal(Signal::SIGTERM);
                assert!(nodes[place].ends_within(Duration::from_secs(5)).await.is_some(), "a second SIGTERM stops at once");
            }
            log.stopped += 1;
        }
        Misfortune::Asleep => {
            nodes[place].signal(Signal::SIGSTOP);
            field.clock.sleep(SLEEP).await;
            nodes[place].signal(Signal::SIGCONT);
            log.asleep += 1;
            return;
        }
        Misfortune::Database => {
            server.down(Signal::SIGKILL);
            server.up().await;
            log.database += 1;
            return;
        }
    }
    nodes[place] = Node::start(&field.world, field.nodes[place], None);
    nodes[place].listening().await;
}
