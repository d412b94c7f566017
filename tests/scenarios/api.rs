//! The HTTP door: who gets in, what is refused and how, what a repeated request does. A refused request leaves nothing behind.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail the test")]

use std::time::Duration;

use pennypost::access::{NewKey, Scope};
use pennypost::model::DomainName;
use serde_json::{Value, json};

use super::world::http::{self, Answer};
use super::world::{Gateway, World, database};

fn message(change: &Value) -> Value {
    let mut body = json!({"from": "Penny <hello@sender.example>", "to": "bee@example.net", "subject": "Hello", "text": "A line."});
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    body
}

#[track_caller]
fn problem(answer: &Answer, status: u16, slug: &str) {
    let body = answer.json();
    assert_eq!((answer.status, body["type"].as_str()), (status, Some(slug)), "{body:#}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("x-request-id"), body["request_id"].as_str());
}

async fn key(gateway: &Gateway, scope: Scope, domains: Option<&[&str]>) -> String {
    let domains = domains.map(|names| names.iter().map(|name| DomainName::parse(name).unwrap()).collect());
    let new = NewKey { name: "another".into(), scope, domains, expires_at: None, test: false };
    gateway.running.house.access.create_key(gateway.running.house.project, new).await.unwrap().secret.expose().clone()
}

async fn with_key(gateway: &Gateway, key: &str, method: &str, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    http::call(gateway.http, method, path, &headers, body.to_string().as_bytes()).await
}

async fn kept(world: &World) -> i64 {
    database::number(&world.database_url, "select (select count(*) from message) + (select count(*) from delivery) + (select count(*) from event)")
        .await
}

#[tokio::test]
async fn a_request_without_one_valid_key_is_refused_and_leaves_nothing() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let body = message(&json!({})).to_string();
    let bearer = format!("Bearer {}", gateway.key);
    let (trailing, prefix, other) = (format!("{bearer} "), bearer[..bearer.len() - 1].to_owned(), bearer.replace("pp_live_", "pp_test_"));
    let attempts: [&[(&str, &str)]; 7] = [
        &[],
        &[("authorization", "Bearer pp_live_wrong")],
        &[("authorization", &prefix)],
        &[("authorization", &other)],
        &[("authorization", &bearer), ("authorization", &bearer)],
        &[("authorization", "Basic cGVubnk6cG9zdA==")],
        &[("x-api-key", &gateway.key)],
    ];
    for headers in attempts {
        let mut all = headers.to_vec();
        all.push(("content-type", "application/json"));
        let answer = http::call(gateway.http, "POST", "/v1/send", &all, body.as_bytes()).await;
        problem(&answer, 401, "unauthorized");
        assert!(answer.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")), "{answer:?}");
    }
    // HTTP takes white space around a value away (RFC 9110 5.5), so a trailing space is none.
    let answer = http::call(gateway.http, "GET", "/v1/keys", &[("authorization", &trailing)], b"").await;
    assert_eq!(answer.status, 200);
    let answer =
        http::call(gateway.http, "POST", &format!("/v1/send?key={}", gateway.key), &[("content-type", "application/json")], body.as_bytes()).await;
    problem(&answer, 401, "unauthorized");
    assert_eq!(kept(&world).await, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_key_does_what_its_scope_says_until_it_is_revoked() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let reader = key(&gateway, Scope::Read, None).await;
    problem(&with_key(&gateway, &reader, "POST", "/v1/send", &message(&json!({}))).await, 403, "insufficient-scope");
    assert_eq!(with_key(&gateway, &reader, "GET", "/v1/messages", &Value::Null).await.status, 200);
    let sender = key(&gateway, Scope::Send, None).await;
    problem(&with_key(&gateway, &sender, "POST", "/v1/domains", &json!({"name": "a.example"})).await, 403, "insufficient-scope");
    assert_eq!(with_key(&gateway, &sender, "POST", "/v1/send", &message(&json!({}))).await.status, 202);
    let limited = key(&gateway, Scope::Send, Some(&["other.example"])).await;
    problem(&with_key(&gateway, &limited, "POST", "/v1/send", &message(&json!({}))).await, 403, "domain-not-allowed");

    let made = gateway.post("/v1/keys", &json!({"name": "shop", "scope": "send", "kind": "test"})).await;
    assert_eq!(made.status, 201);
    let (secret, id) = (made.json()["key"].as_str().unwrap().to_owned(), made.json()["id"].as_str().unwrap().to_owned());
    assert!(secret.starts_with("pp_test_"), "{secret}");
    assert_eq!(with_key(&gateway, &secret, "POST", "/v1/send", &message(&json!({}))).await.status, 202);
    assert_eq!(gateway.call("DELETE", &format!("/v1/keys/{id}"), &[], b"").await.status, 204);
    problem(&with_key(&gateway, &secret, "POST", "/v1/send", &message(&json!({}))).await, 401, "unauthorized");
    let listed = gateway.get("/v1/keys?limit=100").await;
    assert!(!String::from_utf8_lossy(&listed.body).contains(&secret), "a key is shown once");
    gateway.stop().await;
}

#[tokio::test]
async fn only_a_domain_of_the_project_sends_and_look_alikes_do_not() {
    let mut world = World::new().await;
    world.config.delivery.allow_unverified_domains = false;
    let gateway = world.gateway().await;
    for from in ["hello@sender.example", "hello@SENDER.example", "hello@mail.sender.example", "hello@stranger.example", "hello@sеnder.example"] {
        problem(&gateway.post("/v1/send", &message(&json!({"from": from}))).await, 403, "sender-not-verified");
    }
    problem(&gateway.post("/v1/send", &message(&json!({"from": "hello@sender.example."}))).await, 422, "invalid-address");
    assert_eq!(kept(&world).await, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_raw_message_leaves_from_the_projects_domains_only() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let raw = |reverse_path: &str, from: &str| {
        use base64::Engine;
        let bytes = format!("From: {from}\r\nSubject: Hi\r\n\r\nHello\r\n");
        json!({"envelope": {"from": reverse_path, "to": ["bee@example.net"]}, "raw": base64::engine::general_purpose::STANDARD.encode(bytes)})
    };
    for (reverse_path, from) in [("a@stranger.example", "hello@sender.example"), ("a@sender.example", "hello@stranger.example")] {
        problem(&gateway.post("/v1/send", &raw(reverse_path, from)).await, 403, "sender-not-verified");
    }
    assert_eq!(kept(&world).await, 0);
    for reverse_path in ["a@sender.example", "<>"] {
        assert_eq!(gateway.post("/v1/send", &raw(reverse_path, "hello@sender.example")).await.status, 202);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_wrong_request_is_told_every_fault_and_leaves_nothing() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let wrong = message(&json!({"to": ["x", "b@example.net"], "subject": "Hi\r\nBcc: c@example.org", "headers": {"DKIM-Signature": "v=1"}}));
    let answer = gateway.post("/v1/send", &wrong).await;
    problem(&answer, 422, "invalid-request");
    let faults =
        answer.json()["errors"].as_array().unwrap().iter().map(|fault| format!("{} {}", fault["pointer"], fault["code"])).collect::<Vec<_>>();
    assert_eq!(faults, [r#""/to/0" "invalid-address""#, r#""/subject" "header-injection""#, r#""/headers/DKIM-Signature" "reserved-header""#]);
    problem(&gateway.post("/v1/send", &message(&json!({"subject": "a\nb"}))).await, 422, "header-injection");
    problem(&gateway.post("/send", &message(&json!({"template": {"name": "a"}}))).await, 422, "not-supported");
    problem(&gateway.call("POST", "/v1/send", &[], b"{\"from\": ").await, 400, "malformed-json");
    problem(&gateway.call("POST", "/v1/send", &[], b"{\"subject\": \"a\", \"subject\": \"b\"}").await, 400, "malformed-json");
    problem(&gateway.call("POST", "/v1/send", &[("content-type", "text/plain")], b"{}").await, 415, "unsupported-media-type");
    problem(&gateway.call("POST", "/v1/send", &[("content-encoding", "gzip")], b"{}").await, 415, "unsupported-encoding");
    problem(&gateway.call("PUT", "/v1/send", &[], b"{}").await, 405, "method-not-allowed");
    assert_eq!(kept(&world).await, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_early() {
    let mut world = World::new().await;
    world.config.limits.message_octets = 100_000;
    let gateway = world.gateway().await;
    let head = format!(
        "POST /v1/send HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\nauthorization: Bearer {}\r\n",
        gateway.key
    );
    // The length alone is enough: nothing of the body was sent.
    let answer = http::raw(gateway.http, format!("{head}content-length: 1000000000\r\n\r\n").as_bytes()).await.unwrap();
    problem(&answer, 413, "body-too-large");
    let chunk = format!("{:x}\r\n{}\r\n", 500_000, " ".repeat(500_000));
    let answer = http::raw(gateway.http, format!("{head}transfer-encoding: chunked\r\n\r\n{chunk}").as_bytes()).await.unwrap();
    problem(&answer, 413, "body-too-large");
    problem(&gateway.post("/v1/send", &message(&json!({"text": "x".repeat(100_000)}))).await, 413, "message-too-large");
    assert_eq!(kept(&world).await, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn the_same_idempotency_key_sends_once() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let body = message(&json!({})).to_string();
    let send = async |key: &str, body: &str| gateway.call("POST", "/v1/send", &[("idempotency-key", key)], body.as_bytes()).await;
    let (first, second) = (send("order-7", &body).await, send("order-7", &body).await);
    assert_eq!((first.status, second.status), (202, 202));
    assert_eq!(first.json(), second.json());
    problem(&send("order-7", &message(&json!({"subject": "Other"})).to_string()).await, 409, "idempotency-key-reuse");
    assert_ne!(send("order-8", &body).await.json()["id"], first.json()["id"]);
    for bad in ["", &"x".repeat(257), "a\tb"] {
        problem(&send(bad, &body).await, 400, "invalid-idempotency-key");
    }
    let together = futures_util::future::join_all((0..8).map(|_| send("order-9", &body))).await;
    let mut ids: Vec<_> = together.iter().filter(|answer| answer.status == 202).map(|answer| answer.json()["id"].clone()).collect();
    assert!(together.iter().all(|answer| matches!(answer.status, 202 | 409)), "{together:?}");
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(database::number(&world.database_url, "select count(*) from message").await, 3);
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_not_ours_is_not_found_and_a_forged_cursor_is_refused() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let foreign = "0000000000000000000000000a";
    for path in [
        &format!("/v1/messages/msg_{foreign}"),
        &format!("/v1/messages/msg_{foreign}/raw"),
        &format!("/v1/domains/dom_{foreign}"),
        "/v1/messages/msg_1'or'1",
        "/v1/messages/%00",
        "/v1/messages/dom_0000000000000000000000000a",
        "/v2/send",
    ] {
        problem(&gateway.get(path).await, 404, "not-found");
    }
    problem(&gateway.call("POST", &format!("/v1/messages/msg_{foreign}/cancel"), &[], b"").await, 404, "not-found");
    problem(&gateway.call("DELETE", &format!("/v1/keys/key_{foreign}"), &[], b"").await, 404, "not-found");
    for path in [
        "/v1/messages?cursor=AAAA",
        "/v1/events?cursor=%00",
        "/v1/keys?limit=101",
        "/v1/messages?sender=%00",
        "/v1/messages?tag=%00:a",
        "/v1/messages?no=1",
    ] {
        problem(&gateway.get(path).await, 400, "invalid-parameter");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_bytes_of_a_message_outlive_its_domain() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let message = gateway.send_with(&["a@example.net"], json!({})).await;
    let raw = format!("/v1/messages/{message}/raw");
    let signed = gateway.get(&raw).await.body;
    let domain = gateway.get("/v1/domains").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(gateway.call("DELETE", &format!("/v1/domains/{domain}"), &[], b"").await.status, 204);
    let left = gateway.get(&raw).await;
    assert_eq!(left.status, 200);
    assert!(left.body.starts_with(b"Date: ") && signed.ends_with(&left.body), "the content without its signatures");
    assert!(signed.starts_with(b"DKIM-Signature: "));
    gateway.stop().await;
}

#[tokio::test]
async fn messages_are_found_by_sender_recipient_tag_and_time() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let one = gateway.send_with(&["a@example.net"], json!({"tags": {"flow": "signup"}})).await;
    let two = gateway.send_with(&["b@example.net"], json!({"send_at": null, "metadata": {"order": 7}})).await;
    let found = async |query: &str| {
        let answer = gateway.get(&format!("/v1/messages?{query}")).await.json();
        answer["data"].as_array().unwrap().iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("").await, [two.clone(), one.clone()], "newest first");
    assert_eq!(found("tag=flow:signup").await, std::slice::from_ref(&one));
    assert_eq!(found("recipient=b@EXAMPLE.net").await, std::slice::from_ref(&two));
    assert_eq!(found("sender=hello@sender.example").await.len(), 2);
    assert_eq!(found("until=2020-01-01T00:00:00Z").await.len(), 0);
    let page = gateway.get("/v1/messages?limit=1").await.json();
    assert_eq!(page["data"][0]["metadata"], json!({"order": 7}));
    assert_eq!(found(&format!("limit=1&cursor={}", page["next_cursor"].as_str().unwrap())).await, [one]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_key_over_its_rate_is_told_when_to_come_back() {
    let mut world = World::new().await;
    world.config.limits.requests_per_second = 2;
    let gateway = world.gateway().await;
    let other = key(&gateway, Scope::Read, None).await;
    let first = gateway.get("/v1/queue").await;
    assert_eq!(first.header("ratelimit-policy"), Some("\"key\";q=2;w=1"));
    let answers = futures_util::future::join_all((0..8).map(|_| gateway.get("/v1/queue"))).await;
    let refused = answers.iter().find(|answer| answer.status == 429).expect("eight at once are more than two a second");
    problem(refused, 429, "rate-limited");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(with_key(&gateway, &other, "GET", "/v1/queue", &Value::Null).await.status, 200, "another key has a limit of its own");
    world.advance(Duration::from_secs(1));
    assert_eq!(gateway.get("/v1/queue").await.status, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn anybody_may_ask_for_health_and_documentation() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    for (path, kind) in [
        ("/healthz", "text/plain"),
        ("/readyz", "text/plain"),
        ("/metrics", "text/plain"),
        ("/openapi.json", "application/json"),
        ("/docs/", "text/html"),
        ("/docs/swagger-ui-bundle.js", "text/javascript"),
    ] {
        let answer = http::call(gateway.http, "GET", path, &[], b"").await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-type").is_some_and(|value| value.starts_with(kind)), "{path}: {:?}", answer.header("content-type"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_domain_is_added_once_and_removed() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let added = gateway.post("/v1/domains", &json!({"name": "Shop.Example"})).await;
    assert_eq!(added.status, 201, "{}", added.json());
    let domain = added.json();
    let path = format!("/v1/domains/{}", domain["id"].as_str().unwrap());
    assert_eq!((domain["name"].as_str(), added.header("location")), (Some("shop.example"), Some(path.as_str())));
    assert_eq!(gateway.get(&format!("{path}/records")).await.json()["data"], domain["records"]);
    problem(&gateway.post("/v1/domains", &json!({"name": "shop.example"})).await, 409, "domain-exists");
    problem(&gateway.post("/v1/domains", &json!({"name": "localhost"})).await, 422, "invalid-domain");
    assert_eq!(gateway.call("DELETE", &path, &[], b"").await.status, 204);
    problem(&gateway.get(&path).await, 404, "not-found");
    gateway.stop().await;
}
