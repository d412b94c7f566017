//! Checks of doctor one by one, each with the good answer and the bad one that it is there for.

use std::net::SocketAddr;
use std::sync::Arc;

use pennypost::clock::Clock;
use pennypost::config::{Config, Listen};
use pennypost::events::EventKind;
use pennypost::net::certificate::Authorities;
use pennypost::ops::doctor::{Chosen, Doctor, Finding, FindingState, Level, Listeners, Scope};
use pennypost::serve::Roles;
use pennypost::supervisor::Supervisor;
use tokio::net::UdpSocket;

use super::world::{Gateway, World, database};

const HOST: &str = "mail.sender.example";
/// A gateway that answers and does no more: nothing reads the events that a test makes up.
const QUIET: Roles = Roles { api: true, deliver: false, smtp: false, worker: false };

fn doctor(world: &World, gateway: &Gateway, config: Config) -> Doctor {
    gateway.running.house.doctor(&Arc::new(config), &world.clock)
}

async fn look(doctor: &Doctor, id: &str) -> Vec<Finding> {
    let only = std::iter::once(id.parse::<Chosen>().unwrap()).collect();
    doctor.look(Scope::All, &only).await.unwrap().checks
}

#[track_caller]
fn told(checks: &[Finding], state: FindingState, part: &str) {
    let is_told =
        |finding: &Finding| finding.state == state && finding.found.contains(part) && (finding.fix.is_some() == (state == FindingState::Bad));
    assert!(checks.iter().any(is_told), "{part}: {checks:#?}");
}

#[tokio::test]
async fn a_server_that_takes_passwords_in_clear_text_or_tells_who_is_there_is_told() {
    let world = World::new().await;
    let gateway = world.gateway_with(QUIET).await;
    let clear = "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250-AUTH PLAIN LOGIN\nS: 250 STARTTLS\n";
    let chatty =
        "S: 220 mx\nC: EHLO\nS: 250 mx\nC: VRFY\nS: 250 Penny <postmaster@mx>\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.7.1 no\nC: QUIT\nS: 221 bye\n";
    for (script, ids, found) in [(clear, &["M2", "U1"][..], "AUTH before TLS"), (chatty, &["M3"], "VRFY tells who is there: 250")] {
        let host = world.scripted_mx("odd.example", &[script]).await;
        let listeners = Listeners { mx: Some(host.address), submission: Some(host.address), submissions: None };
        let doctor = Doctor { listeners, ..doctor(&world, &gateway, Config::clone(&world.config)) };
        for id in ids {
            told(&look(&doctor, id).await, FindingState::Bad, found);
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn our_own_listeners_are_found_good() {
    let mut world = World::new().await;
    let ip = world.config.server.http_listen.ip();
    let listen = Listen::At(SocketAddr::new(ip, 0));
    let smtp = &mut world.config.smtp;
    (smtp.submission_listen, smtp.submissions_listen, smtp.mx_listen) = (listen, listen, listen);
    let directory = database::scratch().join(format!("doctor-certificates-{ip}"));
    std::fs::create_dir_all(&directory).unwrap();
    let made = rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).unwrap();
    let (certificate, key) = (directory.join("a.pem"), directory.join("a.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (world.config.tls.certificate_files, world.config.tls.key_files) = (vec![certificate.clone()], vec![key]);
    let gateway = world.gateway().await;
    let running = &gateway.running;
    let listeners = Listeners { submission: running.submission, submissions: running.submissions, mx: running.mx };
    let authorities = Authorities::public_and(&certificate).unwrap();
    let doctor = Doctor { listeners, authorities, ..doctor(&world, &gateway, Config::clone(&world.config)) };
    let submission = look(&doctor, "U1").await;
    assert_eq!(submission.len(), 2);
    assert!(
        submission.iter().all(|finding| finding.ok && finding.found.starts_with("TLSv1.3") && finding.found.contains("; AUTH PLAIN")),
        "{submission:#?}"
    );
    told(&look(&doctor, "M2").await, FindingState::Ok, "TLSv1.3");
    told(&look(&doctor, "M3").await, FindingState::Ok, "550");
    let unknown = Doctor { authorities: Authorities::public(), ..doctor.clone() };
    told(&look(&unknown, "U1").await, FindingState::Bad, "");
    gateway.stop().await;
}

#[tokio::test]
async fn tlsa_records_have_to_fit_the_certificate_of_our_mail_host() {
    let mut world = World::new().await;
    let identity = world.authority().identity(HOST);
    for line in [&format!("sender.example MX 10 {HOST}"), &format!("{HOST} A 192.0.2.7"), ". SOA a.root.example hostmaster.root.example"] {
        world.zone.add(line).unwrap();
    }
    world.zone.sign(".");
    world.zone.sign("example");
    let host = world.host_at(world.fresh_address(), identity.sink()).await;
    let gateway = world.gateway_with(QUIET).await;
    let listeners = Listeners { mx: Some(host.local_addr), ..Listeners::default() };
    let doctor = Doctor { listeners, ..doctor(&world, &gateway, Config::clone(&world.config)) };
    let name = format!("_25._tcp.{HOST}");
    told(&look(&doctor, "M6").await, FindingState::Skipped, "no TLSA record");
    for (record, state, found) in [(identity.tlsa.clone(), FindingState::Ok, "3 1 1"), (identity.wrong_tlsa(), FindingState::Bad, "3 1 1")] {
        world.zone.remove(&name);
        world.zone.add(&format!("{name} TLSA {record}")).unwrap();
        told(&look(&doctor, "M6").await, state, found);
    }
    let deaf = Doctor { listeners: Listeners::default(), ..doctor };
    told(&look(&deaf, "M6").await, FindingState::Skipped, "no listener");
    gateway.stop().await;
}

#[tokio::test]
async fn the_certificate_that_users_see_has_to_be_good_and_to_stay_so() {
    let mut world = World::new().await;
    let authority = world.authority();
    let port = world.config.delivery_tls.policy_port;
    for (name, identity) in [
        ("good.example", authority.identity("good.example")),
        ("ending.example", authority.ending("ending.example")),
        ("expired.example", authority.expired("expired.example")),
        ("strange.example", authority.identity("other.example")),
    ] {
        world.https_host(name, &identity, "").await;
    }
    world.zone.add(&format!("silent.example A {}", world.fresh_address())).unwrap();
    let gateway = world.gateway_with(QUIET).await;
    for (url, state, level, found) in [
        (format!("https://good.example:{port}"), FindingState::Ok, Level::Fail, "TLSv1.3"),
        (format!("https://ending.example:{port}/"), FindingState::Bad, Level::Warn, "ends within two weeks"),
        (format!("https://expired.example:{port}"), FindingState::Bad, Level::Fail, "expired"),
        (format!("https://strange.example:{port}"), FindingState::Bad, Level::Fail, "not for"),
        (format!("https://silent.example:{port}"), FindingState::Bad, Level::Fail, "refused"),
        (format!("https://nowhere.example:{port}"), FindingState::Bad, Level::Fail, "no address"),
        ("http://good.example".to_owned(), FindingState::Skipped, Level::Fail, "no https"),
    ] {
        let mut config = Config::clone(&world.config);
        config.server.public_url.clone_from(&url);
        let authorities = Authorities::public_and(&config.delivery_tls.ca_file).unwrap();
        let checks = look(&Doctor { authorities, ..doctor(&world, &gateway, config) }, "C1").await;
        told(&checks, state, found);
        assert_eq!(checks[0].level, level, "{url}: {checks:#?}");
    }
    gateway.stop().await;
}

/// Events of a kind, a moment ago.
async fn happened(world: &World, kind: EventKind, count: u32, data: &str) {
    let statement = format!(
        "insert into event (id, project_id, kind, data)
         select (substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-7' || substr(m, 1, 3) || '-8' || substr(m, 4, 3) || '-' || substr(m, 7, 12))::uuid,
                (select id from project where name = 'default'), {kind}, '{data}'
           from generate_series(1, {count}) as n,
                lateral (select lpad(to_hex((extract(epoch from now()) * 1000)::bigint - 1), 12, '0') as h, md5(n::text || '{kind}{data}') as m) as t",
        kind = kind.to_stored()
    );
    assert_eq!(world.execute(&statement).await, u64::from(count));
}

#[tokio::test]
async fn the_mail_of_a_day_is_looked_at_for_bounces_complaints_growth_and_encryption() {
    let world = World::new().await;
    let gateway = world.gateway_with(QUIET).await;
    let doctor = doctor(&world, &gateway, Config::clone(&world.config));
    let look = async |id: &str| look(&doctor, id).await;
    told(&look("R4").await, FindingState::Skipped, "0 deliveries ended");
    told(&look("R8").await, FindingState::Skipped, "0 deliveries");
    told(&look("R6").await, FindingState::Ok, "0 messages within a day");

    let (tls, plain) = (r#"{"tls": "TLSv1.3"}"#, r#"{"tls": null}"#);
    happened(&world, EventKind::Delivered, 1_000, tls).await;
    happened(&world, EventKind::Bounced, 50, "{}").await;
    happened(&world, EventKind::Complained, 1, "{}").await;
    told(&look("R4").await, FindingState::Ok, "50 of 1050 bounced, 1 complaints");
    happened(&world, EventKind::Complained, 1, r#"{"n": 2}"#).await;
    told(&look("R4").await, FindingState::Bad, "2 complaints");
    world.execute(&format!("delete from event where kind = {}", EventKind::Complained.to_stored())).await;
    happened(&world, EventKind::Bounced, 5, r#"{"n": 2}"#).await;
    told(&look("R4").await, FindingState::Bad, "55 of 1055 bounced");

    happened(&world, EventKind::Delivered, 10, plain).await;
    told(&look("R8").await, FindingState::Ok, "1000 of 1010 over TLS");
    happened(&world, EventKind::Delivered, 1, r#"{"tls": null, "n": 2}"#).await;
    told(&look("R8").await, FindingState::Bad, "1000 of 1011 over TLS");

    happened(&world, EventKind::Accepted, 1_000, "{}").await;
    told(&look("R6").await, FindingState::Ok, "1000 messages");
    happened(&world, EventKind::Accepted, 1, r#"{"n": 2}"#).await;
    told(&look("R6").await, FindingState::Bad, "1001 messages within a day, 0 in the day before");
    gateway.stop().await;
}

/// A time server whose clock is `behind` that of the world.
async fn time_server(world: &World, behind: i64, clock: &Clock, supervisor: &Supervisor) -> SocketAddr {
    let socket = UdpSocket::bind(SocketAddr::new(world.fresh_address(), 0)).await.unwrap();
    let (address, clock) = (socket.local_addr().unwrap(), clock.clone());
    supervisor.spawn("time server", async move {
        let mut packet = [0_u8; 48];
        while let Ok((_, peer)) = socket.recv_from(&mut packet).await {
            let mark: [u8; 8] = packet[40..].try_into().unwrap();
            let seconds = u32::try_from((clock.now().unix_timestamp() - behind + 2_208_988_800) & 0xffff_ffff).unwrap();
            (packet[0], packet[1]) = (0b00_100_100, 2);
            packet[24..32].copy_from_slice(&mark);
            packet[40..44].copy_from_slice(&seconds.to_be_bytes());
            packet[44..].fill(0);
            socket.send_to(&packet, peer).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn a_clock_a_minute_and_a_half_off_is_told() {
    let world = World::new().await;
    let gateway = world.gateway_with(QUIET).await;
    let supervisor = Supervisor::default();
    let right = time_server(&world, 0, &world.clock, &supervisor).await;
    let behind = time_server(&world, 90, &world.clock, &supervisor).await;
    let ahead = time_server(&world, -90, &world.clock, &supervisor).await;
    world.zone.add(&format!("time.example A {}", behind.ip())).unwrap();
    for (server, state, found) in [
        (right.to_string(), FindingState::Ok, " s against 127."),
        (behind.to_string(), FindingState::Bad, "+9"),
        (ahead.to_string(), FindingState::Bad, "-8"),
        (format!("time.example:{}", behind.port()), FindingState::Bad, "s against time.example"),
        (String::new(), FindingState::Skipped, "doctor.time_server is empty"),
    ] {
        let mut config = Config::clone(&world.config);
        config.doctor.time_server.clone_from(&server);
        told(&look(&doctor(&world, &gateway, config), "H3").await, state, found);
    }
    let mut config = Config::clone(&world.config);
    config.doctor.time_server = format!("nobody.example:{}", right.port());
    let unknown = look(&doctor(&world, &gateway, config), "H3").await;
    assert!(unknown[0].state == FindingState::Unknown && unknown[0].found.contains("has no address"), "{unknown:#?}");
    supervisor.kill();
    gateway.stop().await;
}
