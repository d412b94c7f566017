//! Pauses of sites: all domains with the same mail hosts, whichever those are, and back when one has moved.

use std::time::Duration;

use pennypost::lab::sink::{Sink, SinkSettings};
use pennypost::lab::zone::ZoneFault;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::operator::{audit, later, lets_a_second_pass, other_project, state};
use super::world::gateway::eventually;
use super::world::{Gateway, World};

const HOST: &str = "mx.shared.example";

/// A host that takes the mail of several domains.
async fn shared_host(world: &World, host: &str, domains: &[&str]) -> Sink {
    let address = world.fresh_address();
    world.zone.add(&format!("{host} A {address}")).unwrap();
    for domain in domains {
        world.zone.add(&format!("{domain} MX 10 {host}")).unwrap();
    }
    world.host_at(address, SinkSettings::default()).await
}

async fn parked(world: &World, number: i64) {
    eventually(|| async {
        world.advance(Duration::from_secs(1));
        let parked = world.number("select count(*) from delivery where owner = -2").await;
        if parked == number { Ok(()) } else { Err(format!("{parked} parked")) }
    })
    .await;
}

async fn delivered(world: &World, gateway: &Gateway, id: &str, recipient: &str) {
    eventually(|| async {
        world.advance(Duration::from_secs(1));
        let state = state(gateway, id, recipient).await;
        if state == "delivered" { Ok(()) } else { Err(format!("{recipient} is {state}")) }
    })
    .await;
}

/// Pauses the host by a name that is not spelled as the site's.
async fn pause(world: &World, gateway: &Gateway, nodes: &[&Gateway]) {
    let answer = gateway.post("/v1/sites/pause", &json!({ "site": "MX.Shared.example.", "reason": "they asked for it" })).await;
    assert_eq!((answer.status, &answer.json()["site"]), (200, &json!(HOST)), "{}", answer.text());
    for node in nodes {
        lets_a_second_pass(world, node, |node| node.running.claims.orders().any_site()).await;
    }
}

#[tokio::test]
async fn a_paused_site_gets_nothing_for_any_of_its_domains_from_any_node_until_it_is_resumed() {
    let world = World::new().await;
    let sink = shared_host(&world, HOST, &["a.example", "b.example"]).await;
    let _open = shared_host(&world, "mx.open.example", &["open.example"]).await;
    let (one, two) = (world.gateway().await, world.gateway().await);
    let other = other_project(&world, &one).await;
    let theirs = json!({ "site": "mx.open.example", "reason": "theirs" }).to_string();
    assert_eq!(one.call_as(Some(&other), "POST", "/v1/sites/pause", theirs.as_bytes()).await.status, 200);
    pause(&world, &one, &[&one, &two]).await;
    let recipients = ["bee@a.example", "bee@b.example", "bee@open.example"];
    let ids = [one.send(&recipients).await, two.send(&recipients).await];
    for (gateway, id) in [&one, &two].into_iter().zip(&ids) {
        gateway.delivery_in(id, "bee@open.example", "delivered").await;
    }
    // What a claim meets is not put aside for the pause of another project.
    let soon = (world.clock.now() + time::Duration::seconds(30)).format(&Rfc3339).unwrap();
    let other_domain = json!({ "recipient_domain": "open.example", "reason": "theirs" }).to_string();
    assert_eq!(one.call_as(Some(&other), "POST", "/v1/queue/pause", other_domain.as_bytes()).await.status, 200);
    let claimed = one.send_with(&["bee@open.example"], json!({ "send_at": soon })).await;
    world.advance(Duration::from_secs(31));
    delivered(&world, &one, &claimed, "bee@open.example").await;
    parked(&world, 4).await;
    let seen = two.delivery(&ids[0], "bee@b.example").await;
    assert_eq!((&seen["state"], &seen["next_attempt_at"], &seen["waiting"]["reason"]), (&json!("queued"), &Value::Null, &json!("paused")));
    let told = seen["waiting"]["detail"].as_str().unwrap();
    assert!(told.starts_with("the site mx.shared.example is paused by test since 2") && told.ends_with(": they asked for it"), "{told}");
    let queue = one.get("/v1/queue").await.json();
    let lanes: Vec<_> = queue["data"].as_array().unwrap().iter().map(|lane| (lane["domain"].as_str().unwrap(), &lane["paused"])).collect();
    assert_eq!(lanes, [("a.example", &json!(true)), ("b.example", &json!(true))]);
    assert_eq!(one.get("/v1/sites").await.json()["pauses"][0]["by"]["name"], "test");
    // A node that was not there when it began obeys too.
    one.stop().await;
    let three = world.gateway().await;
    parked(&world, 4).await;
    assert_eq!(three.send(&["late@a.example"]).await.len(), ids[0].len());
    parked(&world, 5).await;
    assert_eq!((sink.counts().connections, sink.counts().messages), (0, 0));
    assert_eq!(two.post("/v1/sites/resume", &json!({ "site": HOST })).await.status, 204);
    for id in &ids {
        delivered(&world, &two, id, "bee@a.example").await;
        delivered(&world, &two, id, "bee@b.example").await;
    }
    let lines = audit(&two).await;
    let told: Vec<_> = lines.iter().map(|line| (line["action"].as_str().unwrap(), &line["target"]["site"])).collect();
    assert_eq!(told, [("queue.resume", &json!(HOST)), ("queue.pause", &json!(HOST))]);
    two.stop().await;
    three.stop().await;
}

#[tokio::test]
async fn mail_to_a_domain_that_leaves_a_paused_site_goes_on_and_the_rest_stays() {
    let world = World::new().await;
    let sink = shared_host(&world, HOST, &["a.example", "b.example"]).await;
    let gateway = world.gateway().await;
    // What is known to be there is paused at once; that it has moved long ago is found out.
    let known = "insert into site (name, provider, limits, standing, slowed, sessions, domains)
                 values ('mx.shared.example', 'other', '{}', '{}', true, 1, '{gone.example}')";
    world.execute(known).await;
    let gone = world.accepting_mx("gone.example").await;
    pause(&world, &gateway, &[&gateway]).await;
    assert_eq!(world.number("select count(*) from paused_domain where domain = 'gone.example'").await, 1);
    let id = gateway.send(&["bee@a.example", "bee@b.example"]).await;
    parked(&world, 2).await;
    let early = gateway.send(&["bee@gone.example"]).await;
    delivered(&world, &gateway, &early, "bee@gone.example").await;
    assert_eq!(gone.counts().messages, 1);
    world.zone.remove("b.example");
    let after = world.accepting_mx("b.example").await;
    gateway.running.house.resolver.forget_all();
    world.advance(Duration::from_mins(11));
    delivered(&world, &gateway, &id, "bee@b.example").await;
    assert_eq!((after.counts().messages, sink.counts().connections), (1, 0));
    assert_eq!(state(&gateway, &id, "bee@a.example").await, "queued");
    assert_eq!(world.number("select count(*) from delivery where owner = -2").await, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_no_site_cannot_be_paused_and_nobody_pauses_it_for_others() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    for (path, body, code, pointer) in [
        ("pause", json!({ "site": "", "reason": "x" }), "unknown-value", "/site"),
        ("pause", json!({ "site": "bee@mx.example", "reason": "x" }), "unknown-value", "/site"),
        ("pause", json!({ "site": "mx.example:0", "reason": "x" }), "unknown-value", "/site"),
        ("pause", json!({ "site": "mx.example" }), "out-of-range", "/reason"),
        ("pause", json!({ "site": "mx.example", "reason": "a\u{7}" }), "out-of-range", "/reason"),
        ("resume", json!({ "site": "mx.example, " }), "unknown-value", "/site"),
    ] {
        gateway.post(&format!("/v1/sites/{path}"), &body).await.assert_field(code, pointer, &format!("{path} {body}"));
    }
    let other = other_project(&world, &gateway).await;
    let body = json!({ "site": "mx.example", "reason": "x", "all_projects": true }).to_string();
    for path in ["/v1/sites/pause", "/v1/sites/resume"] {
        gateway.call_as(Some(&other), "POST", path, body.as_bytes()).await.assert_problem(403, "insufficient-scope", path);
    }
    let body = json!({ "site": "mx.example", "reason": "x" });
    assert_eq!(gateway.call_as(Some(&other), "POST", "/v1/sites/pause", body.to_string().as_bytes()).await.status, 200);
    gateway.post("/v1/sites/resume", &body).await.assert_problem(404, "not-found", "the pause of another project");
    assert_eq!(gateway.get("/v1/sites").await.json()["pauses"], json!([]));
    assert_eq!(world.number("select count(*) from pause").await, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_smart_host_is_paused_and_resumed_by_its_name_and_port() {
    let mut world = World::new().await;
    let relay = world.accepting_mx("relay.sender.example").await;
    let host = format!("localhost.sender.example:{}", relay.local_addr.port());
    world.zone.add(&format!("localhost.sender.example A {}", relay.local_addr.ip())).unwrap();
    world.config.delivery.smart_host.clone_from(&host);
    let gateway = world.gateway().await;
    let paused = gateway.post("/v1/sites/pause", &json!({ "site": host.to_uppercase(), "reason": "they asked for it" })).await;
    assert_eq!((paused.status, &paused.json()["site"]), (200, &json!(host)), "{}", paused.text());
    lets_a_second_pass(&world, &gateway, |node| node.running.claims.orders().any_site()).await;
    let id = gateway.send(&["bee@a.example", "bee@b.example"]).await;
    parked(&world, 2).await;
    // That its domains have other hosts of their own says nothing: it is looked at after ten minutes.
    world.accepting_mx("a.example").await;
    world.advance(Duration::from_mins(11));
    for _ in 0..20 {
        world.advance(Duration::from_secs(1));
        assert_eq!(state(&gateway, &id, "bee@a.example").await, "queued");
    }
    assert_eq!(relay.counts().connections, 0);
    assert_eq!(gateway.post("/v1/sites/resume", &json!({ "site": host })).await.status, 204);
    delivered(&world, &gateway, &id, "bee@a.example").await;
    delivered(&world, &gateway, &id, "bee@b.example").await;
    assert_eq!(relay.counts().messages, 2);
    gateway.stop().await;
}

#[tokio::test]
async fn deliveries_are_changed_by_the_site_that_their_way_leads_to_whether_it_was_looked_up_before_or_not() {
    let mut world = World::new().await;
    let sink = shared_host(&world, HOST, &["a.example", "b.example"]).await;
    shared_host(&world, "mx.open.example", &["open.example"]).await;
    let relay = world.accepting_mx("relay.sender.example").await;
    let label = format!("{}:{}", relay.local_addr.ip(), relay.local_addr.port());
    let rule = format!("host = \"{label}\"\ndomain = \"b.example\"");
    world.config.delivery.smart_host_rule = vec![toml::from_str(&rule).unwrap()];
    let gateway = world.gateway().await;
    world.zone.set_fault("dark.example", Some(ZoneFault::ServFail));
    let recipients = ["bee@a.example", "bee@b.example", "bee@open.example", "bee@dark.example", "ant@a.example"];
    let id = later(&world, &gateway, &recipients, json!({})).await;
    let verb = async |verb: &str, selection: Value| {
        let answer = gateway.post(&format!("/v1/queue/{verb}"), &selection).await;
        assert_eq!(answer.status, 200, "{verb} {selection}: {}", answer.text());
        let done = answer.json();
        ["changed", "active", "unplaced"].map(|name| done[name].as_u64().unwrap())
    };
    let states = async || {
        let mut found = Vec::new();
        for recipient in &recipients {
            found.push(state(&gateway, &id, recipient).await);
        }
        found
    };
    assert_eq!(verb("hold", json!({ "site": "MX.shared.example." })).await, [2, 0, 1]);
    assert_eq!(states().await, ["held", "queued", "queued", "queued", "held"]);
    assert_eq!(verb("hold", json!({ "site": label })).await, [1, 0, 0], "by the smart host, whatever its MX says");
    assert_eq!(verb("release", json!({ "site": HOST, "recipient_domain": "b.example" })).await, [0, 0, 0]);
    assert_eq!(verb("release", json!({ "site": label })).await, [1, 0, 0]);
    assert_eq!(verb("hold", json!({ "site": "mx.shared.example,mx.open.example" })).await, [0, 0, 1], "all of the hosts");
    assert_eq!(verb("release", json!({ "site": HOST, "message": id })).await, [2, 0, 1]);
    assert_eq!(verb("retry", json!({ "site": HOST, "recipient_domain": "a.example" })).await, [2, 0, 0]);
    gateway.delivery_in(&id, "bee@a.example", "delivered").await;
    gateway.delivery_in(&id, "ant@a.example", "delivered").await;
    assert_eq!((sink.counts().messages, relay.counts().messages), (1, 0));
    assert_eq!(verb("cancel", json!({ "site": "mx.open.example", "all_projects": true })).await, [1, 0, 1]);
    assert_eq!(states().await, ["delivered", "queued", "cancelled", "queued", "delivered"]);
    let lines = audit(&gateway).await;
    assert_eq!((&lines[0]["action"], &lines[0]["target"]), (&json!("queue.cancel"), &json!({ "site": "mx.open.example" })));
    gateway.post("/v1/queue/hold", &json!({ "site": "bee@mx.example" })).await.assert_field("unknown-value", "/site", "no site");
    gateway.post("/v1/queue/hold", &json!({ "site": HOST, "all": true })).await.assert_field("conflict", "/all", "all stands alone");
    gateway.stop().await;
}
