//! The suppression list: filled by bounces, by hand and by files; heeded when a message is accepted and before each further attempt.

use std::io::Cursor;
use std::time::Duration;

use pennypost::consumers::Suppress;
use pennypost::serve::Roles;
use pennypost::suppressions::export::Format;
use pennypost::suppressions::import::ImportError;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use super::world::World;
use super::world::gateway::{Gateway, eventually};
use super::world::script::after_hello;
use super::world::telling::{attempts, kinds};

/// Waits until an address is on the list, and answers its entry.
async fn suppressed(gateway: &Gateway, address: &str) -> Value {
    eventually(|| async {
        let found = gateway.get(&format!("/v1/suppressions?address={address}")).await.json();
        found["data"].get(0).cloned().ok_or_else(|| format!("{address} is not suppressed"))
    })
    .await
}

async fn list(gateway: &Gateway, query: &str) -> Vec<String> {
    let page = gateway.get(&format!("/v1/suppressions?limit=100{query}")).await.json();
    page["data"].as_array().unwrap().iter().map(|entry| entry["address"].as_str().unwrap().to_owned()).collect()
}

/// Puts an address on the list of another project.
async fn suppress_elsewhere(world: &World, address: &str) {
    let entry = format!(
        "with other as (insert into project (id, name) values (gen_random_uuid(), 'other') returning id)
         insert into suppression (project_id, address, id, reason, origin, created_at)
         select id, '{address}', '01890000-0000-7000-8000-000000000001', 'manual', 'api', now() from other"
    );
    assert_eq!(world.execute(&entry).await, 1);
}

/// Sends to `to` and answers what the API says at once.
async fn answer(gateway: &Gateway, to: &[&str], more: Value) -> Value {
    let mut body = json!({ "from": "hello@sender.example", "to": to, "subject": "Hello", "text": "A line.\n" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = gateway.post("/v1/send", &body).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()
}

// R20, R21, R22
#[tokio::test]
async fn only_what_condemns_a_mailbox_suppresses_it() {
    let world = World::new().await;
    let rcpt = |reply: &str| after_hello(&format!("C: MAIL\nS: 250 ok\nC: RCPT\nS: {reply}"));
    let rows = [
        ("550 5.7.1 blocked using zen.spamhaus.org", None),
        ("550 5.7.26 unauthenticated", None),
        ("550 5.7.1 rejected by policy", None),
        ("550 5.1.1 rejected, your host is listed at bl.spamcop.net", None),
        ("552 5.2.2 mailbox full", None),
        ("554 5.7.1 relay access denied", None),
        ("550 Rejected", None),
        ("550 5.1.1 no such user", Some("bad_mailbox")),
        ("550 5.2.1 account is disabled", Some("inactive")),
    ];
    for (number, (reply, _)) in rows.iter().enumerate() {
        world.scripted_mx(&format!("r{number}.example"), &[&rcpt(reply)]).await;
    }
    // Words that condemn a mailbox, and do not say whose: the sender's at MAIL, one of several at the end of the content.
    world.scripted_mx("mail.example", &[&after_hello("C: MAIL\nS: 550 5.1.1 no such user")]).await;
    let several = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 550 5.1.1 no such user";
    world.scripted_mx("several.example", &[&after_hello(several)]).await;
    let single = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.7.1 by policy\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 550 5.1.1 no such user";
    world.scripted_mx("single.example", &[&after_hello(single)]).await;
    let gateway = world.gateway().await;
    for recipients in [vec!["bee@mail.example"], vec!["a@several.example", "b@several.example"], vec!["a@single.example", "b@single.example"]] {
        let id = gateway.send(&recipients).await;
        for recipient in recipients {
            gateway.delivery_in(&id, recipient, "bounced").await;
        }
    }
    let mut ids = Vec::new();
    for number in 0..rows.len() {
        let recipient = format!("Bee@r{number}.example");
        let id = gateway.send(&[&recipient]).await;
        gateway.delivery_in(&id, &recipient, "bounced").await;
        ids.push(id);
    }
    for (number, (reply, class)) in rows.iter().enumerate().rev() {
        let Some(class) = class else {
            assert_eq!(list(&gateway, &format!("&address=bee@r{number}.example")).await, [""; 0], "{reply}");
            continue;
        };
        let entry = suppressed(&gateway, &format!("bee@r{number}.example")).await;
        assert_eq!((&entry["reason"], &entry["origin"], &entry["class"]), (&json!("bounce"), &json!("automatic"), &json!(class)), "{entry:#}");
        assert_eq!((&entry["stream"], &entry["message_id"]), (&Value::Null, &json!(ids[number])), "{entry:#}");
    }
    assert_eq!(suppressed(&gateway, "b@single.example").await["class"], "bad_mailbox", "the only one that the content was sent for");
    assert_eq!(list(&gateway, "").await.len(), 3);
    let figures = gateway.get("/metrics").await.text();
    assert!(figures.contains("pennypost_suppressed_addresses_total{origin=\"automatic\"}"), "{figures}");
    gateway.stop().await;
}

// I7
#[tokio::test]
async fn a_suppressed_recipient_ends_at_once_and_the_others_get_their_mail() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    for (address, stream) in [("Bee@Example.NET", Value::Null), ("@bücher.example", Value::Null), ("news@example.net", json!("news"))] {
        let made = gateway.post("/v1/suppressions", &json!({ "address": address, "stream": stream, "note": "asked for it" })).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    let again = gateway.post("/v1/suppressions", &json!({ "address": "bee@example.net" })).await;
    assert_eq!((again.status, &again.json()["note"]), (200, &json!("asked for it")), "what is there stays as it is");

    let quoted = "\"a@example.net\"@xn--bcher-kva.example";
    let to = ["bEE@example.net", "good@example.net", "anyone@xn--bcher-kva.example", "news@example.net", quoted];
    let said = answer(&gateway, &to, json!({})).await;
    assert_eq!((&said["status"], &said["deliveries"], &said["suppressed"]), (&json!("accepted"), &json!(5), &json!(3)), "{said:#}");
    let id = said["id"].as_str().unwrap();
    for recipient in ["good@example.net", "news@example.net"] {
        gateway.delivery_in(id, recipient, "delivered").await;
    }
    let domain = "@xn--bcher-kva.example";
    for (recipient, entry) in [("bEE@example.net", "bee@example.net"), ("anyone@xn--bcher-kva.example", domain), (quoted, domain)] {
        let delivery = gateway.delivery(id, recipient).await;
        assert_eq!((delivery["state"].as_str(), attempts(&delivery)), (Some("suppressed"), 0), "{delivery:#}");
        let message = gateway.message(id).await;
        let event = message["events"].as_array().unwrap().iter().find(|event| event["recipient"] == recipient).unwrap().clone();
        assert_eq!((&event["kind"], &event["data"]["address"], &event["data"]["reason"]), (&json!("suppressed"), &json!(entry), &json!("manual")));
    }
    assert_eq!(kinds(&gateway.message(id).await).len(), 5, "one final event each");

    let news = answer(&gateway, &["news@example.net"], json!({ "stream": "news" })).await;
    assert_eq!((&news["status"], &news["suppressed"]), (&json!("suppressed"), &json!(1)), "{news:#}");
    gateway.delivery_in(news["id"].as_str().unwrap(), "news@example.net", "suppressed").await;
    assert_eq!(mx.received().len(), 1);
    assert_eq!(world.number("select count(*) from delivery").await, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_repeated_request_is_told_the_same_number_of_suppressed_recipients() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    assert_eq!(gateway.post("/v1/suppressions", &json!({ "address": "bee@example.net" })).await.status, 201);
    let body = json!({ "from": "hello@sender.example", "to": "bee@example.net", "subject": "Hello", "text": "A line.\n" }).to_string();
    let mut answers = Vec::new();
    for _ in 0..2 {
        let answer = gateway.call("POST", "/v1/send", &[("idempotency-key", "one")], body.as_bytes()).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answers.push(answer.json());
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0]["suppressed"], 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_batch_says_of_each_message_how_many_recipients_are_suppressed() {
    let world = World::new().await;
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    assert_eq!(gateway.post("/v1/suppressions", &json!({ "address": "bee@example.net" })).await.status, 201);
    let message = |to: Value| json!({ "from": "hello@sender.example", "to": to, "subject": "Hello", "text": "A line.\n" });
    let body = json!({ "messages": [message(json!("bee@example.net")), message(json!(["bee@example.net", "good@example.net"])), message(json!("good@example.net"))] });
    let mut answers = Vec::new();
    for _ in 0..2 {
        let answer = gateway.call("POST", "/v1/send/batch", &[("idempotency-key", "one")], body.to_string().as_bytes()).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answers.push(answer.json());
    }
    assert_eq!(answers[0], answers[1], "a repeated batch is told the same");
    let told: Vec<_> =
        answers[0]["items"].as_array().unwrap().iter().map(|item| (&item["message"]["status"], &item["message"]["suppressed"])).collect();
    assert_eq!(told, [(&json!("suppressed"), &json!(1)), (&json!("accepted"), &json!(1)), (&json!("accepted"), &json!(0))]);
    gateway.stop().await;
}

// I7
#[tokio::test]
async fn what_waits_for_another_attempt_heeds_a_later_suppression() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["greylist@example.net", "greylist2@example.net"]).await;
    gateway.attempted(&id, "greylist@example.net", 1).await;
    let news = gateway.send_with(&["greylist3@example.net"], json!({ "stream": "news" })).await;
    assert_eq!(gateway.attempted(&news, "greylist3@example.net", 1).await["state"], "queued");
    for address in ["greylist@example.net", "greylist3@example.net"] {
        let made = gateway.post("/v1/suppressions", &json!({ "address": address, "stream": "transactional" })).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    // An entry for everybody at a domain in all streams, met by a quoted local part, by an attempt that somebody asks for; and one of another project.
    let busy = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 450 4.2.1 busy\nC: RCPT\nS: 450 4.2.1 busy";
    let host = world.scripted_mx("wide.example", &[&after_hello(busy)]).await;
    let quoted = "\"a@example.net\"@wide.example";
    let wide = gateway.send(&["bee@wide.example", quoted]).await;
    gateway.attempted(&wide, "bee@wide.example", 1).await;
    gateway.attempted(&wide, quoted, 1).await;
    assert_eq!(gateway.post("/v1/suppressions", &json!({ "address": "@wide.example" })).await.status, 201);
    suppress_elsewhere(&world, "greylist2@example.net").await;
    assert_eq!(gateway.post(&format!("/v1/messages/{wide}/retry"), &json!({})).await.status, 200);
    for recipient in ["bee@wide.example", quoted] {
        assert_eq!(attempts(&gateway.delivery_in(&wide, recipient, "suppressed").await), 1, "no attempt more");
    }
    world.advance(Duration::from_mins(10));
    let delivery = gateway.delivery_in(&id, "greylist@example.net", "suppressed").await;
    assert_eq!(attempts(&delivery), 1, "{delivery:#}");
    gateway.delivery_in(&id, "greylist2@example.net", "delivered").await;
    assert_eq!(attempts(&gateway.delivery_in(&news, "greylist3@example.net", "delivered").await), 2, "suppressed in another stream");
    assert_eq!(kinds(&gateway.message(&id).await).iter().filter(|kind| **kind == "suppressed").count(), 1);
    assert!(mx.received().iter().all(|copy| !copy.recipients.iter().any(|recipient| recipient == "greylist@example.net")), "nothing was sent there");
    assert_eq!((host.connections(), mx.received().len()), (1, 2), "none of it was tried once more");
    let figures = gateway.get("/metrics").await.text();
    let counted = figures.lines().find_map(|line| line.strip_prefix("pennypost_deliveries_total{outcome=\"suppressed\"} "));
    assert!(counted.is_some_and(|number| number != "0"), "{figures}");
    assert_eq!(world.number("select count(*) from delivery").await, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_removed_address_stays_removed_until_it_bounces_again() {
    let world = World::new().await;
    world.accepting_mx("example.net").await;
    let two = world.gateway().await;
    let gateway = world.gateway().await;
    let first = gateway.send(&["refuse@example.net"]).await;
    gateway.delivery_in(&first, "refuse@example.net", "bounced").await;
    let entry = suppressed(&gateway, "refuse@example.net").await;
    let path = format!("/v1/suppressions/{}", entry["id"].as_str().unwrap());
    assert_eq!(gateway.get(&path).await.json(), entry);
    assert_eq!(gateway.call("DELETE", &path, &[], b"").await.status, 204);
    gateway.call("DELETE", &path, &[], b"").await.assert_problem(404, "not-found", "removed");
    // Two nodes read the log: neither reads the old bounce again.
    let other = gateway.send(&["other@example.net"]).await;
    gateway.delivery_in(&other, "other@example.net", "delivered").await;
    world
        .execute(
            "insert into event (id, project_id, kind, recipient, data)
                  select event_id_after(id, 1), project_id, 8, 'spam@example.net', '{}' from event order by id desc limit 1",
        )
        .await;
    let complaint = suppressed(&gateway, "spam@example.net").await;
    assert_eq!(complaint["reason"], "complaint", "a later event was read");
    assert_eq!(list(&gateway, "&address=refuse@example.net").await, [""; 0], "and the earlier one not again");
    let again = gateway.send(&["refuse@example.net"]).await;
    gateway.delivery_in(&again, "refuse@example.net", "bounced").await;
    suppressed(&gateway, "refuse@example.net").await;
    gateway.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn an_event_that_commits_late_is_read_all_the_same() {
    let world = World::new().await;
    world.accepting_mx("example.net").await;
    // No consumer but the one below.
    let gateway = world.gateway_with(Roles { worker: false, ..Roles::ALL }).await;
    let id = gateway.send(&["bee@example.net"]).await;
    gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    let event = |number: u8, recipient: &str| {
        format!(
            "insert into event (id, project_id, kind, recipient, data)
             select event_id_after(id, {number}), project_id, 8, '{recipient}', '{{}}' from message"
        )
    };
    let consumer = Suppress { store: gateway.running.house.store.clone(), clock: world.clock.clone() };
    let mut early = PgConnection::connect(&world.database_url).await.unwrap();
    early.execute("begin").await.unwrap();
    early.execute(sqlx::AssertSqlSafe(event(1, "early@example.net"))).await.unwrap();
    assert_eq!(world.execute(&event(2, "late@example.net")).await, 1);
    assert_eq!(consumer.round().await.unwrap(), 0, "what is behind an open transaction waits");
    early.execute("commit").await.unwrap();
    eventually(|| async {
        Box::pin(consumer.round()).await.unwrap();
        let mut found = list(&gateway, "").await;
        found.sort_unstable();
        if found == ["early@example.net", "late@example.net"] { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn after_the_log_was_restored_elsewhere_what_happens_from_then_on_counts() {
    let world = World::new().await;
    world.accepting_mx("example.net").await;
    let ahead = "update consumer set xact = 1000000000000000 where name = 'suppress'";
    let gateway = world.gateway().await;
    assert_eq!(world.execute(ahead).await, 1);
    eventually(|| async {
        match world.number("select count(*) from consumer where name = 'suppress' and xact < 1000000000000000").await {
            1 => Ok(()),
            _ => Err("the cursor is ahead of the server still".to_owned()),
        }
    })
    .await;
    let id = gateway.send(&["refuse@example.net"]).await;
    gateway.delivery_in(&id, "refuse@example.net", "bounced").await;
    suppressed(&gateway, "refuse@example.net").await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_complaint_holds_for_the_stream_it_is_about() {
    let world = World::new().await;
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let id = gateway.send_with(&["bee@example.net"], json!({ "stream": "news" })).await;
    gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    let complain = "insert into event (id, project_id, message_id, rcpt_no, kind, recipient, data)
                    select event_id_after(id, 7), project_id, id, 0, 8, 'bee@example.net', '{}' from message";
    assert_eq!(world.execute(complain).await, 1);
    let entry = suppressed(&gateway, "bee@example.net").await;
    assert_eq!((&entry["stream"], &entry["reason"], &entry["message_id"]), (&json!("news"), &json!("complaint"), &json!(id)));
    assert_eq!(answer(&gateway, &["bee@example.net"], json!({})).await["suppressed"], 0);
    assert_eq!(answer(&gateway, &["bee@example.net"], json!({ "stream": "news" })).await["suppressed"], 1);
    assert_eq!(gateway.delivery(&id, "bee@example.net").await["state"], "delivered");
    gateway.stop().await;
}

#[tokio::test]
async fn a_list_is_imported_whole_or_not_at_all_and_exported_as_it_was() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let import = async |kind: &str, text: &str| gateway.call("POST", "/v1/suppressions/import", &[("content-type", kind)], text.as_bytes()).await;
    let csv = "address,stream,reason,note,created_at\r\nA@Example.net,,bounce,\"one, two\",2026-01-02T03:04:05Z\r\n@b.example,news,,,\r\n";
    let first = import("text/csv", csv).await;
    assert_eq!((first.status, first.json()), (200, json!({ "added": 2, "unchanged": 0 })), "{}", first.text());
    assert_eq!(import("text/csv; charset=utf-8", csv).await.json(), json!({ "added": 0, "unchanged": 2 }));

    let wrong = import("text/csv", "address\nc@example.net\nnobody\nd@example.net\n@\n").await;
    wrong.assert_field("invalid-address", "/lines/3/address", "a wrong line");
    wrong.assert_field("invalid-address", "/lines/5/address", "another");
    import("application/x-ndjson", "{\"address\":\"c@example.net\"}\n{\"adress\":\"x\"}\n").await.assert_field(
        "invalid-line",
        "/lines/2/line",
        "JSON",
    );
    import("application/json", "[]").await.assert_problem(415, "unsupported-list", "JSON is no list");
    import("text/csv", "address\n\"c@example.net\nd@example.net\n").await.assert_problem(422, "invalid-address", "an open quote");
    let mut kept = list(&gateway, "").await;
    kept.sort_unstable();
    assert_eq!(kept, ["@b.example", "a@example.net"], "nothing of a wrong list is kept");

    let faulty =
        gateway.running.house.suppressions.import(gateway.running.house.project, Format::Csv, || Ok(Cursor::new("nobody\n".repeat(150)))).await;
    assert!(matches!(&faulty, Err(ImportError::Wrong(faults)) if faults.len() == 100), "no more faults are kept: {faulty:?}");
    let long = format!("{}\n", "x".repeat(15)).repeat(1024 * 1024 + 1);
    import("text/csv", &long).await.assert_problem(413, "body-too-large", "16 MiB and a line");
    let future = "address,created_at\nfuture@example.net,2999-01-01T00:00:00Z\n";
    assert_eq!(import("text/csv", future).await.json()["added"], 1);
    let entry = suppressed(&gateway, "future@example.net").await;
    assert!(entry["created_at"].as_str().unwrap() < "2998", "nothing is suppressed since a time to come: {entry}");
    assert_eq!(gateway.call("DELETE", &format!("/v1/suppressions/{}", entry["id"].as_str().unwrap()), &[], b"").await.status, 204);

    let many = (0..2_500).map(|number| format!("many{number}@example.net\n")).collect::<Vec<_>>().concat();
    assert_eq!(import("text/csv", &many).await.json()["added"], 2_500);
    let exported = gateway.get("/v1/suppressions/export").await;
    assert_eq!(exported.header("content-type"), Some("text/csv; charset=utf-8"));
    let text = exported.text();
    assert_eq!(text.lines().count(), 2_503);
    assert!(text.contains("a@example.net,,bounce,import,,,\"one, two\",2026-01-02T03:04:05Z"), "{}", &text[..300]);
    let lines = gateway.get("/v1/suppressions/export?format=jsonl").await.text();
    assert_eq!(lines.lines().count(), 2_502);
    world.execute("delete from suppression").await;
    assert_eq!(import("application/x-ndjson", &lines).await.json(), json!({ "added": 2_502, "unchanged": 0 }), "what was exported can be imported");
    gateway.get("/v1/suppressions/export?format=xml").await.assert_problem(400, "invalid-parameter", "xml");
    gateway.stop().await;
}

#[tokio::test]
async fn bad_entries_are_refused_and_other_projects_and_lesser_keys_stay_out() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    for (body, code, pointer) in [
        (json!({ "address": "nobody" }), "invalid-address", "/address"),
        (json!({ "address": "@" }), "invalid-address", "/address"),
        (json!({ "address": "a@example.net", "stream": "a b" }), "invalid-label", "/stream"),
        (json!({ "address": "a@example.net", "reason": "because" }), "unknown-value", "/reason"),
        (json!({ "address": "a@example.net", "note": "x".repeat(1_001) }), "out-of-range", "/note"),
        (json!({}), "required", "/address"),
        (json!({ "address": "a@example.net", "origin": "api" }), "unknown-field", "/origin"),
    ] {
        gateway.post("/v1/suppressions", &body).await.assert_field(code, pointer, &body.to_string());
    }
    for query in ["address=nobody", "stream=a%20b", "reason=hard", "limit=0", "cursor=x"] {
        gateway.get(&format!("/v1/suppressions?{query}")).await.assert_problem(400, "invalid-parameter", query);
    }
    assert_eq!(list(&gateway, "").await, [""; 0]);
    let (_, sender) = gateway.make_key(json!({ "scope": "send" })).await;
    let body = json!({ "address": "a@example.net" }).to_string();
    for (method, path) in [("POST", "/v1/suppressions"), ("GET", "/v1/suppressions"), ("GET", "/v1/suppressions/export")] {
        gateway.call_as(Some(&sender), method, path, body.as_bytes()).await.assert_problem(403, "insufficient-scope", path);
    }
    // An entry of another project is neither seen nor heeded.
    suppress_elsewhere(&world, "bee@example.net").await;
    assert_eq!(list(&gateway, "").await, [""; 0]);
    assert_eq!(answer(&gateway, &["bee@example.net"], json!({})).await["suppressed"], 0);
    let id = pennypost::model::SuppressionId::from_uuid("01890000-0000-7000-8000-000000000001".parse().unwrap());
    gateway.get(&format!("/v1/suppressions/{id}")).await.assert_problem(404, "not-found", "another project's");
    gateway.call("DELETE", &format!("/v1/suppressions/{id}"), &[], b"").await.assert_problem(404, "not-found", "another project's");
    gateway.stop().await;
}
