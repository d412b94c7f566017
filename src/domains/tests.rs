//! Domains against a real database and a DNS server of our own: who owns a name, and what DNS must say for it (rule C7).

use super::verify::{RECHECK_UNVERIFIED, RECHECK_VERIFIED};
use super::*;
use crate::events::EventKind;
use crate::lab::zone::{Zone, ZoneFault};
use crate::mail::dkim::DkimError;
use crate::model::Secret;
use crate::store::{project, test_database};
use crate::supervisor::Supervisor;

const ROTATE_AFTER: Duration = Duration::from_hours(24 * 180);
/// How long the feed may stay behind, of real time.
const FEED_PATIENCE: Duration = Duration::from_secs(30);

struct World {
    domains: Domains,
    clock: Clock,
    store: Store,
    zone: Zone,
    ours: ProjectId,
    theirs: ProjectId,
    supervisor: Supervisor,
}

impl Drop for World {
    fn drop(&mut self) {
        self.supervisor.kill();
    }
}

impl World {
    async fn new() -> Self {
        let (clock, supervisor, zone) = (Clock::movable(), Supervisor::default(), Zone::parse("").unwrap());
        let store = test_database::fresh().await;
        store.ensure_partitions_for(clock.now()).await.unwrap();
        let server = zone.serve("127.0.0.1:0".parse().unwrap(), &supervisor, &clock).await.unwrap();
        let resolver = Resolver::of_servers(&[server.local_addr], Duration::from_secs(3)).unwrap();
        let sealer = Sealer::from_key(&Secret::new([5; 32])).unwrap();
        let settings = DomainSettings {
            senders: Senders { hostname: Some(name("mail.example.net")), egress: Vec::new() },
            takes_reports: true,
            rotate_after: Some(ROTATE_AFTER),
            ..DomainSettings::default()
        };
        let domains = Domains::new(store.clone(), clock.clone(), sealer, resolver, settings);
        let [ours, theirs] = ["ours", "theirs"];
        let ours = project::find_or_make(&store, ours, ProjectId::from_uuid(clock.uuid())).await.unwrap();
        let theirs = project::find_or_make(&store, theirs, ProjectId::from_uuid(clock.uuid())).await.unwrap();
        Self { domains, clock, store, zone, ours, theirs, supervisor }
    }

    fn publish(&self, records: &[DnsRecord]) {
        for line in render::zone(records).lines() {
            // The zone of the lab takes `name TYPE data`, one string or many.
            self.zone.add(&line.replace(" 3600 IN ", " ")).unwrap();
        }
    }

    fn withdraw(&self, records: &[DnsRecord]) {
        for record in records {
            self.zone.remove(&record.name);
        }
    }

    async fn verified(&self, project: ProjectId) -> DomainView {
        let added = self.domains.add(project, name("example.com")).await.unwrap();
        self.publish(&added.records);
        let checked = self.domains.check(project, added.id).await.unwrap();
        assert_eq!(checked.state, DomainState::Verified, "{:#?}", checked.records);
        checked
    }
}

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

fn dkim(records: &[DnsRecord]) -> Vec<DnsRecord> {
    records.iter().filter(|record| record.purpose == RecordPurpose::Dkim).cloned().collect()
}

#[tokio::test]
async fn a_domain_is_verified_once_its_records_stand() {
    let world = World::new().await;
    let added = world.domains.add(world.ours, name("example.com")).await.unwrap();
    assert_eq!((added.state, added.records.len(), dkim(&added.records).len()), (DomainState::Pending, 6, 2));
    assert!(added.records.iter().all(|record| record.state == RecordState::Unknown));

    let before = world.domains.check(world.ours, added.id).await.unwrap();
    assert_eq!(before.state, DomainState::Pending);
    assert!(before.records.iter().all(|record| record.state == RecordState::Missing), "{:#?}", before.records);

    world.publish(&added.records);
    let after = world.domains.check(world.ours, added.id).await.unwrap();
    assert_eq!(after.state, DomainState::Verified);
    assert!(after.verified_at.is_some() && after.verified_at == after.checked_at);
    assert!(after.records.iter().all(|record| record.state == RecordState::Ok && record.found.is_none()), "{:#?}", after.records);
    assert_eq!(world.domains.get(world.ours, added.id).await.unwrap(), after, "what a check found is kept");
    assert_eq!(world.domains.find(world.ours, &name("example.com")).await.unwrap(), Some(after.clone()));
    assert_eq!(world.domains.list(world.ours, PageRequest::default()).await.unwrap().data, [after]);
}

#[tokio::test]
async fn the_rsa_key_alone_verifies_and_signs_alone() {
    let world = World::new().await;
    let added = world.domains.add(world.ours, name("example.com")).await.unwrap();
    assert_eq!(world.domains.signers(added.id).await.unwrap().len(), 2, "none was seen: all sign");
    let rsa: Vec<DnsRecord> = dkim(&added.records).into_iter().filter(|record| record.value.contains("k=rsa")).collect();
    world.publish(&rsa);
    let checked = world.domains.check(world.ours, added.id).await.unwrap();
    assert_eq!(checked.state, DomainState::Verified);
    let sender = world.domains.sender(world.ours, &name("example.com")).await.unwrap().unwrap();
    assert!(sender.verified && sender.has_key);
    assert_eq!(world.domains.signers(added.id).await.unwrap().len(), 1, "a signature whose key nobody finds would only do harm");
}

#[tokio::test]
async fn what_else_stands_there_is_shown_and_does_not_verify() {
    let world = World::new().await;
    let added = world.domains.add(world.ours, name("example.com")).await.unwrap();
    let rsa = &dkim(&added.records)[0];
    world.zone.add(&format!("{} TXT \"v=DKIM1; k=rsa; p=AAAA\"", rsa.name)).unwrap();
    world.zone.add("example.com TXT \"v=spf1 include:_spf.example.org -all\"").unwrap();
    let checked = world.domains.check(world.ours, added.id).await.unwrap();
    assert_eq!(checked.state, DomainState::Pending);
    let of = |purpose| checked.records.iter().find(|record| record.purpose == purpose).unwrap();
    assert_eq!((of(RecordPurpose::Dkim).state, of(RecordPurpose::Dkim).found.as_deref()), (RecordState::Wrong, Some("v=DKIM1; k=rsa; p=AAAA")));
    assert_eq!(of(RecordPurpose::Spf).found.as_deref(), Some("v=spf1 include:_spf.example.org -all"));
}

#[tokio::test]
async fn a_policy_above_the_domain_counts() {
    let world = World::new().await;
    let added = world.domains.add(world.ours, name("news.shop.example.com")).await.unwrap();
    world.zone.add("_dmarc.example.com TXT \"v=DMARC1; p=reject\"").unwrap();
    let checked = world.domains.check(world.ours, added.id).await.unwrap();
    let dmarc = checked.records.iter().find(|record| record.purpose == RecordPurpose::Dmarc).unwrap();
    assert_eq!((dmarc.state, dmarc.found.as_deref()), (RecordState::Ok, Some("v=DMARC1; p=reject")));
}

#[tokio::test]
async fn a_dns_that_is_silent_changes_nothing_and_a_key_that_is_gone_stops_the_domain_at_the_second_look() {
    let world = World::new().await;
    let domain = world.verified(world.ours).await;
    let rsa = &dkim(&domain.records)[0];
    let look = async || world.domains.check(world.ours, domain.id).await.unwrap().state;

    world.zone.set_fault(&rsa.name, Some(ZoneFault::ServFail));
    for _ in 0..2 {
        assert_eq!(look().await, DomainState::Verified);
        world.clock.advance(state::PATIENCE);
    }
    world.zone.set_fault(&rsa.name, None);
    world.withdraw(&domain.records);
    assert_eq!(look().await, DomainState::Verified, "the first look only doubts");
    world.clock.advance(state::PATIENCE);
    assert_eq!(look().await, DomainState::Failed);
    assert!(!world.domains.sender(world.ours, &name("example.com")).await.unwrap().unwrap().verified);

    world.publish(&domain.records);
    assert_eq!(look().await, DomainState::Verified, "and the key alone brings it back");
}

#[tokio::test]
async fn a_name_has_one_owner_while_its_proof_stands() {
    let world = World::new().await;
    let owner = world.verified(world.ours).await;
    let rival = world.domains.add(world.theirs, name("example.com")).await.unwrap();
    assert_eq!(
        world.domains.check(world.theirs, rival.id).await.unwrap().state,
        DomainState::Pending,
        "the owner's records prove nothing for another"
    );

    world.publish(&dkim(&rival.records));
    assert!(matches!(world.domains.check(world.theirs, rival.id).await, Err(DomainError::TakenElsewhere)));
    let refused = world.domains.get(world.theirs, rival.id).await.unwrap();
    assert_eq!(refused.state, DomainState::Pending);
    assert!(dkim(&refused.records).iter().all(|record| record.state == RecordState::Ok), "what was found is written down all the same");
    assert_eq!(world.domains.get(world.ours, owner.id).await.unwrap().state, DomainState::Verified);

    // While DNS cannot say, the owner stays.
    world.zone.set_fault(&dkim(&owner.records)[0].name, Some(ZoneFault::ServFail));
    assert!(matches!(world.domains.check(world.theirs, rival.id).await, Err(DomainError::TakenElsewhere)));
    world.zone.set_fault(&dkim(&owner.records)[0].name, None);

    world.withdraw(&dkim(&owner.records));
    assert_eq!(world.domains.check(world.theirs, rival.id).await.unwrap().state, DomainState::Verified);
    assert_eq!(world.domains.get(world.ours, owner.id).await.unwrap().state, DomainState::Failed);
    assert!(!world.domains.sender(world.ours, &name("example.com")).await.unwrap().unwrap().verified);
}

#[tokio::test]
async fn records_left_from_a_removed_domain_prove_nothing() {
    let world = World::new().await;
    let removed = world.verified(world.ours).await;
    world.domains.remove(world.ours, removed.id).await.unwrap();
    assert!(matches!(world.domains.signers(removed.id).await, Err(SignerError::NoKey)));
    for project in [world.ours, world.theirs] {
        let again = world.domains.add(project, name("example.com")).await.unwrap();
        assert_eq!(world.domains.check(project, again.id).await.unwrap().state, DomainState::Pending);
    }
}

#[tokio::test]
async fn another_project_neither_sees_nor_changes_a_domain() {
    let world = World::new().await;
    let domain = world.domains.add(world.ours, name("example.com")).await.unwrap();
    assert!(matches!(world.domains.get(world.theirs, domain.id).await, Err(DomainError::NotFound)));
    assert!(matches!(world.domains.check(world.theirs, domain.id).await, Err(DomainError::NotFound)));
    assert!(matches!(world.domains.remove(world.theirs, domain.id).await, Err(DomainError::NotFound)));
    assert_eq!(world.domains.find(world.theirs, &name("example.com")).await.unwrap(), None);
    assert_eq!(world.domains.sender(world.theirs, &name("example.com")).await.unwrap(), None);
    assert!(world.domains.get(world.ours, domain.id).await.is_ok());
}

#[tokio::test]
async fn a_name_is_added_once_and_not_if_its_records_would_not_fit() {
    let world = World::new().await;
    world.domains.add(world.ours, name("example.com")).await.unwrap();
    assert!(matches!(world.domains.add(world.ours, name("EXAMPLE.com")).await, Err(DomainError::Exists)));
    let add = || Box::pin(world.domains.add(world.ours, name("b.example")));
    let both = futures_util::future::join(add(), add()).await;
    assert!(matches!(both, (Ok(_), Err(DomainError::Exists)) | (Err(DomainError::Exists), Ok(_))), "{both:?}");
    let long = format!("{}.example", ["a".repeat(60).as_str(); 4].join(".")).chars().skip(20).collect::<String>();
    assert!(matches!(world.domains.add(world.ours, name(&long)).await, Err(DomainError::TooLong)));
}

#[tokio::test]
async fn the_database_holds_no_private_key_and_a_moved_one_does_not_open() {
    let world = World::new().await;
    let domain = world.domains.add(world.ours, name("example.com")).await.unwrap();
    world.domains.signers(domain.id).await.unwrap();
    // Two rows whose sealed keys change places.
    test_database::run(
        &world.store,
        "update dkim_key set private_key = other.private_key from dkim_key as other where other.domain_id = dkim_key.domain_id and other.id <> dkim_key.id",
    )
    .await;
    assert!(world.domains.signers(domain.id).await.is_ok(), "remembered for a moment");
    world.clock.advance(SIGNERS_FRESH);
    assert!(matches!(world.domains.signers(domain.id).await, Err(SignerError::Seal(SealError::DoesNotOpen))));
}

#[tokio::test]
async fn domains_are_checked_again_by_themselves_when_it_is_time() {
    let world = World::new().await;
    let added = world.domains.add(world.ours, name("example.com")).await.unwrap();
    assert_eq!(world.domains.check_due().await.unwrap(), 1, "never checked");
    assert_eq!(world.domains.check_due().await.unwrap(), 0);
    world.publish(&added.records);
    world.clock.advance(RECHECK_UNVERIFIED);
    assert_eq!(world.domains.check_due().await.unwrap(), 1);
    assert_eq!(world.domains.get(world.ours, added.id).await.unwrap().state, DomainState::Verified);
    world.clock.advance(RECHECK_UNVERIFIED);
    assert_eq!(world.domains.check_due().await.unwrap(), 0, "verified: less often");
    world.clock.advance(RECHECK_VERIFIED);
    assert_eq!(world.domains.check_due().await.unwrap(), 1);
}

#[tokio::test]
async fn new_keys_take_over_once_they_stand_in_dns_and_not_before() {
    let world = World::new().await;
    let domain = world.verified(world.ours).await;
    let old = dkim(&domain.records);
    let rotated = world.domains.rotate_dkim(world.ours, domain.id).await.unwrap();
    assert_eq!(dkim(&rotated.records).len(), 4);
    let twice = world.domains.rotate_dkim(world.ours, domain.id).await.unwrap();
    let new: Vec<DnsRecord> = dkim(&twice.records).into_iter().filter(|record| old.iter().all(|old| old.name != record.name)).collect();
    assert_eq!(new.len(), 2, "a second rotation replaces the first");

    let selectors = async || {
        world.clock.advance(SIGNERS_FRESH);
        let signers = world.domains.signers(domain.id).await.unwrap();
        let message = b"From: a@example.com\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\nx\r\n";
        signers.iter().map(|signer| signer.sign(message, OffsetDateTime::UNIX_EPOCH).unwrap()).collect::<String>()
    };
    let signs_with = |signed: &str, records: &[DnsRecord]| records.iter().all(|record| signed.contains(record.name.split('.').next().unwrap()));
    world.domains.check(world.ours, domain.id).await.unwrap();
    assert!(signs_with(&selectors().await, &old));

    world.publish(&new);
    let after = world.domains.check(world.ours, domain.id).await.unwrap();
    assert_eq!((after.state, dkim(&after.records).len()), (DomainState::Verified, 2));
    assert!(signs_with(&selectors().await, &new));
    world.withdraw(&old);
    assert_eq!(world.domains.check(world.ours, domain.id).await.unwrap().state, DomainState::Verified);
}

/// The kinds and domains of the events, once they are as they have to be, or after a long time as they are then: the feed stays behind
/// transactions that are still open elsewhere on the server.
async fn told_when(world: &World, project: ProjectId, is_right: impl Fn(&[String]) -> bool) -> Vec<String> {
    let looking = async {
        while !is_right(&told(world, project).await) {
            Clock::system().sleep(Duration::from_millis(10)).await;
        }
    };
    let _in_vain = Clock::system().timeout(FEED_PATIENCE, looking).await;
    told(world, project).await
}

/// The kinds and domains of the events so far.
async fn told(world: &World, project: ProjectId) -> Vec<String> {
    let rows = world.store.feed(project.uuid(), (-1, Uuid::nil()), &[], 100).await.unwrap();
    let told = |row: crate::store::event::EventRow| format!("{} {}", EventKind::from_stored(row.kind).unwrap(), row.data["domain"].as_str().unwrap());
    rows.into_iter().map(told).collect()
}

#[tokio::test]
async fn each_change_of_state_is_told_once() {
    let world = World::new().await;
    let domain = world.verified(world.ours).await;
    world.domains.check(world.ours, domain.id).await.unwrap();
    world.withdraw(&domain.records);
    for _ in 0..3 {
        world.domains.check(world.ours, domain.id).await.unwrap();
        world.clock.advance(state::PATIENCE);
    }
    world.publish(&domain.records);
    world.domains.check(world.ours, domain.id).await.unwrap();
    let expected = ["domain.verified example.com", "domain.failed example.com", "domain.verified example.com"];
    assert_eq!(told_when(&world, world.ours, |found| found.len() == expected.len()).await, expected);

    let rival = world.domains.add(world.theirs, name("example.com")).await.unwrap();
    world.withdraw(&domain.records);
    world.publish(&rival.records);
    world.domains.check(world.theirs, rival.id).await.unwrap();
    for (project, last) in [(world.ours, "domain.failed example.com"), (world.theirs, "domain.verified example.com")] {
        let found = told_when(&world, project, |found| found.last().is_some_and(|found| found == last)).await;
        assert_eq!(found.last().map(String::as_str), Some(last));
    }
}

#[tokio::test]
async fn keys_that_grew_old_get_their_successors_made_once() {
    let world = World::new().await;
    let domain = world.verified(world.ours).await;
    let pending = world.domains.add(world.ours, name("pending.example")).await.unwrap();
    world.clock.advance(ROTATE_AFTER.saturating_sub(Duration::from_mins(1)));
    assert_eq!(world.domains.rotate_due().await.unwrap(), 0);
    world.clock.advance(Duration::from_mins(2));
    assert_eq!(world.domains.rotate_due().await.unwrap(), 1, "the one that is verified");
    assert_eq!(world.domains.rotate_due().await.unwrap(), 0, "they wait for their records now");
    let rotated = world.domains.get(world.ours, domain.id).await.unwrap();
    assert_eq!(dkim(&rotated.records).len(), 4);
    assert_eq!(dkim(&world.domains.get(world.ours, pending.id).await.unwrap().records).len(), 2);
    world.publish(&dkim(&rotated.records)[2..]);
    let after = world.domains.check(world.ours, domain.id).await.unwrap();
    assert_eq!(
        dkim(&after.records),
        dkim(&rotated.records)[2..].iter().map(|record| DnsRecord { state: RecordState::Ok, ..record.clone() }).collect::<Vec<_>>()
    );
    assert_eq!(world.domains.rotate_due().await.unwrap(), 0, "and they are young");
}

#[tokio::test]
async fn a_key_that_is_in_use_elsewhere_signs_as_soon_as_it_is_checked() {
    let world = World::new().await;
    let domain = world.verified(world.ours).await;
    let pair = crate::mail::dkim::generate(crate::mail::dkim::Algorithm::Rsa2048).unwrap();
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair.private_der.expose());
    let pem = Secret::new(format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n"));
    let imported = world.domains.import_dkim(world.ours, domain.id, "s2024", &pem).await.unwrap();
    let record = dkim(&imported.records).into_iter().find(|record| record.name == "s2024._domainkey.example.com").unwrap();
    assert_eq!(record.value, pair.record);
    world.publish(std::slice::from_ref(&record));
    world.domains.check(world.ours, domain.id).await.unwrap();
    let keys = world.domains.dkim_keys(world.ours, domain.id).await.unwrap();
    let active: Vec<_> = keys.iter().map(|key| (key.selector.as_str(), key.state, key.bits)).collect();
    assert!(active.contains(&("s2024", KeyState::Active, Some(2048))) && keys.len() == 2, "the Ed25519 key stays: {active:?}");
    assert_eq!(world.domains.signers(domain.id).await.unwrap().len(), 2);

    let refused = async |selector: &str, pem: &str| world.domains.import_dkim(world.ours, domain.id, selector, &Secret::new(pem.to_owned())).await;
    assert!(matches!(refused("s2024", pem.expose()).await, Err(DomainError::SelectorInUse)));
    assert!(matches!(refused("a b", pem.expose()).await, Err(DomainError::BadKey(DkimError::Selector))));
    for bad in ["", "hello", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        assert!(matches!(refused("s3", bad).await, Err(DomainError::BadKey(DkimError::PrivateKey))), "{bad:?}");
    }
    assert_eq!(world.domains.dkim_keys(world.ours, domain.id).await.unwrap(), keys, "what is refused leaves nothing behind");
    let stranger = world.domains.import_dkim(world.theirs, domain.id, "s4", &pem).await;
    assert!(matches!(stranger, Err(DomainError::NotFound)));
}
