//! Reports that authors are owed: which submitted messages have to be looked at, and what was told about each.
//!
//! Answers: messages that came by submission and are not looked after yet, those whose time has come, and what is about to be told, written before it is
//! told, so that a node that dies in between leads to no second report. Does not: say what is due; `ops::notices` does.
//!
//! `check_at` has three writers: who takes a message up, who has looked at it, and what comes back about it in the meantime. The last one wins: who has
//! looked moves the time only if it is still the one that was set when the message was taken up.

use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;
use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT};
use super::{Store, StoreError, Tx};

/// A message that has to be looked at.
#[derive(Debug)]
pub(crate) struct NoticeRow {
    pub(crate) message_id: Uuid,
    pub(crate) project_id: Uuid,
    /// Recipients' places and what was told about each.
    pub(crate) told: serde_json::Value,
    /// What is about to be told.
    pub(crate) pending: Option<serde_json::Value>,
    /// Recipients' places and the success that was reported to us about each.
    pub(crate) reported: serde_json::Value,
    /// Until when nobody else takes it up; marks this look.
    pub(crate) lease: OffsetDateTime,
}

/// What is to follow a look: the message, the lease of the look, and when to look again.
pub(crate) type Looked = (Uuid, OffsetDateTime, OffsetDateTime);

/// Takes up submitted messages from `from` on that are not looked after; answers their ids in order.
pub(crate) async fn discover(tx: &mut Tx, from: Uuid, check_at: OffsetDateTime, limit: i64) -> Result<Vec<Uuid>, StoreError> {
    let mut ids = query_scalar!(
        "insert into notice (message_id, project_id, check_at)
         -- The conditions are those of the index.
         select m.id, m.project_id, $2 from message m
         where m.origin = 2 and m.reverse_path <> '' and m.id > $1 and not exists (select 1 from notice n where n.message_id = m.id)
         order by m.id limit $3
         on conflict do nothing returning message_id",
        from,
        check_at,
        limit
    )
    .fetch_all(&mut **tx)
    .limited(PATIENT)
    .await?;
    ids.sort_unstable();
    Ok(ids)
}

/// Messages whose time has come; nobody else gets them until `until`.
pub(crate) async fn due(store: &Store, now: OffsetDateTime, until: OffsetDateTime, limit: i64) -> Result<Vec<NoticeRow>, StoreError> {
    let rows = query_as!(
        NoticeRow,
        r#"update notice set check_at = $2
           where message_id in (select message_id from notice where check_at <= $1 order by check_at limit $3 for update skip locked)
           returning message_id, project_id, told, pending as "pending?: serde_json::Value", reported, check_at as lease"#,
        now,
        until,
        limit
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(rows)
}

/// Keeps what was told and is about to be.
pub(crate) async fn keep(store: &Store, message: Uuid, told: &serde_json::Value, pending: Option<&serde_json::Value>) -> Result<(), StoreError> {
    query!("update notice set told = $2, pending = $3 where message_id = $1", message, told, pending as _)
        .execute(store.pool())
        .limited(STATEMENT)
        .await?;
    Ok(())
}

/// Has messages looked at again at their times, those of them about which nothing came in the meantime; the others at once.
pub(crate) async fn postpone(store: &Store, looked: &[Looked]) -> Result<(), StoreError> {
    let (ids, leases, again) = columns(looked);
    query!(
        "update notice n set check_at = l.again from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) as l (id, lease, again)
         where n.message_id = l.id and n.check_at = l.lease",
        &ids,
        &leases,
        &again
    )
    .execute(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(())
}

/// Looks after messages no more, those of them about which nothing came in the meantime.
pub(crate) async fn forget(store: &Store, looked: &[Looked]) -> Result<(), StoreError> {
    let (ids, leases, _) = columns(looked);
    query!(
        "delete from notice n using unnest($1::uuid[], $2::timestamptz[]) as l (id, lease) where n.message_id = l.id and n.check_at = l.lease",
        &ids,
        &leases
    )
    .execute(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(())
}

fn columns(looked: &[Looked]) -> (Vec<Uuid>, Vec<OffsetDateTime>, Vec<OffsetDateTime>) {
    (looked.iter().map(|row| row.0).collect(), looked.iter().map(|row| row.1).collect(), looked.iter().map(|row| row.2).collect())
}

/// Has a message looked at now: something was reported about it.
pub(crate) async fn wake(tx: &mut Tx, message: Uuid, now: OffsetDateTime) -> Result<(), StoreError> {
    query!("update notice set check_at = least(check_at, $2) where message_id = $1", message, now).execute(&mut **tx).limited(STATEMENT).await?;
    Ok(())
}

/// Notes successes that were reported to us, by the place of the recipient, and has the message looked at now. False: nobody is told of this message, which did not
/// come by submission, or is older than `from` and forgotten.
pub(crate) async fn note_success(
    tx: &mut Tx,
    message: Uuid,
    reported: &serde_json::Value,
    now: OffsetDateTime,
    from: Uuid,
) -> Result<bool, StoreError> {
    let done = query!(
        "insert into notice (message_id, project_id, check_at, reported)
         select m.id, m.project_id, $3, $2 from message m
         where m.id = $1 and m.origin = 2 and m.reverse_path <> ''
           -- What was forgotten must not begin anew, with nothing told.
           and (m.id >= $4 or exists (select 1 from notice n where n.message_id = m.id))
         on conflict (message_id) do update set
           -- What was said first stays.
           reported = excluded.reported || notice.reported, check_at = least(notice.check_at, excluded.check_at)",
        message,
        reported,
        now,
        from
    )
    .execute(&mut **tx)
    .limited(STATEMENT)
    .await?;
    Ok(done.rows_affected() > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::model::ProjectId;
    use crate::store::{project, test_database};

    #[tokio::test]
    async fn what_comes_back_during_a_look_wins_over_the_look() {
        let (store, clock) = (test_database::fresh().await, Clock::system());
        project::find_or_make(&store, "notices", ProjectId::from_uuid(clock.uuid())).await.unwrap();
        let four = "insert into notice (message_id, project_id, check_at)
                    select gen_random_uuid(), p.id, now() from project p, generate_series(1, 4) where p.name = 'notices'";
        test_database::run(&store, four).await;
        let now = clock.now() + Duration::SECOND;
        let (until, later) = (now + Duration::MINUTE, now + Duration::DAY);
        let rows = due(&store, now, until, 10).await.unwrap();
        let [quiet, told, over, reported] = rows.as_slice() else { panic!("{rows:?}") };
        assert!(due(&store, now, until, 10).await.unwrap().is_empty(), "they are taken up");

        keep(&store, told.message_id, &json!({ "0": ["failed"] }), None).await.unwrap();
        for woken in [told, reported] {
            let mut tx = store.begin().await.unwrap();
            wake(&mut tx, woken.message_id, now).await.unwrap();
            Store::commit(tx).await.unwrap();
        }
        let looked = |row: &NoticeRow| (row.message_id, row.lease, later);
        postpone(&store, &[looked(quiet), looked(told)]).await.unwrap();
        forget(&store, &[looked(over), looked(reported)]).await.unwrap();

        let again = due(&store, now, until, 10).await.unwrap();
        let mut ids: Vec<Uuid> = again.iter().map(|row| row.message_id).collect();
        let mut expected = [told.message_id, reported.message_id];
        (ids.sort_unstable(), expected.sort_unstable());
        assert_eq!(ids, expected, "neither put off nor forgotten");
        assert!(again.iter().any(|row| row.message_id == told.message_id && row.told == json!({ "0": ["failed"] })));
        assert_eq!(due(&store, later, later + Duration::MINUTE, 10).await.unwrap().len(), 3, "the quiet one was put off, what is over is gone");
    }
}
