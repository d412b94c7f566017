//! Clocks that are wrong: what one machine's wall clock says reaches neither schedules nor ends (fault L4).

use pennypost::lab::sink::{Behaviour, SinkSettings};
use serde_json::json;
use time::Duration;
use time::format_description::well_known::Rfc3339;

use super::world::World;
use super::world::telling::{attempts, kinds, time_of, told};

fn seconds(count: u64) -> std::time::Duration {
    std::time::Duration::from_secs(count)
}

#[tokio::test]
async fn a_clock_that_jumps_expires_nothing_sends_nothing_early_and_delays_nothing() {
    let world = World::new().await;
    let busy = SinkSettings { behaviour: Behaviour::Refuse("450 4.2.1 mailbox busy".into()), by_local_part: false, ..SinkSettings::default() };
    let (refusing, taking) = (world.mx("busy.example", busy).await, world.accepting_mx("example.net").await);
    let clock = world.clock.of_another_machine();
    // It is wrong from the start, and then in other ways.
    clock.skew(Duration::days(365));
    let gateway = world.gateway_on(&clock).await;
    for (number, skew) in [Duration::days(-365), Duration::days(365), -Duration::hours(1), Duration::ZERO].into_iter().enumerate() {
        let recipient = format!("bee{number}@busy.example");
        let id = gateway.send(&[&recipient]).await;
        gateway.attempted(&id, &recipient, 1).await;
        clock.skew(skew);
        world.advance(seconds(40));
        let other = gateway.send(&["bee@example.net"]).await;
        gateway.delivery_in(&other, "bee@example.net", "delivered").await;
        let lives = time_of(&gateway.message(&other).await["expires_at"]) - world.clock.now();
        assert!((lives - Duration::days(5)).abs() < Duration::minutes(1), "{skew}: {lives}");
        let delivery = gateway.delivery(&id, &recipient).await;
        assert_eq!((told(&delivery).as_str(), attempts(&delivery)), ("queued deferred rcpt recipient 4.2.1", 1), "{skew}: not sooner");
        let made = refusing.counts().connections;
        world.advance(seconds(40));
        let delivery = gateway.attempted(&id, &recipient, 2).await;
        assert_eq!(told(&delivery), "queued deferred rcpt recipient 4.2.1", "{skew}");
        let left = time_of(&delivery["next_attempt_at"]) - world.clock.now();
        assert!(left > Duration::minutes(3) && left < Duration::minutes(7), "{skew}: {left}");
        assert!(refusing.counts().connections > made);
        assert_eq!(gateway.post(&format!("/v1/messages/{id}/cancel"), &json!({})).await.status, 200);
    }
    assert_eq!(taking.counts().messages, 4, "each once");
    gateway.stop().await;
}

#[tokio::test]
async fn nothing_expires_while_two_clocks_disagree() {
    let world = World::new().await;
    world.publish_host("dead.example");
    let clock = world.clock.of_another_machine();
    clock.skew(Duration::hours(2));
    let gateway = world.gateway_on(&clock).await;
    let end = (world.clock.now() + Duration::seconds(90)).format(&Rfc3339).unwrap();
    let id = gateway.send_with(&["bee@dead.example"], json!({ "expires_at": end })).await;
    gateway.attempted(&id, "bee@dead.example", 1).await;
    // Behind its end it is tried further, at the times of the schedule.
    for number in 2..5 {
        world.advance(seconds(1_200));
        let delivery = gateway.attempted(&id, "bee@dead.example", number).await;
        assert_eq!((told(&delivery).as_str(), attempts(&delivery)), ("queued deferred connect host 4.4.1", number));
    }
    clock.skew(Duration::minutes(30));
    world.advance(seconds(2));
    world.advance(seconds(14_400));
    gateway.delivery_in(&id, "bee@dead.example", "expired").await;
    assert_eq!(kinds(&gateway.message(&id).await).iter().filter(|kind| **kind == "expired").count(), 1);
    gateway.stop().await;
}
