//! The consent of those whom routes forward to. The rows themselves are made with their route (`store::route`).

use sqlx::query_as;
use uuid::Uuid;

use super::limit::{Limited, PATIENT};
use super::{Store, StoreError};

/// A target whose owner is asked.
#[derive(Debug)]
pub(crate) struct ConsentRow {
    pub(crate) local: String,
    pub(crate) domain: String,
    pub(crate) confirmed: bool,
}

/// A target whose owner is to be asked.
#[derive(Debug)]
pub(crate) struct ToAskRow {
    pub(crate) project_id: Uuid,
    pub(crate) route_id: Uuid,
    pub(crate) local: String,
    pub(crate) domain: String,
    pub(crate) target: String,
}

/// One target of a route.
pub(crate) async fn find(store: &Store, route: Uuid, target: &str) -> Result<Option<ConsentRow>, StoreError> {
    query_as!(
        ConsentRow,
        r#"select r.local, d.name as domain, t.confirmed_at is not null as "confirmed!"
           from route_target t join route r on r.id = t.route_id join domain d on d.id = r.domain_id
           where t.route_id = $1 and t.target = $2"#,
        route,
        target
    )
    .fetch_optional(store.pool())
    .limited(PATIENT)
    .await
}

/// Targets that nobody asked yet, of domains that may send.
pub(crate) async fn to_ask(store: &Store, unverified: bool, limit: i64) -> Result<Vec<ToAskRow>, StoreError> {
    query_as!(
        ToAskRow,
        "select r.project_id, t.route_id, r.local, d.name as domain, t.target
         from route_target t join route r on r.id = t.route_id join domain d on d.id = r.domain_id
         where t.asked_at is null and t.confirmed_at is null and (d.state = 'verified' or $1)
         order by t.route_id, t.place limit $2",
        unverified,
        limit
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await
}
