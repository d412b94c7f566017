//! API keys: what each may do, when it ends, how it is shown (fault A26, rule C1).

use std::time::Duration;

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::world::World;
use super::world::api::{Ledger, patched, sendable};
use super::world::gateway::eventually;
use super::world::http;

/// Every endpoint that needs a key, and the scopes that may use it.
const ENDPOINTS: [(&str, &str, &str); 75] = [
    ("POST", "/v1/send", "full send"),
    ("POST", "/send", "full send"),
    ("POST", "/v1/send/batch", "full send"),
    ("GET", "/v1/messages", "full read"),
    ("GET", "/v1/messages/msg_00000000000000000000000000", "full read"),
    ("GET", "/v1/messages/msg_00000000000000000000000000/raw", "full read"),
    ("POST", "/v1/messages/msg_00000000000000000000000000/cancel", "full send"),
    ("POST", "/v1/messages/msg_00000000000000000000000000/retry", "full send"),
    ("POST", "/v1/messages/msg_00000000000000000000000000/hold", "full send"),
    ("POST", "/v1/messages/msg_00000000000000000000000000/release", "full send"),
    ("GET", "/v1/events", "full read"),
    ("GET", "/v1/queue", "full read"),
    ("POST", "/v1/queue/hold", "full"),
    ("POST", "/v1/queue/release", "full"),
    ("POST", "/v1/queue/cancel", "full"),
    ("POST", "/v1/queue/retry", "full"),
    ("POST", "/v1/queue/pause", "full"),
    ("POST", "/v1/queue/resume", "full"),
    ("GET", "/v1/sites", "full read"),
    ("POST", "/v1/sites/pause", "full"),
    ("POST", "/v1/sites/resume", "full"),
    ("GET", "/v1/nodes", "full"),
    ("POST", "/v1/nodes/nod_00000000000000000000000000/drain", "full"),
    ("POST", "/v1/nodes/nod_00000000000000000000000000/resume", "full"),
    ("GET", "/v1/audit", "full"),
    ("GET", "/v1/sandbox", "full read"),
    ("GET", "/v1/domains", "full read"),
    ("POST", "/v1/domains", "full"),
    ("GET", "/v1/domains/dom_00000000000000000000000000", "full read"),
    ("PATCH", "/v1/domains/dom_00000000000000000000000000", "full"),
    ("GET", "/v1/domains/dom_00000000000000000000000000/records", "full read"),
    ("POST", "/v1/domains/dom_00000000000000000000000000/check", "full"),
    ("GET", "/v1/domains/dom_00000000000000000000000000/health", "full read"),
    ("POST", "/v1/domains/dom_00000000000000000000000000/rotate-dkim", "full"),
    ("POST", "/v1/domains/dom_00000000000000000000000000/dkim-keys", "full"),
    ("DELETE", "/v1/domains/dom_00000000000000000000000000", "full"),
    ("GET", "/v1/routes", "full read"),
    ("POST", "/v1/routes", "full"),
    ("GET", "/v1/routes/test", "full read"),
    ("GET", "/v1/routes/rte_00000000000000000000000000", "full read"),
    ("DELETE", "/v1/routes/rte_00000000000000000000000000", "full"),
    ("POST", "/v1/routes/rte_00000000000000000000000000/confirm", "full"),
    ("GET", "/v1/reports/dmarc", "full read"),
    ("GET", "/v1/reports/dmarc/sources", "full read"),
    ("GET", "/v1/reports/tls", "full read"),
    ("GET", "/v1/reports/tls/failures", "full read"),
    ("GET", "/v1/reports/rpt_00000000000000000000000000", "full read"),
    ("GET", "/v1/incoming", "full read"),
    ("GET", "/v1/incoming/inc_00000000000000000000000000", "full read"),
    ("GET", "/v1/incoming/inc_00000000000000000000000000/raw", "full read"),
    ("DELETE", "/v1/incoming/inc_00000000000000000000000000", "full"),
    ("GET", "/v1/webhooks", "full read"),
    ("POST", "/v1/webhooks", "full"),
    ("GET", "/v1/webhooks/whk_00000000000000000000000000", "full read"),
    ("DELETE", "/v1/webhooks/whk_00000000000000000000000000", "full"),
    ("POST", "/v1/webhooks/whk_00000000000000000000000000/secret", "full"),
    ("POST", "/v1/webhooks/whk_00000000000000000000000000/enable", "full"),
    ("GET", "/v1/webhooks/whk_00000000000000000000000000/messages", "full read"),
    ("POST", "/v1/webhooks/whk_00000000000000000000000000/messages/whm_00000000000000000000000000/resend", "full"),
    ("GET", "/v1/suppressions", "full read"),
    ("POST", "/v1/suppressions", "full"),
    ("POST", "/v1/suppressions/import", "full"),
    ("GET", "/v1/suppressions/export", "full read"),
    ("GET", "/v1/suppressions/sup_00000000000000000000000000", "full read"),
    ("DELETE", "/v1/suppressions/sup_00000000000000000000000000", "full"),
    ("GET", "/v1/project", "full read"),
    ("PATCH", "/v1/project", "full"),
    ("GET", "/v1/smtp-users", "full"),
    ("POST", "/v1/smtp-users", "full"),
    ("POST", "/v1/smtp-users/smu_00000000000000000000000000/password", "full"),
    ("DELETE", "/v1/smtp-users/smu_00000000000000000000000000", "full"),
    ("GET", "/v1/egress", "full read"),
    ("GET", "/v1/certificates", "full"),
    ("GET", "/v1/keys", "full"),
    ("POST", "/v1/keys", "full"),
];

#[tokio::test]
async fn each_endpoint_lets_in_only_the_scopes_it_is_for() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut ledger = Ledger::open(&world.database_url).await;
    let mut keys = Vec::new();
    for scope in ["full", "send", "read"] {
        keys.push((scope, gateway.make_key(json!({ "scope": scope, "name": format!("{scope} key") })).await.1));
    }
    let before = ledger.counts().await;
    let endpoints = ENDPOINTS.into_iter().chain([("DELETE", "/v1/keys/key_00000000000000000000000000", "full")]);
    for (method, path, scopes) in endpoints {
        for (scope, key) in &keys {
            // A body that is refused by every endpoint, so that only the rights are tried.
            let answer = gateway.call_as(Some(key), method, path, b"{\"nothing\":1}").await;
            if scopes.contains(scope) {
                assert!([200, 400, 404, 415, 422].contains(&answer.status), "{scope} {method} {path}: {}", answer.text());
            } else {
                answer.assert_problem(403, "insufficient-scope", &format!("{scope} {method} {path}"));
                assert!(answer.header("www-authenticate").is_some_and(|value| value.contains("insufficient_scope")));
            }
        }
        let answer = gateway.call_as(None, method, path, b"{}").await;
        answer.assert_problem(401, "unauthorized", path);
        assert!(answer.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
    }
    assert_eq!(ledger.counts().await, before);
    gateway.stop().await;
}

#[tokio::test]
async fn the_list_of_endpoints_above_is_whole() {
    let document = serde_json::to_value(pennypost::http::openapi()).unwrap();
    let nil = "00000000000000000000000000";
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["security"] == json!([{ "api_key": [] }]) && path != "/v1/keys/{id}" {
                let nouns = [
                    ("webhooks", "whk"),
                    ("messages", "msg"),
                    ("domains", "dom"),
                    ("suppressions", "sup"),
                    ("nodes", "nod"),
                    ("smtp-users", "smu"),
                    ("routes", "rte"),
                    ("incoming", "inc"),
                    ("reports", "rpt"),
                ];
                let kind = nouns.into_iter().find(|(noun, _)| path.contains(noun)).map_or("", |(_, prefix)| prefix);
                let path = path.replace("{id}", &format!("{kind}_{nil}")).replace("{message}", &format!("whm_{nil}"));
                assert!(
                    ENDPOINTS.iter().any(|(known, at, _)| known.eq_ignore_ascii_case(method) && *at == path),
                    "{method} {path} is not in the list"
                );
            }
        }
    }
}

#[tokio::test]
async fn nothing_but_a_whole_key_in_one_authorization_header_lets_in() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let key = gateway.key.clone();
    let mut ledger = Ledger::open(&world.database_url).await;
    let before = ledger.counts().await;
    let other = gateway.make_key(json!({ "scope": "read" })).await.1;
    let swapped = format!("{}{}", &key[..20], &other[20..]);
    let mut mistyped = key.clone().into_bytes();
    mistyped[30] = if mistyped[30] == b'a' { b'b' } else { b'a' };
    let mistyped = String::from_utf8(mistyped).unwrap();
    let headers: Vec<Vec<String>> = vec![
        vec![],
        vec![String::new()],
        vec!["Bearer".into()],
        vec!["Bearer ".into()],
        vec![key.clone()],
        vec![format!("Basic {key}")],
        vec![format!("Bearer  {key}")],
        vec![format!("Bearer {key},")],
        vec![format!("Bearer {key} {key}")],
        vec![format!("Bearer {}", &key[..key.len() - 1])],
        vec![format!("Bearer {key}x")],
        vec!["Bearer pp_live_".into()],
        vec![format!("Bearer {}", &key[..18])],
        vec![format!("Bearer {mistyped}")],
        vec![format!("Bearer {swapped}")],
        vec![format!("Bearer {}", key.replacen("live", "test", 1))],
        vec![format!("Bearer {}", key.to_uppercase())],
        vec![format!("Bearer {}%00", key)],
        vec!["Bearer ' or 1=1--".into()],
        vec![format!("Bearer pp_live_{}", "0".repeat(44))],
        vec![format!("Bearer {}", "x".repeat(10_000))],
        vec![format!("Bearer {key}"), format!("Bearer {key}")],
        vec![format!("Bearer {key}"), "Basic eDp5".into()],
        vec!["Bearer \u{fc}".into()],
    ];
    for values in headers {
        let all: Vec<(&str, &str)> =
            values.iter().map(|value| ("authorization", value.as_str())).chain([("content-type", "application/json")]).collect();
        let answer = http::call(gateway.http, "POST", "/v1/send", &all, sendable().to_string().as_bytes()).await;
        answer.assert_problem(401, "unauthorized", &values.join(" | "));
    }
    for path in [
        format!("/v1/messages?api_key={key}"),
        format!("/v1/messages?access_token={key}"),
        format!("/v1/messages?key={key}&authorization=Bearer%20{key}"),
    ] {
        gateway.call_as(None, "GET", &path, b"").await.assert_problem(401, "unauthorized", "a key in the query");
    }
    assert_eq!(ledger.counts().await.split_once("api_key").unwrap().0, before.split_once("api_key").unwrap().0);
    for good in [format!("Bearer {key}"), format!("bearer {key}"), format!("BEARER {key} ")] {
        assert_eq!(
            http::call(gateway.http, "GET", "/v1/messages", &[("authorization", &good)], b"").await.status,
            200,
            "the header's own white space is not the key's"
        );
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_key_is_shown_once_and_kept_as_a_hash() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let answer = gateway
        .post("/v1/keys", &json!({ "name": "Geschäft 🐧", "scope": "send", "kind": "test", "domains": ["BÜCHER.example", "sender.example"] }))
        .await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("cache-control"), Some("no-store"), "no cache keeps a key");
    let made = answer.json();
    let key = made["key"].as_str().unwrap();
    assert!(
        key.starts_with("pp_test_") && key.len() == 52 && key[8..].bytes().all(|octet| octet.is_ascii_alphanumeric()),
        "what secret scanners look for"
    );
    assert!(key.starts_with(made["prefix"].as_str().unwrap()) && made["prefix"].as_str().unwrap().len() == 18);
    assert_eq!(
        (&made["name"], &made["scope"], &made["domains"]),
        (&json!("Geschäft 🐧"), &json!("send"), &json!(["xn--bcher-kva.example", "sender.example"]))
    );
    let list = gateway.get("/v1/keys").await;
    assert!(!list.text().contains(key) && !list.text().contains(&gateway.key));
    let entry = list.json()["data"].as_array().unwrap().iter().find(|entry| entry["id"] == made["id"]).unwrap().clone();
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("key");
    assert_eq!(entry, shown);
    let mut ledger = Ledger::open(&world.database_url).await;
    for table in ["api_key", "project", "domain", "dkim_key", "event", "message", "idempotency"] {
        let dump = ledger.text(format!("select coalesce(string_agg(t::text, ' '), '') from {table} t")).await;
        let secret = |key: &str| key[18..46].to_owned();
        assert!(!dump.contains(&secret(key)) && !dump.contains(&secret(&gateway.key)), "a dump of {table} holds no key");
        assert!(!dump.contains("PRIVATE KEY"));
    }
    // The same Idempotency-Key does not replay: a key is not kept, so it cannot be shown again (as documented).
    let twice = json!({ "name": "twice", "scope": "read" }).to_string();
    let one = gateway.call("POST", "/v1/keys", &[("idempotency-key", "same")], twice.as_bytes()).await.json();
    let two = gateway.call("POST", "/v1/keys", &[("idempotency-key", "same")], twice.as_bytes()).await.json();
    assert_ne!(one["key"], two["key"]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_key_sends_only_from_its_domains() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    for name in ["one.example", "two.example"] {
        assert_eq!(gateway.post("/v1/domains", &json!({ "name": name })).await.status, 201);
    }
    let (_, key) = gateway.make_key(json!({ "scope": "send", "domains": ["one.example"] })).await;
    let send = async |from: &str| {
        gateway.call_as(Some(&key), "POST", "/v1/send", patched(sendable(), &json!({ "from": from })).to_string().as_bytes()).await
    };
    assert_eq!(send("a@one.example").await.status, 202);
    send("a@two.example").await.assert_problem(403, "domain-not-allowed", "another domain of the project");
    send("a@mail.one.example").await.assert_problem(403, "domain-not-allowed", "a domain below");
    let raw = json!({ "envelope": { "from": "a@two.example", "to": ["b@example.net"] }, "raw": "RnJvbTogYUBvbmUuZXhhbXBsZQ0KDQp4DQo=" });
    let answer = gateway.call_as(Some(&key), "POST", "/v1/send", raw.to_string().as_bytes()).await;
    answer.assert_problem(403, "domain-not-allowed", "another domain in the reverse-path");
    gateway.stop().await;
}

#[tokio::test]
async fn a_key_ends_at_its_time_and_when_it_is_revoked() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let ends = (world.clock.now() + Duration::from_hours(1)).format(&Rfc3339).unwrap();
    let (_, short) = gateway.make_key(json!({ "scope": "read", "expires_at": ends })).await;
    let (id, leaked) = gateway.make_key(json!({ "scope": "read" })).await;
    let (never, _) = gateway.make_key(json!({ "scope": "read", "name": "never used" })).await;
    for key in [&short, &leaked] {
        assert_eq!(gateway.call_as(Some(key), "GET", "/v1/messages", b"").await.status, 200);
    }
    assert_eq!(gateway.call("DELETE", &format!("/v1/keys/{id}"), &[], b"").await.status, 204);
    gateway.call_as(Some(&leaked), "GET", "/v1/messages", b"").await.assert_problem(401, "unauthorized", "revoked");
    assert_eq!(gateway.call("DELETE", &format!("/v1/keys/{id}"), &[], b"").await.status, 204, "safe to repeat");
    world.advance(Duration::from_mins(59));
    assert_eq!(gateway.call_as(Some(&short), "GET", "/v1/messages", b"").await.status, 200);
    world.advance(Duration::from_mins(2));
    gateway.call_as(Some(&short), "GET", "/v1/messages", b"").await.assert_problem(401, "unauthorized", "expired");
    let entry = |list: &Value, id: &str| list["data"].as_array().unwrap().iter().find(|entry| entry["id"] == id).unwrap().clone();
    eventually(|| async {
        let list = gateway.get("/v1/keys?limit=100").await.json();
        let used = entry(&list, &id)["last_used_at"].is_string();
        if used { Ok(()) } else { Err(list.to_string()) }
    })
    .await;
    let list = gateway.get("/v1/keys").await.json();
    assert!(entry(&list, &id)["revoked_at"].is_string() && entry(&list, &never)["revoked_at"].is_null());
    assert!(entry(&list, &never)["last_used_at"].is_null(), "a key that was never used says so");
    gateway.stop().await;
}

#[tokio::test]
async fn a_key_revoked_on_another_node_lets_nobody_in_after_seconds() {
    let world = World::new().await;
    let (one, two) = (world.gateway().await, world.gateway().await);
    let (id, key) = one.make_key(json!({ "scope": "read" })).await;
    assert_eq!(two.call_as(Some(&key), "GET", "/v1/messages", b"").await.status, 200);
    assert_eq!(one.call("DELETE", &format!("/v1/keys/{id}"), &[], b"").await.status, 204);
    world.advance(Duration::from_secs(6));
    two.call_as(Some(&key), "GET", "/v1/messages", b"").await.assert_problem(401, "unauthorized", "revoked elsewhere");
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_key_that_is_asked_for_wrongly_is_not_made() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut ledger = Ledger::open(&world.database_url).await;
    let before = ledger.counts().await;
    let names: Vec<String> = (0..101).map(|number| format!("d{number}.example")).collect();
    for (patch, code, pointer) in [
        (json!({ "name": "" }), "out-of-range", "/name"),
        (json!({ "name": "x".repeat(101) }), "out-of-range", "/name"),
        (json!({ "name": "a\0b" }), "out-of-range", "/name"),
        (json!({ "name": "a\nb" }), "out-of-range", "/name"),
        (json!({ "name": null }), "required", "/name"),
        (json!({ "scope": null }), "required", "/scope"),
        (json!({ "scope": "admin" }), "unknown-value", "/scope"),
        (json!({ "scope": "FULL" }), "unknown-value", "/scope"),
        (json!({ "scope": 1 }), "wrong-type", "/scope"),
        (json!({ "scope": { "full": null } }), "wrong-type", "/scope"),
        (json!({ "scope": ["full"] }), "wrong-type", "/scope"),
        (json!({ "kind": "production" }), "unknown-value", "/kind"),
        (json!({ "domains": [] }), "out-of-range", "/domains"),
        (json!({ "domains": names }), "out-of-range", "/domains"),
        (json!({ "domains": ["sender.example", "*"] }), "invalid-domain", "/domains/1"),
        (json!({ "domains": "sender.example" }), "wrong-type", "/domains"),
        (json!({ "expires_at": "2026-01-01T00:00:00Z" }), "time-in-past", "/expires_at"),
        (json!({ "expires_at": "2126-01-01" }), "invalid-time", "/expires_at"),
        (json!({ "project": "other" }), "unknown-field", "/project"),
        (json!({ "key": "pp_live_mine" }), "unknown-field", "/key"),
    ] {
        let answer = gateway.post("/v1/keys", &patched(json!({ "name": "k", "scope": "read" }), &patch)).await;
        answer.assert_field(code, pointer, &patch.to_string());
        assert_eq!(ledger.counts().await, before, "{patch}");
    }
    for last in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59"] {
        let (_, key) = gateway.make_key(json!({ "scope": "read", "expires_at": last })).await;
        assert_eq!(gateway.call_as(Some(&key), "GET", "/v1/messages", b"").await.status, 200, "{last}");
    }
    assert_eq!(gateway.get("/v1/keys").await.status, 200, "a time at the end of all years is kept and shown");
    assert_eq!(gateway.get("/v1/keys").await.status, 200);
    gateway.stop().await;
}
