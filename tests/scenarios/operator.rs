//! What operators do: changes by selection, pauses, nodes that are drained, and the audit trail of all of it.

use std::time::Duration;

use pennypost::access::{NewKey, Scope};
use pennypost::model::{ProjectId, Secret};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::world::gateway::eventually;
use super::world::telling::kinds;
use super::world::{Gateway, World};

/// Takes one message, and then says nothing to its final dot until the test says so.
const LATE: &str = "S: 220 mx\nC: EHLO\nS: 250 mx\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\n!wait\nS: 250 late";

/// A message for tomorrow: it waits in the database, and no node touches it.
pub async fn later(world: &World, gateway: &Gateway, to: &[&str], more: Value) -> String {
    let at = (world.clock.now() + time::Duration::days(1)).format(&Rfc3339).unwrap();
    let mut body = json!({ "send_at": at });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    gateway.send_with(to, body).await
}

async fn verb(gateway: &Gateway, verb: &str, selection: Value) -> (u64, u64) {
    let answer = gateway.post(&format!("/v1/queue/{verb}"), &selection).await;
    assert_eq!(answer.status, 200, "{verb} {selection}: {}", answer.text());
    let done = answer.json();
    assert!(done["next_cursor"].is_null(), "{done}");
    (done["changed"].as_u64().unwrap(), done["active"].as_u64().unwrap())
}

pub async fn state(gateway: &Gateway, id: &str, recipient: &str) -> String {
    gateway.delivery(id, recipient).await["state"].as_str().unwrap().to_owned()
}

pub async fn audit(gateway: &Gateway) -> Vec<Value> {
    gateway.get("/v1/audit?limit=100").await.json()["data"].as_array().unwrap().clone()
}

/// A second project with a full key of its own.
pub async fn other_project(world: &World, gateway: &Gateway) -> String {
    let project = ProjectId::from_uuid(world.clock.uuid());
    world.execute(&format!("insert into project (id, name) values ('{}', 'other')", project.uuid())).await;
    let new = NewKey { name: "other".into(), scope: Scope::Full, domains: None, expires_at: None, test: false };
    let secret: Secret<String> = gateway.running.house.access.create_key(project, new).await.unwrap().secret;
    secret.expose().clone()
}

pub async fn lets_a_second_pass(world: &World, gateway: &Gateway, done: impl Fn(&Gateway) -> bool) {
    eventually(|| async {
        world.advance(Duration::from_secs(1));
        if done(gateway) { Ok(()) } else { Err("the node has not heard of it".to_owned()) }
    })
    .await;
}

#[tokio::test]
async fn deliveries_are_held_released_and_cancelled_by_every_condition_and_nothing_else_is_touched() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let signup = later(&world, &gateway, &["a@one.example", "b@two.example"], json!({ "tags": { "flow": "signup" } })).await;
    let news = later(&world, &gateway, &["a@one.example"], json!({ "tags": { "flow": "news" } })).await;
    assert_eq!(gateway.post("/v1/domains", &json!({ "name": "else.example" })).await.status, 201);
    let else_from = later(&world, &gateway, &["c@sub.one.example"], json!({ "from": "hello@else.example" })).await;
    for (selection, held) in [
        (json!({ "message": signup }), 2),
        (json!({ "recipient_domain": "One.Example" }), 2),
        (json!({ "recipient_domain": "one.example", "tag": { "key": "flow", "value": "news" } }), 1),
        (json!({ "tag": { "key": "flow", "value": "signup" } }), 2),
        (json!({ "tag": { "key": "flow", "value": "none" } }), 0),
        (json!({ "sender_domain": "else.example" }), 1),
        (json!({ "sender_domain": "sender.example", "recipient_domain": "two.example" }), 1),
        (json!({ "message": news, "recipient_domain": "two.example" }), 0),
        (json!({ "all": true }), 4),
    ] {
        assert_eq!(verb(&gateway, "hold", selection.clone()).await, (held, 0), "{selection}");
        assert_eq!(world.number("select count(*) from delivery where owner = -1").await, i64::try_from(held).unwrap(), "{selection}");
        assert_eq!(verb(&gateway, "release", selection.clone()).await, (held, 0), "{selection}");
        assert_eq!(world.number("select count(*) from delivery where owner <> 0").await, 0, "{selection}");
    }
    assert_eq!(verb(&gateway, "hold", json!({ "recipient_domain": "two.example" })).await, (1, 0));
    assert_eq!(verb(&gateway, "cancel", json!({ "tag": { "key": "flow", "value": "signup" } })).await, (2, 0), "held ones too");
    assert_eq!(kinds(&gateway.message(&signup).await), ["cancelled", "cancelled"]);
    assert_eq!(world.number("select count(*) from delivery").await, 2);
    assert_eq!(verb(&gateway, "cancel", json!({ "message": signup })).await, (0, 0), "it is over");
    assert_eq!(state(&gateway, &news, "a@one.example").await, "queued");
    assert_eq!(state(&gateway, &else_from, "c@sub.one.example").await, "queued");
    gateway.stop().await;
}

#[tokio::test]
async fn a_change_of_many_runs_in_steps_that_each_look_at_few_rows_and_goes_on_where_it_ended() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let id = later(&world, &gateway, &["a@one.example"], json!({})).await;
    // Two steps and a half of the message's copies, every third to another domain.
    let copies = "insert into delivery select message_id, n, project_id, lane, owner, attempt, priority, next_at, expires_at,
         case when n % 3 = 0 then 'x' || n || '@two.example' else 'x' || n || '@one.example' end from delivery, generate_series(1, 4999) n";
    world.execute(copies).await;
    assert_eq!(verb(&gateway, "hold", json!({ "recipient_domain": "one.example" })).await, (3_334, 0), "one lane is not yet one domain");
    let lines: Vec<Value> = audit(&gateway).await;
    assert_eq!((&lines[0]["action"], &lines[0]["changed"]), (&json!("queue.hold"), &json!(3_334)), "one line for all steps");
    let cursor = format!("dlv_{}_3999", id.strip_prefix("msg_").unwrap());
    assert_eq!(verb(&gateway, "release", json!({ "all": true, "cursor": cursor })).await, (667, 0), "those behind the cursor");
    assert_eq!(verb(&gateway, "cancel", json!({ "all": true })).await, (5_000, 0));
    assert_eq!(world.number("select count(distinct id) from event where kind = 7").await, 5_000, "an event for each");
    gateway.stop().await;
}

#[tokio::test]
async fn a_selection_that_says_nothing_or_too_much_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    later(&world, &gateway, &["a@one.example"], json!({})).await;
    for (path, body, code, pointer) in [
        ("hold", json!({}), "required", ""),
        ("cancel", json!({ "all": false }), "required", ""),
        ("cancel", json!({ "all": true, "recipient_domain": "one.example" }), "conflict", "/all"),
        ("retry", json!({ "recipient_domain": "one..example" }), "invalid-domain", "/recipient_domain"),
        ("retry", json!({ "sender_domain": "" }), "invalid-domain", "/sender_domain"),
        ("release", json!({ "message": "msg_1" }), "unknown-value", "/message"),
        ("release", json!({ "all": true, "cursor": "x" }), "unknown-value", "/cursor"),
        ("hold", json!({ "tag": { "key": "", "value": "x" } }), "invalid-tag", "/tag"),
        ("hold", json!({ "domain": "one.example" }), "unknown-field", "/domain"),
        ("pause", json!({ "reason": "x" }), "required", ""),
        ("pause", json!({ "all": true }), "out-of-range", "/reason"),
        ("pause", json!({ "all": true, "recipient_domain": "one.example", "reason": "x" }), "conflict", "/all"),
        ("pause", json!({ "all": true, "all_projects": true, "reason": "x" }), "conflict", "/all_projects"),
    ] {
        gateway.post(&format!("/v1/queue/{path}"), &body).await.assert_field(code, pointer, &format!("{path} {body}"));
    }
    let (_, sender) = gateway.make_key(json!({ "scope": "send" })).await;
    let (_, reader) = gateway.make_key(json!({ "scope": "read" })).await;
    for key in [&sender, &reader] {
        for (method, path) in [("POST", "/v1/queue/hold"), ("POST", "/v1/queue/pause"), ("GET", "/v1/audit"), ("GET", "/v1/nodes")] {
            gateway.call_as(Some(key), method, path, br#"{"all":true,"reason":"x"}"#).await.assert_problem(403, "insufficient-scope", path);
        }
    }
    gateway.post("/v1/queue/resume", &json!({ "all": true })).await.assert_problem(404, "not-found", "no such pause");
    assert_eq!(world.number("select count(*) from delivery where owner = 0").await, 1);
    assert_eq!(world.number("select count(*) from pause").await + world.number("select count(*) from audit where action like 'queue.%'").await, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_key_reaches_its_own_project_only_and_one_of_the_default_project_the_house() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let other = other_project(&world, &gateway).await;
    later(&world, &gateway, &["a@one.example"], json!({})).await;
    let as_other = |method: &'static str, path: &'static str, body: Value| {
        let (gateway, other) = (&gateway, &other);
        async move { gateway.call_as(Some(other), method, path, body.to_string().as_bytes()).await }
    };
    assert_eq!(as_other("POST", "/v1/queue/hold", json!({ "all": true })).await.json()["changed"], 0, "of another project");
    let node = format!("/v1/nodes/nod_{:016x}/drain", gateway.running.node.incarnation());
    for (method, path, body) in [
        ("POST", "/v1/queue/hold", json!({ "all": true, "all_projects": true })),
        ("POST", "/v1/queue/pause", json!({ "recipient_domain": "one.example", "all_projects": true, "reason": "x" })),
        ("GET", "/v1/nodes", json!({})),
        ("POST", node.leak() as &'static str, json!({})),
    ] {
        as_other(method, path, body).await.assert_problem(403, "insufficient-scope", path);
    }
    let paused = as_other("POST", "/v1/queue/pause", json!({ "recipient_domain": "one.example", "reason": "their mail" })).await;
    assert_eq!(paused.status, 200, "{}", paused.text());
    let queue = gateway.get("/v1/queue").await.json();
    assert_eq!((&queue["pauses"], &queue["data"][0]["paused"]), (&json!([]), &json!(false)), "the pause of another project");
    assert_eq!(verb(&gateway, "hold", json!({ "all": true, "all_projects": true })).await, (1, 0));
    gateway.post("/v1/nodes/nod_0000000000000001/drain", &json!({})).await.assert_problem(404, "not-found", "no such node");
    // Each reads its own trail; what concerned the whole house only the default project.
    let theirs: Vec<Value> = as_other("GET", "/v1/audit", json!({})).await.json()["data"].as_array().unwrap().clone();
    let named = |lines: &[Value]| lines.iter().map(|line| line["action"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(named(&theirs), ["queue.pause", "queue.hold"]);
    assert_eq!((&theirs[0]["actor"]["name"], &theirs[0]["target"]["reason"]), (&json!("other"), &json!("their mail")));
    let ours = audit(&gateway).await;
    assert_eq!((named(&ours), &ours[0]["house"]), (vec!["queue.hold".to_owned()], &json!(true)));
    gateway.stop().await;
}

#[tokio::test]
async fn a_paused_domain_gets_nothing_from_any_node_until_it_is_resumed_and_its_mail_expires_meanwhile() {
    let world = World::new().await;
    let paused = world.accepting_mx("paused.example").await;
    world.accepting_mx("open.example").await;
    let (one, two) = (world.gateway().await, world.gateway().await);
    let answer = one.post("/v1/queue/pause", &json!({ "recipient_domain": "paused.example", "reason": "550 to everything" })).await;
    assert_eq!((answer.status, &answer.json()["by"]["name"]), (200, &json!("test")), "{}", answer.text());
    for gateway in [&one, &two] {
        lets_a_second_pass(&world, gateway, |gateway| gateway.running.claims.orders().any()).await;
    }
    let mut waiting = Vec::new();
    for gateway in [&one, &two] {
        waiting.push(gateway.send(&["bee@paused.example"]).await);
        assert_eq!(world.number("select count(*) from delivery where owner > 0").await, 0, "it is not even taken into memory");
        let open = gateway.send(&["bee@open.example"]).await;
        gateway.delivery_in(&open, "bee@open.example", "delivered").await;
    }
    let at = (world.clock.now() + time::Duration::minutes(5)).format(&Rfc3339).unwrap();
    let short = one.send_with(&["late@paused.example"], json!({ "expires_at": at })).await;
    // Every claim meets them, and puts them aside.
    eventually(|| async {
        world.advance(Duration::from_secs(1));
        let parked = world.number("select count(*) from delivery where owner = -2").await;
        if parked == 3 { Ok(()) } else { Err(format!("{parked} parked")) }
    })
    .await;
    assert_eq!(verb(&one, "retry", json!({ "recipient_domain": "paused.example" })).await, (3, 0), "due when the pause ends");
    world.advance(Duration::from_mins(6));
    one.delivery_in(&short, "late@paused.example", "expired").await;
    let queue = one.get("/v1/queue").await.json();
    assert_eq!((&queue["data"][0]["queued"], &queue["data"][0]["paused"]), (&json!(2), &json!(true)), "{queue:#}");
    assert_eq!(queue["pauses"][0]["reason"], "550 to everything");
    let seen = one.delivery(&waiting[0], "bee@paused.example").await;
    assert_eq!((seen["state"].as_str(), seen["next_attempt_at"].is_null()), (Some("queued"), true), "{seen:#}");
    assert_eq!((paused.counts().connections, paused.counts().messages), (0, 0));
    assert_eq!(two.post("/v1/queue/resume", &json!({ "recipient_domain": "paused.example" })).await.status, 204);
    for id in &waiting {
        eventually(|| async {
            world.advance(Duration::from_secs(1));
            if state(&one, id, "bee@paused.example").await == "delivered" { Ok(()) } else { Err("not delivered".to_owned()) }
        })
        .await;
    }
    assert_eq!(paused.counts().messages, 2);
    let actions: Vec<String> = audit(&one).await.iter().map(|line| line["action"].as_str().unwrap().to_owned()).collect();
    assert_eq!(actions, ["queue.resume", "queue.retry", "queue.pause"]);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_paused_project_gives_back_what_was_not_begun_and_lets_the_transaction_under_way_end() {
    let mut world = World::new().await;
    world.config.delivery.max_connections_per_domain = 1;
    let host = world.scripted_mx("example.net", &[LATE, "!take"]).await;
    let gateway = world.gateway().await;
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(gateway.send(&[&format!("r{number}@example.net")]).await);
    }
    eventually(|| async { if host.heard().iter().any(|line| line == ".") { Ok(()) } else { Err("no dot".to_owned()) } }).await;
    let (changed, active) = verb(&gateway, "cancel", json!({ "recipient_domain": "example.net" })).await;
    assert_eq!((changed, active), (0, 3), "all are in memory");
    assert_eq!(gateway.post("/v1/queue/pause", &json!({ "all": true, "reason": "wrong mailing" })).await.status, 200);
    eventually(|| async {
        world.advance(Duration::from_millis(500));
        let (parked, active) = (
            world.number("select count(*) from delivery where owner = -2").await,
            world.number("select count(*) from delivery where owner > 0").await,
        );
        if (parked, active) == (2, 1) { Ok(()) } else { Err(format!("{parked} parked, {active} active")) }
    })
    .await;
    assert_eq!(verb(&gateway, "cancel", json!({ "recipient_domain": "example.net" })).await, (2, 1));
    host.go_on();
    gateway.delivery_in(&ids[0], "r0@example.net", "delivered").await;
    for (number, id) in ids.iter().enumerate().skip(1) {
        assert_eq!(state(&gateway, id, &format!("r{number}@example.net")).await, "cancelled");
    }
    assert_eq!(host.copies().len(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_drained_node_claims_nothing_and_accepts_and_the_others_deliver_until_it_takes_work_again() {
    let world = World::new().await;
    world.accepting_mx("example.net").await;
    let drained = world.gateway().await;
    let path = format!("/v1/nodes/nod_{:016x}", drained.running.node.incarnation());
    let node = drained.post(&format!("{path}/drain"), &json!({})).await.json();
    assert_eq!((&node["state"], &node["drained_by"]), (&json!("drained"), &json!("test")), "{node:#}");
    lets_a_second_pass(&world, &drained, |gateway| gateway.running.claims.orders().is_drained()).await;
    let id = drained.send(&["bee@example.net"]).await;
    world.advance(Duration::from_secs(3));
    // A round of the same node that would have claimed it, had it been allowed to.
    lets_a_second_pass(&world, &drained, |_| true).await;
    assert_eq!(state(&drained, &id, "bee@example.net").await, "queued");
    let other = world.gateway().await;
    other.delivery_in(&id, "bee@example.net", "delivered").await;
    let nodes = other.get("/v1/nodes").await.json();
    let states: Vec<_> = nodes["data"].as_array().unwrap().iter().map(|node| node["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["drained", "serving"], "{nodes:#}");
    other.stop().await;
    // A node that was fenced meanwhile goes on as it was.
    world.execute("update node set fenced_at = now()").await;
    let before = drained.running.node.incarnation();
    eventually(|| async {
        world.advance(Duration::from_secs(1));
        if drained.running.node.incarnation() == before { Err("the same".to_owned()) } else { Ok(()) }
    })
    .await;
    let kept = drained.send(&["bee@example.net"]).await;
    lets_a_second_pass(&world, &drained, |gateway| gateway.running.claims.orders().is_drained()).await;
    assert_eq!(world.number("select count(*) from node where drained_at is not null and fenced_at is null").await, 1);
    let path = format!("/v1/nodes/nod_{:016x}", drained.running.node.incarnation());
    assert_eq!(drained.post(&format!("{path}/resume"), &json!({})).await.json()["state"], "serving");
    eventually(|| async {
        world.advance(Duration::from_secs(1));
        if state(&drained, &kept, "bee@example.net").await == "delivered" { Ok(()) } else { Err("not delivered".to_owned()) }
    })
    .await;
    drained.stop().await;
}

#[tokio::test]
async fn changes_of_keys_and_domains_are_in_the_audit_trail_which_is_read_by_cursor_and_ends_with_its_retention() {
    let mut world = World::new().await;
    world.config.retention.audit_days = 30;
    let gateway = world.gateway().await;
    let (id, _) = gateway.make_key(json!({ "scope": "read", "name": "reader" })).await;
    assert_eq!(gateway.call("DELETE", &format!("/v1/keys/{id}"), &[], b"").await.status, 204);
    let domain = gateway.post("/v1/domains", &json!({ "name": "new.example" })).await.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(gateway.call("DELETE", &format!("/v1/domains/{domain}"), &[], b"").await.status, 204);
    let mut seen = Vec::new();
    let mut path = "/v1/audit?limit=1".to_owned();
    loop {
        let page = gateway.get(&path).await.json();
        seen.extend(page["data"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/audit?limit=1&cursor={cursor}");
    }
    let told: Vec<_> = seen.iter().map(|line| (line["action"].as_str().unwrap(), line["target"]["id"].as_str().unwrap())).collect();
    assert_eq!(told, [("domain.remove", domain.as_str()), ("domain.add", &domain), ("key.revoke", &id), ("key.create", &id)]);
    assert!(seen.iter().all(|line| line["actor"]["name"] == "test" && line["house"] == false), "{seen:#?}");
    world.advance(Duration::from_hours(24 * 32));
    eventually(|| async {
        let left = world.number("select count(*) from audit").await;
        if left == 0 { Ok(()) } else { Err(format!("{left} lines")) }
    })
    .await;
    gateway.stop().await;
}
