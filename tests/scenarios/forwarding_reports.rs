//! What comes back about mail that was passed on: given to a sender who is proven, and to nobody else.

use std::time::Duration;

use super::forwarding::{brought, forward, forwarding_world, letter};
use super::return_path::reverse_paths;
use super::world::gateway::eventually;
use super::world::script::{TAKEN, after_hello};

const REPORT: &str = "From: MAILER-DAEMON@else.example\r\nSubject: Undelivered\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
    --b\r\n\r\nSorry.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.else.example\r\n\r\n\
    Final-Recipient: rfc822; bee@else.example\r\nAction: failed\r\nStatus: 5.2.2\r\n\r\n--b--\r\n";

#[tokio::test]
async fn a_report_to_our_reverse_path_goes_back_to_a_sender_who_is_proven() {
    let (world, gateway) = forwarding_world(|_| {}).await;
    world.zone.add("forged.example TXT \"v=spf1 -all\"").unwrap();
    let next = world.scripted_mx("else.example", &[&after_hello(&TAKEN.repeat(4))]).await;
    let proven = world.scripted_mx("world.example", &[&after_hello(&TAKEN.repeat(9))]).await;
    let forged = world.scripted_mx("forged.example", &[&after_hello(&TAKEN.repeat(9))]).await;
    forward(&world, &gateway, "info@sender.example", &["bee@else.example"]).await;
    for from in ["bee@world.example", "bee@forged.example"] {
        let reply = brought(&gateway, from, "info@sender.example", &letter(from)).await;
        assert_eq!(reply, "250 2.0.0 taken");
    }
    let [ours, borrowed] = <[String; 2]>::try_from(reverse_paths(&next)).unwrap();

    let wrong = ours.replacen(ours.chars().nth(8).unwrap(), "7", 1);
    assert!(brought(&gateway, "", &wrong, REPORT).await.starts_with("550 5.7.1"), "a path that we did not make");
    assert!(brought(&gateway, "x@else.example", &ours, REPORT).await.starts_with("550 5.7.1"), "only reports come back");
    assert_eq!(brought(&gateway, "", &ours, REPORT).await, "250 2.6.0 heard");
    assert_eq!(brought(&gateway, "", &borrowed, REPORT).await, "250 2.6.0 heard");
    let back = eventually(|| async { proven.copies().pop().ok_or_else(|| "not given back yet".to_owned()) }).await;
    let text = String::from_utf8(back.content).unwrap();
    assert!(back.recipient == "bee@world.example" && text.ends_with(REPORT) && text.starts_with("Received: "), "{text}");
    assert!(proven.heard().iter().any(|line| line.starts_with("MAIL FROM:<>")));

    // The same again is known; others go back until there were five.
    assert_eq!(brought(&gateway, "", &ours, REPORT).await, "250 2.6.0 heard");
    for number in 0..6 {
        assert_eq!(brought(&gateway, "", &ours, &REPORT.replace("Sorry", &format!("Sorry {number}"))).await, "250 2.6.0 heard");
    }
    assert_eq!(world.number("select count(*) from message where reverse_path = '' and origin = 4").await, 4);
    assert!(forged.copies().is_empty(), "a name that was borrowed gets nothing");

    world.advance(Duration::from_hours(24 * 22));
    assert!(brought(&gateway, "", &ours, REPORT).await.starts_with("550 5.1.1"), "it has expired");
    gateway.stop().await;
}

#[tokio::test]
async fn what_fails_after_the_session_is_told_to_a_sender_who_is_proven() {
    let (world, gateway) = forwarding_world(|_| {}).await;
    world.zone.add("forged.example TXT \"v=spf1 -all\"").unwrap();
    let grey = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 451 4.7.1 come back\nC: \nS: 250 ok\n";
    let refusing = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.2.2 mailbox full\nC: \nS: 250 ok\n";
    let next = world.scripted_mx("else.example", &[&after_hello(&grey.repeat(3)), &after_hello(&refusing.repeat(9))]).await;
    let proven = world.scripted_mx("world.example", &[&after_hello(&TAKEN.repeat(9))]).await;
    let forged = world.scripted_mx("forged.example", &[&after_hello(&TAKEN.repeat(9))]).await;
    forward(&world, &gateway, "info@sender.example", &["bee@else.example"]).await;
    for from in ["bee@world.example", "bee@forged.example", ""] {
        let reply = brought(&gateway, from, "info@sender.example", &letter(&format!("late-{}", from.len()))).await;
        assert!(reply.starts_with("250 2.0.0 taken as msg_"), "{reply}");
    }
    world.advance(Duration::from_mins(20));
    eventually(|| async {
        let waiting = world.number("select count(*) from delivery").await;
        (waiting == 0).then_some(()).ok_or_else(|| format!("{waiting} wait; heard {:?}", next.heard()))
    })
    .await;
    world.advance(Duration::from_mins(11));
    let report = eventually(|| async { proven.copies().pop().ok_or_else(|| "no report yet".to_owned()) }).await;
    let text = String::from_utf8(report.content).unwrap();
    assert!(text.contains("550 5.2.2 mailbox full") && text.contains("From: Mail Delivery System <mailer-daemon@sender.example>"), "{text}");
    eventually(|| async {
        let open = world.number("select count(*) from forwarded where check_at is not null").await;
        (open == 0).then_some(()).ok_or_else(|| format!("{open} are open"))
    })
    .await;
    assert_eq!((proven.copies().len(), forged.copies().len()), (1, 0));
    gateway.stop().await;
}
