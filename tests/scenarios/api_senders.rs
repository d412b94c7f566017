//! Whose name may stand in a message: the project's own verified domains, exactly (faults A6, A8, rule C7).
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail the test")]

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::world::World;
use super::world::api::{Ledger, patched, sendable};
use super::world::gateway::Gateway;

fn raw(reverse_path: &str, author: &str) -> Value {
    let message = format!("From: {author}\r\nSubject: x\r\n\r\nx\r\n");
    json!({ "envelope": { "from": reverse_path, "to": ["bee@example.net"] }, "raw": STANDARD.encode(message) })
}

/// Publishes every record of a domain in the world's zone.
fn publish(world: &World, domain: &Value) {
    for record in domain["records"].as_array().unwrap() {
        let [kind, name, value] = ["type", "name", "value"].map(|field| record[field].as_str().unwrap());
        world.zone.add(&format!("{name} {kind} {value}")).unwrap();
    }
}

async fn add_domain(gateway: &Gateway, name: &str) -> Value {
    let answer = gateway.post("/v1/domains", &json!({ "name": name })).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn only_a_domain_of_the_project_in_its_exact_name_sends() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut ledger = Ledger::open(&world.database_url).await;
    let (other, domain) = (world.clock.uuid(), world.clock.uuid());
    ledger
        .execute(format!(
            "insert into project (id, name) values ('{other}', 'other');
         insert into domain (id, project_id, name, state) values ('{domain}', '{other}', 'other.example', 'verified')"
        ))
        .await;
    let before = ledger.counts().await;
    for author in [
        "a@elsewhere.example",
        "a@other.example",
        "a@mail.sender.example",
        "a@sender.example.org",
        "a@ender.example",
        "a@xsender.example",
        "a@s\u{435}nder.example",
        "a@sendеr.example",
        "a@sender.exampl\u{65}\u{301}",
        "\"x@sender.example\"@elsewhere.example",
    ] {
        let answer = gateway.post("/v1/send", &patched(sendable(), &json!({ "from": author }))).await;
        answer.assert_problem(403, "sender-not-verified", author);
        let answer = gateway.post("/v1/send", &raw("hello@sender.example", author)).await;
        answer.assert_problem(403, "sender-not-verified", author);
        let answer = gateway.post("/v1/send", &raw(author, "hello@sender.example")).await;
        answer.assert_problem(403, "sender-not-verified", author);
    }
    let dotted = gateway.post("/v1/send", &patched(sendable(), &json!({ "from": "a@sender.example." }))).await;
    dotted.assert_field("invalid-address", "/from", "a final dot");
    let two = raw("hello@sender.example", "hello@sender.example\r\nSender: boss@elsewhere.example");
    gateway.post("/v1/send", &two).await.assert_problem(403, "sender-not-verified", "a Sender field of another domain");
    assert_eq!(ledger.counts().await, before);
    for author in ["a@SENDER.Example", "a@sender.example", "Penny <a@\u{ff33}ender.example>"] {
        assert_eq!(gateway.post("/v1/send", &patched(sendable(), &json!({ "from": author }))).await.status, 202, "{author}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_domain_sends_after_its_records_were_seen_and_not_before() {
    let mut world = World::new().await;
    world.takes_reports();
    world.config.delivery.allow_unverified_domains = false;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let from = |domain: &str| patched(sendable(), &json!({ "from": format!("a@{domain}") }));
    let domain = add_domain(&gateway, "new.example").await;
    let path = format!("/v1/domains/{}", domain["id"].as_str().unwrap());
    assert_eq!((&domain["state"], &domain["verified_at"], &domain["checked_at"]), (&json!("pending"), &Value::Null, &Value::Null));
    let refused = gateway.post("/v1/send", &from("new.example")).await;
    assert!(refused.assert_problem(403, "sender-not-verified", "pending")["detail"].as_str().unwrap().contains("new.example"));

    let checked = gateway.post(&format!("{path}/check"), &json!({})).await.json();
    assert_eq!(checked["state"], "pending");
    assert!(checked["records"].as_array().unwrap().iter().all(|record| record["state"] == "missing" && record["found"].is_null()), "{checked:#}");

    let key = domain["records"].as_array().unwrap().iter().find(|record| record["value"].as_str().unwrap().contains("k=rsa")).unwrap();
    let key_name = key["name"].as_str().unwrap();
    world.zone.add(&format!("{key_name} TXT v=DKIM1; k=rsa; p=MIIBIjANBgkq")).unwrap();
    let checked = gateway.post(&format!("{path}/check"), &json!({})).await.json();
    let wrong = checked["records"].as_array().unwrap().iter().find(|record| record["name"] == key_name).unwrap();
    assert_eq!((&wrong["state"], &wrong["found"]), (&json!("wrong"), &json!("v=DKIM1; k=rsa; p=MIIBIjANBgkq")));
    assert_eq!(wrong["value"], key["value"], "what was expected stands beside what was found");
    gateway.post("/v1/send", &from("new.example")).await.assert_problem(403, "sender-not-verified", "wrong key");

    world.zone.remove(key_name);
    publish(&world, &domain);
    let checked = gateway.post(&format!("{path}/check"), &json!({})).await.json();
    assert_eq!(checked["state"], "verified", "{checked:#}");
    assert!(checked["verified_at"].is_string() && checked["records"].as_array().unwrap().iter().all(|record| record["state"] == "ok"), "{checked:#}");
    assert_eq!(gateway.get(&path).await.json(), checked);
    assert_eq!(gateway.get(&format!("{path}/records")).await.json()["data"], checked["records"]);
    let sent = gateway.post("/v1/send", &from("new.example")).await;
    assert_eq!(sent.status, 202, "{}", sent.text());
    gateway.delivery_in(sent.json()["id"].as_str().unwrap(), "bee@example.net", "delivered").await;
    let reverse_path = mx.received()[0].reverse_path.clone();
    assert!(reverse_path.starts_with("b-") && reverse_path.ends_with("@bounce.new.example"), "its return path was seen too: {reverse_path}");

    // A verified domain whose key is gone for longer than a moment sends no more.
    world.zone.remove(key_name);
    assert_eq!(gateway.post(&format!("{path}/check"), &json!({})).await.json()["state"], "verified", "one look alone does not end it");
    world.advance(Duration::from_mins(11));
    assert_eq!(gateway.post(&format!("{path}/check"), &json!({})).await.json()["state"], "failed");
    gateway.post("/v1/send", &from("new.example")).await.assert_problem(403, "sender-not-verified", "failed");
    gateway.stop().await;
}

#[tokio::test]
async fn domains_are_added_once_listed_and_removed() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut ledger = Ledger::open(&world.database_url).await;
    for name in ["a.example", "BÜCHER.example", "c.example"] {
        let answer = gateway.post("/v1/domains", &json!({ "name": name })).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.header("location"), Some(format!("/v1/domains/{}", answer.json()["id"].as_str().unwrap()).as_str()));
    }
    let before = ledger.counts().await;
    for name in ["a.example", "A.Example", "bücher.example", "xn--bcher-kva.example", "XN--BCHER-KVA.EXAMPLE"] {
        let again = gateway.call("POST", "/v1/domains", &[("idempotency-key", "k")], json!({ "name": name }).to_string().as_bytes()).await;
        again.assert_problem(409, "domain-exists", name);
    }
    let long = format!("{}.example", ["a".repeat(60).as_str(); 4].join("."));
    for name in [
        "",
        " ",
        "localhost",
        "example",
        "1.2.3.4",
        "[127.0.0.1]",
        "a.example.",
        ".a.example",
        "a..example",
        "-a.example",
        "a b.example",
        "a@b.example",
        "https://a.example",
        "*.example.com",
        "a.example/x",
        "a.example:25",
        "a\0.example",
        "a\r\n.example",
        "xn--a.example",
        "Xn--a.example",
        "'; drop table domain; --.example",
        long.as_str(),
        &"x".repeat(300),
    ] {
        gateway.post("/v1/domains", &json!({ "name": name })).await.assert_field("invalid-domain", "/name", name);
    }
    gateway.post("/v1/domains", &json!({})).await.assert_field("required", "/name", "no name");
    gateway.post("/v1/domains", &json!({ "name": 7 })).await.assert_field("wrong-type", "/name", "a number");
    gateway.post("/v1/domains", &json!({ "name": "d.example", "verified": true })).await.assert_field(
        "unknown-field",
        "/verified",
        "a field too many",
    );
    assert_eq!(ledger.counts().await, before);

    let first = gateway.get("/v1/domains?limit=3").await.json();
    let names = |page: &Value| page["data"].as_array().unwrap().iter().map(|domain| domain["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&first), ["sender.example", "a.example", "xn--bcher-kva.example"]);
    let second = gateway.get(&format!("/v1/domains?limit=3&cursor={}", first["next_cursor"].as_str().unwrap())).await.json();
    assert_eq!((names(&second), &second["next_cursor"]), (vec!["c.example".to_owned()], &Value::Null));

    let path = format!("/v1/domains/{}", second["data"][0]["id"].as_str().unwrap());
    let from = patched(sendable(), &json!({ "from": "x@c.example" }));
    assert_eq!(gateway.post("/v1/send", &from).await.status, 202);
    assert_eq!(gateway.call("DELETE", &path, &[], b"").await.status, 204);
    for (method, path) in [("DELETE", path.clone()), ("GET", path.clone()), ("GET", format!("{path}/records")), ("POST", format!("{path}/check"))] {
        gateway.call(method, &path, &[], b"").await.assert_problem(404, "not-found", &path);
    }
    gateway.post("/v1/send", &from).await.assert_problem(403, "sender-not-verified", "removed");
    assert_eq!(ledger.text("select count(*)::text from dkim_key where domain_id not in (select id from domain)".into()).await, "0");
    gateway.stop().await;
}
