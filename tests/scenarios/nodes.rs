//! Several nodes on one database: incarnations, heartbeats, fencing, taking over, and the drain that gives back.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use super::world::checker::{check, copies};
use super::world::gateway::eventually;
use super::world::server::Server;
use super::world::{Gateway, World};

/// Takes one message, and then says nothing to its final dot.
const SILENT_AFTER_DOT: &str = "S: 220 mx\nC: EHLO\nS: 250 mx\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\n!silence";
/// The same, but the 250 comes when the test says so.
const LATE_AFTER_DOT: &str = "S: 220 mx\nC: EHLO\nS: 250 mx\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\n!wait\nS: 250 late";
/// Waits until a scripted host has heard so many final dots.
async fn dots(host: &super::world::ScriptedHost, count: usize) {
    eventually(|| async {
        let heard = host.heard().iter().filter(|line| *line == ".").count();
        if heard >= count { Ok(()) } else { Err(format!("{heard} dots")) }
    })
    .await;
}

/// Waits until a query counts `wanted`.
async fn counted(world: &World, query: &str, wanted: i64) {
    eventually(|| async {
        let found = world.number(query).await;
        if found == wanted { Ok(()) } else { Err(format!("{query}: {found}")) }
    })
    .await;
}

async fn send_many(gateway: &Gateway, domain: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(gateway.send(&[&format!("r{number}@{domain}")]).await);
    }
    ids
}

#[tokio::test]
async fn two_nodes_share_the_work_and_deliver_each_message_once() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let (one, two) = (world.gateway().await, world.gateway().await);
    let mut ids = send_many(&one, "example.net", 6).await;
    ids.extend(send_many(&two, "example.net", 6).await);
    // Due a little later, so that both ask the database for them.
    let send_at = world.clock.now() + Duration::from_mins(2);
    let send_at = send_at.format(&time::format_description::well_known::Rfc3339).unwrap();
    for _ in 0..10 {
        ids.push(one.send_with(&["later@example.net"], json!({ "send_at": send_at })).await);
    }
    counted(&world, "select count(*) from delivery where owner = 0", 10).await;
    world.advance(Duration::from_mins(3));
    check(&world, &one, &ids, || copies(&mx)).await;
    assert_eq!(mx.counts().messages, 22, "no copy too many");
    assert_eq!(world.number("select count(*) from node where fenced_at is null").await, 2);
    one.stop().await;
    assert_eq!(world.number("select count(*) from node").await, 1, "who leaves takes its row along");
    two.stop().await;
}

#[tokio::test]
async fn the_work_of_a_node_that_died_is_taken_over_and_told_as_unknown() {
    let mut world = World::new().await;
    world.config.delivery.max_connections_per_domain = 1;
    let host = world.scripted_mx("example.net", &[SILENT_AFTER_DOT, "!take"]).await;
    let dying = world.gateway().await;
    let ids = send_many(&dying, "example.net", 3).await;
    dots(&host, 1).await;
    let incarnation = dying.running.node.incarnation();
    dying.crash().await;
    let survivor = world.gateway().await;
    world.silence_node(incarnation).await;
    check(&world, &survivor, &ids, || host.copies()).await;
    let first = survivor.delivery(&ids[0], "r0@example.net").await;
    assert_eq!(first["attempts"][0]["outcome_unknown"], true, "{first:#}");
    assert_eq!(first["attempts"][1]["outcome"], "delivered", "{first:#}");
    assert_eq!(host.copies().len(), 4, "one came twice");
    counted(&world, "select count(*) from node", 1).await;
    survivor.stop().await;
}

#[tokio::test]
async fn a_node_that_was_fenced_while_it_waited_for_a_reply_writes_nothing() {
    let world = World::new().await;
    let host = world.scripted_mx("example.net", &[LATE_AFTER_DOT, LATE_AFTER_DOT]).await;
    let sleeper = world.gateway().await;
    let id = sleeper.send(&["bee@example.net"]).await;
    dots(&host, 1).await;
    let incarnation = sleeper.running.node.incarnation();
    let other = world.gateway().await;
    world.execute(&format!("update node set fenced_at = now() where incarnation = {incarnation}")).await;
    world.advance(Duration::from_secs(1));
    // Taken over, and sent a second time by whoever was first.
    dots(&host, 2).await;
    let owner = world.number("select owner from delivery").await;
    assert!(owner > 0 && owner != incarnation);
    host.go_on();
    let quit = || async { if host.heard().iter().any(|line| line == "QUIT") { Ok(()) } else { Err("the first session goes on".to_owned()) } };
    world.advance(Duration::from_secs(2));
    eventually(quit).await;
    // The session ends an idle second after its reply; the outcome was written within milliseconds.
    assert_eq!(world.number("select owner from delivery").await, owner, "the claim of another is untouched");
    assert_eq!(world.number("select count(*) from event where kind = 3").await, 0);
    host.go_on();
    let delivered = other.delivery_in(&id, "bee@example.net", "delivered").await;
    assert_eq!(delivered["attempts"].as_array().unwrap().len(), 2, "{delivered:#}");
    assert_eq!(delivered["attempts"][0]["outcome_unknown"], true);
    tokio::join!(sleeper.stop(), async { world.advance(Duration::from_secs(2)) });
    check(&world, &other, &[id], || host.copies()).await;
    assert_eq!(host.copies().len(), 2);
    other.stop().await;
}

#[tokio::test]
async fn a_fenced_node_goes_on_under_a_new_incarnation() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let before = gateway.running.node.incarnation();
    world.execute("update node set fenced_at = now()").await;
    world.advance(Duration::from_secs(1));
    eventually(|| async { if gateway.running.node.incarnation() == before { Err("the same".to_owned()) } else { Ok(()) } }).await;
    counted(&world, "select count(*) from node where fenced_at is null", 1).await;
    counted(&world, &format!("select count(*) from node where incarnation = {before}"), 0).await;
    let id = gateway.send(&["bee@example.net"]).await;
    check(&world, &gateway, &[id], || copies(&mx)).await;
    assert_eq!(mx.counts().messages, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn nothing_is_sent_while_the_heartbeat_is_not_confirmed() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let (silent, well) = (world.gateway().await, world.gateway().await);
    let mut operator = PgConnection::connect(&world.database_url).await.unwrap();
    let lock = format!("begin; select 1 from node where incarnation = {} for update", silent.running.node.incarnation());
    operator.execute(sqlx::AssertSqlSafe(lock)).await.unwrap();
    // Half of the permitted 15 s, after which the others must not be relied on to wait.
    world.advance(Duration::from_secs(8));
    let kept = silent.send(&["kept@example.net"]).await;
    let sent = well.send(&["sent@example.net"]).await;
    well.delivery_in(&sent, "sent@example.net", "delivered").await;
    let recipients: Vec<_> = mx.received().into_iter().flat_map(|message| message.recipients).collect();
    assert_eq!(recipients, ["sent@example.net"]);
    operator.execute("commit").await.unwrap();
    world.advance(Duration::from_secs(1));
    let delivery = silent.delivery_when(&kept, "kept@example.net", |delivery| delivery["state"] == "delivered").await;
    assert_eq!(delivery["attempts"].as_array().unwrap().len(), 1, "waiting is no attempt: {delivery:#}");
    check(&world, &silent, &[kept, sent], || copies(&mx)).await;
    silent.stop().await;
    well.stop().await;
}

#[tokio::test]
async fn a_node_that_loses_the_database_while_a_session_opens_sends_nothing_until_it_is_back() {
    let mut server = Server::start().await;
    let world = World::on(server.url()).await;
    let host = world.scripted_mx("example.net", &["!wait\nS: 220 mx\nC: EHLO\nS: 250 mx\nC: QUIT\nS: 221 bye", "!take"]).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    eventually(|| async { if host.connections() == 1 { Ok(()) } else { Err("not connected".to_owned()) } }).await;
    server.down(Signal::SIGKILL);
    // Half of the permitted 15 s passes before the greeting comes.
    world.advance(Duration::from_secs(8));
    host.go_on();
    eventually(|| async { if host.heard().is_empty() { Err("no EHLO".to_owned()) } else { Ok(()) } }).await;
    let parted = || async {
        world.advance(Duration::from_secs(1));
        if host.heard().iter().any(|line| line == "QUIT") { Ok(()) } else { Err(format!("{:?}", host.heard())) }
    };
    eventually(parted).await;
    assert_eq!(host.heard(), ["EHLO mail.sender.example", "QUIT"], "no envelope, no content");
    server.up().await;
    eventually(|| async { if gateway.get("/readyz").await.status == 200 { Ok(()) } else { Err("not ready".to_owned()) } }).await;
    let delivery = eventually(|| async {
        world.advance(Duration::from_secs(1));
        let delivery = gateway.delivery(&id, "bee@example.net").await;
        if delivery["state"] == "delivered" { Ok(delivery) } else { Err(format!("{delivery:#}")) }
    })
    .await;
    assert_eq!(delivery["attempts"].as_array().unwrap().len(), 1, "what was not begun is no attempt: {delivery:#}");
    check(&world, &gateway, &[id], || host.copies()).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_drain_gives_back_at_once_what_was_not_begun_and_tells_what_was_cut_off() {
    let mut world = World::new().await;
    world.config.delivery.max_connections_per_domain = 1;
    let host = world.scripted_mx("example.net", &[SILENT_AFTER_DOT, "!take"]).await;
    let gateway = world.gateway().await;
    let ids = send_many(&gateway, "example.net", 3).await;
    dots(&host, 1).await;
    let drain = async {
        counted(&world, "select count(*) from delivery where owner = 0", 2).await;
        assert_eq!(world.number("select count(*) from delivery where owner > 0").await, 1, "the open session goes on");
        // The time that open sessions are given is over.
        world.advance(Duration::from_secs(6));
    };
    tokio::join!(gateway.stop(), drain);
    assert_eq!(world.number("select count(*) from delivery where owner <> 0").await, 0);
    assert_eq!(world.number("select count(*) from node").await, 0);
    assert_eq!(host.copies().len(), 1);
    let next = world.gateway().await;
    check(&world, &next, &ids, || host.copies()).await;
    let cut_off = next.delivery(&ids[0], "r0@example.net").await;
    assert_eq!(cut_off["attempts"][0]["outcome_unknown"], true, "{cut_off:#}");
    for (number, id) in ids.iter().enumerate().skip(1) {
        let untouched = next.delivery(id, &format!("r{number}@example.net")).await;
        assert_eq!(untouched["attempts"].as_array().unwrap().len(), 1, "{untouched:#}");
    }
    next.stop().await;
}

#[tokio::test]
async fn a_drain_lets_an_open_session_end_and_write_its_outcome() {
    let world = World::new().await;
    let host = world.scripted_mx("example.net", &[LATE_AFTER_DOT]).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    dots(&host, 1).await;
    gateway.supervisor.drain();
    host.go_on();
    gateway.stop().await;
    assert_eq!(world.number("select count(*) from delivery").await, 0);
    let next = world.gateway().await;
    check(&world, &next, &[id], || host.copies()).await;
    assert_eq!(host.copies().len(), 1);
    next.stop().await;
}

#[tokio::test]
async fn work_that_no_known_node_owns_is_freed() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["refuse@example.net"]).await;
    gateway.delivery_in(&id, "refuse@example.net", "bounced").await;
    let send_at = (world.clock.now() + Duration::from_mins(1)).format(&time::format_description::well_known::Rfc3339).unwrap();
    let id = gateway.send_with(&["bee@example.net"], json!({ "send_at": send_at })).await;
    // What a node leaves behind that wrote with an incarnation whose row was gone already.
    assert_eq!(world.execute("update delivery set owner = 4711").await, 1);
    world.advance(Duration::from_mins(10));
    check(&world, &gateway, &[id], || copies(&mx)).await;
    gateway.stop().await;
}
