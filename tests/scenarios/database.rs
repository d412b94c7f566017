//! The database goes away, comes back, is full, or loses an answer on its way (faults P1 to P4, P8, P9).

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::world::checker::{check, copies};
use super::world::gateway::eventually;
use super::world::http::Answer;
use super::world::proxy::{Cut, Proxy};
use super::world::server::Server;
use super::world::{Gateway, World};
use pennypost::serve::Roles;

const LATE_AFTER_DOT: &str = "S: 220 mx\nC: EHLO\nS: 250 mx\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\n!wait\n!more";

/// A caller waits 700 ms for a connection. More than twice that means that something else, or somebody before him, was waited for too.
const BOUNDED: Duration = Duration::from_secs(2);

fn request(subject: &str, to: &str) -> Value {
    json!({ "from": "hello@sender.example", "to": to, "subject": subject, "text": "A line.\n" })
}

/// Checks that an answer is a 503 that says when to come back, and nothing of the cause.
fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", String::from_utf8_lossy(&answer.body));
    assert!(answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{:?}", answer.headers);
    let problem = answer.json();
    assert!(["unavailable", "overloaded"].contains(&problem["type"].as_str().unwrap()), "{problem}");
    assert!(problem.get("detail").is_none(), "{problem}");
}

async fn id_once_accepted(gateway: &Gateway, to: &str) -> String {
    eventually(|| async {
        let answer = gateway.post("/v1/send", &request("after", to)).await;
        if answer.status == 202 {
            Ok(answer.json()["id"].as_str().unwrap().to_owned())
        } else {
            Err(String::from_utf8_lossy(&answer.body).into_owned())
        }
    })
    .await
}

#[tokio::test]
async fn while_the_database_restarts_requests_are_told_so_and_known_outcomes_are_kept() {
    tokio::join!(restart_by(Signal::SIGINT), restart_by(Signal::SIGQUIT), restart_by(Signal::SIGKILL));
}

async fn restart_by(signal: Signal) {
    let mut server = Server::start().await;
    let world = World::on(server.url()).await;
    let host = world.scripted_mx("example.net", &[LATE_AFTER_DOT, "!take"]).await;
    let gateway = world.gateway().await;
    let before = gateway.send(&["before@example.net"]).await;
    eventually(|| async { if host.heard().iter().any(|line| line == ".") { Ok(()) } else { Err("no dot".to_owned()) } }).await;
    server.down(signal);
    let asked = world.clock.tick();
    let (away, path) = (request("away", "away@example.net"), format!("/v1/messages/{before}"));
    let answers = tokio::join!(gateway.post("/v1/send", &away), gateway.get(&path), gateway.get("/readyz"), gateway.get("/healthz"));
    let took = world.clock.tick().since(asked);
    for answer in [answers.0, answers.1, answers.2] {
        assert_unavailable(&answer);
    }
    assert_eq!(answers.3.status, 200, "the process itself is well");
    // One behind the other, as more arrive than the writers can try: nobody waits for those before him.
    let late = (0..40).map(|_| async {
        let asked = world.clock.tick();
        let answer = gateway.post("/v1/send", &away).await;
        (answer, world.clock.tick().since(asked))
    });
    for (answer, took) in futures_util::future::join_all(late).await {
        assert_unavailable(&answer);
        assert!(took < BOUNDED, "{signal}: {took:?}");
    }
    assert!(took < BOUNDED, "{signal}: {took:?}");
    // The reply comes while nobody can write it down.
    host.go_on();
    server.up().await;
    let after = id_once_accepted(&gateway, "after@example.net").await;
    check(&world, &gateway, &[before.clone(), after], || host.copies()).await;
    assert_eq!(host.copies().len(), 2, "{signal}: no copy too many");
    let kept = gateway.delivery(&before, "before@example.net").await;
    assert_eq!(kept["attempts"].as_array().unwrap().len(), 1, "{signal}: the 250 was not forgotten: {kept:#}");
    assert_eq!(world.number("select count(*) from message where subject = 'away'").await, 0, "refused is refused");
    eventually(|| async { if gateway.get("/readyz").await.status == 200 { Ok(()) } else { Err("not ready".to_owned()) } }).await;
    gateway.stop().await;
}

#[tokio::test]
async fn with_no_free_connection_requests_are_told_so_in_time() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let before = gateway.send(&["before@example.net"]).await;
    gateway.delivery_in(&before, "before@example.net", "delivered").await;
    let mut taken = Vec::new();
    while taken.len() < 6 {
        taken.push(gateway.running.house.store.begin().await.unwrap());
    }
    let asked = world.clock.tick();
    let body = request("none", "none@example.net");
    let keyed = [("idempotency-key", "k")];
    let text = body.to_string();
    let answers = tokio::join!(
        gateway.post("/v1/send", &body),
        gateway.post("/v1/send", &body),
        gateway.post("/v1/send", &body),
        gateway.call("POST", "/v1/send", &keyed, text.as_bytes()),
        gateway.get("/v1/events"),
    );
    let took = world.clock.tick().since(asked);
    for answer in [answers.0, answers.1, answers.2, answers.3, answers.4] {
        assert_unavailable(&answer);
    }
    assert!(took < BOUNDED, "{took:?}");
    drop(taken);
    let after = id_once_accepted(&gateway, "after@example.net").await;
    assert_eq!(world.number("select count(*) from message where subject = 'none'").await, 0);
    check(&world, &gateway, &[before, after], || copies(&mx)).await;
    gateway.stop().await;
}

/// A server, a proxy before it, and a world that only knows the proxy.
async fn behind_a_proxy() -> (Server, Proxy, World) {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address).await;
    let world = World::on(Server::url_at(proxy.address)).await;
    (server, proxy, world)
}

#[tokio::test]
async fn a_message_whose_commit_was_not_answered_is_neither_lost_nor_doubled() {
    let (_server, proxy, world) = behind_a_proxy().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let mut ids = Vec::new();
    for (number, key) in [None, Some("order-9")].into_iter().enumerate() {
        for (cut, marker) in [("answer", format!("cut-answer-{number}")), ("request", format!("cut-request-{number}"))] {
            let octets = marker.clone().into_bytes();
            proxy.cut(if cut == "answer" { Cut::Commit(octets) } else { Cut::Request(octets) });
            let cuts = proxy.cuts();
            let text = request(&marker, "bee@example.net").to_string();
            let key = key.map(|key| format!("{key}-{cut}"));
            let headers: Vec<(&str, &str)> = key.iter().map(|key| ("idempotency-key", key.as_str())).collect();
            let answer = gateway.call("POST", "/v1/send", &headers, text.as_bytes()).await;
            assert_eq!(proxy.cuts(), cuts + 1, "the connection was cut");
            assert_eq!(answer.status, 202, "{marker}: {}", String::from_utf8_lossy(&answer.body));
            assert_eq!(world.number(&format!("select count(*) from message where subject = '{marker}'")).await, 1);
            let id = answer.json()["id"].as_str().unwrap().to_owned();
            if !headers.is_empty() {
                let again = gateway.call("POST", "/v1/send", &headers, text.as_bytes()).await;
                assert_eq!(again.json()["id"], id.as_str(), "{marker}");
            }
            ids.push(id);
        }
    }
    check(&world, &gateway, &ids, || copies(&mx)).await;
    assert_eq!(mx.counts().messages, 4);
    gateway.stop().await;
}

#[tokio::test]
async fn who_is_suppressed_is_known_although_the_commit_was_not_answered() {
    let (_server, proxy, world) = behind_a_proxy().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    assert_eq!(gateway.post("/v1/suppressions", &json!({ "address": "gone@example.net" })).await.status, 201);
    proxy.cut(Cut::Commit(b"cut-suppressed".to_vec()));
    let answer = gateway.post("/v1/send", &request("cut-suppressed", "gone@example.net")).await;
    assert_eq!((proxy.cuts(), answer.status, &answer.json()["suppressed"]), (1, 202, &json!(1)), "{}", answer.text());
    gateway.delivery_in(answer.json()["id"].as_str().unwrap(), "gone@example.net", "suppressed").await;
    let other = gateway.send(&["bee@example.net"]).await;
    gateway.delivery_in(&other, "bee@example.net", "delivered").await;
    assert!(mx.received().iter().all(|copy| copy.recipients == ["bee@example.net"]), "nothing was sent to who is suppressed");
    gateway.stop().await;
}

#[tokio::test]
async fn an_outcome_whose_commit_was_not_answered_is_written_once() {
    let (_server, proxy, world) = behind_a_proxy().await;
    let host = world.scripted_mx("example.net", &[LATE_AFTER_DOT]).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["settle-me@example.net"]).await;
    eventually(|| async { if host.heard().iter().any(|line| line == ".") { Ok(()) } else { Err("no dot".to_owned()) } }).await;
    proxy.cut(Cut::Commit(b"settle-me@example.net".to_vec()));
    host.go_on();
    eventually(|| async { if proxy.cuts() == 1 { Ok(()) } else { Err("not cut".to_owned()) } }).await;
    check(&world, &gateway, &[id], || host.copies()).await;
    assert_eq!(world.number("select count(*) from event").await, 2);
    eventually(|| async { if gateway.running.claims.held() == (0, 0) { Ok(()) } else { Err("held".to_owned()) } }).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_given_back_and_delivered() {
    let (_server, proxy, world) = behind_a_proxy().await;
    let mx = world.accepting_mx("example.net").await;
    let door = world.gateway_with(Roles { deliver: false, ..Roles::ALL }).await;
    let gateway = world.gateway().await;
    // One that goes well, so that what a node does once at its start is over.
    let first = door.send(&["first@example.net"]).await;
    gateway.delivery_in(&first, "first@example.net", "delivered").await;
    proxy.cut(Cut::Answer(b"lost-claim@example.net".to_vec()));
    let id = door.send(&["lost-claim@example.net"]).await;
    eventually(|| async { if proxy.cuts() == 1 { Ok(()) } else { Err("not cut".to_owned()) } }).await;
    world.advance(Duration::from_secs(1));
    let delivered = gateway.delivery_in(&id, "lost-claim@example.net", "delivered").await;
    assert_eq!(delivered["attempts"].as_array().unwrap().len(), 1, "nothing was tried before: {delivered:#}");
    check(&world, &gateway, &[first, id], || copies(&mx)).await;
    assert_eq!(mx.counts().messages, 2);
    gateway.stop().await;
    door.stop().await;
}

#[tokio::test]
async fn conflicts_with_other_transactions_are_retried_unseen() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let mut ids = vec![gateway.send(&["first@example.net"]).await];
    gateway.delivery_in(&ids[0], "first@example.net", "delivered").await;
    for code in ["40001", "40P01", "55P03"] {
        // Two in a row fail, on the way in and on the way out. A sequence does not roll back.
        world
            .execute(&format!(
                "drop trigger if exists flaky on message; drop trigger if exists flaky on delivery; drop sequence if exists tries; create sequence tries;
                 create or replace function flaky() returns trigger language plpgsql as $$
                 begin
                   if nextval('tries') % 3 <> 0 then raise exception 'as planned' using errcode = '{code}'; end if;
                   return null;
                 end $$;
                 create trigger flaky before insert on message for each statement execute function flaky();
                 create trigger flaky before delete on delivery for each statement execute function flaky()"
            ))
            .await;
        let to = format!("{code}@example.net");
        ids.push(gateway.send(&[&to]).await);
        gateway.delivery_in(ids.last().unwrap(), &to, "delivered").await;
        assert_eq!(world.number("select last_value from tries").await, 6, "{code}: each failed twice");
    }
    check(&world, &gateway, &ids, || copies(&mx)).await;
    assert_eq!(mx.counts().messages, 4);
    gateway.stop().await;
}

/// A file system with little room, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where this process may not mount one.
    fn mount(megabytes: u32) -> Option<Self> {
        let folder = super::world::database::scratch().join("small-disk");
        std::fs::create_dir_all(&folder).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]).arg(&folder).output().ok()?;
        mounted.status.success().then_some(Self(folder))
    }

    fn grow(&self, megabytes: u32) {
        let done = Command::new("mount").args(["-o", &format!("remount,size={megabytes}m")]).arg(&self.0).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_told_as_such_and_work_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(12) else {
        println!("skipped: this user may not mount a small file system");
        return;
    };
    let server = Server::start().await;
    let place = disk.0.join("tables");
    std::fs::create_dir_all(&place).unwrap();
    if let Some(user) = super::world::server::other_user() {
        std::os::unix::fs::chown(&place, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    }
    super::world::database::execute(&server.url(), &format!("create tablespace small location '{}'", place.display())).await;
    super::world::database::execute(&server.url(), "alter database postgres set default_tablespace = small").await;
    let world = World::on(server.url()).await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    // Content that does not shrink.
    let noise: Vec<u8> = (0..30_000).flat_map(|_| world.clock.random::<32>()).collect();
    let noise = base64::engine::general_purpose::STANDARD.encode(noise);
    let more = json!({ "attachments": [{ "filename": "noise.bin", "content": noise, "content_type": "application/octet-stream" }] });
    let mut body = request("large", "bee@example.net");
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut ids = Vec::new();
    let refused = loop {
        let answer = gateway.post("/v1/send", &body).await;
        if answer.status != 202 {
            break answer;
        }
        ids.push(answer.json()["id"].as_str().unwrap().to_owned());
        assert!(ids.len() < 30, "the disk is not that large");
    };
    assert_eq!((refused.status, &refused.json()["type"]), (503, &json!("storage-full")), "{}", String::from_utf8_lossy(&refused.body));
    assert_eq!(refused.header("retry-after"), Some("60"));
    assert!(!ids.is_empty());
    disk.grow(64);
    let after = id_once_accepted(&gateway, "after@example.net").await;
    let refused_rows = world.number("select count(*) from message").await - i64::try_from(ids.len()).unwrap() - 1;
    assert_eq!(refused_rows, 0, "the refused one left nothing");
    ids.push(after);
    check(&world, &gateway, &ids, || copies(&mx)).await;
    assert_eq!(mx.counts().messages, u64::try_from(ids.len()).unwrap());
    gateway.stop().await;
    drop(server);
}
