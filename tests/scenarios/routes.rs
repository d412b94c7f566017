//! Routes by the API and the command line: what is made, shown, refused, and who sees it.

use std::process::Stdio;

use pennypost::access::{NewKey, Scope};
use pennypost::model::ProjectId;
use serde_json::{Value, json};

use super::world::{Gateway, World, program};

async fn add(gateway: &Gateway, body: Value) -> Value {
    let answer = gateway.post("/v1/routes", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["route"].clone()
}

async fn tested(gateway: &Gateway, address: &str) -> (String, Value) {
    let found = gateway.get(&format!("/v1/routes/test?address={address}")).await.json();
    (found["result"].as_str().unwrap().to_owned(), found["route"]["pattern"].clone())
}

#[tokio::test]
async fn a_route_is_made_shown_and_removed() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let all = add(&gateway, json!({ "pattern": "*@Sender.example", "action": "forward", "to": ["bee@else.example", "cat@else.example"] })).await;
    assert_eq!((&all["pattern"], &all["targets"][1]["address"]), (&json!("*@sender.example"), &json!("cat@else.example")), "{all:#}");
    assert!(all["targets"].as_array().unwrap().iter().all(|target| target["confirmed_at"].is_null()), "nobody agreed yet");
    let gone = add(&gateway, json!({ "pattern": "gone@sender.example", "action": "reject" })).await;
    assert_eq!(gone["text"], "this address takes no mail");
    add(&gateway, json!({ "pattern": "sales-*@sender.example", "action": "store" })).await;
    add(&gateway, json!({ "pattern": "noise@sender.example", "action": "drop" })).await;
    for (address, result, pattern) in [
        ("gone%2Bx@sender.example", "route", json!("gone@sender.example")),
        ("sales-eu@sender.example", "route", json!("sales-*@sender.example")),
        ("postmaster@sender.example", "route", json!("*@sender.example")),
        ("bee@else.example", "elsewhere", Value::Null),
    ] {
        assert_eq!(tested(&gateway, address).await, (result.to_owned(), pattern), "{address}");
    }
    let list = gateway.get("/v1/routes").await.json();
    assert_eq!(list["data"].as_array().unwrap().len(), 4, "{list:#}");
    let path = format!("/v1/routes/{}", all["id"].as_str().unwrap());
    assert_eq!(gateway.get(&path).await.json(), all);
    assert_eq!(gateway.call("DELETE", &path, &[], b"").await.status, 204);
    gateway.call("DELETE", &path, &[], b"").await.assert_problem(404, "not-found", "gone");
    assert_eq!(tested(&gateway, "other@sender.example").await.0, "unknown");
    assert_eq!(tested(&gateway, "abuse@sender.example").await.0, "postmaster");
    let audit = gateway.get("/v1/audit").await.text();
    assert!(audit.contains("route.add") && audit.contains("route.remove"), "{audit}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_route_that_cannot_work_is_refused_and_leaves_nothing_behind() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    add(&gateway, json!({ "pattern": "here@sender.example", "action": "store" })).await;
    let eleven: Vec<String> = (0..11).map(|number| format!("a{number}@else.example")).collect();
    for (body, code, pointer) in [
        (json!({ "action": "store" }), "required", "/pattern"),
        (json!({ "pattern": "a@sender.example" }), "required", "/action"),
        (json!({ "pattern": "a@sender.example", "action": "explode" }), "unknown-value", "/action"),
        (json!({ "pattern": "*a*@sender.example", "action": "store" }), "invalid-address", "/pattern"),
        (json!({ "pattern": "sender.example", "action": "store" }), "invalid-address", "/pattern"),
        (json!({ "pattern": "a@*.example", "action": "store" }), "invalid-address", "/pattern"),
        (json!({ "pattern": "a@other.example", "action": "store" }), "invalid-domain", "/pattern"),
        (json!({ "pattern": "a@sub.sender.example", "action": "store" }), "invalid-domain", "/pattern"),
        (json!({ "pattern": "a@sender.example", "action": "forward" }), "required", "/to"),
        (json!({ "pattern": "a@sender.example", "action": "forward", "to": [] }), "required", "/to"),
        (json!({ "pattern": "a@sender.example", "action": "forward", "to": eleven }), "out-of-range", "/to"),
        (json!({ "pattern": "a@sender.example", "action": "forward", "to": ["b@else.example", "x"] }), "invalid-address", "/to/1"),
        (json!({ "pattern": "*@sender.example", "action": "forward", "to": ["b@sender.example"] }), "conflict", "/to"),
        (json!({ "pattern": "a@sender.example", "action": "store", "to": ["b@else.example"] }), "conflict", "/to"),
        (json!({ "pattern": "a@sender.example", "action": "drop", "url": "https://x.example" }), "conflict", "/url"),
        (json!({ "pattern": "a@sender.example", "action": "webhook" }), "required", "/url"),
        (json!({ "pattern": "a@sender.example", "action": "webhook", "url": "https://10.0.0.1/" }), "invalid-url", "/url"),
        (json!({ "pattern": "a@sender.example", "action": "reject", "text": "no\r\n250 ok" }), "out-of-range", "/text"),
        (json!({ "pattern": "a@sender.example", "action": "store", "project": "x" }), "unknown-field", "/project"),
    ] {
        gateway.post("/v1/routes", &body).await.assert_field(code, pointer, &body.to_string());
    }
    let again = gateway.post("/v1/routes", &json!({ "pattern": "HERE@sender.example", "action": "drop" })).await;
    again.assert_problem(409, "route-exists", "the same pattern");
    gateway.get("/v1/routes/test?address=x").await.assert_problem(400, "invalid-parameter", "no address");
    assert_eq!(world.number("select (select count(*) from route) + (select count(*) from route_target) + (select count(*) from webhook)").await, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn another_project_sees_and_takes_none_of_it() {
    let mut world = World::new().await;
    world.config.delivery.allow_unverified_domains = false;
    let gateway = world.gateway().await;
    let route = add(&gateway, json!({ "pattern": "*@sender.example", "action": "store" })).await;
    world.execute("insert into project (id, name) values ('00000000-0000-7000-8000-000000000001', 'other')").await;
    let house = &gateway.running.house;
    let other = house.access.project_named("other").await.unwrap().unwrap_or(ProjectId::from_uuid(uuid::Uuid::nil()));
    let new = NewKey { name: "other".into(), scope: Scope::Full, domains: None, expires_at: None, test: false };
    let key = house.access.create_key(other, new).await.unwrap().secret.expose().clone();
    for (method, path, status) in [
        ("GET", format!("/v1/routes/{}", route["id"].as_str().unwrap()), 404),
        ("DELETE", format!("/v1/routes/{}", route["id"].as_str().unwrap()), 404),
    ] {
        assert_eq!(gateway.call_as(Some(&key), method, &path, b"").await.status, status, "{method} {path}");
    }
    assert_eq!(gateway.call_as(Some(&key), "GET", "/v1/routes", b"").await.json()["data"], json!([]));
    let found = gateway.call_as(Some(&key), "GET", "/v1/routes/test?address=a@sender.example", b"").await.json();
    assert_eq!(found["result"], "elsewhere");
    let body = json!({ "pattern": "a@sender.example", "action": "store" }).to_string();
    gateway.call_as(Some(&key), "POST", "/v1/routes", body.as_bytes()).await.assert_field("invalid-domain", "/pattern", "a domain of others");
    assert_eq!(tested(&gateway, "a@sender.example").await.0, "not_verified");
    gateway.stop().await;
}

async fn run(world: &World, arguments: &[&str]) -> (i32, Value, String) {
    let mut command = program::command(world, "");
    command.args(arguments).arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let stdout = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code().unwrap(), stdout, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn the_command_line_works_on_the_database_while_a_gateway_runs() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let (code, made, said) = run(&world, &["route", "add", "*@sender.example", "forward", "bee@else.example"]).await;
    assert_eq!((code, &made["targets"][0]["address"]), (0, &json!("bee@else.example")), "{said}");
    let (code, made, said) = run(&world, &["route", "add", "gone@sender.example", "reject", "Bee", "has", "moved"]).await;
    assert_eq!((code, &made["text"]), (0, &json!("Bee has moved")), "{said}");
    for (arguments, expected) in [
        (&["route", "add", "x@sender.example", "store", "more"][..], 2),
        (&["route", "add", "x@other.example", "store"], 1),
        (&["route", "add", "gone@sender.example", "store"], 1),
        (&["route", "add", "x@sender.example", "webhook", "http://127.0.0.1/"], 2),
        (&["route", "remove", "none@sender.example"], 1),
        (&["webhook", "add", "https://10.0.0.1/"], 2),
        (&["incoming", "show", "inc_00000000000000000000000000"], 1),
    ] {
        let (code, _, said) = run(&world, arguments).await;
        assert_eq!(code, expected, "{arguments:?}: {said}");
    }
    let (_, tested, _) = run(&world, &["route", "test", "gone@sender.example"]).await;
    assert_eq!((&tested["result"], &tested["route"]["action"]), (&json!("route"), &json!("reject")));
    let (_, list, _) = run(&world, &["route", "list"]).await;
    assert_eq!(list["data"].as_array().unwrap().len(), 2, "{list:#}");
    assert_eq!(gateway.get("/v1/routes").await.json()["data"], list["data"], "one list for both");
    let (code, webhook, said) = run(&world, &["webhook", "add", "https://hooks.example.com/x", "--kind", "bounced"]).await;
    assert!(code == 0 && webhook["secret"].as_str().unwrap().starts_with("whsec_"), "{said}");
    let (code, ..) = run(&world, &["webhook", "remove", webhook["id"].as_str().unwrap()]).await;
    assert_eq!(code, 0);
    let (code, ..) = run(&world, &["route", "remove", "*@sender.example"]).await;
    assert_eq!(code, 0);
    gateway.stop().await;
}
