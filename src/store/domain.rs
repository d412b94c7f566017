//! Sending domains and their DKIM keys.

use std::collections::HashMap;

use time::OffsetDateTime;
use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT};
use super::{Store, StoreError, Tx};
use crate::model::page::PageRequest;
use crate::model::{DomainId, DomainName, ProjectId};

/// A row of `domain`.
#[derive(Clone, Debug)]
pub(crate) struct DomainRow {
    pub(crate) id: Uuid,
    pub(crate) project_id: Uuid,
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) verified_at: Option<OffsetDateTime>,
    pub(crate) checked_at: Option<OffsetDateTime>,
    pub(crate) failing_since: Option<OffsetDateTime>,
    pub(crate) findings: serde_json::Value,
    pub(crate) mta_sts: String,
    pub(crate) dkim_zone: Option<String>,
}

/// A row of `dkim_key`.
#[derive(Clone, Debug)]
pub(crate) struct DkimKeyRow {
    pub(crate) id: Uuid,
    pub(crate) domain_id: Uuid,
    pub(crate) selector: String,
    pub(crate) algorithm: String,
    pub(crate) state: String,
    pub(crate) private_key: Vec<u8>,
    pub(crate) public_record: String,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) seen_at: Option<OffsetDateTime>,
}

/// What a check changes.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    pub(crate) id: DomainId,
    /// The standing that was read; the change is refused if another check was faster.
    pub(crate) before: Option<OffsetDateTime>,
    pub(crate) at: OffsetDateTime,
    pub(crate) state: &'a str,
    pub(crate) failing_since: Option<OffsetDateTime>,
    pub(crate) findings: serde_json::Value,
    /// The keys that stand in DNS now.
    pub(crate) seen: &'a [Uuid],
    /// A domain of another project that lost the same name in this moment.
    pub(crate) displaced: Option<DomainId>,
    /// What is told of the change of state, if there is one.
    pub(crate) told: Option<Told>,
    /// What is told of the displaced domain.
    pub(crate) displaced_told: Option<Told>,
}

/// An event of a domain.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) id: Uuid,
    pub(crate) kind: i16,
    pub(crate) data: serde_json::Value,
}

/// Writes a domain with its keys.
pub(crate) async fn insert(store: &Store, domain: &DomainRow, keys: &[DkimKeyRow]) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    insert_within(&mut tx, domain, keys).await?;
    Ok(tx.commit().await?)
}

/// As [`insert`]. Commits nothing.
pub(crate) async fn insert_within(tx: &mut Tx, domain: &DomainRow, keys: &[DkimKeyRow]) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into domain (id, project_id, name, state, created_at, mta_sts, dkim_zone) values ($1, $2, $3, $4, $5, $6, $7)",
        domain.id,
        domain.project_id,
        domain.name,
        domain.state,
        domain.created_at,
        domain.mta_sts,
        domain.dkim_zone
    )
    .execute(&mut **tx)
    .limited(STATEMENT)
    .await?;
    insert_keys(tx, keys).await
}

/// Whether a key that is retired now signed under one of `selectors` and was seen in DNS after `since`.
pub(crate) async fn retired_lately(store: &Store, domain: DomainId, selectors: &[String], since: OffsetDateTime) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"select exists (select from dkim_key where domain_id = $1 and state = 'retired' and selector = any($2) and seen_at > $3) as "lately!""#,
        domain.uuid(),
        selectors,
        since
    )
    .fetch_one(store.pool())
    .limited(STATEMENT)
    .await?;
    Ok(found)
}

/// Writes the next keys of a domain, in place of next keys that never came into use and of retired ones under the selectors `reused`.
pub(crate) async fn replace_next_keys(store: &Store, domain: DomainId, keys: &[DkimKeyRow], reused: &[String]) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    replace_next_keys_within(&mut tx, domain, keys, reused).await?;
    Ok(tx.commit().await?)
}

/// As [`replace_next_keys`]. Commits nothing.
pub(crate) async fn replace_next_keys_within(tx: &mut Tx, domain: DomainId, keys: &[DkimKeyRow], reused: &[String]) -> Result<(), StoreError> {
    // One rotation at a time: the row of the domain is the lock.
    sqlx::query!("select id from domain where id = $1 for update", domain.uuid()).fetch_optional(&mut **tx).limited(STATEMENT).await?;
    sqlx::query!("delete from dkim_key where domain_id = $1 and (state = 'next' or state = 'retired' and selector = any($2))", domain.uuid(), reused)
        .execute(&mut **tx)
        .limited(STATEMENT)
        .await?;
    insert_keys(tx, keys).await
}

async fn insert_keys(tx: &mut Tx, keys: &[DkimKeyRow]) -> Result<(), StoreError> {
    for key in keys {
        sqlx::query!(
            "insert into dkim_key (id, domain_id, selector, algorithm, state, private_key, public_record, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
            key.id,
            key.domain_id,
            key.selector,
            key.algorithm,
            key.state,
            key.private_key,
            key.public_record,
            key.created_at
        )
        .execute(&mut **tx)
        .limited(STATEMENT)
        .await?;
    }
    Ok(())
}

/// The domains of a project, oldest first, one more than the limit.
pub(crate) async fn list(store: &Store, project: ProjectId, page: PageRequest) -> Result<Vec<DomainRow>, StoreError> {
    sqlx::query_as!(
        DomainRow,
        "select id, project_id, name, state, created_at, verified_at, checked_at, failing_since, findings, mta_sts, dkim_zone
           from domain where project_id = $1 and ($2::uuid is null or id > $2) order by id limit $3",
        project.uuid(),
        page.after,
        i64::from(page.limit) + 1
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await
}

/// A domain of the project.
pub(crate) async fn get(store: &Store, project: ProjectId, id: DomainId) -> Result<Option<DomainRow>, StoreError> {
    sqlx::query_as!(
        DomainRow,
        "select id, project_id, name, state, created_at, verified_at, checked_at, failing_since, findings, mta_sts, dkim_zone
           from domain where project_id = $1 and id = $2",
        project.uuid(),
        id.uuid()
    )
    .fetch_optional(store.pool())
    .limited(PATIENT)
    .await
}

/// A domain of the project by its name.
pub(crate) async fn by_name(store: &Store, project: ProjectId, name: &DomainName) -> Result<Option<DomainRow>, StoreError> {
    sqlx::query_as!(
        DomainRow,
        "select id, project_id, name, state, created_at, verified_at, checked_at, failing_since, findings, mta_sts, dkim_zone
           from domain where project_id = $1 and name = $2",
        project.uuid(),
        name.as_str()
    )
    .fetch_optional(store.pool())
    .limited(STATEMENT)
    .await
}

/// True if some project owns a domain of this name.
pub(crate) async fn is_verified(store: &Store, name: &DomainName) -> Result<bool, StoreError> {
    sqlx::query_scalar!(r#"select exists (select 1 from domain where name = $1 and state = 'verified') as "found!""#, name.as_str())
        .fetch_one(store.pool())
        .limited(STATEMENT)
        .await
}

/// The name of a domain of any project.
pub(crate) async fn name(store: &Store, id: DomainId) -> Result<Option<String>, StoreError> {
    sqlx::query_scalar!("select name from domain where id = $1", id.uuid()).fetch_optional(store.pool()).limited(STATEMENT).await
}

/// What the reverse-path of a domain's mail depends on.
#[derive(Debug)]
pub(crate) struct PathRow {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) findings: serde_json::Value,
    pub(crate) strict_verp: bool,
}

/// [`PathRow`] of a domain of any project.
pub(crate) async fn path(store: &Store, id: DomainId) -> Result<Option<PathRow>, StoreError> {
    let row = sqlx::query_as!(
        PathRow,
        "select d.name, d.state, d.findings, p.strict_verp from domain d join project p on p.id = d.project_id where d.id = $1",
        id.uuid()
    )
    .fetch_optional(store.pool())
    .limited(STATEMENT)
    .await?;
    Ok(row)
}

/// Whether a project asks for one transaction for each recipient.
pub(crate) async fn strict_verp(store: &Store, project: ProjectId) -> Result<bool, StoreError> {
    let strict =
        sqlx::query_scalar!("select strict_verp from project where id = $1", project.uuid()).fetch_optional(store.pool()).limited(STATEMENT).await?;
    Ok(strict.unwrap_or(false))
}

/// The domain that owns `name`.
pub(crate) async fn verified(store: &Store, name: &DomainName) -> Result<Option<DomainRow>, StoreError> {
    sqlx::query_as!(
        DomainRow,
        "select id, project_id, name, state, created_at, verified_at, checked_at, failing_since, findings, mta_sts, dkim_zone
           from domain where name = $1 and state = 'verified'",
        name.as_str()
    )
    .fetch_optional(store.pool())
    .limited(STATEMENT)
    .await
}

/// What a domain is used for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UsesRow {
    /// It has a route: mail for it comes here.
    pub(crate) receives: bool,
    /// A user may submit mail as an address of it.
    pub(crate) submits: bool,
}

/// What some domains are used for.
pub(crate) async fn uses(store: &Store, domains: &[Uuid]) -> Result<HashMap<Uuid, UsesRow>, StoreError> {
    let rows = sqlx::query!(
        r#"select d.id, exists (select from route r where r.domain_id = d.id) as "receives!",
                  exists (select from smtp_user u where u.project_id = d.project_id and (
                      right(u.username, length(d.name) + 1) = '@' || d.name
                      or exists (select from unnest(u.send_as) as s (pattern) where
                          pattern = '*' or right(pattern, length(d.name) + 1) = '@' || d.name
                          -- `*@*.example.com`: every domain below
                          or left(pattern, 4) = '*@*.' and right(d.name, length(pattern) - 3) = substr(pattern, 4)))) as "submits!"
             from domain d where d.id = any($1)"#,
        domains
    )
    .fetch_all(store.pool())
    .limited(STATEMENT)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, UsesRow { receives: row.receives, submits: row.submits })).collect())
}

/// Sets the mode of a domain's MTA-STS policy; false if the project has no such domain.
pub(crate) async fn set_mta_sts(store: &Store, project: ProjectId, id: DomainId, mode: &str) -> Result<bool, StoreError> {
    let done = sqlx::query!("update domain set mta_sts = $3 where project_id = $1 and id = $2", project.uuid(), id.uuid(), mode)
        .execute(store.pool())
        .limited(PATIENT)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Domains to check again, the longest unchecked first: unverified ones not checked since `unverified`, verified ones not since `verified`.
pub(crate) async fn due(
    store: &Store,
    unverified: OffsetDateTime,
    verified: OffsetDateTime,
    limit: i64,
) -> Result<Vec<(ProjectId, DomainId)>, StoreError> {
    let rows = sqlx::query!(
        // A doubted domain is looked at again soon: the second look decides.
        "select project_id, id from domain
         where checked_at is null or checked_at <= case when state = 'verified' and failing_since is null then $2::timestamptz else $1::timestamptz end
         order by checked_at nulls first limit $3",
        unverified,
        verified,
        limit
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(rows.into_iter().map(|row| (ProjectId::from_uuid(row.project_id), DomainId::from_uuid(row.id))).collect())
}

/// The keys of some domains that are not retired, in the order they were made.
pub(crate) async fn keys(store: &Store, domains: &[Uuid]) -> Result<HashMap<Uuid, Vec<DkimKeyRow>>, StoreError> {
    let rows = sqlx::query_as!(DkimKeyRow, "select * from dkim_key where domain_id = any($1) and state <> 'retired' order by id", domains)
        .fetch_all(store.pool())
        .limited(STATEMENT)
        .await?;
    let mut of: HashMap<Uuid, Vec<DkimKeyRow>> = HashMap::new();
    for row in rows {
        of.entry(row.domain_id).or_default().push(row);
    }
    Ok(of)
}

/// Removes a domain of the project with its keys; false if there is none.
pub(crate) async fn remove(store: &Store, project: ProjectId, id: DomainId) -> Result<bool, StoreError> {
    let done = sqlx::query!("delete from domain where project_id = $1 and id = $2", project.uuid(), id.uuid())
        .execute(store.pool())
        .limited(PATIENT)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes the end of a check; false if another check of the domain ended in between, or it is gone. Then nothing is written.
pub(crate) async fn record_check(store: &Store, checked: &Checked<'_>) -> Result<bool, StoreError> {
    let mut tx = store.begin().await?;
    if let Some(displaced) = checked.displaced {
        let done = sqlx::query!(
            "update domain set state = 'failed', checked_at = $2, failing_since = coalesce(failing_since, $2) where id = $1 and state = 'verified'",
            displaced.uuid(),
            checked.at
        )
        .execute(&mut *tx)
        .limited(STATEMENT)
        .await?;
        if let Some(told) = checked.displaced_told.as_ref().filter(|_| done.rows_affected() == 1) {
            tell(&mut tx, displaced, told).await?;
        }
    }
    let done = sqlx::query!(
        "update domain set state = $3, checked_at = $4, failing_since = $5, findings = $6,
                -- the first time it was verified in this run of being so
                verified_at = case when $3 <> 'verified' then verified_at when state = 'verified' then verified_at else $4 end
         where id = $1 and checked_at is not distinct from $2",
        checked.id.uuid(),
        checked.before,
        checked.state,
        checked.at,
        checked.failing_since,
        checked.findings
    )
    .execute(&mut *tx)
    .limited(STATEMENT)
    .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    sqlx::query!("update dkim_key set seen_at = $3 where domain_id = $1 and id = any($2)", checked.id.uuid(), checked.seen, checked.at)
        .execute(&mut *tx)
        .limited(STATEMENT)
        .await?;
    promote(&mut tx, checked.id, checked.seen).await?;
    if let Some(told) = &checked.told {
        tell(&mut tx, checked.id, told).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// Writes an event of a domain; with the change it tells of it is there, or neither is.
async fn tell(tx: &mut Tx, domain: DomainId, told: &Told) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into event (id, project_id, kind, data) select $1, project_id, $3, $4::text::json from domain where id = $2",
        told.id,
        domain.uuid(),
        told.kind,
        told.data.to_string()
    )
    .execute(&mut **tx)
    .limited(STATEMENT)
    .await?;
    Ok(())
}

/// Verified domains that have no key younger than `before` and no next key yet.
pub(crate) async fn rotation_due(store: &Store, before: OffsetDateTime, limit: i64) -> Result<Vec<(ProjectId, DomainId)>, StoreError> {
    let rows = sqlx::query!(
        "select project_id, id from domain
         where state = 'verified' and not exists
            (select from dkim_key k where k.domain_id = domain.id and (k.state = 'next' or k.state = 'active' and k.created_at > $1))
         order by id limit $2",
        before,
        limit
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(rows.into_iter().map(|row| (ProjectId::from_uuid(row.project_id), DomainId::from_uuid(row.id))).collect())
}

/// Next keys that stand in DNS now sign from now on, in place of the active ones of their algorithm.
async fn promote(tx: &mut Tx, domain: DomainId, seen: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!(
        "update dkim_key set state = 'retired' where domain_id = $1 and state = 'active' and algorithm in
            (select next.algorithm from dkim_key as next where next.domain_id = $1 and next.state = 'next' and next.id = any($2))",
        domain.uuid(),
        seen
    )
    .execute(&mut **tx)
    .limited(STATEMENT)
    .await?;
    sqlx::query!("update dkim_key set state = 'active' where domain_id = $1 and state = 'next' and id = any($2)", domain.uuid(), seen)
        .execute(&mut **tx)
        .limited(STATEMENT)
        .await?;
    Ok(())
}

/// The project that has a domain of this name and proved it.
pub(crate) async fn verified_owner(store: &Store, name: &DomainName) -> Result<Option<Uuid>, StoreError> {
    sqlx::query_scalar!("select project_id from domain where name = $1 and state = 'verified' order by verified_at limit 1", name.as_str())
        .fetch_optional(store.pool())
        .limited(PATIENT)
        .await
}

/// True if the project has proved one of these names.
pub(crate) async fn owns_one(store: &Store, project: ProjectId, names: &[String]) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"select exists (select 1 from domain where project_id = $1 and name = any($2) and state = 'verified') as "owns!""#,
        project.uuid(),
        names
    )
    .fetch_one(store.pool())
    .limited(PATIENT)
    .await
}
