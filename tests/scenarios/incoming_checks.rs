//! Who sent what the world brings: told in the message, and refused where the author's domain asks for it.

use std::time::Duration;

use pennypost::lab::zone::ZoneFault;
use pennypost::routes::NewAction;

use super::forwarding::{brought, forwarding_world, letter};
use super::inbound::route;

fn from(author: &str, subject: &str) -> String {
    letter(subject).replace("bee@world.example", author)
}

#[tokio::test]
async fn mail_that_its_authors_domain_disowns_is_refused_and_all_else_is_taken_with_what_was_found() {
    let (world, gateway) = forwarding_world(|_| {}).await;
    for record in [
        "_dmarc.strict.example TXT \"v=DMARC1; p=reject\"",
        "strict.example TXT \"v=spf1 ip4:127.0.0.0/8 -all\"",
        "_dmarc.doubtful.example TXT \"v=DMARC1; p=quarantine\"",
        "_dmarc.open.example TXT \"v=DMARC1; p=none\"",
        "_dmarc.slow.example TXT \"v=DMARC1; p=reject\"",
        "nospf.example TXT \"v=spf1 -all\"",
    ] {
        world.zone.add(record).unwrap();
    }
    world.zone.set_fault("slow.example", Some(ZoneFault::ServFail));
    route(&gateway, "info@sender.example", NewAction::Store).await;
    world.advance(Duration::from_secs(6));
    let forged = "Authentication-Results: mail.sender.example; dmarc=pass\r\n";
    for (path, author, begins) in [
        ("bee@strict.example", "bee@strict.example", "250"),
        ("bee@mail.strict.example", "bee@strict.example", "550 5.7.26 strict.example"),
        ("bee@world.example", "bee@strict.example", "550 5.7.26 strict.example"),
        ("bee@world.example", "bee@news.strict.example", "550 5.7.26 news.strict.example"),
        ("bee@world.example", "bee@doubtful.example", "250"),
        ("bee@world.example", "bee@open.example", "250"),
        ("bee@slow.example", "bee@slow.example", "451 4.7.24"),
        ("bee@nospf.example", "bee@nospf.example", "250"),
        ("", "bee@world.example", "250"),
    ] {
        let reply = brought(&gateway, path, "info@sender.example", &format!("{forged}{}", from(author, author))).await;
        assert!(reply.starts_with(begins), "{path} {author}: {reply}");
    }
    let two = from("bee@strict.example>, Ant <ant@world.example", "two").replacen("From: Bee", "From: Ant <ant@world.example>, Bee", 1);
    assert!(brought(&gateway, "bee@world.example", "info@sender.example", &two).await.starts_with("550 5.7.26"), "a second author is no way around");

    assert_eq!(world.number("select count(*) from incoming").await, 5);
    let count = async |pattern: &str| world.number(&format!("select count(*) from incoming where trace like '{pattern}'")).await;
    assert_eq!(count("%dmarc=pass%").await, 1, "what was forged does not count");
    assert_eq!(count("%X-DMARC-Disposition: quarantine%").await, 1);
    assert_eq!(count("%spf=fail smtp.mailfrom=bee@nospf.example%").await, 1);
    assert_eq!(count("%smtp.helo=relay.world.example%").await, 1);
    assert_eq!(count("%iprev=%policy.iprev=127.0.0.1%").await, 5);
    gateway.stop().await;
}

#[tokio::test]
async fn an_operator_may_take_what_dmarc_would_refuse() {
    let (world, gateway) = forwarding_world(|world| world.config.inbound.dmarc_reject = false).await;
    world.zone.add("_dmarc.strict.example TXT \"v=DMARC1; p=reject\"").unwrap();
    route(&gateway, "info@sender.example", NewAction::Store).await;
    world.advance(Duration::from_secs(6));
    let reply = brought(&gateway, "bee@world.example", "info@sender.example", &from("bee@strict.example", "taken")).await;
    assert!(reply.starts_with("250 2.6.0"), "{reply}");
    assert_eq!(world.number("select count(*) from incoming where trace like '%dmarc=fail%X-DMARC-Disposition: quarantine%'").await, 1);
    gateway.stop().await;
}
