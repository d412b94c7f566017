//! `POST /v1/send/batch`: each message is answered by itself, and a refused one leaves nothing behind.

use serde_json::{Value, json};

use super::world::api::{Ledger, patched, sendable};
use super::world::checker::{check, copies};
use super::world::gateway::Gateway;
use super::world::http::Answer;
use super::world::{World, server::Server};
use nix::sys::signal::Signal;

async fn post(gateway: &Gateway, key: Option<&str>, messages: &[Value]) -> Answer {
    let headers: Vec<(&str, &str)> = key.iter().map(|key| ("idempotency-key", *key)).collect();
    gateway.call("POST", "/v1/send/batch", &headers, json!({ "messages": messages }).to_string().as_bytes()).await
}

fn to(name: &str) -> Value {
    patched(sendable(), &json!({ "to": format!("{name}@example.net"), "subject": name }))
}

/// The ids of the accepted messages, and `slug` for each other.
fn told(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let items = body["items"].as_array().unwrap_or_else(|| panic!("{}", answer.text()));
    for (index, item) in items.iter().enumerate() {
        let accepted = item["status"] == "accepted";
        assert_eq!(
            (item["index"].as_u64(), item["message"].is_object(), item["problem"].is_object()),
            (Some(index as u64), accepted, !accepted),
            "{item}"
        );
    }
    let accepted = items.iter().filter(|item| item["status"] == "accepted").count() as u64;
    assert_eq!((body["accepted"].as_u64(), body["refused"].as_u64()), (Some(accepted), Some(items.len() as u64 - accepted)), "{body}");
    assert_eq!(answer.status, if accepted == items.len() as u64 { 202 } else { 207 });
    items.iter().map(|item| item["message"]["id"].as_str().or(item["problem"]["type"].as_str()).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_batch_is_kept_in_order_and_each_message_is_delivered() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let messages: Vec<Value> = (0..100).map(|number| to(&format!("r{number}"))).collect();
    let answer = post(&gateway, None, &messages).await;
    let ids = told(&answer);
    assert_eq!((answer.status, ids.len()), (202, 100));
    let first = &answer.json()["items"][0]["message"];
    assert_eq!((&first["status"], &first["deliveries"]), (&json!("accepted"), &json!(1)));
    assert_eq!(gateway.message(&ids[42]).await["subject"], "r42");
    check(&world, &gateway, &ids, || copies(&mx)).await;
    assert_eq!(mx.counts().messages, 100);
    let transactions = world.number("select count(distinct xact) from event where kind = 1").await;
    assert!(transactions <= 2, "one commit, or two if a writer was quick: {transactions}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_of_a_batch_is_refused_as_it_would_be_alone_and_keeps_no_other_back() {
    let world = World::new().await;
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let wrong = [
        json!({ "to": "nobody" }),
        json!({ "to": ["a@example.net", 7] }),
        json!({ "subject": "Hi\r\nBcc: c@example.org" }),
        json!({ "headers": { "DKIM-Signature": "v=1" } }),
        json!({ "from": "hello@elsewhere.example" }),
        json!({ "no_such_field": 1 }),
        json!({ "to": [] }),
    ];
    let wrong: Vec<Value> = wrong.iter().map(|patch| patched(sendable(), patch)).collect();
    let mut batch = vec![to("first")];
    batch.extend(wrong.iter().cloned());
    batch.push(to("last"));
    let answer = post(&gateway, None, &batch).await;
    told(&answer);
    assert_eq!((answer.status, &answer.json()["accepted"]), (207, &json!(2)), "{}", answer.text());
    for (index, alone) in wrong.iter().enumerate() {
        let mut expected = gateway.post("/v1/send", alone).await.json();
        expected.as_object_mut().unwrap().remove("request_id");
        assert_eq!(answer.json()["items"][index + 1]["problem"], expected, "{alone}");
    }
    let text = format!(r#"{{"messages": [7, null, [], "x", {{"subject": "a", "subject": "b"}}, {{"subject": "\ud800"}}, {}]}}"#, to("mid"));
    let answer = gateway.call("POST", "/v1/send/batch", &[], text.as_bytes()).await;
    let kinds = told(&answer);
    assert_eq!(kinds[..6], ["wrong-type", "wrong-type", "wrong-type", "wrong-type", "malformed-json", "malformed-json"]);
    assert_eq!(world.number("select count(*) from message").await, 3, "those that were right, and nothing else");
    let metrics = gateway.get("/metrics").await.text();
    assert!(metrics.contains("sender-not-verified"), "refused messages are counted by their reason");
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_no_batch_is_refused_as_a_whole_and_leaves_nothing() {
    let mut world = World::new().await;
    world.config.limits.message_octets = 100_000;
    let gateway = world.gateway().await;
    let mut ledger = Ledger::open(&world.database_url).await;
    let before = ledger.counts().await;
    let send = async |text: &str| gateway.call("POST", "/v1/send/batch", &[("idempotency-key", "k")], text.as_bytes()).await;
    let good = to("bee").to_string();
    for text in
        ["", "{", r#"{"messages": ["#, &format!(r#"{{"messages": [{good}, NaN]}}"#), &format!(r#"{{"messages": [{good}], "messages": [{good}]}}"#)]
    {
        send(text).await.assert_problem(400, "malformed-json", text);
    }
    for (text, code, pointer) in [
        (format!("[{good}]"), "wrong-type", ""),
        (good.clone(), "unknown-field", "/from"),
        ("{}".to_owned(), "required", "/messages"),
        (r#"{"messages": null}"#.to_owned(), "wrong-type", "/messages"),
        (format!(r#"{{"messages": {good}}}"#), "wrong-type", "/messages"),
        (format!(r#"{{"messages": [{good}], "more": 1}}"#), "unknown-field", "/more"),
        (r#"{"messages": []}"#.to_owned(), "out-of-range", "/messages"),
        (format!(r#"{{"messages": [{}]}}"#, vec![good.as_str(); 101].join(",")), "out-of-range", "/messages"),
    ] {
        send(&text).await.assert_field(code, pointer, text.get(..60).unwrap_or(&text));
    }
    let large = patched(sendable(), &json!({ "text": "x".repeat(250_000) })).to_string();
    send(&format!(r#"{{"messages": [{good}, {large}, {large}]}}"#)).await.assert_problem(413, "body-too-large", "together too large");
    let refused = gateway.call("POST", "/v1/send/batch", &[("idempotency-key", "")], good.as_bytes()).await;
    refused.assert_problem(400, "invalid-idempotency-key", "no key");
    assert_eq!(ledger.counts().await, before);
    let large = patched(sendable(), &json!({ "text": "x".repeat(120_000) }));
    let answer = post(&gateway, None, &[to("bee"), large]).await;
    assert_eq!(told(&answer)[1], "message-too-large", "one alone too large keeps the other not back");
    gateway.stop().await;
}

#[tokio::test]
async fn a_batch_sent_again_with_its_key_sends_nothing_twice_and_takes_what_was_corrected() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let mut batch = vec![to("one"), patched(sendable(), &json!({ "to": "nobody" })), to("three")];
    let first = told(&post(&gateway, Some("batch-7"), &batch).await);
    assert_eq!(told(&post(&gateway, Some("batch-7"), &batch).await), first, "the same again is answered as before");
    batch[1] = to("two");
    let corrected = told(&post(&gateway, Some("batch-7"), &batch).await);
    assert_eq!((&corrected[0], &corrected[2]), (&first[0], &first[2]));
    assert!(corrected[1].starts_with("msg_"));
    let moved = told(&post(&gateway, Some("batch-7"), &[batch[0].clone(), batch[2].clone(), batch[1].clone(), to("four")]).await);
    assert_eq!((moved[0].as_str(), moved[1].as_str(), moved[2].as_str()), (first[0].as_str(), "idempotency-key-reuse", "idempotency-key-reuse"));
    let other = post(&gateway, Some("batch-7"), &[to("x"), to("y")]).await;
    other.assert_problem(409, "idempotency-key-reuse", "another batch altogether");
    assert_eq!(told(&post(&gateway, Some("batch-8"), &batch).await).len(), 3, "another key is another batch");
    let single = gateway.call("POST", "/v1/send", &[("idempotency-key", "batch-7")], to("five").to_string().as_bytes()).await;
    assert_eq!(single.status, 202, "a key of one message is another: {}", single.text());
    assert_eq!(world.number("select count(*) from message").await, 3 + 1 + 3 + 1);

    let (a, b) = tokio::join!(post(&gateway, Some("at-once"), &batch), post(&gateway, Some("at-once"), &batch));
    assert!([&a, &b].iter().all(|answer| [202, 207, 409].contains(&answer.status)), "{} {}", a.text(), b.text());
    let mut ids = told(&post(&gateway, Some("at-once"), &batch).await);
    assert_eq!(world.number("select count(*) from message").await, 8 + 3);
    ids.extend(corrected);
    ids.extend([moved[3].clone(), single.json()["id"].as_str().unwrap().to_owned()]);
    ids.extend(told(&post(&gateway, Some("batch-8"), &batch).await));
    check(&world, &gateway, &ids, || copies(&mx)).await;
    assert_eq!(mx.counts().messages, 11);
    gateway.stop().await;
}

#[tokio::test]
async fn a_batch_that_cannot_be_kept_now_is_answered_503_as_a_whole() {
    let mut server = Server::start().await;
    let world = World::on(server.url()).await;
    let gateway = world.gateway().await;
    assert_eq!(post(&gateway, None, &[to("before")]).await.status, 202);
    server.down(Signal::SIGKILL);
    let answer = post(&gateway, Some("k"), &[to("one"), to("two")]).await;
    answer.assert_problem(503, "unavailable", "away");
    assert!(answer.header("retry-after").is_some());
    server.up().await;
    gateway.crash().await;
}
