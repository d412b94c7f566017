//! What comes back about mail: bounces and complaints find their delivery, once, and only what is proven suppresses.

use pennypost::deliver::class::Rules;
use pennypost::inbound::{Heard, Inbound, InboundError, Mailbox, Nothing};
use pennypost::model::EmailAddress;
use serde_json::{Value, json};

use super::return_path::{publish, reverse_paths};
use super::world::gateway::eventually;
use super::world::script::{TAKEN, after_hello};
use super::world::smtp::SmtpClient;
use super::world::telling::kinds;
use super::world::{Gateway, World};

/// What takes reports at a gateway.
pub(super) fn inbound(world: &World, gateway: &Gateway) -> Inbound {
    let house = &gateway.running.house;
    Inbound {
        store: house.store.clone(),
        domains: house.domains.clone(),
        clock: world.clock.clone(),
        rules: Rules::built_in(),
        reports: house.reports.clone(),
    }
}

/// A delivery report by the book about some recipients, with what is said of each.
fn report(recipients: &[(&str, &str, &str)], returned: &str) -> String {
    let fields = recipients
        .iter()
        .map(|(recipient, action, said)| {
            format!("\r\nFinal-Recipient: rfc822; {recipient}\r\nAction: {action}\r\nStatus: 5.0.0\r\nDiagnostic-Code: smtp; {said}\r\n")
        })
        .collect::<Vec<_>>()
        .concat();
    format!(
        "Return-Path: <>\r\nFrom: MAILER-DAEMON@relay.example\r\nSubject: Undelivered Mail\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\nSorry.\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.example\r\n{fields}\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n{returned}\r\n--b--\r\n"
    )
}

fn complaint(recipient: &str, returned: &str) -> String {
    format!(
        "From: fbl@loop.example\r\nSubject: complaint\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\n\r\nSpam.\r\n\
         --b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: Loop/1\r\nOriginal-Rcpt-To: {recipient}\r\n\r\n--b\r\n\
         Content-Type: message/rfc822\r\n\r\n{returned}\r\n\r\nHi\r\n--b--\r\n"
    )
}

async fn suppressed(gateway: &Gateway, address: &str) -> Vec<Value> {
    gateway.get(&format!("/v1/suppressions?address={address}")).await.json()["data"].as_array().unwrap().clone()
}

async fn becomes_suppressed(gateway: &Gateway, address: &str) -> Value {
    eventually(|| async { suppressed(gateway, address).await.pop().ok_or_else(|| format!("{address} is not suppressed")) }).await
}

/// A message that came to one address.
pub(super) async fn arrived(inbound: &Inbound, to: &EmailAddress, mail: &str) -> Result<Heard, InboundError> {
    let mailbox = inbound.mailbox(to).await?.unwrap();
    inbound.arrived(&[mailbox], mail.as_bytes()).await.map(|mut heard| heard.pop().unwrap())
}

/// A message that came to the address for complaints.
async fn complained(inbound: &Inbound, mail: &str) -> Heard {
    arrived(inbound, &EmailAddress::parse("Complaints@bounce.sender.example").unwrap(), mail).await.unwrap()
}

fn told(heard: &Heard) -> Vec<String> {
    match heard {
        Heard::Told { deliveries, .. } => deliveries.iter().map(ToString::to_string).collect(),
        Heard::Success => panic!("a success"),
        Heard::Nothing(why) => panic!("{why:?}"),
    }
}

/// The last event of a message.
async fn last_event(gateway: &Gateway, id: &str) -> Value {
    gateway.message(id).await["events"].as_array().unwrap().last().unwrap().clone()
}

#[tokio::test]
async fn the_world_may_bring_reports_to_our_bounce_addresses_and_is_relayed_for_by_nobody() {
    let mut world = World::new().await;
    world.takes_reports();
    let one = world.scripted_mx("one.example", &[&after_hello(TAKEN)]).await;
    let gateway = world.gateway().await;
    publish(&world, &gateway, &[]).await;
    let id = gateway.send(&["bee@one.example"]).await;
    gateway.delivery_in(&id, "bee@one.example", "delivered").await;
    let token = reverse_paths(&one).remove(0);
    let mx = gateway.running.mx.unwrap();
    assert_eq!((gateway.running.submission, gateway.running.submissions), (None, None));

    let mut client = SmtpClient::connect(mx).await;
    let hello = client.say("EHLO relay.example").await;
    assert!(hello.contains("STARTTLS") && !hello.contains("AUTH"), "{hello}");
    client.expect("AUTH PLAIN AGEAYg==", "502 5.5.1").await;
    client.expect("MAIL FROM:<>", "250").await;
    client.expect("DATA", "554 5.5.1").await;
    let forged = token.replacen(token.chars().nth(5).unwrap(), "7", 1);
    let (local, domain) = token.split_once('@').unwrap();
    for to in [
        "friend@gmail.example",
        "hello@sender.example",
        &format!("{local}@other.example"),
        &format!("@relay.example:{token}x"),
        &format!("\"friend@gmail.example\"@{domain}"),
        &format!("friend%gmail.example@{domain}"),
        "complaints@bounce.gmail.example",
        &forged,
    ] {
        let reply = client.say(&format!("RCPT TO:<{to}>")).await;
        assert!(reply.starts_with("55") || reply.starts_with("501 "), "{to}: {reply}");
    }
    let refused = |figures: &str| {
        figures.lines().find_map(|line| line.strip_prefix("pennypost_reports_total{kind=\"any\",result=\"refused\"} ")?.parse::<f64>().ok())
    };
    assert!(refused(&gateway.get("/metrics").await.text()).is_some_and(|count| count >= 1.0), "who invents bounces is counted");
    client.expect(&format!("RCPT TO:<{}>", token.to_uppercase()), "250").await;
    client.expect(&format!("RCPT TO:<{token}>"), "250").await;
    client.expect(&format!("RCPT TO:<complaints@{domain}>"), "250").await;
    client.expect("DATA", "354").await;
    // The words of a stranger, whatever octets they hold, do not keep a report from being told.
    client.send(report(&[("bee@one.example", "failed", "550 5.1.1 user unknown")], "").replace("dns; relay", "dns; re\0lay")).await;
    client.expect(".", "250 2.6.0").await;
    assert_eq!(kinds(&gateway.message(&id).await), ["delivered", "bounced"]);
    becomes_suppressed(&gateway, "bee@one.example").await;

    let mut client = SmtpClient::connect_starttls(mx).await;
    client.expect("EHLO relay.example", "250").await;
    client.expect("MAIL FROM:<mailer-daemon@relay.example>", "250").await;
    client.expect(&format!("RCPT TO:<{token}>"), "250").await;
    client.expect("DATA", "354").await;
    client.send("From: bee@one.example\r\nSubject: Thanks\r\n\r\nThanks.\r\n").await;
    client.expect(".", "250 2.6.0").await;
    assert_eq!(kinds(&gateway.message(&id).await), ["delivered", "bounced"], "an answer is no report");
    client.expect("QUIT", "221").await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_bounce_that_comes_later_is_told_once_and_suppresses_what_it_condemns() {
    let mut world = World::new().await;
    world.takes_reports();
    let one = world.scripted_mx("one.example", &[&after_hello(&TAKEN.repeat(4))]).await;
    let two = TAKEN.replacen("C: RCPT\nS: 250 ok\n", "C: RCPT\nS: 250 ok\nC: RCPT\nS: 250 ok\n", 1);
    let pair = world.scripted_mx("pair.example", &[&after_hello(&two)]).await;
    let gateway = world.gateway().await;
    publish(&world, &gateway, &[]).await;
    let inbound = inbound(&world, &gateway);

    let id = gateway.send(&["bee@one.example"]).await;
    let delivery = gateway.delivery_in(&id, "bee@one.example", "delivered").await;
    let token = EmailAddress::parse(&reverse_paths(&one)[0]).unwrap();
    // Sent on by the host of bee, and refused there: the report names an address that we never heard of.
    let late = report(&[("bee@forward.example", "failed", "550 5.1.1 <bee@forward.example>: user unknown")], "Message-ID: <x@example.com>");
    for (mail, why) in [
        (report(&[("bee@one.example", "delayed", "450 4.2.2 full")], ""), Nothing::NoFailure),
        (report(&[("bee@one.example", "delivered", "250 ok")], ""), Nothing::NoFailure),
        ("From: bee@one.example\r\nSubject: Out of office\r\n\r\nUser unknown until Monday.\r\n".to_owned(), Nothing::AutoReply),
        ("From: bee@one.example\r\nSubject: Thanks\r\n\r\nThanks.\r\n".to_owned(), Nothing::NoReport),
    ] {
        assert_eq!(arrived(&inbound, &token, &mail).await.unwrap(), Heard::Nothing(why), "{mail}");
    }
    assert_eq!(kinds(&gateway.message(&id).await), ["delivered"], "none of these is a bounce");

    assert_eq!(told(&arrived(&inbound, &token, &late).await.unwrap()), [delivery["id"].as_str().unwrap()]);
    assert_eq!(arrived(&inbound, &token, &late).await.unwrap(), Heard::Nothing(Nothing::Known), "the same report again");
    assert_eq!(kinds(&gateway.message(&id).await), ["delivered", "bounced"]);
    assert_eq!(gateway.delivery(&id, "bee@one.example").await["state"], "bounced");
    let event = last_event(&gateway, &id).await;
    let data = &event["data"];
    assert_eq!((&data["class"], &data["hard"], &data["verified"]), (&json!("bad_mailbox"), &json!(true), &json!(true)), "{event:#}");
    assert_eq!(
        (&data["enhanced_status"], &data["reply_code"], &data["reporting_mta"]),
        (&json!("5.1.1"), &json!(550), &json!("relay.example")),
        "{event:#}"
    );
    assert_eq!((&event["recipient"], &data["reported_recipient"]), (&json!("bee@one.example"), &json!("bee@forward.example")), "{event:#}");
    let entry = becomes_suppressed(&gateway, "bee@one.example").await;
    assert_eq!((&entry["reason"], &entry["class"], &entry["message_id"]), (&json!("bounce"), &json!("bad_mailbox"), &json!(id)), "{entry:#}");

    // What says nothing sure about the address suppresses nobody. The list is filled in the order of events: what comes after is there first.
    let id = gateway.send(&["full@one.example"]).await;
    gateway.delivery_in(&id, "full@one.example", "delivered").await;
    let token = EmailAddress::parse(&reverse_paths(&one)[1]).unwrap();
    arrived(&inbound, &token, &report(&[("full@one.example", "failed", "552 5.2.2 mailbox full")], "")).await.unwrap();
    assert_eq!(last_event(&gateway, &id).await["data"]["class"], "full");

    // Two recipients in one transaction: the token names the message, the report whom it is about.
    let id = gateway.send(&["a@pair.example", "b@pair.example"]).await;
    gateway.delivery_in(&id, "a@pair.example", "delivered").await;
    let of_b = gateway.delivery_in(&id, "b@pair.example", "delivered").await["id"].clone();
    let token = EmailAddress::parse(&reverse_paths(&pair)[0]).unwrap();
    let nobody = report(&[("c@pair.example", "failed", "550 5.1.1 no such user")], "");
    assert_eq!(arrived(&inbound, &token, &nobody).await.unwrap(), Heard::Nothing(Nothing::NotFound));
    let mail = report(&[("B@Pair.example", "failed", "550 5.1.1 no such user"), ("a@pair.example", "delayed", "450 busy")], "");
    assert_eq!(told(&arrived(&inbound, &token, &mail).await.unwrap()), [of_b.as_str().unwrap()]);
    becomes_suppressed(&gateway, "b@pair.example").await;
    assert_eq!(gateway.delivery(&id, "a@pair.example").await["state"], "delivered");
    assert!(suppressed(&gateway, "a@pair.example").await.is_empty() && suppressed(&gateway, "full@one.example").await.is_empty());

    let figures = gateway.get("/metrics").await.text();
    assert!(figures.contains("pennypost_reports_total{kind=\"bounce\",result=\"told\"}"), "{figures}");
    gateway.stop().await;
}

// F10
#[tokio::test]
async fn a_forged_token_is_refused_and_a_message_id_alone_suppresses_nobody() {
    let mut world = World::new().await;
    world.takes_reports();
    let host = world.scripted_mx("one.example", &[&after_hello(&TAKEN.repeat(4))]).await;
    world.scripted_mx("busy.example", &[&after_hello("C: MAIL\nS: 250 ok\nC: RCPT\nS: 450 4.2.0 later\n")]).await;
    let gateway = world.gateway().await;
    publish(&world, &gateway, &[]).await;
    let inbound = inbound(&world, &gateway);
    let id = gateway.send(&["bee@one.example"]).await;
    gateway.delivery_in(&id, "bee@one.example", "delivered").await;
    let token = reverse_paths(&host)[0].clone();
    let swapped = token.replacen(&token[10..11], if &token[10..11] == "a" { "b" } else { "a" }, 1);
    for address in
        [swapped.as_str(), "b-nothing@bounce.sender.example", "hello@sender.example", "complaints@sender.example", "complaints@bounce.other.example"]
    {
        assert_eq!(inbound.mailbox(&EmailAddress::parse(address).unwrap()).await.unwrap(), None, "{address}");
    }
    assert_eq!(kinds(&gateway.message(&id).await), ["delivered"]);

    // Without a token: by the Message-ID that we made, and by one that came with the message.
    let header = gateway.message(&id).await["message_id"].as_str().unwrap().to_owned();
    let invented = report(&[("bee@one.example", "failed", "550 5.1.1 no such user")], &format!("Message-ID: <{header}>"));
    assert_eq!(told(&complained(&inbound, &invented).await).len(), 1);
    assert_eq!(last_event(&gateway, &id).await["data"]["verified"], false);
    let raw = gateway
        .send_raw(&["cat@one.example"], b"From: hello@sender.example\r\nSubject: x\r\nMessage-ID: <own-1@app.example>\r\n\r\nA line.\r\n")
        .await;
    gateway.delivery_in(&raw, "cat@one.example", "delivered").await;
    let mail = report(&[("cat@one.example", "failed", "550 5.1.1 no such user")], "Message-ID: <own-1@app.example>");
    assert_eq!(told(&complained(&inbound, &mail).await).len(), 1);
    let stranger = report(&[("cat@one.example", "failed", "550 5.1.1 no such user")], "Message-ID: <own-2@app.example>");
    assert_eq!(complained(&inbound, &stranger).await, Heard::Nothing(Nothing::NotFound));

    // A token inside what is returned proves as much as one in the envelope; complaints suppress in their stream.
    let third = gateway.send_with(&["dog@one.example"], json!({ "stream": "news" })).await;
    gateway.delivery_in(&third, "dog@one.example", "delivered").await;
    let spam = complaint("dog@one.example", &format!("Return-Path: <{}>\r\nTo: dog@one.example", reverse_paths(&host)[2]));
    assert_eq!(told(&complained(&inbound, &spam).await).len(), 1);
    assert_eq!(complained(&inbound, &spam).await, Heard::Nothing(Nothing::Known));
    let entry = becomes_suppressed(&gateway, "dog@one.example").await;
    assert_eq!((&entry["reason"], &entry["stream"]), (&json!("complaint"), &json!("news")), "{entry:#}");
    assert_eq!(gateway.delivery(&third, "dog@one.example").await["state"], "delivered", "who complains has it");
    assert!(suppressed(&gateway, "bee@one.example").await.is_empty() && suppressed(&gateway, "cat@one.example").await.is_empty());

    // What is still tried is not over.
    let waiting = gateway.send(&["ant@busy.example"]).await;
    gateway.attempted(&waiting, "ant@busy.example", 1).await;
    let header = gateway.message(&waiting).await["message_id"].as_str().unwrap().to_owned();
    let mail = report(&[("ant@busy.example", "failed", "550 5.1.1 no such user")], &format!("Message-ID: <{header}>"));
    assert_eq!(complained(&inbound, &mail).await, Heard::Nothing(Nothing::NotFound));
    gateway.stop().await;
}

/// A message to two recipients, and the token of it.
async fn pair(world: &World) -> (Gateway, String, EmailAddress) {
    let two = TAKEN.replacen("C: RCPT\nS: 250 ok\n", "C: RCPT\nS: 250 ok\nC: RCPT\nS: 250 ok\n", 1);
    let host = world.scripted_mx("pair.example", &[&after_hello(&two.repeat(2))]).await;
    let gateway = world.gateway().await;
    publish(world, &gateway, &[]).await;
    let id = gateway.send(&["a@pair.example", "b@pair.example"]).await;
    for recipient in ["a@pair.example", "b@pair.example"] {
        gateway.delivery_in(&id, recipient, "delivered").await;
    }
    let token = EmailAddress::parse(&reverse_paths(&host)[0]).unwrap();
    (gateway, id, token)
}

#[tokio::test]
async fn each_recipient_of_a_complaint_and_each_bounce_is_told_once_however_it_comes() {
    let mut world = World::new().await;
    world.takes_reports();
    let (gateway, id, token) = pair(&world).await;
    let inbound = inbound(&world, &gateway);
    let both = complaint("a@pair.example", "To: a@pair.example").replace("Original-Rcpt-To", "Original-Rcpt-To: b@pair.example\r\nOriginal-Rcpt-To");
    assert_eq!(told(&arrived(&inbound, &token, &both).await.unwrap()).len(), 2, "both complain");

    let mail = report(&[("a@pair.example", "failed", "550 5.1.1 no such user")], "");
    let mailbox = inbound.mailbox(&token).await.unwrap().unwrap();
    let twice = [mailbox, mailbox];
    let (one, other) = tokio::join!(inbound.arrived(&twice, mail.as_bytes()), inbound.arrived(&twice[..1], mail.as_bytes()));
    let heard = [one.unwrap(), other.unwrap()].concat();
    assert_eq!(heard.len(), 2, "the same mailbox counts once: {heard:?}");
    assert_eq!(heard.iter().filter(|heard| **heard == Heard::Nothing(Nothing::Known)).count(), 1, "{heard:?}");

    // A token of one delivery, and a report that names several: they are all about that delivery.
    let Mailbox::Bounce(pennypost::mail::verp::Named::Message(message)) = mailbox else { panic!("{mailbox:?}") };
    let of_b = pennypost::mail::verp::Named::Delivery(pennypost::model::DeliveryId { message, rcpt_no: 1 });
    let mail = report(&[("x@far.example", "failed", "550 5.1.1 no such user"), ("y@far.example", "failed", "550 5.1.1 no such user")], "");
    let heard = inbound.arrived(&[Mailbox::Bounce(of_b)], mail.as_bytes()).await.unwrap();
    assert_eq!(told(&heard[0]).len(), 1);
    assert_eq!(kinds(&gateway.message(&id).await).iter().filter(|kind| **kind == "bounced").count(), 2, "one of each recipient");
    gateway.stop().await;
}

#[tokio::test]
async fn a_bounce_that_is_faster_than_our_own_record_comes_again() {
    let mut world = World::new().await;
    world.takes_reports();
    let (gateway, id, token) = pair(&world).await;
    let inbound = inbound(&world, &gateway);
    let uuid = id.parse::<pennypost::model::MessageId>().unwrap().uuid();
    let mail = report(&[("a@pair.example", "failed", "550 5.1.1 no such user")], "");
    // As between the remote 250 and the settle: the delivery is still the node's.
    let active = format!(
        "insert into delivery (message_id, rcpt_no, project_id, lane, owner, priority, next_at, expires_at, recipient)
         select id, 0, project_id, 0, (select max(incarnation) from node), 1, now(), now() + interval '1 day', 'a@pair.example' from message where id = '{uuid}'"
    );
    world.execute(&active).await;
    assert!(matches!(arrived(&inbound, &token, &mail).await, Err(InboundError::OnItsWay)));
    assert!(!kinds(&gateway.message(&id).await).contains(&"bounced"));
    world.execute(&format!("delete from delivery where message_id = '{uuid}'")).await;
    assert_eq!(told(&arrived(&inbound, &token, &mail).await.unwrap()).len(), 1);
    gateway.stop().await;
}
