//! Daily reports on TLS to domains that ask for them (RFC 8460).

use std::io::Read;
use std::time::Duration;

use pennypost::lab::sink::SinkSettings;
use pennypost::net::tls;
use serde_json::Value;

use super::world::World;
use super::world::gateway::eventually;
use super::world::policy_host::{answer, policy};

fn unpacked(octets: &[u8]) -> Value {
    let mut text = String::new();
    flate2::read::GzDecoder::new(octets).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The attachment of a report that came by mail.
fn attached(message: &str) -> Vec<u8> {
    use base64::Engine;
    let part = message.split("application/tlsrpt+gzip").nth(1).unwrap();
    let body = part.split("\r\n\r\n").nth(1).unwrap().split("\r\n--").next().unwrap();
    base64::engine::general_purpose::STANDARD.decode(body.replace("\r\n", "")).unwrap()
}

#[tokio::test]
async fn a_domain_that_asks_gets_a_report_of_the_day_by_mail_and_https() {
    let mut world = World::new().await;
    let authority = world.authority();
    world.config.delivery_tls.report_from = "tls-reports@sender.example".to_owned();
    let strange = SinkSettings { starttls: Some(tls::self_signed("x.example").unwrap()), ..SinkSettings::default() };
    world.mx("asks.example", strange).await;
    world.policy_host("asks.example", "1", &authority.identity("mta-sts.asks.example"), &policy("testing", "*.asks.example", 604_800)).await;
    let inbox = world.mx("reports.example", SinkSettings::default()).await;
    let collector = world.https_host("in.reports.example", &authority.identity("in.reports.example"), &answer(201, "text/plain", "")).await;
    let port = world.config.delivery_tls.policy_port;
    world.zone.add(&format!("_smtp._tls.asks.example TXT v=TLSRPTv1; rua=mailto:tls@reports.example,https://in.reports.example:{port}/v1")).unwrap();
    world.mx("quiet.example", SinkSettings::default()).await;
    let gateway = world.gateway().await;
    for recipient in ["bee@asks.example", "bee@quiet.example"] {
        let id = gateway.send(&[recipient]).await;
        gateway.delivery_in(&id, recipient, "delivered").await;
    }
    world.advance(Duration::from_secs(70));
    eventually(|| async {
        let counted = world.number("select count(*) from tls_result").await;
        if counted == 1 { Ok(()) } else { Err(format!("{counted} results are kept; only one domain asks")) }
    })
    .await;
    let day = world.clock.now().date();
    world.advance(Duration::from_hours(29));
    let report = eventually(|| async { inbox.received().into_iter().next().ok_or_else(|| "no report came".to_owned()) }).await;
    let text = String::from_utf8(report.content.clone()).unwrap();
    for field in ["TLS-Report-Domain: asks.example\r\n", "TLS-Report-Submitter: sender.example\r\n", "TLS-Required: No\r\n", "DKIM-Signature: v=1"] {
        assert!(text.contains(field), "{field} is not in {text}");
    }
    assert_eq!((report.reverse_path.as_str(), report.recipients[0].as_str()), ("tls-reports@sender.example", "tls@reports.example"));
    let document = unpacked(&attached(&text));
    let id = format!("{day}_asks.example@sender.example");
    assert_eq!(document["report-id"], id.as_str(), "{document:#}");
    assert_eq!((&document["organization-name"], &document["contact-info"]), (&"sender.example".into(), &"tls-reports@sender.example".into()));
    let under = &document["policies"][0];
    assert_eq!((&under["policy"]["policy-type"], &under["policy"]["policy-domain"]), (&"sts".into(), &"asks.example".into()), "{document:#}");
    assert_eq!(under["summary"]["total-failure-session-count"], 1);
    assert_eq!(under["failure-details"][0]["result-type"], "certificate-not-trusted");
    assert_eq!(under["failure-details"][0]["receiving-mx-hostname"], "mx1.asks.example");
    let posted = eventually(|| async { collector.requests().into_iter().next().ok_or_else(|| "nothing was posted".to_owned()) }).await;
    assert!(
        posted.head.starts_with("POST /v1 HTTP/1.1\r\n") && posted.head.to_ascii_lowercase().contains("content-type: application/tlsrpt+gzip"),
        "{posted:?}"
    );
    assert_eq!(unpacked(&posted.body), document);
    eventually(|| async {
        let left = world.number("select (select count(*) from tls_report) + (select count(*) from tls_result where day = current_date)").await;
        if left == 0 { Ok(()) } else { Err(format!("{left} rows are left")) }
    })
    .await;
    world.advance(Duration::from_hours(26));
    gateway.stop().await;
    assert_eq!((inbox.received().len(), collector.requests().len()), (1, 1), "one report a day, and none about a day without sessions");
}

#[tokio::test]
async fn a_report_that_nobody_takes_is_tried_for_a_day() {
    let mut world = World::new().await;
    let authority = world.authority();
    world.config.delivery_tls.report_from = "tls-reports@sender.example".to_owned();
    world.mx("asks.example", SinkSettings::default()).await;
    let collector = world.https_host("in.reports.example", &authority.identity("in.reports.example"), &answer(503, "text/plain", "")).await;
    let port = world.config.delivery_tls.policy_port;
    world.zone.add(&format!("_smtp._tls.asks.example TXT v=TLSRPTv1; rua=https://in.reports.example:{port}/v1")).unwrap();
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@asks.example"]).await;
    gateway.delivery_in(&id, "bee@asks.example", "delivered").await;
    world.advance(Duration::from_secs(70));
    eventually(|| async { if world.number("select count(*) from tls_report").await == 1 { Ok(()) } else { Err("no report is due".to_owned()) } })
        .await;
    world.advance(Duration::from_hours(29));
    for tries in 1..=3 {
        eventually(|| async { if collector.requests().len() == tries { Ok(()) } else { Err(format!("{} tries", collector.requests().len())) } })
            .await;
        // Its answer has to be written before time goes on: the next try counts from there.
        let written = i64::try_from(tries).unwrap();
        eventually(|| async {
            if world.number("select tries::bigint from tls_report").await == written { Ok(()) } else { Err("not written".to_owned()) }
        })
        .await;
        world.advance(Duration::from_mins(70));
    }
    world.execute("update tls_report set tries = 23").await;
    world.advance(Duration::from_mins(70));
    eventually(|| async { if world.number("select count(*) from tls_report").await == 0 { Ok(()) } else { Err("it is not given up".to_owned()) } })
        .await;
    gateway.stop().await;
}
