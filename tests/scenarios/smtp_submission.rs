//! Mail submitted by SMTP: it leaves as it came, by the same way as that of the API, and for its owner alone.

use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::{Value, json};

use super::world::gateway::eventually;
use super::world::program::command;
use super::world::smtp::{SmtpClient, id_in};
use super::world::{Gateway, World};
use pennypost::access::{NewKey, Scope};
use pennypost::clock::Clock;
use pennypost::config::Listen;
use pennypost::lab::load::Until;
use pennypost::lab::submit::{self, Begin, SubmitSettings};
use pennypost::model::Secret;

const MESSAGE: &str = "From: Penny <hello@sender.example>\r\nTo: a@example.net\r\nSubject: Hi\r\n\r\nHello\r\n";

/// A world whose gateways listen on both submission ports.
pub async fn world() -> World {
    let mut world = World::new().await;
    let listen = Listen::At(SocketAddr::new(world.config.server.http_listen.ip(), 0));
    (world.config.smtp.submission_listen, world.config.smtp.submissions_listen) = (listen, listen);
    world
}

/// Makes an SMTP user and answers its password.
pub async fn user(gateway: &Gateway, username: &str, send_as: &[&str]) -> String {
    let answer = gateway.post("/v1/smtp-users", &json!({ "username": username, "send_as": send_as })).await;
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["password"].as_str().unwrap().to_owned()
}

/// A session of `hello@sender.example`, by TLS from the first octet.
async fn session(gateway: &Gateway) -> SmtpClient {
    let password = user(gateway, "hello@sender.example", &[]).await;
    let mut client = SmtpClient::connect_tls(gateway.running.submissions.unwrap()).await;
    client.sign_in("hello@sender.example", &password).await;
    client
}

#[tokio::test]
async fn a_message_leaves_byte_for_byte_behind_a_trace_that_says_nothing_of_the_client() {
    let world = world().await;
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let mut client = session(&gateway).await;
    let head = "x-odd:   kept \r\n\tfolded\r\nDate: Tue, 1 Dec 2026 09:00:00 +0000\r\nMessage-ID: <7@shop.example>\r\nFROM: hello@sender.example\r\n";
    let body = "Subject: =?utf-8?Q?=C3=9C?=\r\n\r\nA line  \r\n\r\n.. and a dot\r\n\r\n";
    let ours = "Bcc: b@example.net\r\nX-Pennypost-Tag: flow=signup\r\nX-Pennypost-Stream: news\r\nX-Pennypost-Metadata: {\"order\": 7}\r\n";
    client.expect("MAIL FROM:<hello@sender.example> SIZE=500 BODY=8BITMIME RET=HDRS ENVID=order7", "250").await;
    client.expect("RCPT TO:<a@example.net> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a@example.net", "250").await;
    client.expect("RCPT TO:<b@example.net>", "250").await;
    client.expect("DATA", "354").await;
    client.send(format!("{head}{ours}{}", body.replace("\r\n..", "\r\n..."))).await;
    let id = id_in(&client.say(".").await);
    sink.wait_for(1).await;
    let received = String::from_utf8(sink.received()[0].content.clone()).unwrap();
    let trace = received.find("Received: ").unwrap();
    let (signatures, rest) = received.split_at(trace);
    assert!(signatures.starts_with("DKIM-Signature:") && signatures.matches("DKIM-Signature:").count() == 2, "{signatures}");
    let kept = rest.find("x-odd").unwrap();
    assert!(rest[..kept].starts_with("Received: by mail.sender.example with ESMTPSA\r\n\tid msg_") && !rest[..kept].contains("127."), "{rest}");
    assert_eq!(&rest[kept..], format!("{head}{body}"));
    gateway.delivery_in(&id, "a@example.net", "delivered").await;
    gateway.delivery_in(&id, "b@example.net", "delivered").await;
    let message = gateway.message(&id).await;
    assert_eq!((&message["tags"], &message["stream"]), (&json!({"flow": "signup"}), &json!("news")), "{message:#}");
    let dsn = json!({"envid": "order7", "ret": "headers", "recipients": {"a@example.net": {"notify": ["failure", "delay"]}}});
    assert_eq!(message["metadata"], json!({"order": 7, "dsn": dsn}));
    // The feed stays behind transactions that are still open elsewhere on the server.
    eventually(|| async {
        let kinds: Vec<_> = gateway.events().await.into_iter().map(|event| event["kind"].as_str().unwrap_or_default().to_owned()).collect();
        if ["accepted", "delivered"].iter().all(|kind| kinds.iter().any(|found| found == kind)) { Ok(()) } else { Err(format!("{kinds:?}")) }
    })
    .await;
    client.expect("QUIT", "221").await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_a_client_leaves_out_is_added() {
    let world = world().await;
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let mut client = session(&gateway).await;
    let id = id_in(&client.submit("hello@sender.example", &["a@example.net"], MESSAGE).await);
    sink.wait_for(1).await;
    let received = String::from_utf8(sink.received()[0].content.clone()).unwrap();
    assert!(received.contains(&format!("Message-ID: <{id}@sender.example>\r\n")) && received.contains("\r\nDate: "), "{received}");
    assert!(received.ends_with(MESSAGE), "{received}");
    gateway.stop().await;
}

#[tokio::test]
async fn an_api_key_is_a_password_and_starttls_a_way_in() {
    let world = world().await;
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let mut client = SmtpClient::connect_starttls(gateway.running.submission.unwrap()).await;
    client.sign_in("apikey", &gateway.key).await;
    let any = MESSAGE.replace("hello@", "any@");
    gateway.delivery_in(&id_in(&client.submit("any@sender.example", &["a@example.net"], &any).await), "a@example.net", "delivered").await;
    let bounces = client.submit("", &["a@example.net"], &any).await;
    gateway.delivery_in(&id_in(&bounces), "a@example.net", "delivered").await;
    assert_eq!(sink.received()[1].reverse_path, "");
    let house = &gateway.running.house;
    let new = NewKey { name: "reader".to_owned(), scope: Scope::Read, domains: None, expires_at: None, test: false };
    let reader = house.access.create_key(house.project, new).await.unwrap().secret;
    let mut client = SmtpClient::connect_starttls(gateway.running.submission.unwrap()).await;
    client.expect("EHLO c", "250").await;
    client.expect(&SmtpClient::plain("apikey", reader.expose()), "535 5.7.8 this API key may not send").await;
    gateway.stop().await;
}

#[tokio::test]
async fn nobody_sends_for_another() {
    let world = world().await;
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let password = user(&gateway, "hello@sender.example", &["*@*.sender.example", "boss@elsewhere.example"]).await;
    let mut client = SmtpClient::connect_tls(gateway.running.submissions.unwrap()).await;
    client.sign_in("hello@sender.example", &password).await;
    let with = |from: &str| MESSAGE.replace("hello@sender.example", from);
    for (from, message, code) in [
        ("other@sender.example", with("hello@sender.example"), "550 5.7.1 MAIL FROM other@sender.example"),
        ("hello@other.example", with("hello@sender.example"), "550 5.7.1 MAIL FROM"),
        ("hello@sender.example", with("other@sender.example"), "550 5.7.1 From: other@sender.example"),
        ("", with("hello@other.example"), "550 5.7.1 From:"),
        ("hello@sender.example", format!("Sender: other@sender.example\r\n{MESSAGE}"), "550 5.7.1 Sender:"),
        ("boss@elsewhere.example", with("boss@elsewhere.example"), "550 5.7.1 elsewhere.example is not a domain of this project"),
        ("hello@sender.example", with("a@sub.sender.example"), "550 5.7.1 sub.sender.example is not a domain of this project"),
        ("hello@sender.example", format!("From: hello@sender.example\r\n{MESSAGE}"), "554 5.6.0 line 2: From: the field stands more than once"),
        ("hello@sender.example", "Subject: nobody\r\n\r\nHello\r\n".to_owned(), "554 5.6.0 From: the field is missing"),
        ("hello@sender.example", format!("X-Pennypost-Tga: a=b\r\n{MESSAGE}"), "554 5.6.0 X-Pennypost-Tga is not known"),
        ("hello@sender.example", format!("X-Pennypost-Send-At: tomorrow\r\n{MESSAGE}"), "554 5.6.0 X-Pennypost-Send-At: expected RFC 3339"),
        ("hello@sender.example", format!("{}{MESSAGE}", "Received: by x; Tue, 1 Dec 2026 09:00:00 +0000\r\n".repeat(101)), "554 5.4.6"),
        ("hello@sender.example", format!("X-Long: {}\r\n{MESSAGE}", "x".repeat(1000)), "554 5.6.0 line 1: the line is longer"),
    ] {
        let reply = client.submit(from, &["a@example.net"], &message).await;
        assert!(reply.starts_with(code), "{reply}, not {code}");
        client.expect("RSET", "250").await;
    }
    assert_eq!(world.number("select count(*) from message").await, 0, "nothing is left behind");
    let id = id_in(&client.submit("HELLO@sender.example", &["a@example.net"], MESSAGE).await);
    gateway.delivery_in(&id, "a@example.net", "delivered").await;
    assert_eq!(sink.counts().messages, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn who_has_not_signed_in_relays_nothing_in_any_syntax() {
    let world = world().await;
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let recipients = [
        "<a@example.net>",
        "<a%example.net@sender.example>",
        "<\"a@example.net\"@sender.example>",
        "<@sender.example:a@example.net>",
        "<example.net!a>",
        "<a@[127.0.0.1]>",
        "<postmaster>",
    ];
    let mut clear = SmtpClient::connect(gateway.running.submission.unwrap()).await;
    let mut inside = SmtpClient::connect_tls(gateway.running.submissions.unwrap()).await;
    for client in [&mut clear, &mut inside] {
        client.expect("EHLO c", "250").await;
        client.expect("MAIL FROM:<hello@sender.example>", "530 5.7.0").await;
        client.expect("MAIL FROM:<>", "530 5.7.0").await;
        for to in recipients {
            let reply = client.say(&format!("RCPT TO:{to}")).await;
            assert!(reply.starts_with("530 5.7.0") || reply.starts_with("501 5.1.3"), "{to}: {reply}");
        }
        client.expect("DATA", "530").await;
        client.expect("VRFY hello@sender.example", "252").await;
        client.expect("EXPN staff", "502").await;
    }
    let mut signed_in = session(&gateway).await;
    signed_in.expect("MAIL FROM:<hello@sender.example>", "250").await;
    for to in &recipients[3..6] {
        signed_in.expect(&format!("RCPT TO:{to}"), "501 5.1.3").await;
    }
    signed_in.expect("RCPT TO:<postmaster>", "550 5.1.1").await;
    assert_eq!((world.number("select count(*) from message").await, sink.counts().connections), (0, 0));
    gateway.stop().await;
}

#[tokio::test]
async fn the_same_idempotency_key_is_the_same_message() {
    let world = world().await;
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let mut client = session(&gateway).await;
    let with = |more: &str| format!("Idempotency-Key: order-7\r\n{more}{MESSAGE}");
    let first = id_in(&client.submit("hello@sender.example", &["a@example.net"], &with("Date: Tue, 1 Dec 2026 09:00:00 +0000\r\n")).await);
    let again = client.submit("hello@sender.example", &["a@example.net"], &with("Date: Tue, 1 Dec 2026 09:01:00 +0000\r\n")).await;
    assert_eq!(again, format!("250 2.0.0 accepted as {first} before"), "written anew by a program that tried again");
    let other = with("").replace("Subject: Hi", "Subject: Another");
    let reused = client.submit("hello@sender.example", &["a@example.net"], &other).await;
    assert!(reused.starts_with("554 5.6.0 the Idempotency-Key"), "{reused}");
    gateway.delivery_in(&first, "a@example.net", "delivered").await;
    assert_eq!(sink.counts().messages, 1);
    assert!(!String::from_utf8_lossy(&sink.received()[0].content).contains("Idempotency-Key"));
    gateway.stop().await;
}

#[tokio::test]
async fn a_hundred_recipients_fit_and_one_more_is_put_off() {
    let world = world().await;
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let mut client = session(&gateway).await;
    client.expect("MAIL FROM:<hello@sender.example>", "250").await;
    for number in 0..100 {
        client.expect(&format!("RCPT TO:<a{number}@example.net>"), "250").await;
    }
    client.expect("RCPT TO:<late@example.net>", "452 4.5.3").await;
    client.expect("DATA", "354").await;
    client.send(MESSAGE).await;
    id_in(&client.say(".").await);
    eventually(|| async { if sink.counts().recipients == 100 { Ok(()) } else { Err(format!("{:?}", sink.counts())) } }).await;
    gateway.stop().await;
}

#[tokio::test]
async fn while_nothing_can_be_stored_clients_are_told_to_come_back() {
    let world = world().await;
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let mut client = session(&gateway).await;
    world.execute("alter table message rename to message_gone").await;
    let reply = client.submit("hello@sender.example", &["a@example.net"], MESSAGE).await;
    assert!(reply.starts_with("45"), "{reply}");
    world.execute("alter table message_gone rename to message").await;
    eventually(|| async { Ok(()) }).await;
    let id = id_in(&client.submit("hello@sender.example", &["a@example.net"], MESSAGE).await);
    gateway.delivery_in(&id, "a@example.net", "delivered").await;
    gateway.stop().await;
}

#[tokio::test]
async fn users_are_made_listed_changed_and_removed_by_the_api() {
    let world = world().await;
    let gateway = world.gateway().await;
    let first = user(&gateway, "Hello@sender.example", &["*@sender.example"]).await;
    for (body, status, code) in [
        (json!({"username": "hello@sender.example"}), 409, "smtp-user-exists"),
        (json!({"username": "printer"}), 422, "required"),
        (json!({"username": "a b"}), 422, "invalid-address"),
        (json!({"username": "a@sender.example", "send_as": ["*@"]}), 422, "invalid-address"),
        (json!({"username": "a@sender.example", "send_as": vec!["*"; 51]}), 422, "out-of-range"),
        (json!({"username": "a@sender.example", "password": "hunter2"}), 422, "unknown-field"),
    ] {
        let answer = gateway.post("/v1/smtp-users", &body).await;
        assert_eq!((answer.status, answer.json()["type"].as_str()), (status, Some(code)), "{body}");
    }
    let listed = gateway.get("/v1/smtp-users").await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    assert_eq!((&listed["data"][0]["username"], &listed["data"][0]["send_as"]), (&json!("hello@sender.example"), &json!(["*@sender.example"])));
    assert!(!listed.to_string().contains("pp_smtp_"));
    let path = format!("/v1/smtp-users/{}", listed["data"][0]["id"].as_str().unwrap());
    let mut open = SmtpClient::connect_tls(gateway.running.submissions.unwrap()).await;
    open.sign_in("hello@sender.example", &first).await;
    let second = gateway.post(&format!("{path}/password"), &Value::Null).await.json()["password"].as_str().unwrap().to_owned();
    let mut client = SmtpClient::connect_tls(gateway.running.submissions.unwrap()).await;
    client.expect("EHLO c", "250").await;
    client.expect(&SmtpClient::plain("hello@sender.example", &first), "535 5.7.8").await;
    client.expect(&SmtpClient::plain("hello@sender.example", &second), "235").await;
    world.advance(std::time::Duration::from_secs(61));
    open.expect("MAIL FROM:<hello@sender.example>", "421 4.7.0 your password").await;
    let read = gateway.call("DELETE", &path, &[], b"").await;
    assert_eq!(read.status, 204);
    assert_eq!(gateway.call("DELETE", &path, &[], b"").await.status, 404);
    assert_eq!(gateway.post(&format!("{path}/password"), &Value::Null).await.status, 404);
    world.advance(std::time::Duration::from_secs(61));
    client.expect("MAIL FROM:<hello@sender.example>", "421 4.7.0").await;
    gateway.stop().await;
}

#[tokio::test]
async fn the_load_generator_counts_what_is_taken_and_what_is_refused() {
    let world = world().await;
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let settings = |target, tls, from: &str| SubmitSettings {
        target,
        tls,
        user: "apikey".to_owned(),
        password: Secret::new(gateway.key.clone()),
        from: from.to_owned(),
        to: "a@example.net".to_owned(),
        content: MESSAGE.to_owned(),
        sessions: 3,
        until: Until::Requests(10),
    };
    let (implicit, starttls) = (gateway.running.submissions.unwrap(), gateway.running.submission.unwrap());
    for (target, tls) in [(implicit, Begin::Implicit), (starttls, Begin::StartTls)] {
        let report = submit::run(settings(target, tls, "hello@sender.example"), &gateway.supervisor, &Clock::system()).await;
        assert_eq!((report.accepted(), report.failed, report.latency.count()), (10, 0, 10), "{report:?}");
    }
    assert_eq!(world.number("select count(*) from message").await, 20);
    let report = submit::run(settings(implicit, Begin::Implicit, "hello@elsewhere.example"), &gateway.supervisor, &Clock::system()).await;
    assert_eq!((report.accepted(), report.failed, report.statuses), (0, 0, [(550, 10)].into()));
    let wrong =
        SubmitSettings { password: Secret::new("wrong".to_owned()), sessions: 1, ..settings(starttls, Begin::StartTls, "hello@sender.example") };
    let report = submit::run(SubmitSettings { until: Until::Requests(1), ..wrong }, &gateway.supervisor, &Clock::system()).await;
    assert!(report.failed == 1 && report.first_failure.is_some_and(|why| why.contains("535 5.7.8")));
    gateway.stop().await;
}

#[tokio::test]
async fn the_command_line_sends_by_smtp_too() {
    let world = world().await;
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let password = user(&gateway, "hello@sender.example", &[]).await;
    let url = format!("http://{}", gateway.http);
    for (way, signing_in) in [("smtp465", &["--user", "hello@sender.example"][..]), ("smtp587", &[])] {
        let mut sending = command(&world, "");
        sending
            .args(["send", "--json", "--via", way, "--from", "Penny <hello@sender.example>", "--to", "a@example.net", "--url", &url])
            .args(signing_in);
        sending.env("PENNYPOST_KEY", &gateway.key).env("PENNYPOST_SMTP_PASSWORD", &password);
        sending.env("PENNYPOST_SMTP__SUBMISSION_LISTEN", gateway.running.submission.unwrap().to_string());
        sending.env("PENNYPOST_SMTP__SUBMISSIONS_LISTEN", gateway.running.submissions.unwrap().to_string());
        let ended = tokio::task::spawn_blocking(move || sending.output().unwrap()).await.unwrap();
        assert!(ended.status.success(), "{way}: {}", String::from_utf8_lossy(&ended.stderr));
        let shown: Value = serde_json::from_slice(&ended.stdout).unwrap();
        assert_eq!(shown["deliveries"][0]["state"], "delivered", "{shown:#}");
    }
    gateway.stop().await;
}

/// Runs the program: what it printed, and how it ended.
pub fn run(world: &World, arguments: &[&str], input: &str) -> (Value, i32) {
    use std::io::Write;
    let mut child =
        command(world, "").args(arguments).arg("--json").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&output.stderr).into_owned()));
    (shown, output.status.code().unwrap())
}

#[tokio::test]
async fn users_are_made_checked_and_removed_at_the_command_line() {
    let world = world().await;
    let (made, code) = run(&world, &["smtp-user", "add", "i@wac.example", "--send-as", "*@wac.example"], "");
    assert_eq!(code, 0, "{made}");
    let password = made["password"].as_str().unwrap();
    assert_eq!(run(&world, &["smtp-user", "check", "i@wac.example"], &format!("{password}\n")).1, 0);
    assert_eq!(run(&world, &["smtp-user", "check", "i@wac.example"], "hunter2\n").1, 1);
    assert_eq!(run(&world, &["smtp-user", "add", "I@wac.example"], "").1, 2);
    assert_eq!(run(&world, &["smtp-user", "add", "i@wac.example", "--send-as", "*wac"], "").1, 2);
    let (listed, _) = run(&world, &["smtp-user", "list"], "");
    assert_eq!(listed["data"][0]["username"], "i@wac.example", "{listed}");
    let (changed, _) = run(&world, &["smtp-user", "passwd", "i@wac.example"], "");
    assert_ne!(changed["password"], made["password"]);
    assert_eq!(run(&world, &["smtp-user", "remove", "i@wac.example"], "").1, 0);
    let (told, code) = run(&world, &["smtp-user", "remove", "i@wac.example"], "");
    assert!(code == 1 && told.to_string().contains("there is no SMTP user"), "{told}");
}
