//! Certificates that are in no file: imported, shown by every node, removed; and the answers that authorities get.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use pennypost::config::Listen;
use serde_json::Value;

use super::smtp_submission::world;
use super::world::gateway::eventually;
use super::world::http;
use super::world::program::command;
use super::world::smtp::SmtpClient;
use super::world::{Gateway, World, database};

/// A certificate for `names` in files of its own: certificate, key, and the certificate as it is shown.
fn files(world: &World, name: &str, names: &[&str], days: i64) -> (PathBuf, PathBuf, Vec<u8>) {
    let directory = database::scratch().join(format!("import-{}-{name}", world.address(1)));
    std::fs::create_dir_all(&directory).unwrap();
    let mut params = rcgen::CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.not_after = world.clock.now() + time::Duration::days(days);
    params.not_before = params.not_after - time::Duration::days(90);
    let key = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    let paths = (directory.join("cert.pem"), directory.join("key.pem"));
    std::fs::write(&paths.0, made.pem()).unwrap();
    std::fs::write(&paths.1, key.serialize_pem()).unwrap();
    (paths.0, paths.1, made.der().to_vec())
}

/// Runs `pennypost cert`: what it printed, and how it ended.
pub fn cert(world: &World, arguments: &[&str]) -> (Value, i32) {
    let output = command(world, "").arg("cert").args(arguments).arg("--json").output().unwrap();
    let shown = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&output.stderr).into_owned()));
    (shown, output.status.code().unwrap())
}

fn import(world: &World, certificate: &std::path::Path, key: &std::path::Path) -> (Value, i32) {
    cert(world, &["import", "--certificate", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()])
}

async fn shows(world: &World, gateway: &Gateway, certificate: &[u8]) {
    eventually(|| async {
        world.advance(Duration::from_secs(2));
        let shown = SmtpClient::connect_tls(gateway.running.submissions.unwrap()).await.certificate;
        if shown.as_deref() == Some(certificate) { Ok(()) } else { Err("another certificate is shown".to_owned()) }
    })
    .await;
}

#[tokio::test]
async fn an_imported_certificate_is_shown_by_every_node_while_open_sessions_go_on() {
    let world = world().await;
    let (one, other) = (world.gateway().await, world.gateway().await);
    let mut open = SmtpClient::connect_starttls(one.running.submission.unwrap()).await;
    open.expect("EHLO c", "250").await;
    let own = open.certificate.clone().unwrap();
    let (certificate, key, first) = files(&world, "first", &["mail.sender.example"], 60);
    let (imported, code) = import(&world, &certificate, &key);
    assert_eq!((code, &imported["source"], &imported["names"][0]), (0, &"import".into(), &"mail.sender.example".into()), "{imported}");
    shows(&world, &one, &first).await;
    shows(&world, &other, &first).await;
    let (certificate, key, second) = files(&world, "second", &["mail.sender.example"], 90);
    assert_eq!(import(&world, &certificate, &key).1, 0);
    shows(&world, &one, &second).await;
    shows(&world, &other, &second).await;
    open.expect("NOOP", "250").await;

    assert_eq!(world.number("select count(*) from certificate").await, 1, "the one before is gone");
    assert_eq!(world.number("select count(*) from certificate where position('PRIVATE' in encode(private_key, 'escape')) > 0").await, 0);
    let listed = one.get("/v1/certificates").await.json();
    let id = listed["data"][0]["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("crt_") && listed["data"].as_array().unwrap().len() == 1, "{listed}");
    assert!(!listed.to_string().contains("PRIVATE"));
    let metrics = String::from_utf8(one.get("/metrics").await.body).unwrap();
    assert!(metrics.contains("pennypost_certificate_expires_seconds{name=\"mail.sender.example\"} 77"), "90 days less a moment");
    assert_eq!(cert(&world, &["remove", &id]).1, 0);
    assert_eq!(cert(&world, &["remove", &id]).1, 1, "it is gone");
    shows(&world, &one, &own).await;
    let audit = one.get("/v1/audit").await.json().to_string();
    assert!(audit.contains("certificate.import") && audit.contains("certificate.remove"), "{audit}");
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn what_is_no_certificate_with_its_key_is_refused_and_leaves_nothing_behind() {
    let world = world().await;
    let gateway = world.gateway().await;
    let (certificate, key, _) = files(&world, "a", &["mail.sender.example"], 60);
    let (_, foreign, _) = files(&world, "b", &["mail.sender.example"], 60);
    let (ended, ended_key, _) = files(&world, "c", &["mail.sender.example"], -1);
    let (nameless, nameless_key, _) = files(&world, "d", &[], 60);
    let nothing = database::scratch().join("no-such-file");
    for (certificate, key, told) in [
        (&certificate, &foreign, "the key is not the certificate's"),
        (&key, &key, "holds no certificate in PEM form"),
        (&certificate, &certificate, "holds no private key in PEM form"),
        (&ended, &ended_key, "the certificate ended on"),
        (&nameless, &nameless_key, "names no host"),
        (&nothing, &key, "cannot be read"),
    ] {
        let (shown, code) = import(&world, certificate, key);
        assert!(code == 1 && shown.to_string().contains(told), "{told}: {shown}");
    }
    assert_eq!(world.number("select count(*) from certificate").await, 0);
    assert_eq!(world.number("select count(*) from audit").await, 0);
    let (shown, code) = cert(&world, &["renew"]);
    assert!(code == 1 && shown.to_string().contains("not had by ACME here"), "{shown}");
    assert_eq!(cert(&world, &["status"]), (serde_json::json!({"data": [], "next_cursor": null}), 0));
    gateway.stop().await;
}

#[tokio::test]
async fn authorities_are_answered_by_every_node_and_only_while_they_may_ask() {
    let mut world = world().await;
    world.config.tls.acme = "https://127.0.0.1:1/directory".into();
    world.config.tls.acme_http_listen = Listen::At(SocketAddr::new(world.config.server.http_listen.ip(), 0));
    let (one, other) = (world.gateway().await, world.gateway().await);
    let path = "/.well-known/acme-challenge/a-token";
    let ask = async |address: SocketAddr, path: &str| http::call(address, "GET", path, &[], b"").await;
    assert_eq!(ask(one.running.acme.unwrap(), path).await.status, 404);
    let row = |token: &str, kind: &str, hours: i64| {
        format!(
            "insert into certificate_challenge values (gen_random_uuid(), gen_random_uuid(), '{kind}', 'mail.sender.example', '{token}', '{token}.thumb',
             now() + interval '{hours} hours')"
        )
    };
    world.execute(&row("a-token", "http-01", 1)).await;
    world.execute(&row("too-late", "http-01", -1)).await;
    world.execute(&row("a-record", "dns-01", 1)).await;
    world.execute("update certificate_version set version = version + 1").await;
    for address in [one.running.acme.unwrap(), other.running.acme.unwrap(), one.http, other.http] {
        eventually(|| async {
            world.advance(Duration::from_secs(2));
            let answer = ask(address, path).await;
            if answer.status == 200 && answer.body == b"a-token.thumb" { Ok(()) } else { Err(format!("{address}: {}", answer.status)) }
        })
        .await;
        for other in ["too-late", "a-record", "", "../healthz", "a-token/more"] {
            assert_eq!(ask(address, &format!("/.well-known/acme-challenge/{other}")).await.status, 404, "{address} {other}");
        }
    }
    for path in ["/", "/healthz", "/metrics", "/v1/certificates"] {
        assert_eq!(ask(one.running.acme.unwrap(), path).await.status, 404, "nothing else is served there: {path}");
    }
    assert_eq!(http::call(one.running.acme.unwrap(), "POST", path, &[], b"").await.status, 404);
    world.execute("delete from certificate_challenge").await;
    world.execute("update certificate_version set version = version + 1").await;
    eventually(|| async {
        world.advance(Duration::from_secs(2));
        if ask(other.running.acme.unwrap(), path).await.status == 404 { Ok(()) } else { Err("still answered".to_owned()) }
    })
    .await;
    one.stop().await;
    other.stop().await;
}
