//! Each stage of a session, and each way in which it can fail there, in one table (faults R1 to R17, T1 to T3).
//!
//! A row is a domain whose host fails once and then takes. What the first attempt is told as stands in the table; the second
//! delivers whatever was not refused for good.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use super::world::gateway::eventually;
use super::world::script::after_hello;
use super::world::telling::{attempts, told};
use super::world::{Gateway, ScriptedHost, World};

const TLS: &str = "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\n";
const TO_DATA: &str = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\n";

/// What a host has said and heard before it fails.
fn way_to(stage: &str) -> String {
    match stage {
        "connect" | "greeting" => String::new(),
        "ehlo" => "S: 220 mx\nC: EHLO\n".to_owned(),
        "starttls" => TLS.to_owned(),
        "handshake" => format!("{TLS}S: 220 go\n"),
        "mail" => after_hello("C: MAIL\n"),
        // The second of three.
        "rcpt" => after_hello("C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: RCPT\n"),
        "data" => after_hello(TO_DATA),
        "body" => after_hello(&format!("{TO_DATA}S: 354 go\nC: Subject\n")),
        "dot" => after_hello(&format!("{TO_DATA}S: 354 go\nC: .\n")),
        "quit" => after_hello(&format!("{TO_DATA}S: 354 go\nC: .\nS: 250 2.0.0 taken\nC: QUIT\n")),
        other => panic!("no stage {other}"),
    }
}

fn failing(stage: &str, fault: &str) -> String {
    let step = match (fault, stage) {
        ("4yz", _) => "S: 451 4.3.0 not now\n",
        ("5yz", "ehlo") => "S: 554 5.3.0 no\nC: HELO\nS: 554 5.3.0 no\n",
        ("5yz", "rcpt") => "S: 550 5.1.1 no such user\n",
        ("5yz", _) => "S: 554 5.3.0 no\n",
        ("421", _) => "S: 421 4.3.2 closing\n!close\n",
        ("silence", "body") => "!stall\n",
        ("silence", _) => "!silence\n",
        ("reset", _) => "!reset\n",
        ("close", _) => "!close\n",
        ("garbage", _) => "S:- \\0no SMTP at all\\r\\n\n",
        ("lines", _) => "S:* 200 250-and on\\r\\n\n",
        ("line", _) => "S:* 9000 250-and on \n",
        other => panic!("no fault {other:?}"),
    };
    // Behind a refused recipient the others go on, and behind a refused STARTTLS all do in the clear.
    let rest = match (stage, fault) {
        ("rcpt", "4yz" | "5yz") => "C: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 250 2.0.0 taken\n",
        ("starttls", "4yz" | "5yz") => "C: MAIL\n!more\n",
        _ => "",
    };
    format!("{}{step}{rest}", way_to(stage))
}

/// A row: where, how, and what the second of three recipients is told.
type Row = (&'static str, &'static str, &'static str);

const DONE: &str = "delivered delivered end_of_data - 2.0.0";

/// Without silence: no time has to pass.
const FAULTS: &[Row] = &[
    ("connect", "reset", "queued deferred greeting host 4.4.2"),
    ("greeting", "4yz", "queued deferred greeting host 4.3.0"),
    ("greeting", "5yz", "bounced bounced greeting host 5.3.0"),
    ("greeting", "421", "queued deferred greeting host 4.3.2"),
    ("greeting", "close", "queued deferred greeting host 4.4.2"),
    ("greeting", "garbage", "queued deferred greeting host 4.5.0"),
    ("greeting", "lines", "queued deferred greeting host 4.5.0"),
    ("greeting", "line", "queued deferred greeting host 4.5.0"),
    ("ehlo", "4yz", "queued deferred ehlo host 4.3.0"),
    ("ehlo", "5yz", "bounced bounced ehlo host 5.3.0"),
    ("ehlo", "421", "queued deferred ehlo host 4.3.2"),
    ("ehlo", "reset", "queued deferred ehlo host 4.4.2"),
    ("ehlo", "garbage", "queued deferred ehlo host 4.5.0"),
    ("ehlo", "lines", "queued deferred ehlo host 4.5.0"),
    ("ehlo", "line", "queued deferred ehlo host 4.5.0"),
    ("starttls", "4yz", DONE),
    ("starttls", "5yz", DONE),
    ("starttls", "421", DONE),
    ("starttls", "reset", DONE),
    ("starttls", "garbage", DONE),
    ("starttls", "lines", DONE),
    ("starttls", "line", DONE),
    ("handshake", "reset", DONE),
    ("handshake", "close", DONE),
    ("handshake", "garbage", DONE),
    ("handshake", "line", DONE),
    ("mail", "4yz", "queued deferred mail host 4.3.0"),
    ("mail", "5yz", "bounced bounced mail message 5.3.0"),
    ("mail", "421", "queued deferred mail host 4.3.2"),
    ("mail", "reset", "queued deferred mail host 4.4.2"),
    ("mail", "garbage", "queued deferred mail host 4.5.0"),
    ("mail", "lines", "queued deferred mail host 4.5.0"),
    ("mail", "line", "queued deferred mail host 4.5.0"),
    ("rcpt", "4yz", "queued deferred rcpt host 4.3.0"),
    ("rcpt", "5yz", "bounced bounced rcpt recipient 5.1.1"),
    ("rcpt", "421", "queued deferred rcpt host 4.3.2"),
    ("rcpt", "reset", "queued deferred rcpt host 4.4.2"),
    ("rcpt", "garbage", "queued deferred rcpt host 4.5.0"),
    ("rcpt", "lines", "queued deferred rcpt host 4.5.0"),
    ("rcpt", "line", "queued deferred rcpt host 4.5.0"),
    ("data", "4yz", "queued deferred data host 4.3.0"),
    ("data", "5yz", "bounced bounced data message 5.3.0"),
    ("data", "421", "queued deferred data host 4.3.2"),
    ("data", "reset", "queued deferred data host 4.4.2"),
    ("data", "garbage", "queued deferred data host 4.5.0"),
    ("data", "lines", "queued deferred data host 4.5.0"),
    ("data", "line", "queued deferred data host 4.5.0"),
    ("body", "4yz", "queued deferred end_of_data host 4.3.0"),
    ("body", "5yz", "bounced bounced end_of_data message 5.3.0"),
    ("body", "reset", "queued deferred body host 4.4.2"),
    ("body", "garbage", "queued deferred end_of_data message 4.5.0 unknown"),
    ("body", "lines", "queued deferred end_of_data message 4.5.0 unknown"),
    ("dot", "4yz", "queued deferred end_of_data host 4.3.0"),
    ("dot", "5yz", "bounced bounced end_of_data message 5.3.0"),
    ("dot", "421", "queued deferred end_of_data host 4.3.2"),
    ("dot", "reset", "queued deferred end_of_data message 4.4.2 unknown"),
    ("dot", "close", "queued deferred end_of_data message 4.4.2 unknown"),
    ("dot", "garbage", "queued deferred end_of_data message 4.5.0 unknown"),
    ("dot", "lines", "queued deferred end_of_data message 4.5.0 unknown"),
    ("dot", "line", "queued deferred end_of_data message 4.5.0 unknown"),
    ("quit", "4yz", DONE),
    ("quit", "5yz", DONE),
    ("quit", "421", DONE),
    ("quit", "reset", DONE),
    ("quit", "garbage", DONE),
    ("quit", "lines", DONE),
    ("quit", "line", DONE),
];

/// The host listens and says nothing, for longer than any limit.
const SILENCES: &[Row] = &[
    ("greeting", "silence", "queued deferred greeting host 4.4.2"),
    ("ehlo", "silence", "queued deferred ehlo host 4.4.2"),
    ("starttls", "silence", DONE),
    ("handshake", "silence", DONE),
    ("mail", "silence", "queued deferred mail host 4.4.2"),
    ("rcpt", "silence", "queued deferred rcpt host 4.4.2"),
    ("data", "silence", "queued deferred data host 4.4.2"),
    ("body", "silence", "queued deferred body host 4.4.2"),
    ("dot", "silence", "queued deferred end_of_data message 4.4.2 unknown"),
    ("quit", "silence", DONE),
];

struct Sent {
    row: Row,
    host: ScriptedHost,
    id: String,
    recipients: [String; 3],
}

async fn send(world: &World, gateway: &Gateway, row: Row) -> Sent {
    let (stage, fault, _) = row;
    let domain = format!("{stage}-{fault}.example");
    let host = world.scripted_mx(&domain, &[&failing(stage, fault), "!take"]).await;
    let recipients = ["a", "b", "c"].map(|name| format!("{name}@{domain}"));
    let to = recipients.each_ref().map(String::as_str);
    // More than sockets hold, so that most of it is still to be sent when the host fails.
    let lines = if stage == "body" && matches!(fault, "reset" | "silence") { 150_000 } else { 1 };
    let id =
        gateway.send_with(&to, json!({ "text": "A line of seventy characters, so that the content is large enough for it.\n".repeat(lines) })).await;
    Sent { row, host, id, recipients }
}

/// What the first attempt on the second recipient was told as, where that differs from the table.
async fn differs(gateway: &Gateway, sent: &Sent) -> Option<String> {
    let (stage, fault, expected) = sent.row;
    let found = told(&gateway.attempted(&sent.id, &sent.recipients[1], 1).await);
    let connections = sent.host.connections();
    (found != expected).then(|| format!("    (\"{stage}\", \"{fault}\", \"{found}\"), // {connections} connections"))
}

/// What was not refused for good is delivered by the second attempt, to all who had none of the first.
async fn ends_well(gateway: &Gateway, sent: &Sent) -> Option<String> {
    let (stage, fault, expected) = sent.row;
    let mut wrong = String::new();
    for (place, recipient) in sent.recipients.iter().enumerate() {
        let delivery =
            gateway.delivery_when(&sent.id, recipient, |delivery| !["queued", "active"].contains(&delivery["state"].as_str().unwrap())).await;
        let one_among_many = stage == "rcpt" && matches!(fault, "4yz" | "5yz") && place != 1;
        let first = if one_among_many { DONE } else { expected };
        let wanted = match first.split(' ').next().unwrap_or_default() {
            "delivered" => ("delivered", 1),
            "bounced" => ("bounced", 1),
            _ => ("delivered", 2),
        };
        let found = (delivery["state"].as_str().unwrap(), attempts(&delivery));
        if found != wanted {
            let _ = writeln!(wrong, "{stage} {fault}: {recipient} ended {found:?} instead of {wanted:?}: {delivery:#}");
        }
    }
    (!wrong.is_empty()).then_some(wrong)
}

async fn assert_ends(gateway: &Gateway, world: &World, all: &[Sent]) {
    // Longer than after an unknown outcome.
    world.advance(Duration::from_mins(45));
    let mut wrong = Vec::new();
    for sent in all {
        wrong.extend(ends_well(gateway, sent).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(world.number("select count(*) from delivery").await, 0);
}

#[tokio::test]
async fn each_fault_at_each_stage_is_told_as_what_it_is_and_costs_no_message() {
    let mut world = World::new().await;
    // A QUIT is said at once.
    world.config.delivery.idle_seconds = 0;
    let gateway = world.gateway().await;
    let (mut all, mut wrong) = (Vec::new(), Vec::new());
    for row in FAULTS {
        all.push(send(&world, &gateway, *row).await);
    }
    for sent in &all {
        wrong.extend(differs(&gateway, sent).await);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_ends(&gateway, &world, &all).await;
    gateway.stop().await;
}

#[tokio::test]
async fn silence_at_each_stage_ends_after_its_time_limit_and_costs_no_message() {
    let mut world = World::new().await;
    world.config.delivery.idle_seconds = 0;
    let gateway = world.gateway().await;
    let mut all = Vec::new();
    for row in SILENCES {
        all.push(send(&world, &gateway, *row).await);
    }
    for sent in &all {
        let last = way_to(sent.row.0).lines().rfind(|line| line.starts_with("C: ")).map(|line| line[3..].to_owned());
        eventually(|| async {
            let heard = sent.host.heard();
            let there = last.as_ref().map_or(sent.host.connections() == 1, |last| heard.iter().any(|line| line.starts_with(last.as_str())));
            if there { Ok(()) } else { Err(format!("{:?}: {heard:?}", sent.row)) }
        })
        .await;
    }
    // The longest limit: ten minutes for the reply to the final dot.
    world.advance(Duration::from_mins(10));
    let mut wrong = Vec::new();
    for sent in &all {
        wrong.extend(differs(&gateway, sent).await);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_ends(&gateway, &world, &all).await;
    gateway.stop().await;
}
