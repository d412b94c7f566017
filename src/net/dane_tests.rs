//! TLSA records against certificates, and the way from a host to its records.

use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::lab::zone::{Zone, ZoneFault};
use crate::net::certificate::tests::{TestAuthority, shake};
use crate::net::certificate::{Proof, Unproven};
use crate::supervisor::Supervisor;

fn record(usage: u8, selector: u8, matching: u8, certificate: &CertificateDer<'_>) -> Tlsa {
    let whole = certificate.to_vec();
    let octets =
        if selector == KEY { ParsedCertificate::try_from(certificate).expect("a certificate").subject_public_key_info().to_vec() } else { whole };
    let data = match matching {
        SHA256 => digest::digest(&digest::SHA256, &octets).as_ref().to_vec(),
        SHA512 => digest::digest(&digest::SHA512, &octets).as_ref().to_vec(),
        _ => octets,
    };
    Tlsa { usage, selector, matching, data }
}

fn wrong(mut record: Tlsa) -> Tlsa {
    if let Some(first) = record.data.first_mut() {
        *first ^= 1;
    }
    record
}

#[test]
fn the_hosts_own_key_is_enough_whatever_name_and_time_its_certificate_has() {
    let authority = TestAuthority::new();
    let (server, own) = authority.server("other.example", 0);
    for (selector, matching) in [(WHOLE, EXACT), (WHOLE, SHA256), (WHOLE, SHA512), (KEY, EXACT), (KEY, SHA256), (KEY, SHA512)] {
        let good = record(OWN, selector, matching, &own);
        for (records, found) in [
            (vec![good.clone()], Ok(())),
            (vec![wrong(good.clone())], Err(CertificateFault::NoTlsaMatch)),
            // A key that is being replaced has two records (T7).
            (vec![wrong(good.clone()), good], Ok(())),
        ] {
            let dane = DaneRecords::usable(&records, "mx.example", &[]).expect("records");
            let shaken = found.is_ok();
            assert_eq!(shake(Proof::Dane(dane), Unproven::Refuse, &server, "mx.example"), (Some(found), shaken), "3 {selector} {matching}");
        }
    }
}

#[test]
fn an_issuer_vouches_for_the_name_and_the_time() {
    let (authority, stranger) = (TestAuthority::new(), TestAuthority::new());
    let fitting = |matching, selector| record(ISSUER, selector, matching, &authority.certificate);
    let mismatch = CertificateFault::HostMismatch("mx.example".to_owned());
    for (server, records, found) in [
        (authority.server("mx.example", 30), vec![fitting(SHA256, KEY)], Ok(())),
        (authority.server("mx.example", 30), vec![fitting(SHA512, WHOLE)], Ok(())),
        (authority.server("mx.example", 30), vec![fitting(EXACT, WHOLE)], Ok(())),
        (authority.server("domain.example", 30), vec![fitting(SHA256, KEY)], Ok(())),
        (authority.server("other.example", 30), vec![fitting(SHA256, KEY)], Err(mismatch)),
        (authority.server("mx.example", 0), vec![fitting(SHA256, KEY)], Err(CertificateFault::Expired)),
        (stranger.server("mx.example", 30), vec![fitting(SHA256, KEY)], Err(CertificateFault::NoTlsaMatch)),
    ] {
        let dane = DaneRecords::usable(&records, "mx.example", &["domain.example"]).expect("records");
        let shaken = found.is_ok();
        assert_eq!(shake(Proof::Dane(dane), Unproven::Refuse, &server.0, "mx.example"), (Some(found), shaken), "{records:?}");
    }
    let (server, own) = authority.server("mx.example", 30);
    let dane = DaneRecords::usable(&[record(ISSUER, KEY, SHA256, &own)], "mx.example", &[]).expect("records");
    assert_eq!(
        shake(Proof::Dane(dane), Unproven::Refuse, &server, "mx.example").0,
        Some(Err(CertificateFault::NoTlsaMatch)),
        "a host is not its own issuer"
    );
}

#[test]
fn a_whole_issuer_in_the_dns_need_not_be_shown() {
    let authority = TestAuthority::new();
    let (_, own) = authority.server("mx.example", 30);
    let dane = DaneRecords::usable(&[record(ISSUER, WHOLE, EXACT, &authority.certificate)], "mx.example", &[]).expect("records");
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(Clock::system().now().unix_timestamp()).expect("a time")));
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    assert_eq!(dane.judge(std::slice::from_ref(&own), now, &provider), Ok(()));
    assert_eq!(dane.judge(&[], now, &provider), Err(CertificateFault::NoTlsaMatch));
}

#[test]
fn records_that_cannot_be_used_do_not_count() {
    let data = vec![7; 32];
    let tlsa = |usage, selector, matching, data: &[u8]| Tlsa { usage, selector, matching, data: data.to_vec() };
    for unusable in [
        tlsa(0, 0, 1, &data),
        tlsa(1, 1, 1, &data),
        tlsa(4, 1, 1, &data),
        tlsa(3, 2, 1, &data),
        tlsa(3, 1, 3, &data),
        tlsa(3, 1, 1, &data[..31]),
        tlsa(3, 1, 2, &data),
        tlsa(3, 1, 0, &[]),
    ] {
        assert_eq!(DaneRecords::usable(std::slice::from_ref(&unusable), "mx.example", &[]), None, "{unusable:?}");
        let beside = DaneRecords::usable(&[unusable, tlsa(3, 1, 1, &data)], "mx.example", &[]).expect("one that counts");
        assert_eq!(beside.texts(), [format!("3 1 1 {}", "07".repeat(32))]);
    }
    let strongest = DaneRecords::usable(&[tlsa(3, 1, 1, &data), tlsa(3, 1, 2, &[8; 64]), tlsa(2, 1, 1, &data)], "mx.example", &[]);
    let texts = strongest.expect("records").texts();
    assert_eq!(texts, [format!("3 1 2 {}", "08".repeat(64)), format!("2 1 1 {}", "07".repeat(32))], "the stronger digest replaces the weaker");
}

const KEY_RECORD: &str = "TLSA 3 1 1 0707070707070707070707070707070707070707070707070707070707070707";

async fn resolver(lines: &[String], signed: &[&str]) -> (Resolver, Zone, Supervisor) {
    let (clock, supervisor) = (Clock::movable(), Supervisor::default());
    let zone = Zone::parse(&lines.join("\n")).expect("a zone");
    for name in signed {
        zone.sign(name);
    }
    let server = zone.serve("127.0.0.1:0".parse().expect("an address"), &supervisor, &clock).await.expect("a server");
    (Resolver::of_servers(&[server.local_addr], Duration::from_secs(2)).expect("a resolver"), zone, supervisor)
}

/// In one word: where the records were found, or what else came out.
fn told(dane: Dane) -> String {
    match dane {
        Dane::Absent => "absent".to_owned(),
        Dane::Unusable => "unusable".to_owned(),
        Dane::Records(records) => format!("records at {}", records.base),
        Dane::Unknown(_) => "unknown".to_owned(),
    }
}

#[tokio::test]
async fn records_are_found_by_the_rules_for_aliases() {
    let lines: Vec<String> = [
        "mx.signed.example A 192.0.2.1",
        "plain.example A 192.0.2.1",
        "both.signed.example CNAME target.signed.example",
        "target.signed.example A 192.0.2.1",
        "own.signed.example CNAME bare.signed.example",
        "bare.signed.example A 192.0.2.1",
        "out.signed.example CNAME plain.example",
        "in.plain.example CNAME mx.signed.example",
        "none.signed.example A 192.0.2.1",
        "odd.signed.example A 192.0.2.1",
        "_25._tcp.odd.signed.example TLSA 1 1 1 07",
    ]
    .iter()
    .map(|line| (*line).to_owned())
    .chain(
        ["mx.signed", "plain", "both.signed", "target.signed", "own.signed", "out.signed", "in.plain"]
            .map(|name| format!("_25._tcp.{name}.example {KEY_RECORD}")),
    )
    .collect();
    let (resolver, _zone, supervisor) = resolver(&lines, &["signed.example"]).await;
    for (host, found) in [
        ("mx.signed.example", "records at mx.signed.example"),
        ("MX.Signed.Example", "records at mx.signed.example"),
        ("plain.example", "absent"),
        ("both.signed.example", "records at target.signed.example"),
        ("own.signed.example", "records at own.signed.example"),
        ("out.signed.example", "records at out.signed.example"),
        ("in.plain.example", "absent"),
        ("none.signed.example", "absent"),
        ("odd.signed.example", "unusable"),
        ("gone.signed.example", "absent"),
    ] {
        assert_eq!(told(look_up(&resolver, host, 25, "example.com").await), found, "{host}");
    }
    assert_eq!(told(look_up(&resolver, "mx.signed.example", 26, "example.com").await), "absent", "records are for one port");
    supervisor.drain();
}

// D13
#[tokio::test]
async fn records_that_cannot_be_looked_up_are_not_taken_for_none() {
    let lines = vec!["mx.signed.example A 192.0.2.1".to_owned(), "plain.example A 192.0.2.1".to_owned()];
    let (resolver, zone, supervisor) = resolver(&lines, &["signed.example"]).await;
    zone.set_fault("_25._tcp.plain.example", Some(ZoneFault::ServFail));
    assert_eq!(told(look_up(&resolver, "plain.example", 25, "example.com").await), "absent", "unsigned hosts are not asked");
    for fault in [ZoneFault::ServFail, ZoneFault::Refused, ZoneFault::NoAnswer] {
        zone.set_fault("_25._tcp.mx.signed.example", Some(fault));
        resolver.forget_all();
        assert_eq!(told(look_up(&resolver, "mx.signed.example", 25, "example.com").await), "unknown", "{fault:?}");
    }
    supervisor.drain();
}
