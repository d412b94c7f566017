//! Another server takes over, or one vanishes without a word (faults P2, P6, P7, P10).

use std::time::Duration;

use nix::sys::signal::Signal;
use pennypost::model::Secret;
use pennypost::store::{Store, StoreError};
use serde_json::{Value, json};

use super::world::checker::{check, copies};
use super::world::database;
use super::world::gateway::eventually;
use super::world::proxy::Proxy;
use super::world::server::Server;
use super::world::{Gateway, World};

fn both(first: &Server, second: &Server) -> String {
    format!("postgres://pennypost@{},{}/postgres?sslmode=disable", first.address, second.address)
}

fn body(to: &str) -> Value {
    json!({ "from": "hello@sender.example", "to": to, "subject": "Hello", "text": "A line.\n" })
}

async fn id_once_accepted(gateway: &Gateway, key: &str, to: &str) -> String {
    let text = body(to).to_string();
    eventually(|| async {
        let answer = gateway.call("POST", "/v1/send", &[("idempotency-key", key)], text.as_bytes()).await;
        if answer.status == 202 { Ok(answer.json()["id"].as_str().unwrap().to_owned()) } else { Err(answer.text()) }
    })
    .await
}

#[tokio::test]
async fn of_several_hosts_the_one_that_can_be_written_to_is_used_before_and_after_a_failover() {
    let mut primary = Server::start().await;
    let standby = primary.standby().await;
    let mut world = World::on(primary.url()).await;
    world.config.database.url = Secret::new(both(&standby, &primary));
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let before = gateway.send(&["before@example.net"]).await;
    gateway.delivery_in(&before, "before@example.net", "delivered").await;
    let rows = "select count(*) from event";
    let written = database::number(&primary.url(), rows).await;
    eventually(|| async {
        let found = database::number(&standby.url(), rows).await;
        if found >= written { Ok(()) } else { Err(format!("{found} of {written} events")) }
    })
    .await;

    primary.down(Signal::SIGKILL);
    database::number(&standby.url(), "select pg_promote()::int::bigint").await;
    let after = id_once_accepted(&gateway, "after", "after@example.net").await;
    gateway.delivery_in(&after, "after@example.net", "delivered").await;
    assert_eq!(database::number(&standby.url(), "select count(*) from message").await, 2, "both are on the server that was the standby");
    world.database_url = standby.url();
    check(&world, &gateway, &[before, after], || copies(&mx)).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_standby_alone_is_refused_and_each_host_is_told_with_its_reason() {
    let primary = Server::start().await;
    let mut standby = primary.standby().await;
    let error = Store::connect(&standby.url(), 2).await.unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly), "{error}");
    drop(primary);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://pennypost@{nobody},{}/postgres?sslmode=disable", standby.address);
    let error = Store::connect(&url, 2).await.unwrap_err().to_string();
    assert!(error.contains(&format!("{nobody}: ")) && error.contains(&format!("{}: the database is read-only", standby.address)), "{error}");
    standby.down(Signal::SIGQUIT);
}

#[tokio::test]
async fn connections_whose_server_vanished_without_a_word_hold_up_nothing_for_long() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address).await;
    let world = World::on(Server::url_at(proxy.address)).await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    // Several connections, all in use a moment ago.
    let names: Vec<String> = (0..12).map(|number| format!("r{number}@example.net")).collect();
    let mut ids = Vec::new();
    let send = async |name: &String| gateway.send(&[name]).await;
    ids.extend(futures_util::future::join_all(names.iter().map(send)).await);
    for (id, name) in ids.iter().zip(&names) {
        gateway.delivery_in(id, name, "delivered").await;
    }
    let asked = world.clock.tick();
    proxy.lose_connections();
    ids.push(id_once_accepted(&gateway, "lost", "lost@example.net").await);
    gateway.delivery_in(ids.last().unwrap(), "lost@example.net", "delivered").await;
    let took = world.clock.tick().since(asked);
    assert!(took < Duration::from_secs(20), "{took:?}");
    // Connections can be had again, but for one or two that vanished under the pool's own ping: those come back when TCP gives up.
    Box::pin(eventually(|| async {
        let mut taken = Vec::new();
        while taken.len() < 3 {
            taken.push(gateway.running.house.store.begin().await.map_err(|error| format!("{} can be had: {error}", taken.len()))?);
        }
        Ok(())
    }))
    .await;
    check(&world, &gateway, &ids, || copies(&mx)).await;
    assert_eq!(world.number("select count(*) from message").await, 13, "nothing was written twice");
    gateway.stop().await;
}
