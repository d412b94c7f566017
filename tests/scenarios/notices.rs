//! Reports to authors of submitted mail: as asked for, in plain words, and once.

use std::time::Duration;

use pennypost::inbound::{Heard, Mailbox, Nothing};
use pennypost::mail::report::{Action, Arrival, DeliveryReport, read};
use pennypost::mail::verp::Named;
use pennypost::model::MessageId;
use serde_json::{Value, json};

use super::reports::inbound;
use super::smtp_submission;
use super::world::gateway::eventually;
use super::world::script::{TAKEN, after_hello};
use super::world::smtp::{SmtpClient, id_in};
use super::world::{Gateway, World};

/// Makes a message one that came by submission, with what its author asked for.
async fn submitted(world: &World, id: &str, dsn: Value) {
    let id = id.parse::<MessageId>().unwrap().uuid();
    let changed = world.execute(&format!("update message set origin = 2, metadata = '{}' where id = '{id}'", json!({ "dsn": dsn }))).await;
    assert_eq!(changed, 1);
}

/// The reports so far, oldest first: the message of the API and its octets.
async fn reports(gateway: &Gateway) -> Vec<(Value, String)> {
    let page = gateway.get("/v1/messages?limit=100&recipient=hello@sender.example").await.json();
    let mut found = Vec::new();
    for message in page["data"].as_array().unwrap().iter().rev() {
        let raw = gateway.get(&format!("/v1/messages/{}/raw", message["id"].as_str().unwrap())).await.text();
        found.push((message.clone(), raw));
    }
    found
}

/// Lets the time pass until there are as many reports, and then some more, in which there must not be another.
pub(super) async fn reports_are(world: &World, gateway: &Gateway, count: usize) -> Vec<(Value, String)> {
    eventually(|| async {
        world.advance(Duration::from_secs(6));
        let found = reports(gateway).await.len();
        if found >= count { Ok(()) } else { Err(format!("{found} reports and not {count}")) }
    })
    .await;
    for _ in 0..6 {
        world.advance(Duration::from_mins(1));
        assert_eq!(reports(gateway).await.len(), count);
    }
    reports(gateway).await
}

pub(super) fn told(raw: &str) -> (DeliveryReport, Vec<String>) {
    let Arrival::Delivery(report) = read(raw.as_bytes()) else { panic!("{raw}") };
    let recipients = report.recipients.iter().map(|it| format!("{} {}", it.recipient, it.action.name())).collect();
    (report, recipients)
}

#[tokio::test]
async fn who_submits_by_smtp_is_told_of_a_refusal_as_they_asked() {
    let world = smtp_submission::world().await;
    world.scripted_mx("refuse.example", &[&after_hello("C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no such user\n")]).await;
    let own = world.accepting_mx("sender.example").await;
    let gateway = world.gateway().await;
    let password = smtp_submission::user(&gateway, "hello@sender.example", &[]).await;
    let mut client = SmtpClient::connect_tls(gateway.running.submissions.unwrap()).await;
    client.sign_in("hello@sender.example", &password).await;
    client.expect("MAIL FROM:<hello@sender.example> RET=HDRS ENVID=order7", "250").await;
    client.expect("RCPT TO:<a@refuse.example> NOTIFY=FAILURE ORCPT=rfc822;old@refuse.example", "250").await;
    client.expect("DATA", "354").await;
    client.send("From: hello@sender.example\r\nTo: a@refuse.example\r\nSubject: Invitation\r\n\r\nCome and see.\r\n").await;
    let id = id_in(&client.say(".").await);
    gateway.delivery_in(&id, "a@refuse.example", "bounced").await;

    reports_are(&world, &gateway, 1).await;
    own.wait_for(1).await;
    let arrived = own.received().remove(0);
    assert_eq!((arrived.reverse_path.as_str(), arrived.recipients.as_slice()), ("", ["hello@sender.example".to_owned()].as_slice()));
    let raw = String::from_utf8(arrived.content.clone()).unwrap();
    let (report, recipients) = told(&raw);
    assert_eq!((recipients, report.envelope_id.as_deref()), (vec!["a@refuse.example failed".to_owned()], Some("order7")), "{raw}");
    assert!(raw.contains("Original-Recipient: rfc822;old@refuse.example") && raw.contains("Subject: Invitation"), "{raw}");
    assert!(!raw.contains("Come and see."), "only the header was asked for: {raw}");
    gateway.stop().await;
}

// R28
#[tokio::test]
async fn an_author_is_told_once_of_a_failure_unless_they_asked_not_to_be() {
    let world = World::new().await;
    let refuse = after_hello(
        "C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no such user\nC: RCPT\nS: 550 5.1.1 no such user\nC: RCPT\nS: 550 5.1.1 no such user\n",
    );
    world.scripted_mx("refuse.example", &[&refuse]).await;
    world.scripted_mx("api.example", &[&after_hello("C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no such user\n")]).await;
    world.scripted_mx("taken.example", &[&after_hello(TAKEN)]).await;
    let gateway = world.gateway().await;
    let of_api = gateway.send(&["a@api.example"]).await;
    gateway.delivery_in(&of_api, "a@api.example", "bounced").await;
    let to = ["a@refuse.example", "b@refuse.example", "c@refuse.example", "d@taken.example"];
    let raw =
        b"From: hello@sender.example\r\nTo: some@refuse.example\r\nSubject: Invitation\r\nMessage-ID: <i-1@sender.example>\r\n\r\nCome and see.\r\n";
    let id = gateway.send_raw(&to, raw).await;
    for recipient in &to[..3] {
        gateway.delivery_in(&id, recipient, "bounced").await;
    }
    gateway.delivery_in(&id, "d@taken.example", "delivered").await;
    let dsn = json!({ "envid": "E 1", "ret": "full", "recipients": { "B@refuse.example": { "notify": ["never"] }, "c@refuse.example": { "notify": ["failure"], "orcpt": "rfc822;see@old.example" } } });
    submitted(&world, &id, dsn).await;

    let found = reports_are(&world, &gateway, 1).await;
    let (message, raw) = &found[0];
    let (report, recipients) = told(raw);
    assert_eq!(recipients, ["a@refuse.example failed", "c@refuse.example failed"], "not the one of the API, not of b, not of d: {raw}");
    assert_eq!(message["reverse_path"], "", "nothing answers a report");
    assert!(
        raw.starts_with("DKIM-Signature: ")
            && raw.contains("\r\nFrom: Mail Delivery System <mailer-daemon@sender.example>\r\nTo: hello@sender.example\r\n"),
        "{raw}"
    );
    assert!(raw.contains("\r\nAuto-Submitted: auto-replied\r\n") && raw.contains("\r\nSubject: Not delivered: Invitation\r\n"), "{raw}");
    assert!(raw.contains("There is no such mailbox.") && raw.contains("Come and see."), "in plain words, and with the message: {raw}");
    assert_eq!(report.envelope_id.as_deref(), Some("E 1"));
    assert_eq!(report.original.message_id.as_deref(), Some("i-1@sender.example"));
    assert_eq!(report.recipients[1].original_recipient.as_ref().map(ToString::to_string).as_deref(), Some("see@old.example"));

    // A node that died after it sent the report and before it noted so.
    world.execute("update notice set told = '{}', pending = '{\"kind\": \"failed\", \"rcpt_nos\": [0, 2]}', check_at = '2000-01-01'").await;
    reports_are(&world, &gateway, 1).await;
    assert_eq!(world.number("select count(*) from notice where pending is null and told <> '{}'").await, 1, "it is noted now");

    // What comes back later is told as well.
    let inbound = inbound(&world, &gateway);
    let late = "From: MAILER-DAEMON@taken.example\r\nSubject: Undelivered\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n\
                Final-Recipient: rfc822; d@taken.example\r\nAction: failed\r\nStatus: 5.2.2\r\nDiagnostic-Code: smtp; 552 5.2.2 mailbox full\r\n\r\n--b\r\n\
                Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <i-1@sender.example>\r\n\r\n--b--\r\n";
    inbound.arrived(&[Mailbox::Complaints], late.as_bytes()).await.unwrap();
    let found = reports_are(&world, &gateway, 2).await;
    let (report, recipients) = told(&found[1].1);
    assert_eq!(recipients, ["d@taken.example failed"]);
    assert_eq!((report.recipients[0].code, found[1].1.contains("The mailbox is full.")), (Some(552), true), "{}", found[1].1);
    let figures = gateway.get("/metrics").await.text();
    assert!(figures.contains("pennypost_notices_total{kind=\"failed\"}"), "{figures}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_delay_is_told_after_four_hours_success_where_it_is_asked_for_and_nobody_answers_a_null_path() {
    let world = World::new().await;
    world.scripted_mx("busy.example", &[&after_hello("C: MAIL\nS: 250 ok\nC: RCPT\nS: 450 4.2.0 later\n")]).await;
    world.scripted_mx("taken.example", &[&after_hello(TAKEN)]).await;
    world.scripted_mx("refuse.example", &[&after_hello("C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no such user\n")]).await;
    let gateway = world.gateway().await;
    let success = gateway.send(&["bee@taken.example"]).await;
    gateway.delivery_in(&success, "bee@taken.example", "delivered").await;
    submitted(&world, &success, json!({ "recipients": { "bee@taken.example": { "notify": ["success", "failure"] } } })).await;
    let found = reports_are(&world, &gateway, 1).await;
    assert_eq!(told(&found[0].1).1, ["bee@taken.example relayed"]);
    assert!(found[0].1.contains("text/rfc822-headers") && !found[0].1.contains("A line."), "{}", found[0].1);

    let null = gateway.send(&["bee@refuse.example"]).await;
    gateway.delivery_in(&null, "bee@refuse.example", "bounced").await;
    submitted(&world, &null, json!({})).await;
    let uuid = null.parse::<MessageId>().unwrap().uuid();
    world.execute(&format!("update message set reverse_path = '' where id = '{uuid}'")).await;

    let waiting = gateway.send(&["ant@busy.example"]).await;
    gateway.attempted(&waiting, "ant@busy.example", 1).await;
    submitted(&world, &waiting, json!({})).await;
    world.advance(Duration::from_hours(3));
    reports_are(&world, &gateway, 1).await;
    world.advance(Duration::from_hours(1));
    let found = reports_are(&world, &gateway, 2).await;
    let (report, recipients) = told(&found[1].1);
    assert_eq!((recipients, report.recipients[0].action), (vec!["ant@busy.example delayed".to_owned()], Action::Delayed));
    assert!(found[1].1.contains("You need not do\r\nanything") && found[1].1.contains("Will-Retry-Until: "), "{}", found[1].1);
    world.advance(Duration::from_hours(144));
    let found = reports_are(&world, &gateway, 3).await;
    assert_eq!(told(&found[2].1).1, ["ant@busy.example failed"]);

    // What is over is forgotten a week later, for good.
    assert_ne!(world.number("select count(*) from notice").await, 0);
    world.advance(Duration::from_hours(7 * 24));
    eventually(|| async {
        world.advance(Duration::from_secs(6));
        let left = world.number("select count(*) from notice").await;
        if left == 0 { Ok(()) } else { Err(format!("{left} are looked after")) }
    })
    .await;
    let inbound = inbound(&world, &gateway);
    let late = "From: MAILER-DAEMON@taken.example\r\nSubject: Delivered\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n\
                Final-Recipient: rfc822; bee@taken.example\r\nAction: delivered\r\nStatus: 2.0.0\r\n\r\n--b--\r\n";
    let about = Mailbox::Bounce(Named::Message(success.parse().unwrap()));
    assert_eq!(inbound.arrived(&[about], late.as_bytes()).await.unwrap(), [Heard::Nothing(Nothing::NoFailure)], "nor by a late report");
    reports_are(&world, &gateway, 3).await;
    assert_eq!(world.number("select count(*) from notice").await, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn mail_that_is_sent_later_and_lives_long_has_its_reports() {
    let world = World::new().await;
    world.scripted_mx("busy.example", &[&after_hello("C: MAIL\nS: 250 ok\nC: RCPT\nS: 450 4.2.0 later\n")]).await;
    world.scripted_mx("refuse.example", &[&after_hello("C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no such user\n")]).await;
    let gateway = world.gateway().await;
    let in_days = |days: i64| (world.clock.now() + time::Duration::days(days)).format(&time::format_description::well_known::Rfc3339).unwrap();
    let refused = gateway.send_with(&["a@refuse.example"], json!({ "send_at": in_days(8) })).await;
    let greylisted = gateway.send_with(&["ant@busy.example"], json!({ "send_at": in_days(9) })).await;
    for id in [&refused, &greylisted] {
        submitted(&world, id, json!({})).await;
    }
    // They are taken up, and the week in which a message that is over is looked after passes.
    eventually(|| async {
        world.advance(Duration::from_secs(6));
        if world.number("select count(*) from notice where check_at > now() + interval '6 days'").await == 2 {
            Ok(())
        } else {
            Err("not taken up".to_owned())
        }
    })
    .await;
    for _ in 0..8 {
        world.advance(Duration::from_hours(24));
    }
    gateway.delivery_in(&refused, "a@refuse.example", "bounced").await;
    let found = reports_are(&world, &gateway, 1).await;
    assert_eq!(told(&found[0].1).1, ["a@refuse.example failed"]);
    world.advance(Duration::from_hours(24));
    gateway.attempted(&greylisted, "ant@busy.example", 1).await;
    reports_are(&world, &gateway, 1).await;
    world.advance(Duration::from_hours(4));
    let found = reports_are(&world, &gateway, 2).await;
    assert_eq!(told(&found[1].1).1, ["ant@busy.example delayed"], "four hours after it was to be sent, not at its first greylisting");
    gateway.stop().await;
}
