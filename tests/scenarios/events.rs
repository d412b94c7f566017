//! The feed of events by cursor: each event once, none skipped, however transactions overlap.

use std::time::Duration;

use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection};

use super::world::checker::{check, copies};
use super::world::gateway::eventually;
use super::world::server::Server;
use super::world::{Gateway, World};

/// Reads on behind a cursor as a consumer does, two events at a time.
async fn read_on(gateway: &Gateway, cursor: &mut String) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let from = if cursor.is_empty() { String::new() } else { format!("&cursor={cursor}") };
        let page = gateway.get(&format!("/v1/events?limit=2{from}")).await.json();
        page["next_cursor"].as_str().unwrap().clone_into(cursor);
        let data = page["data"].as_array().unwrap();
        if data.is_empty() {
            return all;
        }
        all.extend(data.iter().cloned());
    }
}

#[tokio::test]
async fn a_reader_skips_no_event_of_a_transaction_that_commits_late() {
    // A server of its own: an open transaction holds back the feeds of all databases of a server.
    let server = Server::start().await;
    let world = World::on(server.url()).await;
    let mx = world.accepting_mx("example.net").await;
    let (one, mut two) = (world.gateway().await, world.gateway().await);
    two.key.clone_from(&one.key);
    let mut cursor = String::new();
    let first = one.send(&["first@example.net"]).await;
    one.delivery_in(&first, "first@example.net", "delivered").await;
    let mut seen = read_on(&one, &mut cursor).await;
    assert_eq!(seen.len(), 2);

    // A writer that was first and commits last: it copies the event of a message as a slow node would write it.
    let mut slow = PgConnection::connect(&world.database_url).await.unwrap();
    let late = world.clock.uuid();
    let write = format!("begin; insert into event (id, project_id, kind, data) select '{late}', id, 1, '{{}}' from project limit 1");
    slow.execute(sqlx::AssertSqlSafe(write)).await.unwrap();
    let mut ids = vec![first];
    for number in 0..6 {
        let gateway = if number % 2 == 0 { &one } else { &two };
        let id = gateway.send(&[&format!("r{number}@example.net")]).await;
        gateway.delivery_in(&id, &format!("r{number}@example.net"), "delivered").await;
        ids.push(id);
        seen.extend(read_on(&two, &mut cursor).await);
    }
    assert_eq!(seen.len(), 2, "what came after the open transaction waits for it");
    slow.execute("commit").await.unwrap();
    eventually(|| async { if two.events().await.len() == 15 { Ok(()) } else { Err("not all".to_owned()) } }).await;
    seen.extend(read_on(&one, &mut cursor).await);
    let mut found: Vec<&str> = seen.iter().map(|event| event["id"].as_str().unwrap()).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!((seen.len(), found.len()), (15, 15), "each once");
    check(&world, &one, &ids, || copies(&mx)).await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn two_nodes_write_at_once_and_a_reader_misses_nothing() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let (one, two) = (world.gateway().await, world.gateway().await);
    let mut cursor = String::new();
    let mut seen = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..10 {
        let to = ["a@example.net", "b@example.net"];
        let (a, b, c, read) = tokio::join!(one.send(&to), two.send(&to), two.send(&to), read_on(&one, &mut cursor));
        ids.extend([a, b, c]);
        seen.extend(read);
    }
    check(&world, &one, &ids, || copies(&mx)).await;
    seen.extend(read_on(&two, &mut cursor).await);
    let mut found: Vec<&str> = seen.iter().map(|event| event["id"].as_str().unwrap()).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!((seen.len(), found.len()), (90, 90), "30 accepted and 60 delivered, each once");
    world.advance(Duration::from_secs(1));
    one.stop().await;
    two.stop().await;
}
