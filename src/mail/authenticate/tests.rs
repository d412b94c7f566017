//! Checks over a table of records: nothing is asked, nothing is believed.

use std::collections::HashMap;
use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;
use time::macros::datetime;

use super::dmarc::{self, DmarcCheck, DmarcResult, Identity, Method, Policy, Proof};
use super::iprev::{self, Iprev};
use super::records::{Family, RecordError, Records};
use super::results::{Findings, SpfIdentity, value, without_forged};
use super::seals::{ArcState, DkimCheck, DkimResult, Keys, Sealed, key_names, verify};
use super::spf::{SpfQuery, SpfResult, check};
use crate::mail::dkim::{self, Algorithm, Signer};
use crate::model::DomainName;

const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

/// Lines of `name TYPE value`; `name TEMP` gives no answer.
struct Table(HashMap<(String, &'static str), Vec<String>>);

impl Table {
    fn parse(text: &str) -> Self {
        let mut table: HashMap<(String, &'static str), Vec<String>> = HashMap::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.splitn(3, ' ');
            let (name, kind) = (words.next().unwrap(), words.next().unwrap());
            let kind = ["TXT", "A", "AAAA", "MX", "PTR", "TEMP", "NODATA"].into_iter().find(|known| *known == kind).unwrap();
            table.entry((name.to_owned(), kind)).or_default().extend(words.next().map(str::to_owned));
        }
        Self(table)
    }

    fn get(&self, name: &str, kind: &'static str) -> Result<Vec<String>, RecordError> {
        if self.0.contains_key(&(name.to_owned(), "TEMP")) {
            return Err(RecordError::Temporary);
        }
        match self.0.get(&(name.to_owned(), kind)) {
            Some(found) => Ok(found.clone()),
            None if self.0.keys().any(|(known, _)| known == name || known.ends_with(&format!(".{name}"))) => Err(RecordError::NoRecords),
            None => Err(RecordError::NoSuchName),
        }
    }
}

impl Records for Table {
    async fn txt(&self, name: &str) -> Result<Vec<String>, RecordError> {
        self.get(name, "TXT")
    }

    async fn addresses(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, RecordError> {
        let found = self.get(name, if family == Family::V4 { "A" } else { "AAAA" })?;
        Ok(found.iter().map(|text| text.parse().unwrap()).collect())
    }

    async fn mx(&self, name: &str) -> Result<Vec<String>, RecordError> {
        self.get(name, "MX")
    }

    async fn ptr(&self, address: IpAddr) -> Result<Vec<String>, RecordError> {
        self.get(&address.to_string(), "PTR")
    }
}

async fn spf(zone: &str, peer: &str, sender: &str) -> SpfResult {
    check(&Table::parse(zone), &SpfQuery { peer: peer.parse().unwrap(), helo: "mx.peer.example", sender }).await
}

#[tokio::test]
async fn each_mechanism_matches_what_it_names_and_nothing_else() {
    let zone = "
        ip.example TXT v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all
        a.example TXT v=spf1 a:host.example/30 ~all
        host.example A 192.0.2.1
        host.example AAAA 2001:db8::1
        mx.example TXT v=spf1 mx ?all
        mx.example MX gone.example
        mx.example MX host.example
        ptr.example TXT v=spf1 ptr -all
        192.0.2.1 PTR out.ptr.example
        192.0.2.9 PTR out.ptr.example
        out.ptr.example A 192.0.2.1
        exists.example TXT v=spf1 exists:%{ir}.%{l}.%{d} -all
        1.2.0.192.bee.exists.example A 127.0.0.2
        inc.example TXT v=spf1 include:ip.example include:a.example -all
        red.example TXT v=spf1 redirect=ip.example
        two.example TXT v=spf1 -all
        two.example TXT v=spf1 +all
        bad.example TXT v=spf1 ipv4:192.0.2.1 -all
        lost.example TXT v=spf1 include:nothing.example -all
        slow.example TEMP
        behind.example TXT v=spf1 a:slow.example -all
        other.example TXT v=spf10 -all
        last.example TXT v=spf1
    ";
    for (peer, sender, result) in [
        ("192.0.2.77", "bee@ip.example", SpfResult::Pass),
        ("::ffff:192.0.2.77", "bee@ip.example", SpfResult::Pass),
        ("198.51.100.1", "bee@ip.example", SpfResult::Fail),
        ("2001:db8:1::1", "bee@IP.example", SpfResult::Pass),
        ("192.0.2.3", "bee@a.example", SpfResult::Pass),
        ("192.0.2.4", "bee@a.example", SpfResult::SoftFail),
        ("2001:db8::1", "bee@a.example", SpfResult::Pass),
        ("192.0.2.1", "bee@mx.example", SpfResult::Pass),
        ("192.0.2.2", "bee@mx.example", SpfResult::Neutral),
        ("192.0.2.1", "bee@ptr.example", SpfResult::Pass),
        ("192.0.2.9", "bee@ptr.example", SpfResult::Fail),
        ("192.0.2.1", "bee@exists.example", SpfResult::Pass),
        ("192.0.2.1", "ant@exists.example", SpfResult::Fail),
        ("192.0.2.77", "bee@inc.example", SpfResult::Pass),
        ("198.51.100.1", "bee@inc.example", SpfResult::Fail),
        ("192.0.2.77", "bee@red.example", SpfResult::Pass),
        ("198.51.100.1", "bee@red.example", SpfResult::Fail),
        ("192.0.2.1", "bee@two.example", SpfResult::PermError),
        ("192.0.2.1", "bee@bad.example", SpfResult::PermError),
        ("192.0.2.1", "bee@lost.example", SpfResult::PermError),
        ("192.0.2.1", "bee@slow.example", SpfResult::TempError),
        ("192.0.2.1", "bee@behind.example", SpfResult::TempError),
        ("192.0.2.1", "bee@other.example", SpfResult::None),
        ("192.0.2.1", "bee@last.example", SpfResult::Neutral),
        ("192.0.2.1", "bee@nobody.example", SpfResult::None),
        ("192.0.2.1", "bee@localhost", SpfResult::None),
    ] {
        assert_eq!(spf(zone, peer, sender).await, result, "{peer} {sender}");
    }
}

#[tokio::test]
async fn a_record_may_ask_ten_times_and_for_nothing_twice() {
    let chain = |length: usize| {
        let links =
            (0..length).map(|number| format!("c{number}.example TXT v=spf1 include:c{}.example -all\n", number + 1)).collect::<Vec<_>>().concat();
        format!("{links}c{length}.example TXT v=spf1 ip4:192.0.2.1 -all")
    };
    assert_eq!(spf(&chain(10), "192.0.2.1", "bee@c0.example").await, SpfResult::Pass);
    assert_eq!(spf(&chain(11), "192.0.2.1", "bee@c0.example").await, SpfResult::PermError);
    let circle = "c.example TXT v=spf1 include:c.example -all";
    assert_eq!(spf(circle, "192.0.2.1", "bee@c.example").await, SpfResult::PermError);
    let void = |count: usize| {
        let terms = (0..count).map(|number| format!("a:v{number}.example ")).collect::<Vec<_>>().concat();
        format!("v.example TXT v=spf1 {terms}ip4:192.0.2.1 -all")
    };
    assert_eq!(spf(&void(2), "192.0.2.1", "bee@v.example").await, SpfResult::Pass);
    assert_eq!(spf(&void(3), "192.0.2.1", "bee@v.example").await, SpfResult::PermError);
    let hosts = |count: usize| {
        let hosts =
            (0..count).map(|number| format!("m.example MX h{number}.example\nh{number}.example A 192.0.2.{number}\n")).collect::<Vec<_>>().concat();
        format!("{hosts}m.example TXT v=spf1 mx -all")
    };
    assert_eq!(spf(&hosts(10), "192.0.2.9", "bee@m.example").await, SpfResult::Pass);
    assert_eq!(spf(&hosts(11), "192.0.2.9", "bee@m.example").await, SpfResult::PermError);
}

#[tokio::test]
async fn an_address_has_a_name_only_if_the_name_has_the_address() {
    let table = Table::parse(
        "192.0.2.1 PTR liar.example\n192.0.2.1 PTR mail.example\nmail.example A 192.0.2.1\nliar.example A 192.0.2.2\n192.0.2.2 PTR mail.example\n192.0.2.4 PTR slow.example\nslow.example TEMP\n192.0.2.5 TEMP",
    );
    for (peer, found) in [
        ("192.0.2.1", Iprev::Pass("mail.example".to_owned())),
        ("192.0.2.2", Iprev::Fail),
        ("192.0.2.3", Iprev::None),
        ("192.0.2.4", Iprev::TempError),
        ("192.0.2.5", Iprev::TempError),
    ] {
        assert_eq!(iprev::check(&table, peer.parse().unwrap()).await, found, "{peer}");
    }
}

const POLICIES: &str = "
    _dmarc.strict.example TXT v=DMARC1; p=reject; adkim=s; aspf=s
    _dmarc.org.example TXT v=DMARC1; p=reject; sp=quarantine; np=reject
    sub.org.example A 192.0.2.1
    _dmarc.own.org.example TXT v=DMARC1; p=none
    _dmarc.test.example TXT v=DMARC1; p=reject; t=y
    _dmarc.com TXT v=DMARC1; p=reject; psd=y
    _dmarc.shop.host.example TXT v=DMARC1; p=quarantine; psd=n
    _dmarc.host.example TXT v=DMARC1; p=none
    _dmarc.two.example TXT v=DMARC1; p=reject
    _dmarc.two.example TXT v=DMARC1; p=none
    _dmarc.rua.example TXT v=DMARC1; rua=mailto:a@rua.example
    _dmarc.slow.example TEMP
";

async fn judged(from: &[&str], passed: &[(Method, &str)]) -> (DmarcResult, Policy) {
    let from: Vec<String> = from.iter().map(|text| (*text).to_owned()).collect();
    let identities: Vec<Identity<'_>> = passed.iter().map(|(method, domain)| Identity { domain, method: *method, proof: Proof::Passed }).collect();
    let DmarcCheck { result, policy, .. } = dmarc::check(&Table::parse(POLICIES), &from, &identities).await;
    (result, policy)
}

#[tokio::test]
async fn a_message_passes_by_an_aligned_identity_only() {
    use DmarcResult::{Fail, None as Unasked, Pass, PermError, TempError};
    use Method::{Dkim, Spf};
    use Policy::{None as Nothing, Quarantine, Reject};
    for (from, passed, expected) in [
        (vec!["a@strict.example"], vec![(Dkim, "strict.example")], (Pass, Reject)),
        (vec!["a@strict.example"], vec![(Dkim, "mail.strict.example")], (Fail, Reject)),
        (vec!["a@strict.example"], vec![(Spf, "mail.strict.example")], (Fail, Reject)),
        (vec!["a@strict.example"], vec![], (Fail, Reject)),
        (vec!["a@org.example"], vec![(Spf, "bounce.org.example")], (Pass, Reject)),
        (vec!["a@org.example"], vec![(Spf, "notorg.example")], (Fail, Reject)),
        (vec!["a@sub.org.example"], vec![(Dkim, "org.example")], (Pass, Quarantine)),
        (vec!["a@sub.org.example"], vec![(Dkim, "evil.example")], (Fail, Quarantine)),
        (vec!["a@nowhere.org.example"], vec![], (Fail, Reject)),
        (vec!["a@own.org.example"], vec![(Dkim, "org.example")], (Pass, Nothing)),
        (vec!["a@test.example"], vec![], (Fail, Quarantine)),
        // Two shops of one public suffix are strangers to each other.
        (vec!["a@one.com"], vec![(Dkim, "two.com")], (Fail, Reject)),
        (vec!["a@one.com"], vec![(Dkim, "mail.one.com")], (Pass, Reject)),
        (vec!["a@shop.host.example"], vec![(Dkim, "host.example")], (Fail, Quarantine)),
        (vec!["a@shop.host.example"], vec![(Dkim, "x.shop.host.example")], (Pass, Quarantine)),
        (vec!["a@two.example"], vec![], (Unasked, Nothing)),
        (vec!["a@rua.example"], vec![], (Fail, Nothing)),
        (vec!["a@free.example"], vec![], (Unasked, Nothing)),
        (vec!["a@slow.example"], vec![], (TempError, Nothing)),
        (vec!["a@org.example", "b@free.example"], vec![(Dkim, "free.example")], (Fail, Reject)),
        (vec!["b@free.example", "a@org.example"], vec![(Dkim, "free.example")], (Fail, Reject)),
        (vec![], vec![(Dkim, "org.example")], (PermError, Nothing)),
        (vec!["undisclosed"], vec![], (PermError, Nothing)),
    ] {
        assert_eq!(judged(&from, &passed).await, expected, "{from:?} {passed:?}");
    }
}

#[tokio::test]
async fn an_aligned_identity_that_could_not_be_checked_leaves_it_open() {
    let identity = |domain| [Identity { domain, method: Method::Dkim, proof: Proof::Unknown }];
    let table = Table::parse(POLICIES);
    let from = ["a@org.example".to_owned()];
    assert_eq!(dmarc::check(&table, &from, &identity("org.example")).await.result, DmarcResult::TempError);
    assert_eq!(dmarc::check(&table, &from, &identity("evil.example")).await.result, DmarcResult::Fail);
}

struct Signed {
    signer: Signer,
    keys: Keys,
}

fn signer(domain: &str, algorithm: Algorithm) -> Signed {
    let pair = dkim::generate(algorithm).unwrap();
    let signer = Signer::new(&DomainName::parse(domain).unwrap(), "s1", algorithm, &pair.private_der).unwrap();
    Signed { signer, keys: Keys([(format!("s1._domainkey.{domain}"), Ok(vec![pair.record]))].into()) }
}

const LETTER: &str =
    "From: Bee <Bee@Example.com>\r\nTo: ant@example.net\r\nSubject: Honey\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\n\r\nSweet.\r\n";

fn results(sealed: &Sealed) -> Vec<DkimResult> {
    sealed.dkim.iter().map(|check| check.result).collect()
}

#[test]
fn signatures_verify_until_something_signed_changes() {
    let own = signer("example.com", Algorithm::Ed25519);
    let message = format!("{}{LETTER}", own.signer.sign(LETTER.as_bytes(), NOW).unwrap());
    assert_eq!(key_names(message.as_bytes()), ["s1._domainkey.example.com"]);
    let sealed = verify(message.as_bytes(), &own.keys, NOW);
    assert_eq!((results(&sealed), sealed.arc, sealed.from.clone()), (vec![DkimResult::Pass], ArcState::None, vec!["bee@example.com".to_owned()]));
    let DkimCheck { domain, selector, algorithm, mark, .. } = sealed.dkim[0].clone();
    assert_eq!((domain.as_str(), selector.as_str(), algorithm, mark.len()), ("example.com", "s1", "ed25519-sha256", 8));
    assert!(message.contains(&mark));
    for (from, to) in [("Sweet", "Sour"), ("Honey", "Money"), ("From: Bee", "From: Ant <a@evil.example>\r\nFrom: Bee")] {
        assert_eq!(results(&verify(message.replacen(from, to, 1).as_bytes(), &own.keys, NOW)), [DkimResult::Fail], "{to}");
    }
    let answer = |answer| Keys([("s1._domainkey.example.com".to_owned(), answer)].into());
    let with = |keys: &Keys| results(&verify(message.as_bytes(), keys, NOW));
    assert_eq!(with(&answer(Err(RecordError::Temporary))), [DkimResult::TempError]);
    assert_eq!(with(&answer(Err(RecordError::NoSuchName))), [DkimResult::PermError]);
    assert_eq!(with(&answer(Ok(vec!["v=DKIM1; p=".to_owned()]))), [DkimResult::PermError]);
    assert_eq!(with(&Keys::default()), [DkimResult::PermError], "a key that was not looked up is not there");
}

/// A signature of relaxed form, made by hand over the octets that RFC 6376 3.4 names.
fn relaxed(body: &str, canonical_body: &str, more: &str) -> (String, Keys) {
    let key = Ed25519KeyPair::generate().unwrap();
    let hash = STANDARD.encode(digest(&SHA256, canonical_body.as_bytes()));
    let tags = format!("v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.com; s=s1; h=from;{more} bh={hash}; b=");
    let canonical = format!("from:bee@example.com\r\ndkim-signature:{tags}");
    let signature = STANDARD.encode(key.sign(digest(&SHA256, canonical.as_bytes()).as_ref()));
    let record = format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(key.public_key().as_ref()));
    let message = format!("DKIM-Signature: {tags}{signature}\r\nFrom: bee@example.com\r\n\r\n{body}");
    (message, Keys([("s1._domainkey.example.com".to_owned(), Ok(vec![record]))].into()))
}

#[test]
fn lines_of_white_space_at_the_end_break_no_relaxed_signature() {
    for (body, canonical) in
        [("Sweet.\r\n", "Sweet.\r\n"), ("Sweet.\r\n \r\n", "Sweet.\r\n"), ("Sweet. \t x\r\n\t\r\n \r\n\r\n", "Sweet. x\r\n"), (" \r\n\r\n", "")]
    {
        let (message, keys) = relaxed(body, canonical, "");
        assert_eq!(results(&verify(message.as_bytes(), &keys, NOW)), [DkimResult::Pass], "{body:?}");
    }
    let (message, keys) = relaxed("Sweet.\r\n \r\n", "Sour.\r\n", "");
    assert_eq!(results(&verify(message.as_bytes(), &keys, NOW)), [DkimResult::Fail]);
}

#[test]
fn a_signature_ends_when_it_says_by_the_time_that_is_given() {
    let soon = NOW.unix_timestamp() + 60;
    let (message, keys) = relaxed("Sweet.\r\n", "Sweet.\r\n", &format!(" t={}; x={soon};", soon - 120));
    let at = |at| results(&verify(message.as_bytes(), &keys, at));
    assert_eq!(at(NOW + time::Duration::minutes(2)), [DkimResult::Neutral]);
}

#[test]
fn only_the_first_signatures_are_looked_at() {
    let own = signer("example.com", Algorithm::Ed25519);
    let field = own.signer.sign(LETTER.as_bytes(), NOW).unwrap();
    let message = format!("{}{LETTER}", field.repeat(50));
    assert_eq!(results(&verify(message.as_bytes(), &own.keys, NOW)), [DkimResult::Pass; 8]);
}

#[test]
fn a_chain_of_seals_verifies_and_a_broken_one_is_sealed_as_broken() {
    let (one, two) = (signer("one.example", Algorithm::Rsa2048), signer("two.example", Algorithm::Rsa2048));
    let keys = Keys(one.keys.0.iter().chain(&two.keys.0).map(|(name, answer)| (name.clone(), answer.clone())).collect());
    let letter = format!("{}{LETTER}", one.signer.sign(LETTER.as_bytes(), NOW).unwrap()).into_bytes();
    let add = |signer: &Signer, message: &[u8], chain| {
        let set = dkim::seal(signer, message, "mx.example;\r\n\tdkim=pass header.d=one.example", chain, NOW).unwrap();
        set.map(|set| [set.as_slice(), message].concat())
    };
    let state = |message: &[u8]| verify(message, &keys, NOW).arc;
    let first = add(&one.signer, &letter, ArcState::None).unwrap();
    assert_eq!(state(&first), ArcState::Pass);
    let second = add(&two.signer, &first, state(&first)).unwrap();
    assert_eq!(state(&second), ArcState::Pass);
    let text = String::from_utf8(second.clone()).unwrap();
    assert!(text.contains("cv=pass") && text.contains("cv=none") && text.starts_with("ARC-Seal: i=2;"), "{text}");
    let changed = text.replacen("Sweet", "Sour", 1);
    assert_eq!(state(changed.as_bytes()), ArcState::Fail);
    let third = add(&one.signer, changed.as_bytes(), ArcState::Fail).unwrap();
    assert!(String::from_utf8_lossy(&third).starts_with("ARC-Seal: i=3;") && String::from_utf8_lossy(&third).contains("cv=fail"));
    assert_eq!(state(&third), ArcState::Fail);
    assert_eq!(add(&two.signer, &third, ArcState::Fail), None, "nothing follows a seal that says it is broken");
}

#[test]
fn the_field_tells_all_and_nothing_in_it_reads_as_another_result() {
    let check = |domain: &str, result, reason: Option<&str>| DkimCheck {
        domain: domain.to_owned(),
        selector: "s1".to_owned(),
        algorithm: "rsa-sha256",
        mark: "AbCd+/Ef".to_owned(),
        result,
        reason: reason.map(str::to_owned),
    };
    let dkim = [check("example.com", DkimResult::Pass, None), check("e.example; spf=pass \"x\"\r\n", DkimResult::Fail, Some("changed"))];
    let dmarc = DmarcCheck { result: DmarcResult::Pass, policy: Policy::Reject, domain: "example.com".to_owned() };
    let found = Findings {
        peer: "2001:db8::1".parse().unwrap(),
        iprev: &Iprev::Pass("mail.example.com".to_owned()),
        spf: (SpfResult::SoftFail, &SpfIdentity::MailFrom("\"a;b\"@example.com".to_owned())),
        dkim: &dkim,
        dmarc: &dmarc,
        arc: ArcState::None,
    };
    insta::assert_snapshot!(value("mx.example.net", &found), @r#"
    mx.example.net;
    	iprev=pass policy.iprev="2001:db8::1" smtp.remote-hostname=mail.example.com;
    	spf=softfail smtp.mailfrom="\"a;b\"@example.com";
    	dkim=pass
    	header.d=example.com header.s=s1 header.a=rsa-sha256 header.b="AbCd+/Ef";
    	dkim=fail reason="changed"
    	header.d="e.example; spf=pass \"x\"??" header.s=s1 header.a=rsa-sha256 header.b="AbCd+/Ef";
    	dmarc=pass policy.published-domain-policy=reject header.from=example.com;
    	arc=none
    "#);
}

#[test]
fn what_a_stranger_wrote_in_our_name_goes_and_nothing_else() {
    let host = "mx.example.net";
    for forged in [
        "Authentication-Results: mx.example.net; spf=pass\r\n",
        "authentication-results:MX.Example.NET 1; spf=pass\r\n",
        "Authentication-Results:\r\n (a (comment\\) ;) )\r\n\tmx.example.net;\r\n\tdkim=pass\r\n",
        "Authentication-Results: \"mx.example.net\"; spf=pass\r\n",
        "Authentication-Results: mx.example.net.; spf=pass\r\n",
        "Authentication-Results : mx.example.net; spf=pass\r\n",
        "Authentication-Results: (; spf=pass\r\n",
    ] {
        for message in [format!("{forged}{LETTER}"), LETTER.replacen("\r\nTo:", &format!("\r\n{forged}To:"), 1)] {
            let kept = without_forged(message.as_bytes(), host).map(|kept| String::from_utf8(kept).unwrap());
            assert_eq!(kept.as_deref(), Some(LETTER), "{forged:?}");
        }
    }
    for other in [
        "Authentication-Results: mx.example.net.evil.example; spf=pass\r\n",
        "Authentication-Results: notmx.example.net; spf=pass\r\n",
        "X-Authentication-Results: mx.example.net; spf=pass\r\n",
        "ARC-Authentication-Results: i=1; mx.example.net; spf=pass\r\n",
    ] {
        assert_eq!(without_forged(format!("{other}{LETTER}").as_bytes(), host), None, "{other:?}");
    }
}
