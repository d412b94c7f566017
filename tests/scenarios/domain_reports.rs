//! What receivers tell about mail in our name: reports come by mail, are kept once, and nothing that swells gets in.

use std::io::Write as _;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use pennypost::config::Listen;
use serde_json::{Value, json};

use super::return_path::publish;
use super::world::smtp::SmtpClient;
use super::world::{Gateway, World};

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn mail(octets: &[u8]) -> String {
    let lines =
        STANDARD.encode(octets).as_bytes().chunks(76).map(|line| format!("{}\r\n", String::from_utf8_lossy(line))).collect::<Vec<_>>().concat();
    format!(
        "From: reports@big.example\r\nSubject: Report Domain: sender.example\r\nMIME-Version: 1.0\r\nContent-Type: application/gzip\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{lines}"
    )
}

fn dmarc(id: &str, domain: &str, begin: i64) -> String {
    format!(
        "<?xml version=\"1.0\"?><feedback><report_metadata><org_name>big.example</org_name><report_id>{id}</report_id><date_range><begin>{begin}</begin>\
         <end>{}</end></date_range></report_metadata><policy_published><domain>{domain}</domain><p>none</p></policy_published>\
         <record><row><source_ip>192.0.2.1</source_ip><count>3</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>pass</spf></policy_evaluated></row>\
         <identifiers><header_from>{domain}</header_from></identifiers></record>\
         <record><row><source_ip>198.51.100.9</source_ip><count>2</count><policy_evaluated><disposition>reject</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row>\
         <identifiers><header_from>{domain}</header_from></identifiers></record></feedback>",
        begin + 86_399
    )
}

fn tls(id: &str, day: &str) -> Value {
    json!({
        "organization-name": "big.example", "report-id": id, "contact-info": "a@big.example",
        "date-range": {"start-datetime": format!("{day}T00:00:00Z"), "end-datetime": format!("{day}T23:59:59Z")},
        "policies": [{"policy": {"policy-type": "sts", "policy-domain": "sender.example"},
            "summary": {"total-successful-session-count": 90, "total-failure-session-count": 3},
            "failure-details": [{"result-type": "certificate-expired", "sending-mta-ip": "192.0.2.7", "receiving-mx-hostname": "mx.sender.example", "failed-session-count": 3}]}]
    })
}

/// Brings a message from the world; answers what is said at the end.
async fn bring(gateway: &Gateway, to: &str, message: &str) -> String {
    let mut client = SmtpClient::connect(gateway.running.mx.unwrap()).await;
    client.expect("EHLO relay.example", "250").await;
    client.expect("MAIL FROM:<reports@big.example>", "250").await;
    let reply = client.say(&format!("RCPT TO:<{to}>")).await;
    if !reply.starts_with("250") {
        return reply;
    }
    client.expect("DATA", "354").await;
    client.send(message).await;
    client.say(".").await
}

async fn data(gateway: &Gateway, path: &str) -> Vec<Value> {
    let answer = gateway.get(path).await;
    assert_eq!(answer.status, 200, "{path}");
    answer.json()["data"].as_array().unwrap().clone()
}

async fn world() -> (World, Gateway) {
    let mut world = World::new().await;
    world.config.smtp.mx_listen = Listen::At(SocketAddr::new(world.config.server.http_listen.ip(), 0));
    let gateway = world.gateway().await;
    publish(&world, &gateway, &[]).await;
    (world, gateway)
}

#[tokio::test]
async fn reports_about_a_domain_are_kept_once_and_summed_up_by_source() {
    let (world, gateway) = world().await;
    let now = world.clock.now();
    let begin = now.unix_timestamp() - 2 * 86_400;
    let to = "dmarc-reports@bounce.sender.example";
    for (id, domain) in
        [("1", "sender.example"), ("1", "sender.example"), ("2", "sender.example"), ("3", "news.sender.example"), ("4", "other.example")]
    {
        let said = bring(&gateway, to, &mail(&gzip(dmarc(id, domain, begin).as_bytes()))).await;
        assert!(said.starts_with("250 2.6.0"), "{said}");
    }
    let day = now.date().previous_day().unwrap().to_string();
    for id in ["t1", "t1"] {
        let said = bring(&gateway, "TLS-reports@bounce.sender.example", &mail(&gzip(tls(id, &day).to_string().as_bytes()))).await;
        assert!(said.starts_with("250 2.6.0"), "{said}");
    }

    let listed = data(&gateway, "/v1/reports/dmarc").await;
    let ids: Vec<_> = listed.iter().map(|report| (report["report_id"].as_str().unwrap(), report["domain"].as_str().unwrap())).collect();
    assert_eq!(ids, [("3", "news.sender.example"), ("2", "sender.example"), ("1", "sender.example")], "one that is none of ours is dropped");
    assert_eq!((listed[0]["passed"].as_i64(), listed[0]["failed"].as_i64(), listed[0]["policy"]["p"].as_str()), (Some(3), Some(2), Some("none")));
    assert_eq!(data(&gateway, "/v1/reports/dmarc?domain=sender.example&limit=1").await.len(), 1);
    let sources = data(&gateway, "/v1/reports/dmarc/sources?domain=sender.example").await;
    assert_eq!(
        sources[0],
        json!({"address": "192.0.2.1", "header_from": "sender.example", "messages": 6, "passed": 6, "spf_passed": 6, "dkim_passed": 6, "quarantined": 0, "rejected": 0})
    );
    assert_eq!((sources[1]["address"].as_str(), sources[1]["rejected"].as_i64(), sources.len()), (Some("198.51.100.9"), Some(4), 2));
    assert!(data(&gateway, "/v1/reports/dmarc/sources?days=1").await.is_empty(), "what is older than asked for is not summed up");
    let whole = gateway.get(&format!("/v1/reports/{}", listed[2]["id"].as_str().unwrap())).await.json();
    assert_eq!((whole["sources"].as_array().unwrap().len(), whole["kind"].as_str()), (2, Some("dmarc")));

    let listed = data(&gateway, "/v1/reports/tls").await;
    assert_eq!((listed.len(), listed[0]["passed"].as_i64(), listed[0]["failed"].as_i64()), (1, Some(90), Some(3)));
    let failures = data(&gateway, "/v1/reports/tls/failures").await;
    let expected = json!({"result": "certificate-expired", "sending_address": "192.0.2.7", "mx_host": "mx.sender.example", "sessions": 3});
    assert_eq!(failures, [expected]);

    for (path, status) in [
        ("/v1/reports/dmarc?domain=..", 400),
        ("/v1/reports/dmarc/sources?days=0", 400),
        ("/v1/reports/dmarc/sources?days=401", 400),
        ("/v1/reports/dmarc?limit=0", 400),
        ("/v1/reports/dmarc?since=1", 400),
        ("/v1/reports/rpt_01jd5q0v0h7d6r2n8k4m3x9wbz", 404),
        ("/v1/reports/x", 404),
    ] {
        assert_eq!(gateway.get(path).await.status, status, "{path}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_no_report_or_too_much_of_one_leaves_nothing_behind() {
    let (world, gateway) = world().await;
    for (to, code) in [
        ("dmarc-reports@bounce.other.example", "550 5.7.1"),
        ("dmarc-reports@sender.example", "550 5.7.1"),
        ("other-reports@bounce.sender.example", "550 5.7.1"),
    ] {
        let said = bring(&gateway, to, "").await;
        assert!(said.starts_with(code), "{to}: {said}");
    }
    let to = "dmarc-reports@bounce.sender.example";
    let swollen = gzip(&vec![b' '; 64 * 1024 * 1024]);
    let deep = format!("<feedback>{}", "<a>".repeat(100_000));
    let entities = "<!DOCTYPE f [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><feedback>&b;</feedback>";
    for message in [
        mail(&swollen),
        mail(&gzip(&swollen)),
        mail(deep.as_bytes()),
        mail(entities.as_bytes()),
        mail(b"PK\x03\x04 and no archive"),
        "From: a@b.example\r\nSubject: hello\r\n\r\nI like your domain.\r\n".to_owned(),
    ] {
        // Its sender could not mend it: it is taken and dropped.
        let said = bring(&gateway, to, &message).await;
        assert!(said.starts_with("250 2.6.0"), "{said}");
    }
    assert_eq!(world.number("select count(*) from incoming_report").await, 0);

    // A thousand a day is what a domain keeps; the rest is somebody's invention.
    world
        .execute(
            "insert into incoming_report (id, project_id, kind, domain, reporter, report_id, begins_at, ends_at, received_at, passed, failed)
             select gen_random_uuid(), (select id from project limit 1), 1, 'sender.example', 'big.example', n::text, now(), now(), now(), 0, 0
             from generate_series(1, 1000) n",
        )
        .await;
    let begin = world.clock.now().unix_timestamp() - 86_400;
    bring(&gateway, to, &mail(dmarc("new", "sender.example", begin).as_bytes())).await;
    assert_eq!(world.number("select count(*) from incoming_report").await, 1_000);
    gateway.stop().await;
}

#[tokio::test]
async fn nobody_reads_the_reports_of_another_project() {
    let (world, gateway) = world().await;
    let begin = world.clock.now().unix_timestamp() - 86_400;
    bring(&gateway, "dmarc-reports@bounce.sender.example", &mail(dmarc("1", "sender.example", begin).as_bytes())).await;
    let id = data(&gateway, "/v1/reports/dmarc").await[0]["id"].as_str().unwrap().to_owned();
    world.execute("insert into project (id, name) values (gen_random_uuid(), 'other')").await;
    world.execute("update incoming_report set project_id = (select id from project where name = 'other')").await;
    assert!(data(&gateway, "/v1/reports/dmarc").await.is_empty());
    assert!(data(&gateway, "/v1/reports/dmarc/sources").await.is_empty());
    assert_eq!(gateway.get(&format!("/v1/reports/{id}")).await.status, 404);
    gateway.stop().await;
}
