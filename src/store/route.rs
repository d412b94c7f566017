//! Routes and where they forward to.

use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;
use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT};
use super::{Store, StoreError, Tx};

/// A row of `route`, with its endpoint.
#[derive(Clone, Debug)]
pub(crate) struct RouteRow {
    pub(crate) id: Uuid,
    pub(crate) project_id: Uuid,
    pub(crate) domain_id: Uuid,
    pub(crate) local: String,
    pub(crate) action: String,
    pub(crate) reply: Option<String>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) webhook_id: Option<Uuid>,
    pub(crate) webhook_url: Option<String>,
}

/// A row of `route_target`.
#[derive(Clone, Debug)]
pub(crate) struct TargetRow {
    pub(crate) route_id: Uuid,
    pub(crate) target: String,
    pub(crate) asked_at: Option<OffsetDateTime>,
    pub(crate) confirmed_at: Option<OffsetDateTime>,
}

/// The domain that receives mail of a name.
#[derive(Debug)]
pub(crate) struct HostRow {
    pub(crate) id: Uuid,
    pub(crate) project_id: Uuid,
    pub(crate) was_verified: bool,
}

/// As the database joins it.
struct Joined {
    id: Uuid,
    project_id: Uuid,
    domain_id: Uuid,
    local: String,
    action: String,
    reply: Option<String>,
    created_at: OffsetDateTime,
    domain: String,
    webhook_id: Option<Uuid>,
    webhook_url: Option<String>,
}

impl From<Joined> for (RouteRow, String) {
    fn from(row: Joined) -> Self {
        let Joined { id, project_id, domain_id, local, action, reply, created_at, domain, webhook_id, webhook_url } = row;
        (RouteRow { id, project_id, domain_id, local, action, reply, created_at, webhook_id, webhook_url }, domain)
    }
}

/// Writes a route and its targets; false if the domain has `most` already. Its endpoint is written by `store::webhook`. Commits nothing.
pub(crate) async fn insert(tx: &mut Tx, row: &RouteRow, targets: &[String], most: i64) -> Result<bool, StoreError> {
    // The row of the domain is the lock: two that count at once would both find room.
    query!("select id from domain where id = $1 for update", row.domain_id).fetch_optional(&mut **tx).limited(STATEMENT).await?;
    let count = query_scalar!(r#"select count(*) as "count!" from route where domain_id = $1"#, row.domain_id)
        .fetch_one(&mut **tx)
        .limited(STATEMENT)
        .await?;
    if count >= most {
        return Ok(false);
    }
    query!(
        "insert into route (id, project_id, domain_id, local, action, reply, created_at) values ($1, $2, $3, $4, $5, $6, $7)",
        row.id,
        row.project_id,
        row.domain_id,
        row.local,
        row.action,
        row.reply,
        row.created_at
    )
    .execute(&mut **tx)
    .limited(STATEMENT)
    .await?;
    query!(
        "insert into route_target (route_id, place, target) select $1, t.place, t.target from unnest($2::text[]) with ordinality as t (target, place)",
        row.id,
        targets
    )
    .execute(&mut **tx)
    .limited(STATEMENT)
    .await?;
    Ok(true)
}

/// Writes down when the owners of some of a route's targets agreed, elsewhere and before. Commits nothing.
pub(crate) async fn confirm_within(tx: &mut Tx, route: Uuid, targets: &[String], times: &[OffsetDateTime]) -> Result<(), StoreError> {
    query!(
        "update route_target set asked_at = given.at, confirmed_at = given.at from unnest($2::text[], $3::timestamptz[]) as given (target, at)
         where route_id = $1 and route_target.target = given.target",
        route,
        targets,
        times
    )
    .execute(&mut **tx)
    .limited(PATIENT)
    .await?;
    Ok(())
}

/// Removes a route with its endpoint. Commits nothing.
pub(crate) async fn remove_within(tx: &mut Tx, id: Uuid) -> Result<(), StoreError> {
    query!("delete from route where id = $1", id).execute(&mut **tx).limited(PATIENT).await?;
    Ok(())
}

/// The routes of a project with the names of their domains, oldest first.
pub(crate) async fn list(store: &Store, project: Uuid, after: Option<Uuid>, limit: i64) -> Result<Vec<(RouteRow, String)>, StoreError> {
    let rows = query_as!(
        Joined,
        r#"select r.id, r.project_id, r.domain_id, r.local, r.action, r.reply, r.created_at, d.name as domain,
                  w.id as "webhook_id?", w.url as "webhook_url?"
           from route r join domain d on d.id = r.domain_id left join webhook w on w.route_id = r.id
           where r.project_id = $1 and ($2::uuid is null or r.id > $2) order by r.id limit $3"#,
        project,
        after,
        limit
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// One route of a project.
pub(crate) async fn get(store: &Store, project: Uuid, id: Uuid) -> Result<Option<(RouteRow, String)>, StoreError> {
    let row = query_as!(
        Joined,
        r#"select r.id, r.project_id, r.domain_id, r.local, r.action, r.reply, r.created_at, d.name as domain,
                  w.id as "webhook_id?", w.url as "webhook_url?"
           from route r join domain d on d.id = r.domain_id left join webhook w on w.route_id = r.id
           where r.project_id = $1 and r.id = $2"#,
        project,
        id
    )
    .fetch_optional(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(row.map(Into::into))
}

/// The route of a project with this pattern.
pub(crate) async fn by_pattern(store: &Store, project: Uuid, domain: &str, local: &str) -> Result<Option<(RouteRow, String)>, StoreError> {
    let row = query_as!(
        Joined,
        r#"select r.id, r.project_id, r.domain_id, r.local, r.action, r.reply, r.created_at, d.name as domain,
                  w.id as "webhook_id?", w.url as "webhook_url?"
           from route r join domain d on d.id = r.domain_id left join webhook w on w.route_id = r.id
           where d.project_id = $1 and d.name = $2 and r.local = $3"#,
        project,
        domain,
        local
    )
    .fetch_optional(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(row.map(Into::into))
}

/// All routes of a domain.
pub(crate) async fn of_domain(store: &Store, domain: Uuid) -> Result<Vec<(RouteRow, String)>, StoreError> {
    let rows = query_as!(
        Joined,
        r#"select r.id, r.project_id, r.domain_id, r.local, r.action, r.reply, r.created_at, d.name as domain,
                  w.id as "webhook_id?", w.url as "webhook_url?"
           from route r join domain d on d.id = r.domain_id left join webhook w on w.route_id = r.id
           where r.domain_id = $1 order by r.id"#,
        domain
    )
    .fetch_all(store.pool())
    .limited(STATEMENT)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Where some routes forward to, in the order in which the targets were named.
pub(crate) async fn targets(store: &Store, routes: &[Uuid]) -> Result<Vec<TargetRow>, StoreError> {
    let rows = query_as!(
        TargetRow,
        "select route_id, target, asked_at, confirmed_at from route_target where route_id = any($1) order by route_id, place",
        routes
    )
    .fetch_all(store.pool())
    .limited(STATEMENT)
    .await?;
    Ok(rows)
}

/// The domain of this name that receives its mail: who proves it now, else who did last, else who asked first.
pub(crate) async fn host(store: &Store, name: &str) -> Result<Option<HostRow>, StoreError> {
    let row = query_as!(
        HostRow,
        r#"select id, project_id, verified_at is not null as "was_verified!" from domain where name = $1
           order by state = 'verified' desc, verified_at desc nulls last, created_at, id limit 1"#,
        name
    )
    .fetch_optional(store.pool())
    .limited(STATEMENT)
    .await?;
    Ok(row)
}

/// Removes a route of a project, with its targets and its endpoint; false if there is none.
pub(crate) async fn remove(store: &Store, project: Uuid, id: Uuid) -> Result<bool, StoreError> {
    let done = query!("delete from route where project_id = $1 and id = $2", project, id).execute(store.pool()).limited(PATIENT).await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that the owner of a target agreed; false if the target is gone.
pub(crate) async fn confirm(store: &Store, route: Uuid, target: &str, at: OffsetDateTime) -> Result<bool, StoreError> {
    let done = query!("update route_target set confirmed_at = coalesce(confirmed_at, $3) where route_id = $1 and target = $2", route, target, at)
        .execute(store.pool())
        .limited(PATIENT)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Has targets asked again that did not agree and were asked before a moment; answers how many.
pub(crate) async fn ask_again(store: &Store, route: Uuid, before: OffsetDateTime) -> Result<u64, StoreError> {
    let done = query!(
        "update route_target set asked_at = null where route_id = $1 and confirmed_at is null and (asked_at is null or asked_at < $2)",
        route,
        before
    )
    .execute(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(done.rows_affected())
}

/// Notes that the owner of a target was asked.
pub(crate) async fn asked(store: &Store, route: Uuid, target: &str, at: OffsetDateTime) -> Result<(), StoreError> {
    query!("update route_target set asked_at = $3 where route_id = $1 and target = $2", route, target, at)
        .execute(store.pool())
        .limited(PATIENT)
        .await?;
    Ok(())
}
