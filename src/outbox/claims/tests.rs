//! Room, seats, pauses, and claims that end unsettled.

use std::time::Duration;

use super::*;
use crate::clock::Clock;

fn delivery(rcpt_no: u16) -> DeliveryId {
    DeliveryId { message: MessageId::from_uuid(uuid::Uuid::from_u128(1)), rcpt_no }
}

#[test]
fn content_beyond_the_limit_waits_until_there_is_room() {
    let claims = Claims::new(10_000);
    let first = claims.grant(6_000);
    assert!(first.is_some());
    assert!(claims.grant(6_000).is_none());
    drop(first);
    assert!(claims.grant(50_000).is_some(), "a message larger than the limit goes alone");
}

#[test]
fn a_full_lane_sends_newcomers_to_the_database_until_the_backlog_is_fetched() {
    let (claims, now) = (Claims::new(usize::MAX), Clock::system().tick());
    let seats: Vec<_> = (0..1_000).filter_map(|number| claims.seat_for_new(7, delivery(number), now)).collect();
    assert_eq!(seats.len(), SEATS_PER_LANE);
    assert!(claims.seat_for_new(7, delivery(0), now).is_none());
    assert!(claims.seat_for_new(8, delivery(0), now).is_some(), "another lane is not affected");
    drop(seats);
    assert!(claims.seat_for_new(7, delivery(0), now).is_none(), "those in the database come first");
    claims.set_backlog(7, false);
    assert!(claims.seat_for_new(7, delivery(0), now).is_some());
}

#[test]
fn a_paused_lane_has_no_seats() {
    let (claims, now) = (Claims::new(usize::MAX), Clock::system().tick());
    claims.pause(7, now.plus(Duration::from_mins(1)));
    assert!(claims.seat_for_new(7, delivery(0), now).is_none());
    assert_eq!(claims.free_seats(7, now), 0);
    assert_eq!(claims.free_seats(7, now.plus(Duration::from_mins(2))), SEATS_PER_LANE);
    assert_eq!(claims.free_seats_in_a_hurry(7), SEATS_PER_LANE, "but for those that somebody asked for");
    claims.resume(7);
    assert_eq!(claims.free_seats(7, now), SEATS_PER_LANE);
}

fn claimed(claims: &Arc<Claims>, rcpt_no: u16) -> ClaimedDelivery {
    let message = Arc::new(OutboundMessage {
        id: delivery(0).message,
        project: ProjectId::from_uuid(uuid::Uuid::nil()),
        stream: Box::from(""),
        domain: None,
        reverse_path: ReversePath::from_stored("").unwrap(),
        content: Bytes::new(),
        eight_bit: false,
        smtputf8: false,
        tls: TlsNeed::ByPolicy,
        reports: None,
        signature: OnceCell::new(),
        grant: claims.grant(10).unwrap(),
    });
    let facts = ClaimFacts {
        owner: 5,
        rcpt_no,
        recipient: EmailAddress::parse("bee@example.net").unwrap(),
        attempt: 0,
        priority: Priority::Normal,
        expires_at: OffsetDateTime::UNIX_EPOCH,
        hurry: Hurry::None,
    };
    ClaimedDelivery::new(message, claims.seat_for_fetched(7, delivery(rcpt_no)), facts)
}

#[test]
fn a_claim_dropped_unsettled_is_noted_and_a_settled_one_is_not() {
    let claims = Claims::new(usize::MAX);
    let (mut settled, unsettled) = (claimed(&claims, 1), claimed(&claims, 2));
    settled.mark_settled();
    drop((settled, unsettled));
    assert_eq!(claims.take_dropped(), [Dropped { owner: 5, id: delivery(2), uncertain: false }]);
    assert_eq!(claims.take_dropped(), []);
    assert_eq!(claims.held(), (0, 0));
}

#[test]
fn a_claim_whose_task_panicked_is_noted_as_uncertain() {
    let claims = Claims::new(usize::MAX);
    let claim = claimed(&claims, 3);
    let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _claim = claim;
        panic!("as a task does");
    }));
    assert!(broken.is_err());
    assert_eq!(claims.take_dropped(), [Dropped { owner: 5, id: delivery(3), uncertain: true }]);
}

#[test]
fn a_claim_that_is_held_again_is_not_given_back_a_second_time() {
    let claims = Claims::new(usize::MAX);
    drop(claimed(&claims, 4));
    let again = claimed(&claims, 4);
    assert_eq!(claims.take_dropped(), []);
    let mut ids = vec![delivery(4), delivery(6)];
    claims.retain_unknown(&mut ids);
    assert_eq!(ids, [delivery(6)], "only what nobody knows is an orphan");
    drop(again);
    assert_eq!(claims.take_dropped().len(), 1);
}

#[test]
fn lanes_where_nothing_waits_any_more_are_forgotten() {
    let (claims, now) = (Claims::new(usize::MAX), Clock::system().tick());
    claims.pause(7, now.plus(Duration::from_mins(1)));
    assert!(claims.seat_for_new(7, delivery(0), now).is_none());
    claims.only_backlogs(&HashSet::from([8]));
    claims.tidy(now.plus(Duration::from_mins(2)));
    assert!(claims.lanes.lock().is_empty());
}
