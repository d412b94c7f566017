//! Keys against a real database: who is let in, who is not, and what is kept (faults A26, A23; rule C1).

use super::*;
use crate::store::test_database;

struct World {
    access: Access,
    clock: Clock,
    project: ProjectId,
}

async fn world() -> World {
    let clock = Clock::movable();
    let access = Access::new(test_database::fresh().await, clock.clone());
    let project = access.default_project().await.unwrap();
    World { access, clock, project }
}

fn new_key(name: &str) -> NewKey {
    NewKey { name: name.to_owned(), scope: Scope::Full, domains: None, expires_at: None, test: false }
}

#[tokio::test]
async fn a_key_lets_in_whom_it_was_made_for() {
    let World { access, project, .. } = world().await;
    let only = DomainName::parse("example.com").unwrap();
    let new = NewKey { scope: Scope::Send, domains: Some(vec![only.clone()]), ..new_key("shop") };
    let created = access.create_key(project, new).await.unwrap();
    let caller = access.authenticate(created.secret.expose()).await.unwrap();
    assert_eq!((caller.project, caller.key, caller.scope), (project, created.record.id, Scope::Send));
    assert!(caller.may_send_from(&only) && !caller.may_send_from(&DomainName::parse("example.net").unwrap()));
    assert_eq!(access.keys(project, PageRequest::default()).await.unwrap().data, [created.record]);
}

#[tokio::test]
async fn every_wrong_key_is_unknown() {
    let World { access, clock, project } = world().await;
    let created = access.create_key(project, new_key("a")).await.unwrap();
    let key = created.secret.expose();
    let stranger = token::generate(&clock, false);
    // The public part of a real key with another secret, and a right checksum.
    let forged = format!("pp_live_{}{}", token::lookup_of(key).unwrap(), "A".repeat(28));
    let forged = format!("{forged}{}", token::checksum(&forged));
    assert!(token::lookup_of(&forged).is_some());
    let texts = [
        String::new(),
        "pp_live_".to_owned(),
        format!("{key} "),
        key.replace("pp_live_", "pp_test_"),
        key.to_lowercase(),
        "' or 1=1 --".to_owned(),
        stranger.key.expose().clone(),
        forged,
    ];
    for text in texts {
        assert!(matches!(access.authenticate(&text).await, Err(AccessError::Unknown)), "{text:?}");
    }
    assert!(access.authenticate(key).await.is_ok());
}

#[tokio::test]
async fn a_text_with_a_wrong_checksum_costs_no_query() {
    let World { access, project, .. } = world().await;
    let created = access.create_key(project, new_key("a")).await.unwrap();
    let mut mistyped = created.secret.expose().clone();
    mistyped.pop();
    mistyped.push('!');
    access.store.close().await;
    assert!(matches!(access.authenticate(&mistyped).await, Err(AccessError::Unknown)));
    assert!(matches!(access.authenticate(created.secret.expose()).await, Err(AccessError::Store(StoreError::Unavailable(_)))));
}

#[tokio::test]
async fn a_revoked_key_is_refused_here_at_once_and_elsewhere_within_seconds() {
    let World { access, clock, project } = world().await;
    let elsewhere = Access::new(access.store.clone(), clock.clone());
    let created = access.create_key(project, new_key("a")).await.unwrap();
    let key = created.secret.expose();
    for node in [&access, &elsewhere] {
        node.authenticate(key).await.unwrap();
    }
    assert!(access.revoke_key(project, created.record.id).await.unwrap());
    assert!(matches!(access.authenticate(key).await, Err(AccessError::Revoked)));
    assert!(elsewhere.authenticate(key).await.is_ok(), "remembered for a moment");
    clock.advance(cache::FRESH);
    assert!(matches!(elsewhere.authenticate(key).await, Err(AccessError::Revoked)));

    let first = access.keys(project, PageRequest::default()).await.unwrap().data[0].revoked_at;
    assert!(access.revoke_key(project, created.record.id).await.unwrap(), "revoking again is no error");
    assert_eq!(access.keys(project, PageRequest::default()).await.unwrap().data[0].revoked_at, first);
}

#[tokio::test]
async fn a_key_ends_when_it_was_said_to_even_if_remembered() {
    let World { access, clock, project } = world().await;
    let end = clock.now() + Duration::from_secs(2);
    let created = access.create_key(project, NewKey { expires_at: Some(end), ..new_key("a") }).await.unwrap();
    access.authenticate(created.secret.expose()).await.unwrap();
    clock.advance(Duration::from_secs(2));
    assert!(matches!(access.authenticate(created.secret.expose()).await, Err(AccessError::Expired)));
}

#[tokio::test]
async fn another_project_neither_sees_nor_revokes_a_key() {
    let World { access, clock, project } = world().await;
    let other = project::find_or_make(&access.store, "other", ProjectId::from_uuid(clock.uuid())).await.unwrap();
    let created = access.create_key(project, new_key("a")).await.unwrap();
    assert!(!access.revoke_key(other, created.record.id).await.unwrap());
    assert!(access.keys(other, PageRequest::default()).await.unwrap().data.is_empty());
    assert!(access.authenticate(created.secret.expose()).await.is_ok());
}

#[tokio::test]
async fn the_database_never_holds_a_key() {
    let World { access, project, .. } = world().await;
    let created = access.create_key(project, new_key("a")).await.unwrap();
    let key = created.secret.expose();
    let rows = api_key::list(&access.store, project, PageRequest::default()).await.unwrap();
    let row = format!("{rows:?}");
    let secret: String = key.chars().skip(8 + 10).take(28).collect();
    assert!(!row.contains(&secret) && row.contains(&rows[0].lookup));
    assert_eq!(rows[0].secret_hash, token::hash(key));
    assert!(!format!("{created:?}").contains(&secret), "nor does a log that prints it");
}

#[tokio::test]
async fn the_last_use_is_written_once_a_minute_and_when_work_ends() {
    let World { access, clock, project } = world().await;
    let last = async || access.keys(project, PageRequest::default()).await.unwrap().data[0].last_used_at;
    let created = access.create_key(project, new_key("a")).await.unwrap();
    access.authenticate(created.secret.expose()).await.unwrap();
    assert_eq!(last().await, None, "not on the way in");
    access.write_last_used().await.unwrap();
    let first = last().await.unwrap();
    access.write_last_used().await.unwrap();
    assert_eq!(last().await, Some(first), "nothing new");

    let supervisor = Supervisor::default();
    access.keep_last_used(&supervisor);
    clock.advance(Duration::from_secs(1));
    access.authenticate(created.secret.expose()).await.unwrap();
    supervisor.drain();
    supervisor.ended().await;
    assert!(last().await.unwrap() > first);
}

#[tokio::test]
async fn a_list_goes_page_by_page_without_gap_or_repeat() {
    let World { access, project, .. } = world().await;
    let mut made = Vec::new();
    for number in 0..5 {
        made.push(access.create_key(project, new_key(&format!("key {number}"))).await.unwrap().record.id);
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = access.keys(project, PageRequest { limit: 2, after }).await.unwrap();
        seen.extend(page.data.iter().map(|record| record.id));
        let Some(cursor) = page.next_cursor else { break };
        after = crate::model::page::read_cursor(&cursor);
    }
    made.sort_unstable();
    assert_eq!(seen, made);
}

#[tokio::test]
async fn a_name_is_one_to_a_hundred_printable_characters() {
    let World { access, project, .. } = world().await;
    for name in [String::new(), "a\nb".to_owned(), "a\0".to_owned(), "x".repeat(101)] {
        assert!(matches!(access.create_key(project, new_key(&name)).await, Err(AccessError::Name)), "{name:?}");
    }
    access.create_key(project, new_key(&"é".repeat(100))).await.unwrap();
    assert_eq!(access.keys(project, PageRequest::default()).await.unwrap().data.len(), 1);
}

#[tokio::test]
async fn the_default_project_is_made_once_by_many_at_the_same_time() {
    let access = Access::new(test_database::fresh().await, Clock::system());
    let found = futures_util::future::join_all((0..6).map(|_| access.default_project())).await;
    let mut found: Vec<ProjectId> = found.into_iter().map(Result::unwrap).collect();
    found.dedup();
    assert_eq!(found.len(), 1);
}
