//! The audit itself: that it finds what was lost, doubled or invented. An audit that cannot fail proves nothing.

use nix::sys::signal::Signal;

use super::audit::{Findings, audit};
use super::book::Stage;
use super::dice::Dice;
use super::node::Node;
use super::{Field, Plan, Progress};
use crate::world::World;
use sqlx::{Connection, PgConnection};

async fn found(field: &Field) -> Findings {
    let posted = field.load.posted.lock().unwrap().clone();
    audit(&field.world.database_url, &field.book, &posted).await
}

#[tokio::test]
async fn the_audit_finds_what_was_lost_doubled_or_invented() {
    let plan = Plan { dice: Dice::from_env("AUDIT_SEED"), hosts: 3, nasty: false, messages: 6, large: 100 };
    let field = Box::pin(Field::new(World::new().await, plan)).await;
    field.load.targets.lock().unwrap().truncate(1);
    let node = Node::start(&field.world, field.nodes[0], None);
    field.load.run(2).await;
    let mut operator = PgConnection::connect(&field.world.database_url).await.unwrap();
    let mut progress = Progress::new(&field.clock);
    while field.left(&mut operator).await.unwrap() > 0 {
        progress.note(field.left(&mut operator).await.unwrap());
        field.clock.sleep(super::PATIENCE / 2_000).await;
    }
    let clean = field.audit(&node).await;
    assert!(clean.complaints.is_empty(), "{clean:#?}");
    assert_eq!(clean.line(0), "kills=0 lost=0 duplicated=0 labelled=0");
    assert_eq!((clean.messages, clean.delivered), (6, clean.recipients));

    let recipients = field.load.recipients(1);
    let hash = field.book.read(|pages| pages.kept[&recipients[0]][0]);
    field.book.keep(&recipients[..1], hash);
    let doubled = found(&field).await;
    assert_eq!((doubled.duplicated, doubled.labelled, doubled.complaints.len()), (1, 0, 1), "{doubled:#?}");
    // The same copy, told of: the id is that of another event, since partitions go by it.
    field
        .world
        .execute(&format!(
            "insert into event (id, project_id, message_id, rcpt_no, kind, recipient, data)
             select id, project_id, message_id, rcpt_no, 2, recipient, '{{\"stage\":\"end_of_data\",\"reply\":\"-\",\"outcome_unknown\":true}}'
             from event where recipient = '{}' limit 1",
            recipients[0]
        ))
        .await;
    let told = found(&field).await;
    assert_eq!((told.duplicated, told.labelled, told.unknown, told.complaints.len()), (1, 1, 1, 0), "{told:#?}");
    field.book.keep(&recipients[..1], hash + 1);
    assert!(found(&field).await.complaints.iter().any(|complaint| complaint.contains("2 forms")), "a copy that differs");
    let ghost = ["nobody@d0.storm.example".to_owned()];
    field.book.keep(&ghost, hash);
    field.book.say(0, 2, Stage::Dot, &ghost);
    assert!(found(&field).await.complaints.iter().any(|complaint| complaint.contains("not stored")), "a ghost");

    for (damage, sign) in [
        (
            "update event set data = '{\"stage\":\"end_of_data\",\"reply\":\"250 taken t0-999999\"}' where kind = 3 and recipient like 'm2-0@%'",
            "the host's book",
        ),
        ("update event set kind = 4 where kind = 3 and recipient like 'm3-0@%'", "the host's book"),
        ("delete from event where kind = 3 and recipient like 'm4-0@%'", "recipients have events"),
        ("delete from message where subject = 'm0'", "is not stored"),
        (
            "insert into delivery (message_id, rcpt_no, project_id, lane, owner, priority, next_at, expires_at, recipient)
          select message_id, 99, project_id, 0, -1, 1, now(), now(), 'x@example.net' from event limit 1",
            "outstanding",
        ),
    ] {
        let before = found(&field).await.complaints;
        field.world.execute(damage).await;
        let after = found(&field).await.complaints;
        assert!(after.len() > before.len() && after.iter().any(|complaint| complaint.contains(sign)), "{damage}: {after:#?}");
    }
    assert!(found(&field).await.lost >= 2);
    node.signal(Signal::SIGTERM);
}
