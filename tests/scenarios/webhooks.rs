//! Webhooks: what endpoints are told, how often, and what they cannot make the gateway do.

use std::time::Duration;

use serde_json::{Value, json};

use super::inbound;
use super::world::gateway::eventually;
use super::world::hook::{SILENCE, status};
use super::world::{Gateway, Hook, World};

async fn world() -> World {
    let mut world = World::new().await;
    world.config.webhooks.allow_private_addresses = true;
    world
}

/// Makes a webhook: its id and its secret.
async fn webhook(gateway: &Gateway, hook: &Hook, kinds: &[&str]) -> (String, String) {
    let answer = gateway.post("/v1/webhooks", &json!({ "url": hook.url(), "kinds": kinds })).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let made = answer.json();
    (made["webhook"]["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
}

async fn messages(gateway: &Gateway, webhook: &str) -> Vec<Value> {
    gateway.get(&format!("/v1/webhooks/{webhook}/messages")).await.json()["data"].as_array().unwrap().clone()
}

/// Waits until the last message of a webhook is like this.
async fn last_message(gateway: &Gateway, webhook: &str, condition: impl Fn(&Value) -> bool) -> Value {
    eventually(|| async {
        let message = messages(gateway, webhook).await.first().cloned().unwrap_or_default();
        if condition(&message) { Ok(message) } else { Err(format!("{message:#}")) }
    })
    .await
}

#[tokio::test]
async fn an_endpoint_is_told_signed_what_it_wants_to_know_until_it_answers() {
    let world = world().await;
    let _mx = world.accepting_mx("one.example").await;
    let gateway = world.gateway().await;
    let (all, some) = (world.hook().await, world.hook().await);
    let early = gateway.send(&["early@one.example"]).await;
    gateway.delivery_in(&early, "early@one.example", "delivered").await;
    let (_, secret) = webhook(&gateway, &all, &[]).await;
    let (webhook_id, old) = webhook(&gateway, &some, &["delivered"]).await;
    for answer in [status(500), "HTTP/1.1 302 x\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 3\r\n\r\nno\0".to_owned()] {
        some.answer(answer);
    }
    let id = gateway.send(&["bee@one.example"]).await;
    gateway.delivery_in(&id, "bee@one.example", "delivered").await;

    let first = some.told_times(1).await.remove(0);
    assert!(first.is_signed_by(&old) && !first.is_signed_by(&secret), "{first:?}");
    assert_eq!((first.path.as_str(), first.headers["content-type"].as_str()), ("/hook?a=b", "application/json"));
    let body = first.json();
    assert_eq!(
        (&body["type"], &body["data"]["message_id"], &body["data"]["recipient"]),
        (&json!("delivered"), &json!(id), &json!("bee@one.example")),
        "{body:#}"
    );
    let failed = last_message(&gateway, &webhook_id, |message| message["last_status"] == 500).await;
    assert_eq!((&failed["state"], &failed["attempts"], &failed["id"]), (&json!("waiting"), &json!(1), &json!(first.id())), "{failed:#}");

    // Rotated meanwhile: both sign.
    let rotated = gateway.post(&format!("/v1/webhooks/{webhook_id}/secret"), &json!({})).await.json()["secret"].as_str().unwrap().to_owned();
    world.advance(Duration::from_secs(7));
    let second = some.told_times(2).await.remove(1);
    assert!(second.is_signed_by(&old) && second.is_signed_by(&rotated) && second.id() == first.id() && second.body == first.body);
    let redirected = last_message(&gateway, &webhook_id, |message| message["last_status"] == 302).await;
    assert_eq!((&redirected["last_error"], &redirected["last_body"]), (&json!("redirects are not followed"), &json!("no\u{fffd}")), "{redirected:#}");
    world.advance(Duration::from_mins(6));
    some.told_times(3).await;
    last_message(&gateway, &webhook_id, |message| message["state"] == "delivered" && message["attempts"] == 3 && message["last_status"] == 204).await;
    // Told again on request; a day later the old secret signs no more.
    world.advance(Duration::from_hours(25));
    let path = format!("/v1/webhooks/{webhook_id}/messages/{}/resend", first.id());
    assert_eq!(gateway.post(&path, &json!({})).await.status, 202);
    let again = some.told_times(4).await.remove(3);
    assert!(again.is_signed_by(&rotated) && !again.is_signed_by(&old) && again.id() == first.id());

    let kinds: Vec<Value> = all.told_times(2).await.iter().map(|told| told.json()["type"].clone()).collect();
    assert!(kinds.contains(&json!("accepted")) && kinds.contains(&json!("delivered")), "{kinds:?}");
    assert!(all.told().iter().all(|told| told.is_signed_by(&secret) && told.json()["data"]["message_id"] == json!(id)), "not what was before it");
    gateway.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_is_gone_or_slow_or_wants_rest_is_left_alone_and_delays_no_other() {
    let mut world = world().await;
    world.config.webhooks.connections_per_endpoint = 2;
    let _mx = world.accepting_mx("one.example").await;
    let gateway = world.gateway().await;
    let [gone, busy, slow, well] = [world.hook().await, world.hook().await, world.hook().await, world.hook().await];
    gone.answer(status(410));
    busy.answer("HTTP/1.1 429 x\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n");
    for _ in 0..9 {
        slow.answer(SILENCE);
    }
    let mut ids = Vec::new();
    for hook in [&gone, &busy, &slow, &well] {
        ids.push(webhook(&gateway, hook, &["accepted"]).await.0);
    }
    for _ in 0..4 {
        gateway.send(&["bee@one.example"]).await;
    }
    well.told_times(4).await;
    slow.told_times(2).await;
    assert_eq!(slow.told().len(), 2, "no more at once than one may have");
    let disabled = eventually(|| async {
        let shown = gateway.get(&format!("/v1/webhooks/{}", ids[0])).await.json();
        if shown["disabled_at"].is_string() { Ok(shown) } else { Err(shown.to_string()) }
    })
    .await;
    assert_eq!(disabled["disabled_because"], "the endpoint answered 410 Gone");
    last_message(&gateway, &ids[1], |_| true).await;
    let wants_rest = eventually(|| async {
        let all = messages(&gateway, &ids[1]).await;
        all.iter().find(|message| message["last_status"] == 429).cloned().ok_or_else(|| format!("{all:#?}"))
    })
    .await;
    world.advance(Duration::from_secs(20));
    // Too slow: the attempts ended without an answer, and it gets one request at a time from now on.
    let slow_message = eventually(|| async {
        let all = messages(&gateway, &ids[2]).await;
        all.iter().find(|message| message["last_error"].is_string()).cloned().ok_or_else(|| format!("{all:#?}"))
    })
    .await;
    assert!(slow_message["last_error"].as_str().unwrap().contains("no answer within 15 s"), "{slow_message:#}");
    world.advance(Duration::from_mins(50));
    well.told_times(4).await;
    let id = wants_rest["id"].as_str().unwrap();
    assert_eq!(busy.told().iter().filter(|told| told.id() == id).count(), 1, "it asked for an hour");
    world.advance(Duration::from_mins(30));
    eventually(|| async { if busy.told().iter().filter(|told| told.id() == id).count() == 2 { Ok(()) } else { Err("not told again".to_owned()) } })
        .await;

    // Enabled again, it is told what still waits; what was given up is not.
    let told = gone.told().len();
    assert!(told <= 3, "{told}");
    assert_eq!(gateway.post(&format!("/v1/webhooks/{}/enable", ids[0]), &json!({})).await.status, 200);
    gone.told_times(4).await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_an_endpoint_did_not_take_is_tried_ten_times_over_three_days_and_by_another_node_when_one_dies() {
    let world = world().await;
    let _mx = world.accepting_mx("one.example").await;
    let gateway = world.gateway().await;
    let hook = world.hook().await;
    hook.answer(SILENCE);
    for _ in 0..9 {
        hook.answer(status(503));
    }
    let (id, _) = webhook(&gateway, &hook, &["accepted"]).await;
    gateway.send(&["bee@one.example"]).await;
    hook.told_times(1).await;
    // The node dies while the endpoint thinks; another one goes on when the attempt counts as lost.
    gateway.crash().await;
    let gateway = world.gateway().await;
    world.advance(Duration::from_mins(1));
    hook.told_times(2).await;
    let begun = world.clock.now();
    for (attempt, minutes) in (3..=10).zip([6, 34, 133, 331, 662, 925, 1_322, 1_322]) {
        last_message(&gateway, &id, |message| message["attempts"] == attempt - 1 && message["last_status"] == 503).await;
        world.advance(Duration::from_mins(minutes));
        hook.told_times(attempt).await;
    }
    let last = last_message(&gateway, &id, |message| message["state"] == "failed").await;
    assert_eq!((&last["attempts"], &last["next_attempt_at"]), (&json!(10), &Value::Null), "{last:#}");
    assert!(world.clock.now() - begun > time::Duration::days(3));
    let told = hook.told();
    assert!(told.iter().all(|one| one.id() == told[0].id()), "one message");
    gateway.stop().await;
}

#[tokio::test]
async fn nobody_is_posted_to_in_a_private_network_whatever_its_name() {
    let mut world = World::new().await;
    let hook = world.hook().await;
    let _mx = world.accepting_mx("one.example").await;
    world.config.webhooks.allow_http = true;
    let gateway = world.gateway().await;
    world.zone.add(&format!("rebound.example A {}", hook.address.ip())).unwrap();
    world.zone.add("rebound.example A 8.8.8.8").unwrap();
    for (url, why) in [
        (hook.url(), "not on the public Internet"),
        ("https://169.254.169.254/latest".to_owned(), "not on the public Internet"),
        ("https://localhost/".to_owned(), "not on the public Internet"),
        ("https://127.1/".to_owned(), "domain name"),
        ("https://user:pw@hooks.example.com/".to_owned(), "user name"),
        ("https://hooks.example.com:25/".to_owned(), "port 25"),
        ("ftp://hooks.example.com/".to_owned(), "https"),
        ("hooks.example.com".to_owned(), "https"),
    ] {
        let answer = gateway.post("/v1/webhooks", &json!({ "url": url })).await;
        answer.assert_field("invalid-url", "/url", &url);
        assert!(answer.text().contains(why), "{url}: {}", answer.text());
    }
    for (body, code, pointer) in [
        (json!({}), "required", "/url"),
        (json!({ "url": "https://hooks.example.com/", "kinds": ["accepted", "exploded"] }), "unknown-value", "/kinds/1"),
        (json!({ "url": "https://hooks.example.com/", "secret": "mine" }), "unknown-field", "/secret"),
    ] {
        gateway.post("/v1/webhooks", &body).await.assert_field(code, pointer, &body.to_string());
    }
    assert_eq!(world.number("select count(*) from webhook").await, 0, "nothing is left of what was refused");

    // A name may lead anywhere by the time it is asked for: one private address among public ones is enough.
    let url = format!("http://rebound.example:{}/", hook.address.port());
    let made = gateway.post("/v1/webhooks", &json!({ "url": url })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["webhook"]["id"].as_str().unwrap().to_owned();
    gateway.send(&["bee@one.example"]).await;
    let refused = last_message(&gateway, &id, |message| message["last_error"].is_string()).await;
    assert!(refused["last_error"].as_str().unwrap().contains("not on the public Internet"), "{refused:#}");
    assert!(hook.told().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn mail_by_a_route_is_posted_taken_apart_and_kept() {
    let mut world = inbound::world().await;
    world.config.webhooks.allow_private_addresses = true;
    world.config.delivery.allow_unverified_domains = true;
    world.config.server.public_url = "https://mail.sender.example".to_owned();
    let hook = world.hook().await;
    let gateway = world.gateway().await;
    let made = gateway.post("/v1/routes", &json!({ "pattern": "*@sender.example", "action": "webhook", "url": hook.url() })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let (webhook_id, secret) = (made["route"]["webhook_id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let mail = "From: Bee <bee@world.example>\r\nTo: any@sender.example\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nA line.\r\n--b\r\nContent-Type: application/pdf\r\n\
        Content-Disposition: attachment; filename=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n--b--\r\n";
    let mut client = inbound::bring(&gateway).await;
    client.expect("RCPT TO:<any@sender.example>", "250").await;
    client.expect("DATA", "354").await;
    client.send(mail).await;
    let reply = client.expect(".", "250 2.6.0 kept as inc_").await;
    let id = reply.split(' ').next_back().unwrap().to_owned();

    let told = hook.told_times(1).await.remove(0);
    assert!(told.is_signed_by(secret));
    let (body, data) = (told.json(), told.json()["data"].clone());
    assert_eq!((&body["type"], &data["id"], &data["recipient"]), (&json!("received"), &json!(id), &json!("any@sender.example")), "{body:#}");
    assert_eq!((&data["content"]["subject"], &data["content"]["from"]), (&json!("Gr\u{fc}\u{df}e"), &json!(["Bee <bee@world.example>"])), "{body:#}");
    assert_eq!(data["content"]["text"].as_str().map(str::trim), Some("A line."), "{body:#}");
    let file = &data["content"]["attachments"][0];
    assert_eq!((&file["filename"], &file["size"], &file["content"]), (&json!("a.pdf"), &json!(3), &json!("QUJD")), "{body:#}");
    assert_eq!(data["raw_url"], json!(format!("https://mail.sender.example/v1/incoming/{id}/raw")));
    assert_eq!((&data["reverse_path"], &data["authentication"]["spf"]), (&json!("bee@world.example"), &json!("none")), "{body:#}");
    last_message(&gateway, webhook_id, |message| message["state"] == "delivered" && message["incoming_id"] == json!(id)).await;

    // The endpoint is the route's: it goes with it, and what was kept stays.
    let endpoint = format!("/v1/webhooks/{webhook_id}");
    gateway.call("DELETE", &endpoint, &[], b"").await.assert_problem(409, "webhook-of-route", "a route's");
    assert_eq!(gateway.call("DELETE", &format!("/v1/routes/{}", made["route"]["id"].as_str().unwrap()), &[], b"").await.status, 204);
    assert_eq!((gateway.get(&endpoint).await.status, gateway.get(&format!("/v1/incoming/{id}")).await.status), (404, 200));
    gateway.stop().await;
}
