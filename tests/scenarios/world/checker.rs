//! What must hold after every fault: read by the API and at the receiving hosts, as a user and a receiver see it.
//!
//! I1: each accepted message has exactly one final state for each recipient. I2: a copy too many only where an attempt was told as
//! `outcome_unknown`, and then octet for octet the same. I3: `delivered` only with a 2xx, `bounced` only with a reason. I4: each
//! attempt is told with its stage and reply. I9: the events of a message have no gap, in its timeline and in the feed alike.

use std::collections::BTreeMap;

use pennypost::lab::sink::Sink;
use serde_json::Value;

use super::World;
use super::gateway::{Gateway, eventually};

/// One message as it reached one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub recipient: String,
    pub content: Vec<u8>,
}

/// What a sink took.
pub fn copies(sink: &Sink) -> Vec<Copy> {
    let one = |message: pennypost::lab::sink::Received| {
        let content = message.content;
        message.recipients.into_iter().map(move |recipient| Copy { recipient, content: content.clone() })
    };
    sink.received().into_iter().flat_map(one).collect()
}

/// Waits until every message of `accepted` is over, and checks what became of it. `copies` is all that any host took.
pub async fn check(world: &World, gateway: &Gateway, accepted: &[String], copies: impl Fn() -> Vec<Copy>) {
    for id in accepted {
        let message = ended(gateway, id).await;
        let header = format!("Message-ID: <{}>\r\n", message["message_id"].as_str().unwrap());
        let ours: Vec<Copy> = copies().into_iter().filter(|copy| String::from_utf8_lossy(&copy.content).contains(&header)).collect();
        assert!(ours.windows(2).all(|pair| pair[0].content == pair[1].content), "a copy differs: {ours:#?}");
        for delivery in message["deliveries"].as_array().unwrap() {
            check_delivery(&message, delivery, &ours);
        }
        check_events(&message);
    }
    check_feed(gateway, accepted).await;
    assert_eq!(world.number("select count(*) from delivery").await, 0, "nothing is outstanding");
}

/// The message once all its deliveries are final.
async fn ended(gateway: &Gateway, id: &str) -> Value {
    eventually(|| async {
        let message = gateway.message(id).await;
        let deliveries = message["deliveries"].as_array().unwrap();
        let over = |delivery: &Value| !["queued", "active", "held"].contains(&delivery["state"].as_str().unwrap());
        if !deliveries.is_empty() && deliveries.iter().all(over) { Ok(message) } else { Err(format!("{message:#}")) }
    })
    .await
}

fn check_delivery(message: &Value, delivery: &Value, copies: &[Copy]) {
    let recipient = delivery["recipient"].as_str().unwrap();
    let attempts = delivery["attempts"].as_array().unwrap();
    let unknown = attempts.iter().filter(|attempt| attempt["outcome_unknown"] == true).count();
    let taken = copies.iter().filter(|copy| copy.recipient == recipient).count();
    let last = attempts.last();
    let reply = last.and_then(|attempt| attempt["reply"].as_str()).unwrap_or_default();
    match delivery["state"].as_str().unwrap() {
        "delivered" => {
            assert!(taken >= 1, "{recipient} got nothing: {message:#}");
            assert!(taken - 1 <= unknown, "{recipient} got {taken} copies: {message:#}");
            assert!(reply.starts_with('2'), "delivered without a 2xx: {message:#}");
        }
        "bounced" => {
            assert!(taken <= unknown, "{recipient} got a copy: {message:#}");
            let status = last.and_then(|attempt| attempt["enhanced_status"].as_str()).unwrap_or_default();
            assert!(reply.starts_with('5') || status.starts_with('5'), "bounced without a reason: {message:#}");
        }
        _ => assert!(taken <= unknown, "{recipient} got a copy: {message:#}"),
    }
    for attempt in attempts {
        assert!(attempt["stage"].is_string() && attempt["reply"].is_string(), "{attempt:#}");
    }
}

/// First `accepted`, then for each delivery any number of `deferred` and one final event, and nothing behind it.
fn check_events(message: &Value) {
    let events = message["events"].as_array().unwrap();
    assert_eq!(events[0]["kind"], "accepted", "{message:#}");
    let mut by_delivery: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in &events[1..] {
        by_delivery.entry(event["delivery_id"].as_str().unwrap()).or_default().push(event["kind"].as_str().unwrap());
    }
    assert_eq!(by_delivery.len(), message["deliveries"].as_array().unwrap().len(), "{message:#}");
    for kinds in by_delivery.values() {
        let (last, before) = kinds.split_last().unwrap();
        assert!(before.iter().all(|kind| *kind == "deferred") && !["deferred", "accepted"].contains(last), "{kinds:?}: {message:#}");
    }
}

/// The feed tells each event of the messages exactly once.
async fn check_feed(gateway: &Gateway, accepted: &[String]) {
    let mut expected = Vec::new();
    for id in accepted {
        expected.extend(gateway.message(id).await["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()));
    }
    expected.sort();
    // The feed stays behind transactions that are still open, those of other worlds included.
    eventually(|| async {
        let feed = gateway.events().await;
        let of_ours = feed.iter().filter(|event| accepted.iter().any(|id| event["message_id"] == id.as_str()));
        let mut found: Vec<String> = of_ours.map(|event| event["id"].as_str().unwrap().to_owned()).collect();
        found.sort();
        if found == expected { Ok(()) } else { Err(format!("the feed has {found:?} instead of {expected:?}")) }
    })
    .await;
}
