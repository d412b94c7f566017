//! Idempotency keys over HTTP: the same request sent again is the same message, whatever happens in between.

use std::time::Duration;

use pennypost::access::{NewKey, Scope};
use pennypost::model::{DomainName, ProjectId};
use serde_json::{Value, json};

use super::world::checker::{check, copies};
use super::world::gateway::eventually;
use super::world::http::{self, Answer};
use super::world::{Gateway, World};

fn body(subject: &str) -> Value {
    json!({ "from": "hello@sender.example", "to": "bee@example.net", "subject": subject, "text": "A line.\n" })
}

async fn post(gateway: &Gateway, key: &str, body: &Value) -> Answer {
    gateway.call("POST", "/v1/send", &[("idempotency-key", key)], body.to_string().as_bytes()).await
}

fn id_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn messages(world: &World) -> i64 {
    world.number("select count(*) from message").await
}

#[tokio::test]
async fn the_same_request_is_answered_with_the_same_message_and_another_is_refused() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let first = post(&gateway, "order-7", &body("one")).await;
    let id = id_of(&first);
    gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    let again = post(&gateway, "order-7", &body("one")).await;
    assert_eq!(again.status, 202);
    assert_eq!(again.json(), first.json(), "the whole answer is the same");
    let other = post(&gateway, "order-7", &body("two")).await;
    assert_eq!((other.status, &other.json()["type"]), (409, &json!("idempotency-key-reuse")));
    assert_eq!(messages(&world).await, 1);
    check(&world, &gateway, &[id], || copies(&mx)).await;
    assert_eq!(mx.counts().messages, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_key_is_kept_for_a_day_and_then_stands_for_something_new() {
    let world = World::new().await;
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let first = id_of(&post(&gateway, "daily", &body("one")).await);
    world.advance(Duration::from_hours(23));
    assert_eq!(id_of(&post(&gateway, "daily", &body("one")).await), first);
    world.advance(Duration::from_mins(61));
    let second = id_of(&post(&gateway, "daily", &body("two")).await);
    assert_ne!(second, first);
    assert_eq!(id_of(&post(&gateway, "daily", &body("two")).await), second);
    assert_eq!(messages(&world).await, 2);
    gateway.stop().await;
}

#[tokio::test]
async fn keys_that_are_no_keys_are_refused_and_leave_nothing() {
    let world = World::new().await;
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let long = "k".repeat(257);
    for key in ["", long.as_str(), "tab\there", "caf\u{e9}"] {
        let answer = post(&gateway, key, &body("one")).await;
        assert_eq!((answer.status, &answer.json()["type"]), (400, &json!("invalid-idempotency-key")), "{key:?}");
    }
    let twice = [("idempotency-key", "one"), ("idempotency-key", "two")];
    let answer = gateway.call("POST", "/v1/send", &twice, body("one").to_string().as_bytes()).await;
    assert_eq!(answer.status, 400);
    // Other controls are not HTTP at all (RFC 9110 5.5).
    let bearer = format!("Bearer {}", gateway.key);
    let controls = [("authorization", bearer.as_str()), ("content-type", "application/json"), ("idempotency-key", "a\u{1}b")];
    if let Ok(answer) = http::try_call(gateway.http, "POST", "/v1/send", &controls, body("one").to_string().as_bytes()).await {
        assert_eq!(answer.status, 400);
    }
    assert_eq!(messages(&world).await, 0);
    assert_eq!(world.number("select count(*) from idempotency").await, 0);
    id_of(&post(&gateway, &"k".repeat(256), &body("one")).await);
    assert_eq!(messages(&world).await, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_refused_request_does_not_take_its_key() {
    let world = World::new().await;
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let mut wrong = body("one");
    wrong["to"] = json!("nobody");
    assert_eq!(post(&gateway, "retry", &wrong).await.status, 422);
    id_of(&post(&gateway, "retry", &body("one")).await);
    assert_eq!(messages(&world).await, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn requests_at_once_make_one_message_on_one_node_and_on_two() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let (one, two) = (world.gateway().await, world.gateway().await);
    let mut ids = Vec::new();
    for round in 0..8 {
        let key = format!("round-{round}");
        let request = body(&key);
        let (a, b, c, d) =
            tokio::join!(post(&one, &key, &request), post(&one, &key, &request), post(&two, &key, &request), post(&two, &key, &request));
        let mut told: Vec<String> = Vec::new();
        for answer in [a, b, c, d] {
            match answer.status {
                202 => told.push(id_of(&answer)),
                409 => assert_eq!(answer.json()["type"], "idempotency-in-progress"),
                other => panic!("{other}: {}", String::from_utf8_lossy(&answer.body)),
            }
        }
        told.dedup();
        assert_eq!(told.len(), 1, "one message, whoever was told");
        assert_eq!(id_of(&post(&two, &key, &request).await), told[0], "and a repeat finds it");
        ids.append(&mut told);
    }
    assert_eq!(messages(&world).await, 8);
    check(&world, &one, &ids, || copies(&mx)).await;
    assert_eq!(mx.counts().messages, 8);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn another_project_may_use_the_same_key() {
    let world = World::new().await;
    world.accepting_mx("example.net").await;
    let mut gateway = world.gateway().await;
    let ours = id_of(&post(&gateway, "same", &body("one")).await);
    let project = world.clock.uuid();
    world.execute(&format!("insert into project (id, name) values ('{project}', 'other')")).await;
    let house = &gateway.running.house;
    let project = ProjectId::from_uuid(project);
    house.domains.add(project, DomainName::parse("sender.example").unwrap()).await.unwrap();
    let new = NewKey { name: "other".into(), scope: Scope::Full, domains: None, expires_at: None, test: false };
    gateway.key = house.access.create_key(project, new).await.unwrap().secret.expose().clone();
    let theirs = id_of(&post(&gateway, "same", &body("one")).await);
    assert_ne!(ours, theirs);
    assert_eq!(gateway.get(&format!("/v1/messages/{ours}")).await.status, 404, "no project sees another's");
    assert_eq!(messages(&world).await, 2);
    gateway.stop().await;
}

/// How far it is to the next midnight (UTC).
fn to_midnight(world: &World) -> Duration {
    let now = world.clock.now();
    let midnight = now.date().next_day().unwrap().midnight().assume_utc();
    Duration::try_from(midnight - now).unwrap()
}

/// Two nodes on one database, of which one is already past midnight and the other is not.
async fn before_and_after_midnight() -> (World, Gateway, Gateway) {
    let before = World::new().await;
    before.advance(to_midnight(&before).checked_sub(Duration::from_mins(1)).unwrap());
    let mut after = World::on(before.database_url.clone()).await;
    after.config.server.master_key_file.clone_from(&before.config.server.master_key_file);
    after.advance(to_midnight(&after) + Duration::from_secs(1));
    let doors = pennypost::serve::Roles { deliver: false, ..pennypost::serve::Roles::ALL };
    let (early, late) = (before.gateway_with(doors).await, after.gateway_with(doors).await);
    (before, early, late)
}

#[tokio::test]
async fn the_same_request_before_and_after_midnight_makes_one_message() {
    let (world, early, late) = Box::pin(before_and_after_midnight()).await;
    let first = id_of(&post(&early, "order-7", &body("one")).await);
    assert_eq!(id_of(&post(&late, "order-7", &body("one")).await), first);
    let second = id_of(&post(&late, "order-8", &body("one")).await);
    assert_eq!(id_of(&post(&early, "order-8", &body("one")).await), second, "whose clock is behind finds it too");
    assert_eq!(messages(&world).await, 2);

    // At once: the one before midnight has written its key and cannot go on, nobody sees it yet.
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let mut holder = <sqlx::PgConnection as sqlx::Connection>::connect(&world.database_url).await.unwrap();
    sqlx::raw_sql("begin; lock table message in exclusive mode").execute(&mut holder).await.unwrap();
    let counted = |wanted: i64| {
        let world = &world;
        async move {
            eventually(|| async {
                let found = world.number(waiting).await;
                if found == wanted { Ok(()) } else { Err(format!("{found} wait")) }
            })
            .await;
        }
    };
    let request = body("at once");
    let (a, b, ()) = tokio::join!(
        post(&early, "order-9", &request),
        async {
            counted(1).await;
            post(&late, "order-9", &request).await
        },
        async {
            counted(2).await;
            sqlx::raw_sql("commit").execute(&mut holder).await.unwrap();
        }
    );
    assert_eq!(messages(&world).await, 3, "{} {}", a.json(), b.json());
    let id = id_of(&a);
    assert_eq!((b.status, &b.json()["type"]), (409, &json!("idempotency-in-progress")));
    assert_eq!(id_of(&post(&late, "order-9", &request).await), id, "and a repeat finds it");
    assert_eq!(world.number("select count(*) from idempotency where message_id not in (select id from message)").await, 0, "the other left no key");
    early.stop().await;
    late.stop().await;
}

#[tokio::test]
async fn a_key_that_ended_since_the_same_minute_of_the_day_before_stands_for_something_new() {
    let world = World::new().await;
    world.advance(to_midnight(&world) + Duration::from_mins(5));
    let gateway = world.gateway().await;
    let first = id_of(&post(&gateway, "daily", &body("one")).await);
    world.advance(Duration::from_hours(24) + Duration::from_mins(1));
    let (a, b) = (body("two"), body("two"));
    let (a, b) = tokio::join!(post(&gateway, "daily", &a), post(&gateway, "daily", &b));
    let second: Vec<String> = [&a, &b].into_iter().filter(|answer| answer.status == 202).map(id_of).collect();
    assert!(!second.is_empty() && !second.contains(&first) && second.iter().all(|id| *id == second[0]), "{} {}", a.json(), b.json());
    assert_eq!(messages(&world).await, 2);
    gateway.stop().await;
}
