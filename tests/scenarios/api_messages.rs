//! Finding messages, reading them, and changing what waits: `/v1/messages`, `/v1/queue`, `/v1/sandbox`, `/v1/events`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "the helpers of tests fail the test")]

use std::time::Duration;

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::world::World;
use super::world::api::Ledger;
use super::world::gateway::{Gateway, eventually};

fn ids(page: &Value) -> Vec<String> {
    page["data"].as_array().unwrap_or_else(|| panic!("{page}")).iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect()
}

/// Every id of a list, page by page.
async fn all(gateway: &Gateway, query: &str, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = gateway.get(&format!("/v1/messages?limit={limit}&{query}{cursor}")).await.json();
        let entries = ids(&page);
        assert!(entries.len() <= limit);
        found.extend(entries);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[tokio::test]
async fn messages_are_found_by_state_sender_recipient_tag_and_time() {
    let world = World::new().await;
    world.accepting_mx("example.net").await;
    world.publish_host("dead.example");
    let gateway = world.gateway().await;
    assert_eq!(gateway.post("/v1/domains", &json!({ "name": "bücher.example" })).await.status, 201);
    let start = world.clock.now();
    let delivered = gateway.send_with(&["bee@example.net"], json!({ "tags": { "flow": "signup", "a": "x:y z'\"%" } })).await;
    let bounced = gateway.send_with(&["refuse@example.net", "other@example.net"], json!({ "tags": { "flow": "reset" } })).await;
    let foreign = gateway.send_with(&["bee@example.net"], json!({ "from": "Büro <info@bücher.example>", "bcc": ["secret@example.net"] })).await;
    gateway.delivery_in(&delivered, "bee@example.net", "delivered").await;
    gateway.delivery_in(&bounced, "refuse@example.net", "bounced").await;
    gateway.delivery_in(&bounced, "other@example.net", "delivered").await;
    gateway.delivery_in(&foreign, "secret@example.net", "delivered").await;
    world.advance(Duration::from_hours(1));
    let middle = world.clock.now();
    let waiting = gateway.send(&["bee@dead.example"]).await;
    gateway.attempted(&waiting, "bee@dead.example", 1).await;
    let planned = (world.clock.now() + Duration::from_hours(9)).format(&Rfc3339).unwrap();
    let held = gateway.send_with(&["held@example.net"], json!({ "send_at": planned })).await;
    assert_eq!(gateway.post(&format!("/v1/messages/{held}/hold"), &json!({})).await.json()["changed"], 1);
    let cancelled = gateway.send_with(&["gone@example.net"], json!({ "send_at": planned })).await;
    assert_eq!(gateway.post(&format!("/v1/messages/{cancelled}/cancel"), &json!({})).await.json()["changed"], 1);
    let time = |at: time::OffsetDateTime| at.format(&Rfc3339).unwrap().replace('+', "%2B");
    let (start, middle) = (time(start - Duration::from_secs(1)), time(middle));
    for (query, expected) in [
        ("", vec![&cancelled, &held, &waiting, &foreign, &bounced, &delivered]),
        ("state=delivered", vec![&foreign, &bounced, &delivered]),
        ("state=bounced", vec![&bounced]),
        ("state=queued", vec![&waiting]),
        ("state=held", vec![&held]),
        ("state=cancelled", vec![&cancelled]),
        ("state=active", vec![]),
        ("state=expired", vec![]),
        ("sender=info@xn--bcher-kva.example", vec![&foreign]),
        ("sender=info@b%C3%BCcher.example", vec![&foreign]),
        ("sender=nobody@sender.example", vec![]),
        ("recipient=bee@example.net", vec![&foreign, &delivered]),
        ("recipient=secret@example.net", vec![&foreign]),
        ("recipient=bee@dead.example", vec![&waiting]),
        ("recipient=bee@EXAMPLE.net&state=delivered&sender=hello@sender.example", vec![&delivered]),
        ("tag=flow:signup", vec![&delivered]),
        ("tag=a:x:y%20z'%22%25", vec![&delivered]),
        ("tag=flow:", vec![]),
        ("tag=flow:sign", vec![]),
        (&format!("since={middle}"), vec![&cancelled, &held, &waiting]),
        (&format!("until={middle}"), vec![&foreign, &bounced, &delivered]),
        (&format!("since={start}&until={middle}&tag=flow:reset"), vec![&bounced]),
        ("since=9999-12-31T23:59:59Z", vec![]),
        ("since=9999-12-31T23:59:59-23:59", vec![]),
        ("until=0000-01-01T00:00:00Z", vec![]),
    ] {
        for limit in [1, 2, 100] {
            let found = all(&gateway, query, limit).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query} by {limit}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_is_found_by_what_a_node_did_whose_clock_is_behind() {
    let behind = World::new().await;
    behind.accepting_mx("example.net").await;
    let mut ahead = World::on(behind.database_url.clone()).await;
    ahead.config.server.master_key_file = behind.config.server.master_key_file.clone();
    ahead.advance(Duration::from_mins(30));
    let door = ahead.gateway_with(pennypost::serve::Roles { deliver: false, ..pennypost::serve::Roles::ALL }).await;
    let worker = behind.gateway().await;
    let id = door.send(&["bee@example.net"]).await;
    assert_eq!(door.post(&format!("/v1/messages/{id}/retry"), &json!({})).await.json()["changed"], 1);
    worker.delivery_in(&id, "bee@example.net", "delivered").await;
    assert!(behind.number("select count(*) from event e join message m on m.id = e.message_id where e.id < m.id").await >= 1);
    for query in ["state=delivered", "recipient=bee@example.net", "state=delivered&recipient=bee@example.net"] {
        assert_eq!(all(&door, query, 10).await, std::slice::from_ref(&id), "{query}");
    }
    door.stop().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_query_that_is_not_understood_is_refused() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    for id in 0..3 {
        gateway.send(&[&format!("a{id}@example.net")]).await;
    }
    let cursor = gateway.get("/v1/messages?limit=1").await.json()["next_cursor"].as_str().unwrap().to_owned();
    let tampered = [
        format!("{cursor}x"),
        cursor[1..].to_owned(),
        format!("{cursor}%3D"),
        cursor.to_lowercase() + "-",
        "%00".into(),
        "'%20or%201=1--".into(),
        String::new(),
        "x".repeat(5000),
    ];
    let events = gateway.get("/v1/events").await.json()["next_cursor"].as_str().unwrap().to_owned();
    for path in ["/v1/messages", "/v1/domains", "/v1/keys", "/v1/sandbox", "/v1/events"] {
        for cursor in &tampered {
            gateway.get(&format!("{path}?cursor={cursor}")).await.assert_problem(400, "invalid-parameter", &format!("{path} {cursor}"));
        }
        for limit in ["0", "101", "-1", "x", "1.5", "", "99999999999999999999", "1%00", "1;drop"] {
            gateway.get(&format!("{path}?limit={limit}")).await.assert_problem(400, "invalid-parameter", &format!("{path} {limit}"));
        }
        for query in ["nothing=1", "limit=1&limit=2", "project=other", "%00=1", "a[b]=c"] {
            gateway.get(&format!("{path}?{query}")).await.assert_problem(400, "invalid-parameter", &format!("{path} {query}"));
        }
    }
    gateway.get(&format!("/v1/messages?cursor={events}")).await.assert_problem(400, "invalid-parameter", "a cursor of another list");
    gateway.get(&format!("/v1/events?cursor={cursor}")).await.assert_problem(400, "invalid-parameter", "a cursor of another list");
    for query in [
        "state=lost",
        "state=",
        "state=Delivered",
        "sender=x",
        "sender=%00@sender.example",
        "recipient=a@b@c",
        "recipient=",
        "tag=flow",
        "tag=%00:x",
        "tag=",
        "since=yesterday",
        "since=2026-12-01T00:00:00",
        "until=2026-13-01T00:00:00Z",
        "until=%00",
        "since=1",
        "sender='%20or%20'1'='1",
    ] {
        gateway.get(&format!("/v1/messages?{query}")).await.assert_problem(400, "invalid-parameter", query);
    }
    for kinds in ["lost", "", "accepted,", "accepted,%00", "accepted;bounced", "Accepted"] {
        gateway.get(&format!("/v1/events?kinds={kinds}")).await.assert_problem(400, "invalid-parameter", kinds);
    }
    for id in [
        "x",
        "msg_",
        "msg_00000000000000000000000000",
        "msg_zzzzzzzzzzzzzzzzzzzzzzzzzz",
        "dom_01jd5q0v0h7d6r2n8k4m3x9wbz",
        "00000000-0000-0000-0000-000000000000",
        "%00",
        "msg_%00",
        "'%20or%201=1--",
        "..%2f..%2fkeys",
        "%ff",
        "msg_01jd5q0v0h7d6r2n8k4m3x9wbz%0d%0aX:y",
    ] {
        for path in [format!("/v1/messages/{id}"), format!("/v1/messages/{id}/raw"), format!("/v1/domains/{id}"), format!("/v1/domains/{id}/records")]
        {
            gateway.get(&path).await.assert_problem(404, "not-found", &path);
        }
        for (method, path) in [
            ("POST", format!("/v1/messages/{id}/cancel")),
            ("POST", format!("/v1/messages/{id}/retry")),
            ("DELETE", format!("/v1/keys/{id}")),
            ("DELETE", format!("/v1/domains/{id}")),
        ] {
            gateway.call(method, &path, &[], b"").await.assert_problem(404, "not-found", &path);
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_waits_can_be_cancelled_hurried_held_and_released() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let planned = (world.clock.now() + Duration::from_hours(5)).format(&Rfc3339).unwrap();
    let act = async |id: &str, verb: &str| {
        let answer = gateway.post(&format!("/v1/messages/{id}/{verb}"), &json!({})).await;
        assert_eq!((answer.status, answer.json()["id"].as_str()), (200, Some(id)), "{verb}: {}", answer.text());
        answer.json()["changed"].as_u64().unwrap()
    };
    let two = gateway.send_with(&["a@example.net", "b@example.net"], json!({ "send_at": planned })).await;
    assert_eq!(act(&two, "cancel").await, 2);
    assert_eq!(act(&two, "cancel").await, 0, "safe to repeat");
    assert_eq!((act(&two, "retry").await, act(&two, "hold").await, act(&two, "release").await), (0, 0, 0), "what is over stays over");
    gateway.delivery_in(&two, "a@example.net", "cancelled").await;

    let grey = gateway.send(&["greylist@example.net"]).await;
    gateway.attempted(&grey, "greylist@example.net", 1).await;
    assert_eq!(act(&grey, "retry").await, 1);
    let delivery = gateway.delivery_in(&grey, "greylist@example.net", "delivered").await;
    assert_eq!(delivery["attempts"].as_array().unwrap().len(), 2);
    assert_eq!((act(&grey, "cancel").await, act(&grey, "retry").await), (0, 0));

    let held = gateway.send_with(&["held@example.net"], json!({ "send_at": planned })).await;
    assert_eq!(act(&held, "hold").await, 1);
    assert_eq!(gateway.delivery(&held, "held@example.net").await["state"], "held");
    assert_eq!(act(&held, "retry").await, 0, "held is held");
    let queue = gateway.get("/v1/queue").await.json();
    assert_eq!(queue["data"][0]["domain"], "example.net");
    assert_eq!((&queue["data"][0]["held"], &queue["data"][0]["queued"]), (&json!(1), &json!(0)));
    world.advance(Duration::from_hours(6));
    assert_eq!(act(&held, "release").await, 1);
    gateway.delivery_in(&held, "held@example.net", "delivered").await;
    assert_eq!(gateway.get("/v1/queue").await.json(), json!({ "data": [], "pauses": [], "next_cursor": null }));
    assert_eq!(mx.received().len(), 2, "what was cancelled never left");
    gateway.stop().await;
}

#[tokio::test]
async fn the_raw_message_is_for_saving_and_not_for_showing() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let id = gateway.send_with(&["bee@example.net"], json!({ "html": "<script>alert(1)</script>" })).await;
    gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    let raw = gateway.get(&format!("/v1/messages/{id}/raw")).await;
    assert_eq!(raw.body, mx.received()[0].content);
    assert_eq!(raw.header("content-type"), Some("message/rfc822"));
    assert!(raw.header("content-disposition").is_some_and(|value| value.starts_with("attachment")));
    assert_eq!((raw.header("x-content-type-options"), raw.header("cache-control")), (Some("nosniff"), Some("no-store")));
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
async fn events_are_read_once_each_by_cursor_and_by_kind() {
    let world = World::new().await;
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let empty = gateway.get("/v1/events").await.json();
    assert_eq!(empty["data"], json!([]));
    let mut sent = Vec::new();
    for number in 0..7 {
        sent.push(gateway.send(&[&format!("a{number}@example.net")]).await);
    }
    let refused = gateway.send(&["refuse@example.net"]).await;
    for (number, id) in sent.iter().enumerate() {
        gateway.delivery_in(id, &format!("a{number}@example.net"), "delivered").await;
    }
    gateway.delivery_in(&refused, "refuse@example.net", "bounced").await;
    // An event shows once no older transaction is open, in other worlds' databases too: so ask again until enough are there.
    let read = async |start: &str, more: &str, enough: usize| {
        let (mut seen, mut cursor) = (Vec::new(), start.to_owned());
        let reading = tokio::sync::Mutex::new((&mut seen, &mut cursor));
        eventually(|| async {
            let mut reading = reading.lock().await;
            let page = gateway.get(&format!("/v1/events?limit=3&cursor={}{more}", reading.1)).await.json();
            let data = page["data"].as_array().unwrap().clone();
            assert!(data.len() <= 3);
            *reading.1 = page["next_cursor"].as_str().unwrap().to_owned();
            let last = data.is_empty();
            reading.0.extend(data);
            if last && reading.0.len() >= enough { Ok(()) } else { Err(format!("{} of {enough}", reading.0.len())) }
        })
        .await;
        (seen, cursor)
    };
    let start = empty["next_cursor"].as_str().unwrap();
    let (seen, end) = read(start, "", 16).await;
    let distinct: std::collections::BTreeSet<_> = seen.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!((seen.len(), distinct.len()), (16, 16), "each once");
    for id in sent.iter().chain([&refused]) {
        let of_one: Vec<_> = seen.iter().filter(|event| event["message_id"] == id.as_str()).map(|event| event["kind"].as_str().unwrap()).collect();
        let last = if *id == refused { "bounced" } else { "delivered" };
        assert_eq!(of_one, ["accepted", last], "in order");
    }
    assert_eq!(read(start, "&kinds=bounced", 1).await.0.len(), 1);
    assert_eq!(read(start, "&kinds=delivered,bounced", 8).await.0.len(), 8);
    assert_eq!(read(start, "&kinds=cancelled", 0).await.0.len(), 0);
    let more = gateway.send(&["late@example.net"]).await;
    gateway.delivery_in(&more, "late@example.net", "delivered").await;
    let (seen, _) = read(&end, "", 2).await;
    assert!(seen.len() == 2 && seen.iter().all(|event| event["message_id"] == more.as_str()), "the cursor goes on where it ended");
    gateway.stop().await;
}

#[tokio::test]
async fn the_sandbox_lists_what_it_kept_and_nothing_leaves() {
    let mut world = World::new().await;
    world.config.delivery.sandbox = true;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let mut kept = Vec::new();
    for number in 0..3 {
        let recipient = format!("a{number}@example.net");
        let id = gateway.send(&[&recipient]).await;
        gateway.delivery_in(&id, &recipient, "delivered").await;
        kept.insert(0, id);
    }
    let first = gateway.get("/v1/sandbox?limit=2").await.json();
    assert_eq!(ids(&first), kept[..2]);
    let second = gateway.get(&format!("/v1/sandbox?limit=2&cursor={}", first["next_cursor"].as_str().unwrap())).await.json();
    assert_eq!((ids(&second), &second["next_cursor"]), (kept[2..].to_vec(), &Value::Null));
    let raw = gateway.get(&format!("/v1/messages/{}/raw", kept[0])).await;
    assert!(raw.status == 200 && raw.text().contains("DKIM-Signature"));
    assert_eq!(mx.counts().connections, 0, "nothing leaves");
    gateway.stop().await;
}

#[tokio::test]
async fn nothing_of_another_project_is_seen_or_changed_by_any_endpoint() {
    let world = World::new().await;
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let planned = (world.clock.now() + Duration::from_hours(5)).format(&Rfc3339).unwrap();
    let waiting = gateway.send_with(&["mine@example.net"], json!({ "send_at": planned, "tags": { "flow": "mine" } })).await;
    let done = gateway.send(&["done@example.net"]).await;
    gateway.delivery_in(&done, "done@example.net", "delivered").await;
    let domain = gateway.get("/v1/domains").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    let (key_id, _) = gateway.make_key(json!({ "scope": "read" })).await;
    // The stranger: a full key of a second project.
    let mut ledger = Ledger::open(&world.database_url).await;
    let (stranger_id, stranger) = gateway.make_key(json!({ "scope": "full", "name": "stranger" })).await;
    let project = world.clock.uuid();
    ledger
        .execute(format!(
            "insert into project (id, name) values ('{project}', 'strangers'); update api_key set project_id = '{project}' where name = 'stranger'"
        ))
        .await;
    let before = ledger.counts().await;
    let state = ledger.text("select string_agg(d::text, ',') from delivery d".into()).await;
    for (method, path) in [
        ("GET", format!("/v1/messages/{waiting}")),
        ("GET", format!("/v1/messages/{done}")),
        ("GET", format!("/v1/messages/{done}/raw")),
        ("POST", format!("/v1/messages/{waiting}/cancel")),
        ("POST", format!("/v1/messages/{waiting}/retry")),
        ("POST", format!("/v1/messages/{waiting}/hold")),
        ("POST", format!("/v1/messages/{waiting}/release")),
        ("GET", format!("/v1/domains/{domain}")),
        ("GET", format!("/v1/domains/{domain}/records")),
        ("GET", format!("/v1/domains/{domain}/health")),
        ("POST", format!("/v1/domains/{domain}/check")),
        ("DELETE", format!("/v1/domains/{domain}")),
        ("DELETE", format!("/v1/keys/{key_id}")),
    ] {
        let answer = gateway.call_as(Some(&stranger), method, &path, b"").await;
        answer.assert_problem(404, "not-found", &format!("{method} {path}"));
        let nothing = path
            .replace(&waiting, "msg_01jd5q0v0h7d6r2n8k4m3x9wbz")
            .replace(&done, "msg_01jd5q0v0h7d6r2n8k4m3x9wbz")
            .replace(&domain, "dom_01jd5q0v0h7d6r2n8k4m3x9wbz")
            .replace(&key_id, "key_01jd5q0v0h7d6r2n8k4m3x9wbz");
        let (mut seen, mut absent) = (answer.json(), gateway.call_as(Some(&stranger), method, &nothing, b"").await.json());
        for document in [&mut seen, &mut absent] {
            document.as_object_mut().unwrap().remove("request_id");
        }
        assert_eq!(seen, absent, "what is foreign reads like what is not there");
    }
    let cursor = gateway.get("/v1/messages?limit=1").await.json()["next_cursor"].as_str().unwrap().to_owned();
    let events = gateway.get("/v1/events?limit=1").await.json()["next_cursor"].as_str().unwrap().to_owned();
    for path in [
        "/v1/messages".to_owned(),
        format!("/v1/messages?cursor={cursor}"),
        "/v1/messages?tag=flow:mine".into(),
        "/v1/messages?recipient=mine@example.net".into(),
        "/v1/messages?sender=hello@sender.example&state=delivered".into(),
        "/v1/events".into(),
        format!("/v1/events?cursor={events}"),
        "/v1/queue".into(),
        "/v1/sandbox".into(),
        "/v1/domains".into(),
    ] {
        let answer = gateway.call_as(Some(&stranger), "GET", &path, b"").await;
        assert_eq!((answer.status, &answer.json()["data"]), (200, &json!([])), "{path}");
    }
    let keys = gateway.call_as(Some(&stranger), "GET", "/v1/keys", b"").await.json();
    assert_eq!(ids(&keys), [stranger_id]);
    let send = super::world::api::sendable().to_string();
    gateway.call_as(Some(&stranger), "POST", "/v1/send", send.as_bytes()).await.assert_problem(
        403,
        "sender-not-verified",
        "another project's domain",
    );
    assert_eq!(ledger.counts().await, before);
    assert_eq!(ledger.text("select string_agg(d::text, ',') from delivery d".into()).await, state);
    gateway.stop().await;
}

#[tokio::test]
async fn a_domain_changes_hands_only_when_its_old_proof_is_gone() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut ledger = Ledger::open(&world.database_url).await;
    let (_, stranger) = gateway.make_key(json!({ "scope": "full", "name": "stranger" })).await;
    let project = world.clock.uuid();
    ledger
        .execute(format!(
            "insert into project (id, name) values ('{project}', 'strangers'); update api_key set project_id = '{project}' where name = 'stranger'"
        ))
        .await;
    let key_of = |domain: &Value| {
        let record = domain["records"].as_array().unwrap().iter().find(|record| record["value"].as_str().unwrap().contains("k=rsa")).unwrap().clone();
        (record["name"].as_str().unwrap().to_owned(), record["value"].as_str().unwrap().to_owned())
    };
    let mine = gateway.post("/v1/domains", &json!({ "name": "shared.example" })).await.json();
    let (my_name, my_value) = key_of(&mine);
    world.zone.add(&format!("{my_name} TXT {my_value}")).unwrap();
    let check = format!("/v1/domains/{}/check", mine["id"].as_str().unwrap());
    assert_eq!(gateway.post(&check, &json!({})).await.json()["state"], "verified");
    let answer = gateway.call_as(Some(&stranger), "POST", "/v1/domains", b"{\"name\":\"shared.example\"}").await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let theirs = answer.json();
    let (their_name, their_value) = key_of(&theirs);
    assert_ne!((&my_name, &my_value), (&their_name, &their_value), "each project proves itself by a key of its own");
    world.zone.add(&format!("{their_name} TXT {their_value}")).unwrap();
    let their_check = format!("/v1/domains/{}/check", theirs["id"].as_str().unwrap());
    let taken = gateway.call_as(Some(&stranger), "POST", &their_check, b"{}").await;
    taken.assert_problem(409, "domain-taken", "both proofs stand");
    world.zone.remove(&my_name);
    assert_eq!(gateway.call_as(Some(&stranger), "POST", &their_check, b"{}").await.json()["state"], "verified");
    assert_ne!(gateway.get(check.trim_end_matches("/check")).await.json()["state"], "verified");
    gateway.stop().await;
}
