//! When certificates are ordered, by whom, and what comes of an authority that does not answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pennypost::config::{AcmeChallenge, Listen};
use tokio::net::TcpListener;

use super::certificates::cert;
use super::smtp_submission::world;
use super::world::gateway::eventually;
use super::world::program::command;
use super::world::{Gateway, World};

/// An authority that takes connections and says nothing; how many it took.
async fn silent_authority(world: &World) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(SocketAddr::new(world.fresh_address(), 0)).await.unwrap();
    let (address, taken) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&taken);
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            held.push(stream);
        }
    });
    (format!("https://{address}/directory"), taken)
}

/// A world whose gateways want a certificate from `authority`.
async fn wanting(authority: Option<&str>) -> World {
    let mut world = world().await;
    world.config.tls.acme = authority.unwrap_or("https://127.0.0.1:1/directory").to_owned();
    world.config.tls.acme_challenge = AcmeChallenge::Http01;
    world.config.tls.acme_http_listen = Listen::Off;
    world
}

async fn failures(gateway: &Gateway) -> (u64, String) {
    let listed = gateway.get("/v1/certificates").await.json();
    let row = &listed["data"][0];
    (row["failures"].as_u64().unwrap_or(0), row["last_error"].as_str().unwrap_or_default().to_owned())
}

async fn failed(world: &World, gateway: &Gateway, times: u64, step: Duration) -> String {
    eventually(|| async {
        world.advance(step);
        match failures(gateway).await {
            (found, error) if found >= times => Ok(error),
            (found, _) => Err(format!("{found} failures")),
        }
    })
    .await
}

#[tokio::test]
async fn an_order_that_fails_is_told_and_tried_again_later_or_when_asked() {
    let world = wanting(None).await;
    let gateway = world.gateway().await;
    let error = failed(&world, &gateway, 1, Duration::ZERO).await;
    assert!(error.contains("127.0.0.1: no connection"), "{error}");
    world.advance(Duration::from_mins(4));
    eventually(|| async {
        if world.number("select count(*) from certificate_order where lease is null").await == 1 { Ok(()) } else { Err("busy".into()) }
    })
    .await;
    assert_eq!(failures(&gateway).await.0, 1, "it is too early");
    failed(&world, &gateway, 2, Duration::from_mins(1)).await;
    let asked =
        command(&world, "").env("PENNYPOST_TLS__ACME", &world.config.tls.acme).args(["cert", "renew", "--no-wait", "--json"]).output().unwrap();
    assert_eq!(asked.status.code(), Some(0), "{}", String::from_utf8_lossy(&asked.stderr));
    failed(&world, &gateway, 3, Duration::from_secs(5)).await;
    let (status, code) = cert(&world, &["status"]);
    assert_eq!((code, &status["data"][0]["failures"], &status["data"][0]["id"]), (0, &3.into(), &serde_json::Value::Null), "{status}");
    let metrics = String::from_utf8(gateway.get("/metrics").await.body).unwrap();
    assert!(metrics.contains("pennypost_certificate_orders_total{result=\"failed\"}"));
    gateway.stop().await;
}

#[tokio::test]
async fn one_node_works_on_an_order_and_another_goes_on_when_it_died() {
    let place = world().await;
    let (authority, taken) = silent_authority(&place).await;
    let mut world = wanting(Some(&authority)).await;
    world.config.delivery.allow_private_addresses = true;
    let one = world.gateway().await;
    let asked = |times: usize| {
        let taken = Arc::clone(&taken);
        eventually(move || {
            let taken = Arc::clone(&taken);
            async move {
                let found = taken.load(Ordering::SeqCst);
                if found == times { Ok(()) } else { Err(format!("asked {found} times")) }
            }
        })
    };
    asked(1).await;
    let other = world.gateway().await;
    // Less than what one request may take: the first node is still waiting.
    for _ in 0..4 {
        world.advance(Duration::from_secs(5));
        assert_eq!(other.get("/v1/certificates").await.status, 200);
    }
    assert_eq!(taken.load(Ordering::SeqCst), 1, "the other leaves it alone");
    assert_eq!(world.number("select count(*) from certificate_order where lease is not null").await, 1);
    one.running.abandon().await;
    world.advance(Duration::from_mins(14));
    assert_eq!(other.get("/v1/certificates").await.status, 200);
    assert_eq!(taken.load(Ordering::SeqCst), 1, "the dead node's time is not over");
    world.advance(Duration::from_mins(2));
    asked(2).await;
    other.stop().await;
}

#[tokio::test]
async fn a_certificate_is_ordered_again_at_two_thirds_of_its_life() {
    let world = wanting(None).await;
    let directory = &world.config.tls.acme;
    let gateway = world.gateway().await;
    failed(&world, &gateway, 1, Duration::ZERO).await;
    let mut params = rcgen::CertificateParams::new(vec!["mail.sender.example".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (world.clock.now(), world.clock.now() + time::Duration::days(90));
    let key = rcgen::KeyPair::generate().unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    let key = pennypost::model::Secret::new(key.serialize_pem().into_bytes());
    gateway.running.house.certificates.import(chain.as_bytes(), &key).await.unwrap();
    world.execute(&format!("update certificate set source = 'acme', directory = '{directory}'")).await;
    let now = world.clock.now();
    world
        .execute(&format!(
            "update certificate_order set certificate_id = (select id from certificate), failures = 0, last_error = null, next_at = '{now}'"
        ))
        .await;
    let planned = eventually(|| async {
        world.advance(Duration::from_secs(5));
        let row = gateway.get("/v1/certificates").await.json()["data"][0].clone();
        row["renew_at"].as_str().map(str::to_owned).ok_or_else(|| row.to_string())
    })
    .await;
    let planned = time::OffsetDateTime::parse(&planned, &time::format_description::well_known::Rfc3339).unwrap();
    let days = (planned - now).whole_days();
    assert!((57..=60).contains(&days), "{days}");
    assert_eq!(failures(&gateway).await.0, 0, "it is looked at, and not ordered");
    world.advance(Duration::from_hours(24 * 50));
    world.advance(Duration::from_secs(5));
    assert_eq!(failures(&gateway).await.0, 0);
    failed(&world, &gateway, 1, Duration::from_hours(12)).await;
    gateway.stop().await;
}
