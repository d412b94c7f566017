//! Tests of choosing the way out: sources by weight and for long, pools and smart hosts by rule.

use std::collections::BTreeMap;

use super::*;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::egress;
use crate::model::ReversePath;
use crate::outbox::Claims;

fn message(number: u128, project: u128, stream: &str) -> OutboundMessage {
    OutboundMessage {
        id: MessageId::from_uuid(uuid::Uuid::from_u128(number)),
        project: ProjectId::from_uuid(uuid::Uuid::from_u128(project)),
        stream: Box::from(stream),
        domain: None,
        reverse_path: ReversePath::from_stored("").unwrap(),
        content: bytes::Bytes::new(),
        eight_bit: false,
        smtputf8: false,
        tls: crate::model::message::TlsNeed::default(),
        reports: None,
        signature: tokio::sync::OnceCell::new(),
        grant: Claims::new(usize::MAX).grant(0).unwrap(),
    }
}

fn domain(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

fn source(address: &str, weight: u32, pool: &str) -> egress::Source {
    let text = format!("address = \"{address}\"\nweight = {weight}\npool = \"{pool}\"");
    toml::from_str(&text).unwrap()
}

fn ways(change: impl FnOnce(&mut config::Delivery)) -> Egress {
    let mut settings = Config::default().delivery;
    change(&mut settings);
    let projects = HashMap::from([("shop".to_owned(), ProjectId::from_uuid(uuid::Uuid::from_u128(7)))]);
    Egress::new(&settings, "mail.example", &projects).unwrap()
}

fn first_sources(ways: &Egress, domains: u32) -> BTreeMap<IpAddr, u32> {
    let mut count = BTreeMap::new();
    for number in 0..domains {
        let route = ways.route(&message(1, 1, ""), &domain(&format!("d{number}.example")));
        *count.entry(route.sources[0].address).or_default() += 1;
    }
    count
}

#[test]
fn sources_get_mail_by_their_weight_and_a_new_one_takes_only_its_own_share() {
    let two = ways(|settings| settings.source = vec![source("192.0.2.1", 3, "default"), source("192.0.2.2", 1, "default")]);
    let count = first_sources(&two, 2_000);
    let heavy = count[&"192.0.2.1".parse::<IpAddr>().unwrap()];
    assert!((1_420..=1_580).contains(&heavy), "3 of 4 of 2000: {count:?}");
    let three = ways(|settings| {
        settings.source = vec![source("192.0.2.1", 3, "default"), source("192.0.2.2", 1, "default"), source("192.0.2.3", 1, "default")];
    });
    for number in 0..500 {
        let name = domain(&format!("d{number}.example"));
        let (before, after) = (two.route(&message(1, 1, ""), &name), three.route(&message(2, 1, ""), &name));
        let new = after.sources[0].address.to_string() == "192.0.2.3";
        assert!(new || before.sources[0].address == after.sources[0].address, "{name} moved between old sources");
    }
}

#[test]
fn a_source_that_does_not_work_comes_last_for_a_while() {
    let ways = ways(|settings| settings.egress = vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()]);
    let now = Clock::movable().tick();
    let route = ways.route(&message(1, 1, ""), &domain("a.example"));
    let order = |now| ways.working_first(&route.sources, now);
    assert_eq!((order(now), ways.ail_until(&route, now)), (route.sources.clone(), None));
    ways.ails(route.sources[0].address, now);
    assert_eq!((order(now), ways.ail_until(&route, now)), (route.sources.iter().rev().cloned().collect(), None));
    let later = now.plus(AILING / 2);
    ways.ails(route.sources[1].address, later);
    assert_eq!(ways.ail_until(&route, later), Some(now.plus(AILING)), "none works until the first may");
    assert_eq!((order(now.plus(AILING)), ways.ail_until(&route, now.plus(AILING))), (route.sources.clone(), None));
}

#[test]
fn the_first_pool_rule_that_fits_decides() {
    let rule = |pool: &str, project: &str, stream: &str| egress::PoolRule { pool: pool.into(), project: project.into(), stream: stream.into() };
    let ways = ways(|settings| {
        settings.source = ["default", "bulk", "shop"].iter().zip(1..).map(|(pool, n)| source(&format!("192.0.2.{n}"), 1, pool)).collect();
        settings.pool_rule = vec![rule("bulk", "", "news"), rule("shop", "shop", "")];
    });
    for (project, stream, pool) in [(1, "", "default"), (1, "news", "bulk"), (7, "news", "bulk"), (7, "receipts", "shop"), (1, "receipts", "default")]
    {
        let route = ways.route(&message(1, project, stream), &domain("a.example"));
        assert_eq!(route.pool.as_deref(), Some(pool), "{project} {stream}");
    }
    let (news, other) = (ways.route(&message(1, 1, "news"), &domain("a.example")), ways.route(&message(1, 1, ""), &domain("a.example")));
    assert!(!news.shares_sessions_with(&other) && news.shares_sessions_with(&news.clone()));
}

#[test]
fn a_rule_that_names_an_unknown_project_is_refused() {
    let mut settings = Config::default().delivery;
    settings.pool_rule = vec![egress::PoolRule { pool: "default".into(), project: "shop".into(), stream: String::new() }];
    let error = Egress::new(&settings, "mail.example", &HashMap::new()).expect_err("refused").to_string();
    assert!(error.contains("delivery.pool_rule (table 1) names the project \"shop\""), "{error}");
}

#[test]
fn an_address_of_another_machine_is_refused() {
    let mut settings = Config::default().delivery;
    settings.source = vec![source("127.0.0.1", 1, "default"), source("8.8.8.8", 1, "default")];
    let error = check_addresses(&settings).expect_err("refused").to_string();
    assert!(error.starts_with("delivery.source holds 8.8.8.8, which is not an address of this machine"), "{error}");
}

fn smart(host: &str, project: &str, domain: &str, share: u8) -> egress::SmartHostRule {
    let text = format!("host = \"{host}\"\nproject = \"{project}\"\ndomain = \"{domain}\"\nshare = {share}\n");
    toml::from_str(&text).unwrap()
}

#[test]
fn the_first_smart_host_rule_that_fits_decides_and_the_old_option_takes_the_rest() {
    let ways = ways(|settings| {
        settings.smart_host = "all.example:25".to_owned();
        settings.smart_host_rule = vec![smart("shop.example:587", "shop", "", 100), smart("mx", "", "b.example", 100)];
    });
    for (project, to, host) in
        [(7, "b.example", Some("shop.example:587")), (1, "b.example", None), (1, "x.b.example", None), (1, "bb.example", Some("all.example:25"))]
    {
        let route = ways.route(&message(1, project, ""), &domain(to));
        assert_eq!(route.smart_host.map(|host| host.label()).as_deref(), host, "{project} {to}");
        assert!(!route.is_one_of_several, "all mail of the project to the domain takes it");
    }
}

#[test]
fn the_hosts_of_all_rules_are_known_that_of_the_overflow_too() {
    let ways = ways(|settings| {
        let overflow = egress::SmartHostRule { overflow: true, ..smart("Over.example:26", "", "", 100) };
        settings.smart_host_rule = vec![smart("shop.example:587", "shop", "", 100), overflow];
    });
    for (label, is_known) in [("shop.example:587", true), ("Over.example:26", true), ("shop.example:25", false)] {
        assert_eq!(ways.has_smart_host(label), is_known, "{label}");
    }
}

#[test]
fn a_share_of_the_traffic_is_chosen_by_the_message() {
    let ways = ways(|settings| settings.smart_host_rule = vec![smart("[2001:db8::1]:25", "", "", 30)]);
    let goes = |number: u128| ways.route(&message(number, 1, ""), &domain("a.example")).smart_host.is_some();
    let taken = (0..2_000).filter(|number| goes(*number)).count();
    assert!((540..=660).contains(&taken), "30 percent of 2000: {taken}");
    assert!((0..50).all(|number| goes(number) == goes(number)));
    assert!((0..50).all(|number| ways.route(&message(number, 1, ""), &domain("a.example")).is_one_of_several));
}
