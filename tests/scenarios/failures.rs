//! Why mail was not taken: the class of a failure, shown, counted and open to an operator's rules.

use serde_json::Value;

use super::world::World;
use super::world::script::after_hello;
use super::world::telling::last_attempt;

fn class(delivery: &Value) -> &str {
    last_attempt(delivery)["class"].as_str().unwrap_or("none")
}

#[tokio::test]
async fn each_failure_has_a_class_in_the_api_the_events_and_the_figures() {
    let world = World::new().await;
    let rcpt = |reply: &str| after_hello(&format!("C: MAIL\nS: 250 ok\nC: RCPT\nS: {reply}"));
    let rows = [
        (rcpt("550 5.1.1 no such user"), "bounced", "bad_mailbox"),
        (rcpt("550 5.2.1 account is disabled"), "bounced", "inactive"),
        (rcpt("452 4.2.2 mailbox full"), "queued", "full"),
        (rcpt("554 5.7.1 blocked using zen.spamhaus.org"), "bounced", "reputation"),
        (rcpt("550 5.7.25 no PTR record"), "bounced", "authentication"),
        (rcpt("450 4.2.0 greylisted"), "queued", "rate"),
        (rcpt("550 5.7.1 relaying denied"), "bounced", "relay"),
        ("S: 220 mx\n!close".to_owned(), "queued", "network"),
    ];
    for (number, (script, _, _)) in rows.iter().enumerate() {
        world.scripted_mx(&format!("r{number}.example"), &[script]).await;
    }
    world.zone.add("null.example MX 0 .").unwrap();
    let gateway = world.gateway().await;
    let mut ids = Vec::new();
    for (number, (script, state, expected)) in rows.iter().enumerate() {
        let recipient = format!("bee@r{number}.example");
        let id = gateway.send(&[&recipient]).await;
        let delivery = gateway.attempted(&id, &recipient, 1).await;
        assert_eq!((class(&delivery), delivery["state"].as_str()), (*expected, Some(*state)), "{script}: {delivery:#}");
        ids.push(id);
    }
    let id = gateway.send(&["bee@null.example"]).await;
    assert_eq!(class(&gateway.delivery_in(&id, "bee@null.example", "bounced").await), "bad_domain");

    let message = gateway.message(&ids[0]).await;
    let event = message["events"].as_array().unwrap().iter().find(|event| event["kind"] == "bounced").unwrap();
    assert_eq!(event["data"]["class"], "bad_mailbox");
    let figures = gateway.get("/metrics").await.text();
    assert!(figures.contains("pennypost_failures_total{class=\"bad_mailbox\",outcome=\"bounced\"}"), "{figures}");
    world.accepting_mx("good.example").await;
    let good = gateway.send(&["bee@good.example"]).await;
    assert_eq!(class(&gateway.delivery_in(&good, "bee@good.example", "delivered").await), "none");
    gateway.stop().await;
}

#[tokio::test]
async fn an_operators_rule_decides_before_ours_and_a_wrong_one_refuses_to_start() {
    let mut world = World::new().await;
    world.scripted_mx("partner.example", &[&after_hello("C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 user unknown")]).await;
    let file = std::env::temp_dir().join(format!("pennypost-rules-{}.toml", world.clock.uuid()));
    world.config.delivery.bounce_rules.clone_from(&file);
    let wrong = pennypost::serve::tables(&world.config).unwrap_err().to_string();
    assert!(wrong.starts_with("delivery.bounce_rules: ") && wrong.contains("cannot be read"), "{wrong}");
    std::fs::write(&file, "[[rule]]\nname = \"partner\"\nhost = [\"partner.example\"]\ntext = [\"user unknown\"]\nclass = \"hard\"\n").unwrap();
    let wrong = pennypost::serve::tables(&world.config).unwrap_err().to_string();
    assert!(wrong.contains("line 5: unknown variant `hard`"), "{wrong}");
    std::fs::write(&file, "[[rule]]\nname = \"partner\"\nhost = [\"partner.example\"]\ntext = [\"user unknown\"]\nclass = \"policy\"\n").unwrap();
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@partner.example"]).await;
    assert_eq!(class(&gateway.delivery_in(&id, "bee@partner.example", "bounced").await), "policy");
    gateway.stop().await;
    std::fs::remove_file(file).unwrap();
}
