//! Every record that a domain has to publish: offered when the domain has the use for it, found once it is published, served where it names a policy.

use hickory_resolver::proto::rr::Name;
use hickory_resolver::proto::serialize::txt::Parser;
use pennypost::config::Listen;
use pennypost::mail::dkim::{Algorithm, generate};
use pennypost::routes::{NewAction, Pattern};
use serde_json::{Value, json};

use super::world::gateway::eventually;
use super::world::http;
use super::world::{Gateway, World, program};

/// A world that takes mail and submissions, whose API is reached at `api.sender.example`.
async fn world() -> World {
    let mut world = World::new().await;
    world.takes_reports();
    let address = |port: u16| Listen::At(std::net::SocketAddr::new(world.fresh_address(), port));
    let (submission, submissions) = (address(1587), address(1465));
    (world.config.smtp.submission_listen, world.config.smtp.submissions_listen) = (submission, submissions);
    world.config.server.public_url = "https://api.sender.example".into();
    world
}

async fn domain(gateway: &Gateway, name: &str) -> Value {
    let all = gateway.get("/v1/domains").await.json();
    all["data"].as_array().unwrap().iter().find(|domain| domain["name"] == name).unwrap_or_else(|| panic!("{all:#}")).clone()
}

fn records(domain: &Value) -> Vec<Value> {
    domain["records"].as_array().unwrap_or_else(|| panic!("{domain:#}")).clone()
}

fn purposes(domain: &Value) -> Vec<String> {
    records(domain).iter().map(|record| record["purpose"].as_str().unwrap().to_owned()).collect()
}

fn of<'d>(domain: &'d Value, purpose: &str) -> &'d Value {
    let found = domain["records"].as_array().unwrap().iter().find(|record| record["purpose"] == purpose);
    found.unwrap_or_else(|| panic!("no {purpose} in {domain:#}"))
}

fn publish(world: &World, record: &Value) {
    let [kind, name, value] = ["type", "name", "value"].map(|field| record[field].as_str().unwrap());
    world.zone.add(&format!("{name} {kind} {value}")).unwrap();
}

async fn check(gateway: &Gateway, domain: &Value) -> Value {
    let checked = gateway.post(&format!("/v1/domains/{}/check", domain["id"].as_str().unwrap()), &json!({})).await;
    assert_eq!(checked.status, 200, "{}", checked.text());
    checked.json()
}

/// Asks the HTTP door as a sender's server would, through the proxy that ends TLS.
async fn policy(gateway: &Gateway, host: &str) -> http::Answer {
    let request = format!("GET /.well-known/mta-sts.txt HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    http::raw(gateway.http, request.as_bytes()).await.unwrap()
}

async fn run(world: &World, arguments: &[&str], options: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = program::command(world, "");
    command.arg("--no-color").args(arguments).envs(options.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn a_domain_publishes_where_its_mail_and_its_users_go_once_it_has_routes_and_users() {
    let world = world().await;
    let gateway = world.gateway().await;
    let sends = domain(&gateway, "sender.example").await;
    assert_eq!(purposes(&sends), ["dkim", "dkim", "spf", "return_path_mx", "return_path_spf", "dmarc"]);
    assert_eq!(of(&sends, "dmarc")["value"], "v=DMARC1; p=none; rua=mailto:dmarc-reports@bounce.sender.example");
    for record in &records(&sends) {
        publish(&world, record);
    }
    assert_eq!(check(&gateway, &sends).await["state"], "verified");
    assert_eq!(policy(&gateway, "mta-sts.sender.example").await.status, 404, "a domain that only sends never implies a local one");

    let house = &gateway.running.house;
    let other = gateway.post("/v1/smtp-users", &json!({"username": "printer", "send_as": ["*@*.sender.example"]})).await;
    assert_eq!(other.status, 201, "{}", other.text());
    assert!(!purposes(&domain(&gateway, "sender.example").await).contains(&"submission_srv".to_owned()), "that user sends as other domains");
    assert_eq!(gateway.post("/v1/smtp-users", &json!({"username": "hello@sender.example"})).await.status, 201);
    house.routes.add(house.project, Pattern::parse("*@sender.example").unwrap(), NewAction::Store).await.unwrap();
    let all = domain(&gateway, "sender.example").await;
    let new = ["inbound_mx", "mta_sts", "mta_sts_host", "tls_reports", "submissions_srv", "submission_srv"];
    assert_eq!(purposes(&all)[6..], new);
    for (purpose, kind, name, value) in [
        ("inbound_mx", "MX", "sender.example", "10 mail.sender.example"),
        ("mta_sts_host", "CNAME", "mta-sts.sender.example", "api.sender.example"),
        ("tls_reports", "TXT", "_smtp._tls.sender.example", "v=TLSRPTv1; rua=mailto:tls-reports@bounce.sender.example"),
        ("submissions_srv", "SRV", "_submissions._tcp.sender.example", "0 1 1465 mail.sender.example"),
        ("submission_srv", "SRV", "_submission._tcp.sender.example", "0 1 1587 mail.sender.example"),
    ] {
        let record = of(&all, purpose);
        assert_eq!((&record["type"], &record["name"], &record["value"]), (&json!(kind), &json!(name), &json!(value)), "{record:#}");
    }
    let checked = check(&gateway, &all).await;
    assert!(new.iter().all(|purpose| of(&checked, purpose)["state"] == "missing"), "{checked:#}");
    records(&all).iter().filter(|record| new.contains(&record["purpose"].as_str().unwrap())).for_each(|record| publish(&world, record));
    let checked = check(&gateway, &all).await;
    assert!(records(&checked).iter().all(|record| record["state"] == "ok" && record["found"].is_null()), "{checked:#}");

    let wrong = [("_submission._tcp.sender.example SRV 0 1 25 mail.sender.example", "submission_srv", "0 1 25 mail.sender.example")];
    for (line, purpose, found) in wrong.into_iter().chain([
        ("_mta-sts.sender.example TXT v=STSv1; id=1;", "mta_sts", "v=STSv1; id=1;"),
        ("mta-sts.sender.example CNAME elsewhere.example", "mta_sts_host", "elsewhere.example"),
        ("mta-sts.sender.example A 192.0.2.9", "mta_sts_host", "192.0.2.9"),
        ("sender.example MX 10 mx.elsewhere.example", "inbound_mx", "10 mx.elsewhere.example"),
    ]) {
        let (name, record) = (line.split(' ').next().unwrap(), of(&all, purpose));
        world.zone.remove(name);
        world.zone.add(line).unwrap();
        let told = check(&gateway, &all).await;
        assert_eq!((&of(&told, purpose)["state"], &of(&told, purpose)["found"]), (&json!("wrong"), &json!(found)), "{line}");
        world.zone.remove(name);
        publish(&world, record);
    }
    world.zone.remove("mta-sts.sender.example");
    for line in ["mta-sts.sender.example A 192.0.2.8", "api.sender.example A 192.0.2.8"] {
        world.zone.add(line).unwrap();
    }
    assert_eq!(of(&check(&gateway, &all).await, "mta_sts_host")["state"], "ok", "addresses of the same host do as well");
    gateway.stop().await;
}

#[tokio::test]
async fn the_policy_that_is_served_is_the_one_that_the_record_names_and_follows_the_mode_of_the_domain() {
    let world = world().await;
    let gateway = world.gateway().await;
    let added = domain(&gateway, "sender.example").await;
    let path = format!("/v1/domains/{}", added["id"].as_str().unwrap());
    let house = &gateway.running.house;
    house.routes.add(house.project, Pattern::parse("*@sender.example").unwrap(), NewAction::Store).await.unwrap();
    assert_eq!(policy(&gateway, "mta-sts.sender.example").await.status, 404, "nobody proved the domain yet");
    for record in &records(&added) {
        publish(&world, record);
    }
    let testing = check(&gateway, &added).await;
    let first = policy(&gateway, "MTA-STS.sender.example:443").await;
    assert_eq!((first.status, first.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    assert_eq!(first.text(), "version: STSv1\r\nmode: testing\r\nmx: mail.sender.example\r\nmax_age: 86400\r\n");
    for host in ["sender.example", "mta-sts.other.example", "mta-sts.mta-sts.sender.example", "127.0.0.1"] {
        policy(&gateway, host).await.assert_problem(404, "not-found", host);
    }

    let changed = gateway.call("PATCH", &path, &[], b"{\"mta_sts\": \"enforce\"}").await;
    assert_eq!((changed.status, &changed.json()["mta_sts"]), (200, &json!("enforce")), "{}", changed.text());
    assert_ne!(of(&changed.json(), "mta_sts")["value"], of(&testing, "mta_sts")["value"], "senders fetch it anew by its id");
    assert!(policy(&gateway, "mta-sts.sender.example").await.text().contains("mode: enforce\r\n"));
    assert_eq!(gateway.get("/v1/audit").await.json()["data"][0]["action"], "domain.set");

    let (code, out, _) =
        run(&world, &["domain", "set", "sender.example", "--mta-sts", "off", "--json"], &[("PENNYPOST_SMTP__MX_LISTEN", ":25")]).await;
    let shown: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}"));
    assert_eq!((code, &shown["mta_sts"]), (Some(0), &json!("off")));
    assert!(!purposes(&shown).iter().any(|purpose| purpose.starts_with("mta_sts")) && purposes(&shown).contains(&"inbound_mx".to_owned()));
    eventually(async || {
        world.advance(std::time::Duration::from_secs(30));
        let answer = policy(&gateway, "mta-sts.sender.example").await;
        if answer.status == 404 { Ok(()) } else { Err(answer.text()) }
    })
    .await;

    gateway.call("PATCH", &path, &[], b"{\"mta_sts\": \"strict\"}").await.assert_field("unknown-value", "/mta_sts", "no such mode");
    gateway.call("PATCH", "/v1/domains/dom_01jd5q0v0h7d6r2n8k4m3x9wbz", &[], b"{\"mta_sts\": \"off\"}").await.assert_problem(
        404,
        "not-found",
        "nobody's",
    );
    assert_eq!(run(&world, &["domain", "set", "sender.example", "--mta-sts", "strict"], &[]).await.0, Some(2));
    assert_eq!(domain(&gateway, "sender.example").await["mta_sts"], "off", "what is refused leaves nothing behind");
    gateway.stop().await;
}

#[tokio::test]
async fn delegated_keys_change_without_a_change_in_the_domains_own_zone() {
    let world = world().await;
    let gateway = world.gateway().await;
    let new = json!({"name": "shop.example", "dkim_zone": "dkim.example.net"});
    let added = gateway.post("/v1/domains", &new).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let added = added.json();
    let path = format!("/v1/domains/{}", added["id"].as_str().unwrap());
    assert_eq!(
        (&added["dkim_zone"], purposes(&added)[..6].join(" ")),
        (&json!("dkim.example.net"), format!("{}dkim dkim", "dkim_delegation ".repeat(4)))
    );
    let keys = |domain: &Value| records(domain).into_iter().filter(|record| record["purpose"] == "dkim").collect::<Vec<_>>();
    let present = keys(&added);
    assert!(present.iter().all(|key| key["name"].as_str().unwrap().ends_with("-a.shop.example.dkim.example.net")), "{present:#?}");

    // The keys alone prove nothing: they stand in a zone that is not the domain's.
    for key in &present {
        publish(&world, key);
    }
    assert_eq!(check(&gateway, &added).await["state"], "pending");
    records(&added).iter().filter(|record| record["purpose"] == "dkim_delegation").for_each(|record| publish(&world, record));
    assert_eq!(check(&gateway, &added).await["state"], "verified");
    let health = gateway.get(&format!("{path}/health")).await.json();
    let of_check = |id: &str| health["checks"].as_array().unwrap().iter().filter(|check| check["id"] == id).cloned().collect::<Vec<_>>();
    for id in ["K1", "K5"] {
        assert!(of_check(id).len() == 2 && of_check(id).iter().all(|check| check["ok"] == true), "a receiver follows them: {:#?}", of_check(id));
    }

    let rotated = gateway.post(&format!("{path}/rotate-dkim"), &json!({})).await.json();
    let next: Vec<Value> = keys(&rotated).into_iter().filter(|key| !present.iter().any(|old| old["name"] == key["name"])).collect();
    assert!(next.len() == 2 && next.iter().all(|key| key["name"].as_str().unwrap().contains("-b.shop.example.")), "{next:#?}");
    assert_eq!(records(&rotated).iter().filter(|record| record["purpose"] == "dkim_delegation").count(), 4, "the domain's own zone stays as it is");
    for key in &next {
        publish(&world, key);
    }
    assert_eq!(keys(&check(&gateway, &added).await).len(), 2, "the next keys took over");
    gateway.post(&format!("{path}/rotate-dkim"), &json!({})).await.assert_problem(409, "rotated-lately", "mail may be on its way");
    world.advance(std::time::Duration::from_hours(24 * 7));
    let again = gateway.post(&format!("{path}/rotate-dkim"), &json!({})).await;
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(keys(&again.json()).len(), 4, "under the first selectors again");

    // A key of another making stands in the domain's own zone.
    let pem = {
        use base64::Engine;
        let der = base64::engine::general_purpose::STANDARD.encode(generate(Algorithm::Ed25519).unwrap().private_der.expose());
        format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n")
    };
    let imported = gateway.post(&format!("{path}/dkim-keys"), &json!({"selector": "s2024", "private_key": pem})).await;
    assert!(keys(&imported.json()).iter().any(|key| key["name"] == "s2024._domainkey.shop.example"), "{}", imported.text());

    let long = format!("{}.example", ["a".repeat(60).as_str(); 4].join(".")).chars().skip(10).collect::<String>();
    for (zone, code) in [("not a zone", "invalid-domain"), (long.as_str(), "invalid-domain")] {
        let refused = gateway.post("/v1/domains", &json!({"name": "other.example", "dkim_zone": zone})).await;
        refused.assert_field(code, "/dkim_zone", zone);
    }
    let (code, out, _) = run(&world, &["domain", "add", "third.example", "--dkim-by-cname", "dkim.example.net"], &[]).await;
    assert!(code == Some(0) && out.contains("CNAME  pp-") && out.contains(".third.example.dkim.example.net"), "{out}");
    gateway.stop().await;
}

#[tokio::test]
async fn the_zone_format_is_a_master_file_and_the_other_formats_say_the_same() {
    let world = world().await;
    let gateway = world.gateway().await;
    let house = &gateway.running.house;
    house.routes.add(house.project, Pattern::parse("*@shop.example").unwrap(), NewAction::Store).await.unwrap_err();
    gateway.post("/v1/domains", &json!({"name": "shop.example", "dkim_zone": "keys.shop.example"})).await;
    house.routes.add(house.project, Pattern::parse("*@shop.example").unwrap(), NewAction::Store).await.unwrap();
    gateway.post("/v1/smtp-users", &json!({"username": "hello@shop.example"})).await;
    let options = [
        ("PENNYPOST_SMTP__MX_LISTEN", ":25"),
        ("PENNYPOST_SMTP__SUBMISSION_LISTEN", ":587"),
        ("PENNYPOST_SMTP__SUBMISSIONS_LISTEN", ":465"),
        ("PENNYPOST_SERVER__PUBLIC_URL", "https://api.sender.example"),
    ];
    let (code, zone, _) = run(&world, &["domain", "dns", "shop.example", "--format", "zone"], &options).await;
    assert_eq!(code, Some(0), "{zone}");
    let (_, json, _) = run(&world, &["domain", "dns", "shop.example", "--format", "json"], &options).await;
    let json: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!((zone.lines().count(), json.len()), (16, 16), "{zone}");

    // Read as a name server reads it: a strange origin and time to live would show where a name or a time is left out.
    let text = format!("$TTL 77\nshop.example. IN SOA ns.shop.example. hostmaster.shop.example. 1 3600 600 86400 60\n{zone}");
    let (_, sets) = Parser::new(text, None, Some(Name::from_ascii("origin.example.").unwrap())).parse().unwrap();
    let mut found: Vec<(String, String, String)> = Vec::new();
    for set in sets.values() {
        for record in set.records_without_rrsigs().filter(|record| record.record_type().to_string() != "SOA") {
            assert_eq!(record.ttl, 3_600);
            let data = match &record.data {
                hickory_resolver::proto::rr::RData::TXT(txt) => {
                    assert!(txt.txt_data.iter().all(|string| string.len() <= 255));
                    String::from_utf8(txt.txt_data.concat()).unwrap()
                }
                other => other.to_string().trim_end_matches('.').to_owned(),
            };
            found.push((record.name.to_ascii().trim_end_matches('.').to_owned(), record.record_type().to_string(), data));
        }
    }
    let field = |record: &Value, name: &str| record[name].as_str().unwrap().to_owned();
    let mut expected: Vec<_> = json.iter().map(|record| (field(record, "name"), field(record, "type"), field(record, "value"))).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert!(expected.iter().any(|(_, kind, value)| kind == "TXT" && value.len() > 255), "one that has to be cut");
    gateway.stop().await;
}
