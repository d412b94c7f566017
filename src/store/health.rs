//! What an operator asks of the database: is it set to keep what it is given, and how did the mail of a time fare. Writes nothing.

use sqlx::{query, query_as};
use uuid::Uuid;

use super::limit::{Limited, PATIENT};
use super::{Store, StoreError};
use crate::model::ProjectId;

/// How many events of each kind there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow(Vec<Kind>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    number: i16,
    count: i64,
    encrypted: i64,
}

impl Flow {
    /// Events of a kind, by its number in the database.
    #[must_use]
    pub fn count(&self, kind: i16) -> i64 {
        self.0.iter().filter(|found| found.number == kind).map(|found| found.count).sum()
    }

    /// Those of them that tell of a session over TLS.
    #[must_use]
    pub fn encrypted(&self, kind: i16) -> i64 {
        self.0.iter().filter(|found| found.number == kind).map(|found| found.encrypted).sum()
    }
}

impl Store {
    /// The settings with which the server could lose what it confirmed, with their values; none if all are as they should be.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unsafe_settings(&self) -> Result<Vec<(String, String)>, StoreError> {
        let rows = query!(r#"select name as "name!", setting as "setting!" from pg_settings where name in ('fsync', 'full_page_writes') and setting <> 'on' order by name"#)
            .fetch_all(self.pool())
            .limited(PATIENT)
            .await?;
        Ok(rows.into_iter().map(|row| (row.name, row.setting)).collect())
    }

    /// The events of a project between two ids, counted by kind.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn flow(&self, project: ProjectId, from: Uuid, to: Uuid) -> Result<Flow, StoreError> {
        let rows = query_as!(
            Kind,
            r#"select kind as number, count(*) as "count!", count(*) filter (where data->>'tls' is not null) as "encrypted!"
                 from event where project_id = $1 and id >= $2 and id < $3 group by kind"#,
            project.uuid(),
            from,
            to
        )
        .fetch_all(self.pool())
        .limited(PATIENT)
        .await?;
        Ok(Flow(rows))
    }
}
