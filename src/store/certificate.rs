//! Certificates, the orders for them, and what authorities ask for meanwhile. The only writer of these tables.
//!
//! Each change that nodes have to hear of counts `certificate_version` up, in the same statement or transaction.

use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;
use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT};
use super::{Store, StoreError, Tx};

/// A row of `certificate`.
#[derive(Clone, Debug)]
pub(crate) struct CertificateRow {
    pub(crate) id: Uuid,
    pub(crate) source: String,
    pub(crate) directory: Option<String>,
    pub(crate) names: Vec<String>,
    pub(crate) chain: String,
    pub(crate) private_key: Vec<u8>,
    pub(crate) issuer: String,
    pub(crate) not_before: OffsetDateTime,
    pub(crate) not_after: OffsetDateTime,
    pub(crate) created_at: OffsetDateTime,
}

/// A row of `certificate_order` as it is shown and worked with.
#[derive(Clone, Debug)]
pub(crate) struct OrderRow {
    pub(crate) directory: String,
    pub(crate) names: String,
    pub(crate) next_at: OffsetDateTime,
    pub(crate) forced: bool,
    pub(crate) certificate_id: Option<Uuid>,
    pub(crate) renew_at: Option<OffsetDateTime>,
    pub(crate) advice_at: Option<OffsetDateTime>,
    pub(crate) advice_start: Option<OffsetDateTime>,
    pub(crate) advice_end: Option<OffsetDateTime>,
    pub(crate) tried_at: Option<OffsetDateTime>,
    pub(crate) failures: i32,
    pub(crate) last_error: Option<String>,
}

/// What is written at the end of a look at an order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) next_at: OffsetDateTime,
    pub(crate) renew_at: Option<OffsetDateTime>,
    pub(crate) advice_at: Option<OffsetDateTime>,
    pub(crate) advice: Option<(OffsetDateTime, OffsetDateTime)>,
}

/// A row of `certificate_challenge`.
#[derive(Clone, Debug)]
pub(crate) struct ChallengeRow {
    pub(crate) id: Uuid,
    pub(crate) lease: Uuid,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) answer: String,
    pub(crate) expires_at: OffsetDateTime,
}

/// A number that is another one after each change.
pub(crate) async fn version(store: &Store) -> Result<i64, StoreError> {
    query_scalar!("select version from certificate_version").fetch_one(store.pool()).limited(STATEMENT).await
}

async fn changed(tx: &mut Tx) -> Result<(), StoreError> {
    query!("update certificate_version set version = version + 1").execute(&mut **tx).limited(STATEMENT).await?;
    Ok(())
}

/// The sealed credentials of the account with an authority, and the id they are sealed for.
pub(crate) async fn account(store: &Store, directory: &str) -> Result<Option<(Uuid, Vec<u8>)>, StoreError> {
    let row =
        query!("select id, credentials from acme_account where directory = $1", directory).fetch_optional(store.pool()).limited(STATEMENT).await?;
    Ok(row.map(|row| (row.id, row.credentials)))
}

/// Keeps an account. False: another node was first, whose account counts.
pub(crate) async fn put_account(store: &Store, id: Uuid, directory: &str, credentials: &[u8], at: OffsetDateTime) -> Result<bool, StoreError> {
    let done = query!(
        "insert into acme_account (id, directory, credentials, created_at) values ($1, $2, $3, $4) on conflict (directory) do nothing",
        id,
        directory,
        credentials,
        at
    )
    .execute(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets an account that the authority no longer knows.
pub(crate) async fn drop_account(store: &Store, id: Uuid) -> Result<(), StoreError> {
    query!("delete from acme_account where id = $1", id).execute(store.pool()).limited(STATEMENT).await?;
    Ok(())
}

/// All certificates: valid ones first, of those the imported ones, of those the newest.
pub(crate) async fn list(store: &Store, now: OffsetDateTime) -> Result<Vec<CertificateRow>, StoreError> {
    let order = query_as!(
        CertificateRow,
        "select * from certificate order by (not_after > $1 and not_before <= $1) desc, source desc, not_before desc, id desc",
        now
    );
    order.fetch_all(store.pool()).limited(PATIENT).await
}

/// Writes an imported certificate in place of earlier ones for the same names.
pub(crate) async fn import(store: &Store, row: &CertificateRow) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    query!("delete from certificate where source = 'import' and names = $1", &row.names).execute(&mut *tx).limited(STATEMENT).await?;
    insert(&mut tx, row).await?;
    changed(&mut tx).await?;
    Store::commit(tx).await
}

async fn insert(tx: &mut Tx, row: &CertificateRow) -> Result<(), StoreError> {
    query!(
        "insert into certificate (id, source, directory, names, chain, private_key, issuer, not_before, not_after, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        row.id,
        row.source,
        row.directory,
        &row.names,
        row.chain,
        row.private_key,
        row.issuer,
        row.not_before,
        row.not_after,
        row.created_at
    )
    .execute(&mut **tx)
    .limited(STATEMENT)
    .await?;
    Ok(())
}

/// Removes a certificate; false if there is none.
pub(crate) async fn remove(store: &Store, id: Uuid) -> Result<bool, StoreError> {
    let mut tx = store.begin().await?;
    let done = query!("delete from certificate where id = $1", id).execute(&mut *tx).limited(STATEMENT).await?;
    changed(&mut tx).await?;
    Store::commit(tx).await?;
    Ok(done.rows_affected() == 1)
}

/// Removes certificates that ended before `before`, and had by ACME those that another of the same names followed before it.
pub(crate) async fn drop_old(store: &Store, before: OffsetDateTime) -> Result<u64, StoreError> {
    let done = query!(
        "delete from certificate where not_after < $1
            or (source = 'acme' and exists (
                select from certificate later
                where later.source = 'acme' and later.directory = certificate.directory and later.names = certificate.names
                  and later.created_at > certificate.created_at and later.created_at < $1))",
        before
    )
    .execute(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(done.rows_affected())
}

/// Enters what is wanted, unless it is there; to be looked at from `at` on.
pub(crate) async fn want(store: &Store, directory: &str, names: &str, at: OffsetDateTime) -> Result<(), StoreError> {
    let entry = query!("insert into certificate_order (directory, names, next_at) values ($1, $2, $3) on conflict do nothing", directory, names, at);
    entry.execute(store.pool()).limited(PATIENT).await?;
    Ok(())
}

/// Everything that was ever wanted.
pub(crate) async fn orders(store: &Store) -> Result<Vec<OrderRow>, StoreError> {
    query_as!(
        OrderRow,
        "select directory, names, next_at, forced, certificate_id, renew_at, advice_at, advice_start, advice_end, tried_at, failures,
                last_error
         from certificate_order order by directory, names"
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await
}

/// Takes an order up that is due and that nobody else works on, until `until`. None: not due, or another node does.
pub(crate) async fn take(
    store: &Store,
    directory: &str,
    names: &str,
    lease: Uuid,
    [now, until]: [OffsetDateTime; 2],
) -> Result<Option<OrderRow>, StoreError> {
    query_as!(
        OrderRow,
        "update certificate_order set lease = $3, lease_until = $5
         where directory = $1 and names = $2 and (forced or next_at <= $4) and (lease_until is null or lease_until <= $4)
         returning directory, names, next_at, forced, certificate_id, renew_at, advice_at, advice_start, advice_end, tried_at, failures,
                   last_error",
        directory,
        names,
        lease,
        now,
        until
    )
    .fetch_optional(store.pool())
    .limited(STATEMENT)
    .await
}

/// Ends a look that needed no new certificate. False: the lease was lost.
pub(crate) async fn put_off(store: &Store, lease: Uuid, plan: Plan) -> Result<bool, StoreError> {
    let (start, end) = plan.advice.unzip();
    let done = query!(
        "update certificate_order
         set lease = null, lease_until = null, next_at = $2, renew_at = $3, advice_at = $4, advice_start = $5, advice_end = $6 where lease = $1",
        lease,
        plan.next_at,
        plan.renew_at,
        plan.advice_at,
        start,
        end
    )
    .execute(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Keeps the certificate that was had under a lease, and ends it. False, and nothing is kept: the lease was lost.
pub(crate) async fn succeed(store: &Store, lease: Uuid, row: &CertificateRow, plan: Plan) -> Result<bool, StoreError> {
    let mut tx = store.begin().await?;
    insert(&mut tx, row).await?;
    let done = query!(
        "update certificate_order
         set lease = null, lease_until = null, forced = false, certificate_id = $2, tried_at = $3, failures = 0, last_error = null,
             next_at = $4, renew_at = $5, advice_at = $6, advice_start = null, advice_end = null
         where lease = $1",
        lease,
        row.id,
        row.created_at,
        plan.next_at,
        plan.renew_at,
        plan.advice_at
    )
    .execute(&mut *tx)
    .limited(STATEMENT)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    changed(&mut tx).await?;
    Store::commit(tx).await?;
    Ok(true)
}

/// Notes that a try under a lease failed, and ends it. False: the lease was lost.
pub(crate) async fn fail(store: &Store, lease: Uuid, at: OffsetDateTime, next_at: OffsetDateTime, error: &str) -> Result<bool, StoreError> {
    let done = query!(
        "update certificate_order
         set lease = null, lease_until = null, forced = false, tried_at = $2, next_at = $3, failures = failures + 1, last_error = $4 where lease = $1",
        lease,
        at,
        next_at,
        error
    )
    .execute(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Asks for a look at all orders with an authority at once; with `forced` for new certificates. Answers how many there are.
pub(crate) async fn hurry(store: &Store, directory: &str, forced: bool, at: OffsetDateTime) -> Result<u64, StoreError> {
    let done = query!(
        "update certificate_order set forced = forced or $2, next_at = least(next_at, case when failures > 0 or $2 then $3 else next_at end)
         where directory = $1",
        directory,
        forced,
        at
    )
    .execute(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(done.rows_affected())
}

/// Writes what an authority will ask for.
pub(crate) async fn put_challenges(store: &Store, rows: &[ChallengeRow]) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    for row in rows {
        query!(
            "insert into certificate_challenge (id, lease, kind, name, token, answer, expires_at) values ($1, $2, $3, $4, $5, $6, $7)",
            row.id,
            row.lease,
            row.kind,
            row.name,
            row.token,
            row.answer,
            row.expires_at
        )
        .execute(&mut *tx)
        .limited(STATEMENT)
        .await?;
    }
    changed(&mut tx).await?;
    Store::commit(tx).await
}

/// What authorities may ask for.
pub(crate) async fn challenges(store: &Store) -> Result<Vec<ChallengeRow>, StoreError> {
    query_as!(ChallengeRow, "select * from certificate_challenge order by id").fetch_all(store.pool()).limited(STATEMENT).await
}

/// Forgets one of them.
pub(crate) async fn drop_challenge(store: &Store, id: Uuid) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    query!("delete from certificate_challenge where id = $1", id).execute(&mut *tx).limited(STATEMENT).await?;
    changed(&mut tx).await?;
    Store::commit(tx).await
}
