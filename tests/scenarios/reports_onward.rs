//! What submitters ask of delivery reports (RFC 3461), passed on to next hops that offer them; and the reports of success that come of it.

use std::time::Duration;

use pennypost::inbound::{Heard, Nothing};
use pennypost::model::EmailAddress;
use serde_json::json;

use super::notices::{reports_are, told};
use super::reports::{arrived, inbound};
use super::return_path::{publish, reverse_paths};
use super::smtp_submission;
use super::world::gateway::eventually;
use super::world::script::{TAKEN, after_hello};
use super::world::smtp::{SmtpClient, id_in};
use super::world::telling::last_attempt;
use super::world::{Gateway, ScriptedHost, World};

/// Greeting and EHLO of a host that offers reports, then `steps`.
fn with_reports(steps: &str) -> String {
    format!("S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 DSN\n{steps}")
}

/// Submits a message; `envelope` is MAIL and RCPTs.
async fn submit(gateway: &Gateway, password: &str, envelope: &[&str]) -> String {
    let mut client = SmtpClient::connect_tls(gateway.running.submissions.unwrap()).await;
    client.sign_in("hello@sender.example", password).await;
    for command in envelope {
        client.expect(command, "250").await;
    }
    client.expect("DATA", "354").await;
    client.send("From: hello@sender.example\r\nTo: a@dsn.example\r\nSubject: Invitation\r\nMessage-ID: <i-9@sender.example>\r\n\r\nCome.\r\n").await;
    id_in(&client.say(".").await)
}

fn said(host: &ScriptedHost, verb: &str) -> Vec<String> {
    host.heard().into_iter().filter(|line| line.starts_with(verb)).collect()
}

async fn delivered(world: &World, gateway: &Gateway, id: &str, recipient: &str) {
    eventually(|| async {
        world.advance(Duration::from_mins(1));
        let state = gateway.delivery(id, recipient).await["state"].clone();
        if state == "delivered" { Ok(()) } else { Err(state.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn what_was_asked_of_reports_goes_on_with_every_attempt_and_success_is_the_next_hops_to_tell() {
    let world = smtp_submission::world().await;
    let busy = with_reports("C: MAIL\nS: 250 ok\nC: RCPT\nS: 450 4.2.0 later\n");
    let dsn = world.scripted_mx("dsn.example", &[&busy, &with_reports(TAKEN)]).await;
    let plain = world.scripted_mx("plain.example", &[&after_hello(TAKEN)]).await;
    let gateway = world.gateway().await;
    let password = smtp_submission::user(&gateway, "hello@sender.example", &[]).await;
    let id = submit(
        &gateway,
        &password,
        &[
            "MAIL FROM:<hello@sender.example> RET=HDRS ENVID=order+2B7",
            "RCPT TO:<a@dsn.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;old+2Bx@dsn.example",
            "RCPT TO:<b@plain.example> NOTIFY=SUCCESS",
        ],
    )
    .await;
    gateway.delivery_in(&id, "b@plain.example", "delivered").await;
    gateway.attempted(&id, "a@dsn.example", 1).await;
    // The next attempt reads all of it from the database.
    gateway.stop().await;
    let gateway = world.gateway().await;
    delivered(&world, &gateway, &id, "a@dsn.example").await;
    for line in said(&dsn, "MAIL") {
        assert!(line.starts_with("MAIL FROM:<hello@sender.example> ") && line.ends_with(" RET=HDRS ENVID=order+2B7"), "{line}");
    }
    let rcpt = "RCPT TO:<a@dsn.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;old+2Bx@dsn.example";
    assert_eq!((said(&dsn, "RCPT"), said(&dsn, "MAIL").len()), (vec![rcpt.to_owned(); 2], 2));
    assert_eq!(said(&plain, "RCPT"), ["RCPT TO:<b@plain.example>"], "it does not offer them");
    assert!(said(&plain, "MAIL").iter().all(|line| !line.contains("RET=") && !line.contains("ENVID=")));
    let passed = last_attempt(&gateway.delivery(&id, "a@dsn.example").await)["next_hop_reports"].clone();
    let kept = last_attempt(&gateway.delivery(&id, "b@plain.example").await)["next_hop_reports"].clone();
    assert_eq!((passed, kept), (json!(true), json!(null)));
    let found = reports_are(&world, &gateway, 1).await;
    assert_eq!(told(&found[0].1).1, ["b@plain.example relayed"], "and nothing of a, which the next hop tells");
    gateway.stop().await;
}

#[tokio::test]
async fn a_success_that_comes_back_to_our_bounce_address_is_told_to_the_author_who_asked_for_it() {
    let mut world = smtp_submission::world().await;
    world.takes_reports();
    let dsn = world.scripted_mx("dsn.example", &[&with_reports(&format!("{TAKEN}{TAKEN}"))]).await;
    let gateway = world.gateway().await;
    publish(&world, &gateway, &[]).await;
    let password = smtp_submission::user(&gateway, "hello@sender.example", &[]).await;
    let inbound = inbound(&world, &gateway);
    let back = "From: MAILER-DAEMON@dsn.example\r\nSubject: Done\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\
                Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.dsn.example\r\n\r\nFinal-Recipient: rfc822; a@dsn.example\r\n\
                Action: delivered\r\nStatus: 2.1.5\r\nDiagnostic-Code: smtp; 250 2.1.5 in the box\r\n\r\n--b\r\n\
                Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <i-9@sender.example>\r\n\r\n--b--\r\n";
    // Who did not ask for it is told nothing.
    let quiet = submit(&gateway, &password, &["MAIL FROM:<hello@sender.example>", "RCPT TO:<a@dsn.example>"]).await;
    gateway.delivery_in(&quiet, "a@dsn.example", "delivered").await;
    let asked = ["MAIL FROM:<hello@sender.example> ENVID=order7", "RCPT TO:<a@dsn.example> NOTIFY=SUCCESS"];
    let id = submit(&gateway, &password, &asked).await;
    gateway.delivery_in(&id, "a@dsn.example", "delivered").await;
    let paths: Vec<EmailAddress> = reverse_paths(&dsn).iter().map(|path| EmailAddress::parse(path).unwrap()).collect();
    assert_eq!((paths.len(), paths[0].domain().as_str()), (2, "bounce.sender.example"));
    reports_are(&world, &gateway, 0).await;
    // A stranger may know a Message-ID; it proves nothing.
    assert_eq!(
        arrived(&inbound, &EmailAddress::parse("complaints@bounce.sender.example").unwrap(), back).await.unwrap(),
        Heard::Nothing(Nothing::NoFailure)
    );
    reports_are(&world, &gateway, 0).await;
    for path in [&paths[0], &paths[1], &paths[1]] {
        assert_eq!(arrived(&inbound, path, back).await.unwrap(), Heard::Success);
    }
    let found = reports_are(&world, &gateway, 1).await;
    let (report, recipients) = told(&found[0].1);
    assert_eq!((recipients, report.envelope_id.as_deref()), (vec!["a@dsn.example delivered".to_owned()], Some("order7")), "{}", found[0].1);
    assert!(found[0].1.contains("Status: 2.1.5") && found[0].1.contains("in the box"), "{}", found[0].1);
    let last = gateway.message(&id).await["events"].as_array().unwrap().last().unwrap()["kind"].clone();
    assert_eq!(last, "delivered", "the timeline is as it was");
    gateway.stop().await;
}
