//! doctor against a world whose DNS, mail hosts and clock are its own: green where all is as it should be, red where one thing is missing,
//! by engine, program and API alike.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::Arc;

use pennypost::config::Listen;
use pennypost::domains::DomainView;
use pennypost::lab::sink::SinkSettings;
use pennypost::lab::zone::reverse_name;
use pennypost::model::DomainName;
use pennypost::ops::doctor::{Chosen, Doctor, Finding, FindingState, Level, Listeners, Only, Report, Scope};
use pennypost::routes::{NewAction, Pattern};
use serde_json::{Value, json};

use super::world::{Gateway, World, database, program};

/// A world where everything a receiver asks for is published, and the lines of its zone.
struct Healthy {
    world: World,
    gateway: Gateway,
    domain: DomainView,
    lines: Vec<String>,
}

const HOST: &str = "mail.sender.example";
/// Where receivers see our mail come from: an address whose reverse name is not answered by resolvers themselves, as those of loopback are.
const ADDRESS: &str = "192.0.2.7";
/// Who takes the domain's own mail.
const ELSEWHERE: &str = "mx.mailbox.example";

fn reverse() -> String {
    reverse_name(ADDRESS.parse().unwrap())
}

impl Healthy {
    /// Boxed: it is too large for the stack of its callers.
    async fn new() -> Self {
        Box::pin(Self::make()).await
    }

    async fn make() -> Self {
        let mut world = World::new().await;
        world.config.doctor.probe_domains = vec!["big.example".into(), "huge.example".into()];
        world.config.delivery.dnsbl_zones = vec!["bl.example".into()];
        world.config.doctor.address_lists = vec!["bl.example".into(), "second.example".into()];
        world.config.doctor.domain_lists = vec!["names.example".into()];
        world.config.doctor.time_server = String::new();
        world.takes_reports();
        for domain in ["big.example", "huge.example"] {
            world.accepting_mx(domain).await;
        }
        let gateway = world.gateway().await;
        world.config.server.http_listen = gateway.http;
        let house = &gateway.running.house;
        let domain = house.domains.find(house.project, &DomainName::parse("sender.example").unwrap()).await.unwrap().unwrap();
        let mut lines: Vec<String> =
            domain.records.iter().map(|record| format!("{} {} {}", record.name, record.kind.as_str(), record.value)).collect();
        for line in &mut lines {
            if line.contains("v=DMARC1") {
                *line = line.replace("p=none; rua=mailto:dmarc-reports@bounce.", "p=reject; rua=mailto:dmarc@");
            }
        }
        lines.extend([
            format!("{HOST} A {ADDRESS}"),
            format!("{HOST} TXT v=spf1 a -all"),
            format!("{} PTR {HOST}", reverse()),
            format!("sender.example MX 10 {ELSEWHERE}"),
            format!("{ELSEWHERE} A 198.51.100.9"),
            "2.0.0.127.second.example A 127.0.0.2".into(),
            "2.0.0.127.bl.example A 127.0.0.2".into(),
            "test.names.example A 127.0.1.2".into(),
            ". SOA a.root.example hostmaster.root.example".into(),
        ]);
        world.zone.sign(".");
        let healthy = Self { world, gateway, domain, lines };
        healthy.publish(&[]);
        healthy.gateway.running.house.domains.check(healthy.gateway.running.house.project, healthy.domain.id).await.unwrap();
        healthy
    }

    /// Publishes all lines but some.
    fn publish(&self, omitted: &[&str]) {
        for line in &self.lines {
            self.world.zone.remove(line.split(' ').next().unwrap());
        }
        for line in self.lines.iter().filter(|line| !omitted.contains(&line.as_str())) {
            self.world.zone.add(line).unwrap();
        }
    }

    fn line(&self, part: &str) -> &str {
        self.lines.iter().find(|line| line.contains(part)).unwrap_or_else(|| panic!("no line has {part}: {:#?}", self.lines))
    }

    fn doctor(&self) -> Doctor {
        self.gateway.running.house.doctor(&Arc::new(pennypost::config::Config::clone(&self.world.config)), &self.world.clock)
    }

    async fn look(&self) -> Report {
        self.doctor().look(Scope::All, &Only::default()).await.unwrap()
    }

    /// The program, with what this world asks of the configuration.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program::command(&self.world, "");
        let doctor = &self.world.config.doctor;
        command
            .args(["--no-color", "doctor"])
            .args(arguments)
            .env("PENNYPOST_DOCTOR__PROBE_DOMAINS", doctor.probe_domains.join(","))
            .env("PENNYPOST_SMTP__MX_LISTEN", "127.0.0.1:0")
            .env("PENNYPOST_DELIVERY__DNSBL_ZONES", self.world.config.delivery.dnsbl_zones.join(","))
            .env("PENNYPOST_DOCTOR__ADDRESS_LISTS", doctor.address_lists.join(","))
            .env("PENNYPOST_DOCTOR__DOMAIN_LISTS", doctor.domain_lists.join(","))
            .env("PENNYPOST_DOCTOR__TIME_SERVER", "");
        command
    }
}

/// What is wrong and matters, by id.
fn red(report: &Report) -> BTreeSet<&'static str> {
    report.checks.iter().filter(|finding| !finding.ok && finding.level > Level::Info).map(|finding| finding.id).collect()
}

fn findings<'r>(report: &'r Report, id: &str) -> Vec<&'r Finding> {
    report.checks.iter().filter(|finding| finding.id == id).collect()
}

async fn run(mut command: Command) -> (Option<i32>, Output) {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (output.status.code(), output)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn all_is_green_once_all_is_published_and_each_record_that_is_missing_is_one_red_item_with_its_fix() {
    let healthy = Healthy::new().await;
    let report = healthy.look().await;
    assert_eq!(red(&report), BTreeSet::new(), "{:#?}", report.checks.iter().filter(|finding| !finding.ok).collect::<Vec<_>>());
    assert!(report.ok && report.worst().is_none_or(|worst| worst == Level::Info));
    let seen = |id: &str| findings(&report, id).iter().any(|finding| finding.state == FindingState::Ok);
    for id in [
        "H1", "H2", "H4", "H5", "H6", "N1", "N2", "N4", "N5", "N6", "S1", "S2", "S3", "S4", "K1", "K2", "K3", "K4", "K5", "D1", "D2", "D3", "D4",
        "M1", "R1", "R5", "R6",
    ] {
        assert!(seen(id), "{id} was looked at: {:#?}", findings(&report, id));
    }
    let skipped = |finding: &&Finding| finding.state == FindingState::Skipped;
    assert!(report.checks.iter().filter(skipped).all(|finding| finding.found.len() > 10 && finding.fix.is_none()), "each with its reason");

    let [rsa, ed] = ["k=rsa", "k=ed25519"].map(|part| healthy.line(part).to_owned());
    for (omitted, expected, fix) in [
        (format!("{} PTR {HOST}", reverse()), vec!["N2"], format!("IN PTR {HOST}.")),
        (format!("{HOST} TXT v=spf1 a -all"), vec!["N5"], format!("{HOST}. 3600 IN TXT \"v=spf1 a -all\"")),
        (healthy.line("sender.example TXT v=spf1 a:").to_owned(), vec!["S1", "S2"], format!("sender.example. 3600 IN TXT \"v=spf1 a:{HOST} ~all\"")),
        (format!("bounce.sender.example MX 10 {HOST}"), vec!["N6"], format!("bounce.sender.example. 3600 IN MX 10 {HOST}.")),
        (healthy.line("bounce.sender.example TXT").to_owned(), vec!["N6", "S1", "S2"], "bounce.sender.example. 3600 IN TXT".into()),
        (rsa, vec!["K1", "K5"], "k=rsa".into()),
        (ed, vec!["K1", "K5"], "k=ed25519".into()),
        (
            healthy.line("_dmarc.").to_owned(),
            vec!["D1"],
            "_dmarc.sender.example. 3600 IN TXT \"v=DMARC1; p=none; rua=mailto:dmarc-reports@bounce.sender.example\"".into(),
        ),
        (format!("sender.example MX 10 {ELSEWHERE}"), vec!["D3", "M1"], "sender.example. 3600 IN MX 10".into()),
        (format!("{HOST} A {ADDRESS}"), vec!["H4", "N1"], format!("{HOST}. 3600 IN A")),
    ] {
        assert!(healthy.lines.contains(&omitted), "{omitted}");
        healthy.publish(&[&omitted]);
        let report = healthy.look().await;
        let wrong = red(&report);
        let told: Vec<_> = report.checks.iter().filter(|finding| !finding.ok).collect();
        assert_eq!(wrong, expected.iter().copied().collect(), "without {omitted}: {told:#?}");
        let fixes: Vec<&String> = told.iter().filter(|finding| finding.level > Level::Info).filter_map(|finding| finding.fix.as_ref()).collect();
        assert!(fixes.len() >= expected.len() && fixes.iter().any(|text| text.contains(&fix)), "{fix}: {fixes:#?}");
        healthy.publish(&[]);
    }
    assert_eq!(red(&healthy.look().await), BTreeSet::new(), "green again");
    healthy.gateway.stop().await;
}

#[tokio::test]
async fn doctor_turns_green_item_by_item() {
    let healthy = Healthy::new().await;
    let mut missing: Vec<&str> = healthy.lines.iter().map(String::as_str).collect();
    for (part, green) in [
        (" SOA ", "H5"),
        (&format!("{HOST} A "), "N1"),
        (" PTR ", "N2"),
        (&format!("{HOST} TXT"), "N5"),
        ("bounce.sender.example MX", ""),
        ("bounce.sender.example TXT", "N6"),
        (&format!("{ELSEWHERE} A "), ""),
        ("sender.example MX", "M1"),
        ("sender.example TXT v=spf1 a:", "S2"),
        ("k=rsa", ""),
        ("k=ed25519", "K5"),
        ("_dmarc.", "D1"),
    ] {
        healthy.publish(&missing);
        assert!(green.is_empty() || red(&healthy.look().await).contains(green), "{green} before {part}");
        let place = missing.iter().position(|line| line.contains(part)).unwrap();
        missing.remove(place);
        healthy.publish(&missing);
        let told = red(&healthy.look().await);
        assert!(!told.contains(green), "{green} after {part}: {told:?}");
    }
    healthy.publish(&missing);
    let last = healthy.look().await;
    assert!(last.ok, "the lists alone are not there, and say nothing: {:#?}", red(&last));
    assert!(findings(&last, "R1").iter().all(|finding| finding.state == FindingState::Skipped && finding.found.contains("test entry")));
    healthy.gateway.stop().await;
}

#[tokio::test]
async fn what_is_published_and_wrong_is_told_with_what_stands_there() {
    let healthy = Healthy::new().await;
    let spf = healthy.line("sender.example TXT v=spf1 a:").to_owned();
    let dmarc = healthy.line("_dmarc.").to_owned();
    let rsa = healthy.line("k=rsa").to_owned();
    let ptr = healthy.line(" PTR ").to_owned();
    let mx = format!("sender.example MX 10 {ELSEWHERE}");
    let here = format!("sender.example MX 10 {HOST}");
    let second = format!("{}.second.example A 127.0.0.3", reverse().trim_end_matches(".in-addr.arpa"));
    let listed = format!("{}.bl.example A 127.0.0.4", reverse().trim_end_matches(".in-addr.arpa"));
    let deep = (0..12).map(|number| format!("a:h{number}.deep.example")).collect::<Vec<_>>().join(" ");
    for (instead, lines, id, level, found, fix) in [
        (&ptr, vec![ptr.clone(), ptr.replace(HOST, "other.example")], "N2", Level::Fail, "2 PTR records", "IN PTR"),
        (&ptr, vec![ptr.replace(HOST, "dyn-7.pool.example")], "H4", Level::Warn, "dyn-7.pool.example", "PTR record"),
        (&ptr, vec![ptr.replace(HOST, "other.example"), format!("other.example A {ADDRESS}")], "N4", Level::Warn, "other.example", "server.hostname"),
        (&spf, vec![spf.clone(), "sender.example TXT v=spf1 -all".into()], "S1", Level::Fail, "2: ", "instead of all that are there"),
        (
            &spf,
            vec!["sender.example TXT v=spf1 ip4:198.51.100.1 -all".into()],
            "S2",
            Level::Fail,
            "fail",
            "\"v=spf1 ip4:198.51.100.1 a:mail.sender.example -all\"",
        ),
        (&spf, vec![format!("{spf} ").replace(" ~all ", &format!(" {deep} ~all"))], "S3", Level::Fail, "13 look-ups", "a:h3.deep.example"),
        (&spf, vec!["sender.example TXT v=spf1 +all".into()], "S3", Level::Fail, "+all", "~all"),
        (&spf, vec![spf.replace("~all", "ptr ~all")], "S3", Level::Warn, "ptr", "ptr"),
        (&spf, vec![spf.replace("~all", "?all")], "S4", Level::Info, "?all", "~all"),
        (&rsa, vec![rsa.replace("p=", "t=y; p=")], "K4", Level::Warn, "t=y", "k=rsa"),
        (&rsa, vec![format!("{} TXT v=DKIM1; k=rsa; p=", rsa.split(' ').next().unwrap())], "K1", Level::Fail, "p=", "k=rsa"),
        (&dmarc, vec![dmarc.clone(), "_dmarc.sender.example TXT v=DMARC1; p=none".into()], "D1", Level::Fail, "2: ", "keep one"),
        (&dmarc, vec!["_dmarc.sender.example TXT v=DMARC1; p=nothing".into()], "D1", Level::Fail, "p=nothing", "p=reject"),
        (&dmarc, vec![dmarc.replace("p=reject", "p=reject; pct=50")], "D2", Level::Info, "pct", "remove"),
        (
            &dmarc,
            vec![dmarc.replace("dmarc@sender.example", "d@reports.example"), "reports.example MX 10 mx.reports.example".into()],
            "D3",
            Level::Warn,
            "does not say",
            "sender.example._report._dmarc.reports.example. 3600 IN TXT \"v=DMARC1\"",
        ),
        (&dmarc, vec!["_dmarc.sender.example TXT v=DMARC1; p=none; rua=mailto:d@sender.example".into()], "D4", Level::Info, "p=none", "quarantine"),
        (&mx, vec!["sender.example MX 0 .".into()], "M1", Level::Fail, "null MX", "IN MX"),
        (&mx, vec!["sender.example MX 10 alias.example".into(), format!("alias.example CNAME {HOST}")], "M1", Level::Fail, "alias of", "IN MX"),
        (&mx, vec![here.clone()], "M1", Level::Fail, "has no route for sender.example", "pennypost route add '*@sender.example' forward"),
        (&mx, vec![here], "D3", Level::Warn, "has no route for it", "pennypost route add 'dmarc@sender.example' store"),
        (&mx, vec![mx.clone(), second], "R1", Level::Warn, "listed (127.0.0.3)", "https://second.example"),
        (&mx, vec![mx.clone(), listed], "R1", Level::Warn, "listed (127.0.0.4)", "https://bl.example"),
        (&mx, vec![mx.clone(), "sender.example.names.example A 127.0.1.2".into()], "R1", Level::Warn, "listed (127.0.1.2)", "https://names.example"),
    ] {
        healthy.publish(&[instead]);
        for line in &lines {
            healthy.world.zone.add(line).unwrap();
        }
        let only: Only = std::iter::once(id.parse::<Chosen>().unwrap()).collect();
        let report = healthy.doctor().look(Scope::All, &only).await.unwrap();
        let is_told = |finding: &Finding| {
            !finding.ok && finding.level == level && finding.found.contains(found) && finding.fix.as_ref().is_some_and(|text| text.contains(fix))
        };
        assert!(report.checks.iter().any(is_told), "{id} {found}: {:#?}", report.checks);
        for line in &lines {
            healthy.world.zone.remove(line.split(' ').next().unwrap());
        }
    }
    healthy.gateway.stop().await;
}

#[tokio::test]
async fn the_listeners_are_talked_to_as_the_world_would() {
    let mut healthy = Healthy::new().await;
    let authority = healthy.world.authority();
    let identity = authority.identity(HOST);
    let address = healthy.world.fresh_address();
    let open = healthy.world.host_at(address, identity.sink()).await;
    let plain = healthy.world.host_at(healthy.world.fresh_address(), SinkSettings::default()).await;
    let closed =
        "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 STARTTLS\nC: VRFY\nS: 252 no\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.7.1 no\nC: QUIT\nS: 221 bye\n";
    let strict = healthy.world.scripted_mx("strict.example", &[closed]).await;
    let at = |mx: SocketAddr| Doctor {
        authorities: pennypost::net::certificate::Authorities::public_and(&healthy.world.config.delivery_tls.ca_file).unwrap(),
        listeners: Listeners { mx: Some(mx), submission: Some(mx), submissions: None },
        ..healthy.doctor()
    };
    let look = async |doctor: Doctor, id: &str| {
        let only: Only = std::iter::once(id.parse::<Chosen>().unwrap()).collect();
        doctor.look(Scope::All, &only).await.unwrap().checks
    };
    let told = |checks: &[Finding], state: FindingState, part: &str| {
        assert!(checks.iter().any(|finding| finding.state == state && finding.found.contains(part)), "{part}: {checks:#?}");
    };
    told(&look(at(open.local_addr), "M2").await, FindingState::Ok, "TLSv1.3");
    told(&look(at(open.local_addr), "M3").await, FindingState::Bad, "open relay");
    told(&look(at(open.local_addr), "M4").await, FindingState::Skipped, "not taken here");
    let house = &healthy.gateway.running.house;
    house.routes.add(house.project, Pattern::parse("*@sender.example").unwrap(), NewAction::Store).await.unwrap();
    let report = healthy.doctor().look(Scope::All, &std::iter::once("M1".parse::<Chosen>().unwrap()).collect()).await.unwrap();
    let fix = findings(&report, "M1").into_iter().find_map(|finding| finding.fix.clone());
    assert_eq!(fix.as_deref(), Some("publish: sender.example. 3600 IN MX 10 mail.sender.example."), "{report:#?}");
    healthy.publish(&[healthy.line("sender.example MX 10 mx.")]);
    healthy.world.zone.add(&format!("sender.example MX 10 {HOST}")).unwrap();
    told(&look(at(open.local_addr), "M1").await, FindingState::Ok, "which is this host");
    told(&look(at(open.local_addr), "M4").await, FindingState::Ok, "both");
    told(&look(at(open.local_addr), "M5").await, FindingState::Bad, "no MTA-STS record");
    let deaf = {
        let mut config = pennypost::config::Config::clone(&healthy.world.config);
        config.smtp.mx_listen = Listen::Off;
        Doctor { config: Arc::new(config), ..at(open.local_addr) }
    };
    told(&look(deaf.clone(), "M1").await, FindingState::Bad, "smtp.mx_listen is off");
    told(&look(deaf, "N6").await, FindingState::Skipped, "smtp.mx_listen is off");
    told(&look(at(open.local_addr), "U1").await, FindingState::Bad, "AUTH PLAIN");
    told(&look(at(open.local_addr), "H2").await, FindingState::Ok, "seen from this machine");
    told(&look(at(plain.local_addr), "M2").await, FindingState::Bad, "does not offer STARTTLS");
    told(&look(at(strict.address), "M3").await, FindingState::Ok, "550");
    let nobody = SocketAddr::new(healthy.world.fresh_address(), 25);
    for id in ["H2", "M2", "M3", "M4", "U1"] {
        told(&look(at(nobody), id).await, FindingState::Bad, "refused");
    }
    let other = healthy.world.host_at(healthy.world.fresh_address(), authority.identity("other.example").sink()).await;
    told(&look(at(other.local_addr), "M2").await, FindingState::Bad, "not for");
    told(&look(at(open.local_addr), "U2").await, FindingState::Skipped, "no SMTP user");
    let made = healthy.gateway.post("/v1/smtp-users", &json!({"username": "hello@sender.example"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    told(&look(at(open.local_addr), "U2").await, FindingState::Bad, "none");
    healthy.world.zone.add(&format!("_submission._tcp.sender.example SRV 0 1 {} {HOST}", open.local_addr.port())).unwrap();
    told(&look(at(open.local_addr), "U2").await, FindingState::Ok, HOST);
    healthy.gateway.stop().await;
}

#[tokio::test]
async fn a_policy_for_strict_tls_is_fetched_and_held_against_the_mail_hosts() {
    let mut healthy = Healthy::new().await;
    let authority = healthy.world.authority();
    let identity = authority.identity("mta-sts.sender.example");
    let host = healthy.world.policy_host("sender.example", "1", &identity, &super::world::policy_host::policy("enforce", ELSEWHERE, 604_800)).await;
    let doctor = Doctor {
        authorities: pennypost::net::certificate::Authorities::public_and(&healthy.world.config.delivery_tls.ca_file).unwrap(),
        ..healthy.doctor()
    };
    let only: Only = std::iter::once("M5".parse::<Chosen>().unwrap()).collect();
    let look = async || doctor.look(Scope::All, &only).await.unwrap().checks.remove(0);
    let good = look().await;
    assert!(good.ok && good.found.contains("enforce"), "{good:#?}");
    for (answer, found) in [
        (super::world::policy_host::policy("enforce", "other.example", 604_800), "does not name the MX host mx.mailbox.example"),
        (super::world::policy_host::answer(404, "text/plain", ""), "404"),
        (super::world::policy_host::answer(200, "text/plain", "hello: there"), "version"),
    ] {
        host.say(&answer);
        let bad = look().await;
        assert!(!bad.ok && bad.level == Level::Warn && bad.found.contains(found) && bad.fix.is_some(), "{found}: {bad:#?}");
    }
    healthy.gateway.stop().await;
}

#[tokio::test]
async fn the_program_ends_with_0_1_or_2_as_the_worst_finding_asks() {
    let healthy = Healthy::new().await;
    let (code, output) = run(healthy.command(&["--json"])).await;
    assert_eq!(code, Some(0), "{:#}", json(&output));
    let report = json(&output);
    assert_eq!(report["ok"], true);
    let first = &report["checks"][0];
    for field in ["id", "level", "ok", "found", "expected", "fix", "source", "state", "subject", "title"] {
        assert!(first.get(field).is_some(), "{field}: {first}");
    }

    let host_spf = healthy.line(&format!("{HOST} TXT")).to_owned();
    healthy.publish(&[&host_spf]);
    let (code, output) = run(healthy.command(&["--host"])).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("warning") && text.contains("fix:") && text.contains("source:   https://www.rfc-editor.org/rfc/rfc7208"), "{text}");
    assert_eq!(run(healthy.command(&["--domain", "sender.example"])).await.0, Some(0), "the host is not the domain's");
    healthy.publish(&[healthy.line(" PTR ")]);
    let (code, output) = run(healthy.command(&["--only", "n2,spf", "--json"])).await;
    assert_eq!(code, Some(2));
    let ids: BTreeSet<String> = json(&output)["checks"].as_array().unwrap().iter().map(|check| check["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, ["N2", "S1", "S2", "S3", "S4"].map(str::to_owned).into());

    for (arguments, expected, said) in [
        (vec!["--only", "Z9"], 2, "is no check"),
        (vec!["--host", "--domain", "sender.example"], 2, "cannot be used with"),
        (vec!["--domain", "nobody.example"], 1, "there is no domain nobody.example"),
    ] {
        let (code, output) = run(healthy.command(&arguments)).await;
        assert_eq!(code, Some(expected), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{arguments:?}: {output:?}");
    }
    healthy.gateway.stop().await;
}

#[tokio::test]
async fn with_nothing_configured_each_failing_item_is_named_and_nothing_is_made() {
    let world = World::new().await;
    let folder = database::scratch().join("doctor-of-nothing");
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pennypost"));
    command.args(["doctor", "--host", "--json"]).current_dir(&folder).env_remove("DATABASE_URL");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PENNYPOST_")) {
        command.env_remove(name);
    }
    command.env("PENNYPOST_DNS__SERVERS", world.config.dns.servers[0].to_string()).env("PENNYPOST_DNS__TIMEOUT_SECONDS", "2");
    let (code, output) = run(command).await;
    let report = json(&output);
    assert_eq!(code, Some(2), "{report:#}");
    let checks = report["checks"].as_array().unwrap();
    for (id, found) in [("H1", "gmail.com"), ("H4", "no sending address"), ("H6", "there is none yet"), ("N1", "server.hostname is not set")] {
        let check = checks.iter().find(|check| check["id"] == id).unwrap();
        assert!(check["ok"] == false && check["found"].as_str().unwrap().contains(found) && check["fix"].is_string(), "{check:#}");
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "a look leaves nothing behind");
}

#[tokio::test]
async fn the_api_tells_the_health_of_a_domain_to_its_project_alone() {
    let healthy = Healthy::new().await;
    let path = format!("/v1/domains/{}/health", healthy.domain.id);
    let answer = healthy.gateway.get(&path).await;
    assert_eq!(answer.status, 200);
    let report = answer.json();
    assert_eq!(report["ok"], true, "{report:#}");
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["id"] == "S2") && checks.iter().all(|check| check["id"] != "H1"), "the domain's checks alone");
    healthy.publish(&[healthy.line("_dmarc.")]);
    let report = healthy.gateway.get(&path).await.json();
    let dmarc = report["checks"].as_array().unwrap().iter().find(|check| check["id"] == "D1").unwrap();
    assert!(report["ok"] == false && dmarc["ok"] == false && dmarc["fix"].as_str().unwrap().contains("_dmarc.sender.example."), "{dmarc:#}");
    for path in ["/v1/domains/dom_01jd5q0v0h7d6r2n8k4m3x9wbz/health", "/v1/domains/x/health"] {
        assert_eq!(healthy.gateway.get(path).await.status, 404, "{path}");
    }
    healthy.gateway.stop().await;
}
