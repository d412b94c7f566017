//! Reverse-paths that name what they are about, once the domain's return path leads to us.

use pennypost::config::Listen;
use pennypost::mail::verp::Named;
use pennypost::model::EmailAddress;
use serde_json::{Value, json};

use super::world::script::{TAKEN, after_hello};
use super::world::{Gateway, ScriptedHost, World};

/// Publishes all records of `sender.example` and has them checked.
pub(super) async fn publish(world: &World, gateway: &Gateway, but: &[&str]) -> Value {
    let domains = gateway.get("/v1/domains").await.json();
    let domain = domains["data"].as_array().unwrap().iter().find(|domain| domain["name"] == "sender.example").unwrap().clone();
    for record in domain["records"].as_array().unwrap() {
        let (kind, name, value) = (record["type"].as_str().unwrap(), record["name"].as_str().unwrap(), record["value"].as_str().unwrap());
        if !but.contains(&record["purpose"].as_str().unwrap()) {
            let value = if kind == "TXT" { format!("\"{value}\"") } else { value.to_owned() };
            world.zone.add(&format!("{name} {kind} {value}")).unwrap();
        }
    }
    // The check that every new domain gets may have found nothing a moment ago.
    gateway.running.house.resolver.forget_all();
    let checked = gateway.post(&format!("/v1/domains/{}/check", domain["id"].as_str().unwrap()), &json!({})).await;
    assert_eq!((checked.status, &checked.json()["state"]), (200, &json!("verified")), "{}", checked.text());
    checked.json()
}

/// The addresses of the MAIL commands a host heard.
pub(super) fn reverse_paths(host: &ScriptedHost) -> Vec<String> {
    let path = |line: &String| Some(line.strip_prefix("MAIL FROM:<")?.split_once('>')?.0.to_owned());
    host.heard().iter().filter_map(path).collect()
}

fn named(gateway: &Gateway, path: &str) -> String {
    let address = EmailAddress::parse(path).unwrap();
    assert!(address.local().len() <= 64 && address.domain().as_str() == "bounce.sender.example", "{path}");
    match gateway.running.house.domains.read_bounce_address(&address).unwrap() {
        Named::Delivery(id) => id.to_string(),
        Named::Message(id) => id.to_string(),
    }
}

#[tokio::test]
async fn a_reverse_path_names_the_delivery_or_the_message_once_the_return_path_is_found() {
    let mut world = World::new().await;
    world.takes_reports();
    let two = TAKEN.replacen("C: RCPT\nS: 250 ok\n", "C: RCPT\nS: 250 ok\nC: RCPT\nS: 250 ok\n", 1);
    let plain = world.scripted_mx("plain.example", &[&after_hello(TAKEN)]).await;
    let half = world.scripted_mx("half.example", &[&after_hello(TAKEN)]).await;
    let one = world.scripted_mx("one.example", &[&after_hello(TAKEN)]).await;
    let pair = world.scripted_mx("pair.example", &[&after_hello(&two)]).await;
    let strict = world.scripted_mx("strict.example", &[&after_hello(&format!("{TAKEN}{TAKEN}"))]).await;
    let gateway = world.gateway().await;

    let id = gateway.send(&["bee@plain.example"]).await;
    gateway.delivery_in(&id, "bee@plain.example", "delivered").await;
    assert_eq!(reverse_paths(&plain), ["hello@sender.example"], "no record, no bounce address");

    publish(&world, &gateway, &["return_path_spf"]).await;
    let id = gateway.send(&["bee@half.example"]).await;
    gateway.delivery_in(&id, "bee@half.example", "delivered").await;
    assert_eq!(reverse_paths(&half), ["hello@sender.example"], "both records or none");

    publish(&world, &gateway, &["dkim", "spf", "dmarc", "return_path_mx"]).await;
    let id = gateway.send(&["bee@one.example", "a@pair.example", "b@pair.example"]).await;
    for recipient in ["bee@one.example", "a@pair.example", "b@pair.example"] {
        gateway.delivery_in(&id, recipient, "delivered").await;
    }
    let of_one = reverse_paths(&one);
    assert_eq!(of_one.len(), 1);
    assert_eq!(named(&gateway, &of_one[0]), gateway.delivery(&id, "bee@one.example").await["id"]);
    assert_eq!(
        named(&gateway, &of_one[0].to_ascii_uppercase().replace("@BOUNCE.SENDER.EXAMPLE", "@bounce.sender.example")),
        named(&gateway, &of_one[0])
    );
    let of_pair = reverse_paths(&pair);
    assert_eq!((of_pair.len(), named(&gateway, &of_pair[0])), (1, id.clone()), "two recipients: the message");
    assert_eq!(gateway.message(&id).await["reverse_path"], "hello@sender.example", "what was asked for is kept");

    let changed = gateway.call("PATCH", "/v1/project", &[], b"{\"strict_verp\": true}").await;
    assert_eq!((changed.status, &changed.json()["strict_verp"]), (200, &json!(true)), "{}", changed.text());
    let id = gateway.send(&["a@strict.example", "b@strict.example"]).await;
    let mut expected = Vec::new();
    for recipient in ["a@strict.example", "b@strict.example"] {
        expected.push(gateway.delivery_in(&id, recipient, "delivered").await["id"].as_str().unwrap().to_owned());
    }
    let mut found: Vec<String> = reverse_paths(&strict).iter().map(|path| named(&gateway, path)).collect();
    found.sort_unstable();
    assert_eq!(found, expected, "strict: one transaction each");
    gateway.stop().await;
}

#[tokio::test]
async fn the_null_reverse_path_stays_null_and_the_switch_is_for_managers() {
    use base64::Engine;
    let mut world = World::new().await;
    world.takes_reports();
    let host = world.scripted_mx("null.example", &[&after_hello(TAKEN)]).await;
    let gateway = world.gateway().await;
    publish(&world, &gateway, &[]).await;
    let raw = base64::engine::general_purpose::STANDARD.encode("From: hello@sender.example\r\nSubject: Report\r\n\r\nA line.\r\n");
    let answer = gateway.post("/v1/send", &json!({ "envelope": { "from": "<>", "to": "bee@null.example" }, "raw": raw })).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    gateway.delivery_in(answer.json()["id"].as_str().unwrap(), "bee@null.example", "delivered").await;
    assert_eq!(reverse_paths(&host), [""]);
    let (_, sender) = gateway.make_key(json!({ "scope": "send" })).await;
    gateway.call_as(Some(&sender), "PATCH", "/v1/project", b"{}").await.assert_problem(403, "insufficient-scope", "PATCH");
    gateway.call("PATCH", "/v1/project", &[], b"{\"strict\": true}").await.assert_field("unknown-field", "/strict", "strict");
    assert_eq!(gateway.get("/v1/project").await.json()["strict_verp"], false);
    gateway.stop().await;
}

#[tokio::test]
async fn without_a_listener_for_the_world_no_return_path_is_asked_for_or_used() {
    let mut world = World::new().await;
    world.takes_reports();
    let before = world.scripted_mx("before.example", &[&after_hello(TAKEN)]).await;
    let after = world.scripted_mx("after.example", &[&after_hello(TAKEN)]).await;
    let gateway = world.gateway().await;
    publish(&world, &gateway, &[]).await;
    let id = gateway.send(&["bee@before.example"]).await;
    gateway.delivery_in(&id, "bee@before.example", "delivered").await;
    assert!(reverse_paths(&before)[0].ends_with("@bounce.sender.example"));
    gateway.stop().await;

    world.config.smtp.mx_listen = Listen::Off;
    let gateway = world.gateway().await;
    let records = gateway.get("/v1/domains").await.json()["data"][0]["records"].clone();
    let purposes: Vec<&str> = records.as_array().unwrap().iter().map(|record| record["purpose"].as_str().unwrap()).collect();
    assert_eq!(purposes, ["dkim", "dkim", "spf", "dmarc"]);
    assert_eq!(records[3]["value"], "v=DMARC1; p=none", "nobody would read the reports");
    let id = gateway.send(&["bee@after.example"]).await;
    gateway.delivery_in(&id, "bee@after.example", "delivered").await;
    assert_eq!(reverse_paths(&after), ["hello@sender.example"], "what DNS says still does not bring bounces here");
    gateway.stop().await;
}
