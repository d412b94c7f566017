//! Death by kill -9, of a real process, at each stage of a message's way (faults K1 to K7).
//!
//! The process is this test program: it starts itself again with one ignored test, which runs a gateway until it is killed.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use pennypost::clock::Clock;
use pennypost::config::{Config, Listen};
use pennypost::model::Secret;
use pennypost::serve::{self, Roles};
use pennypost::supervisor::Supervisor;
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::world::checker::{check, copies};
use super::world::gateway::eventually;
use super::world::http;
use super::world::{Gateway, ScriptedHost, World};

const CHILD: &str = "PENNYPOST_SCENARIO_CHILD";
const ENVELOPE: &str = "S: 220 mx\nC: EHLO\nS: 250 mx\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\n";

/// What the child is told: the few options in which worlds differ.
fn options(world: &World, roles: Roles) -> String {
    let config = &world.config;
    json!({
        "url": world.database_url, "key": config.server.master_key_file, "mx_port": config.delivery.mx_port,
        "dns": config.dns.servers[0], "listen": config.server.http_listen, "deliver": roles.deliver,
    })
    .to_string()
}

fn config_of(options: &serde_json::Value) -> Config {
    let text = |name: &str| options[name].as_str().unwrap().to_owned();
    let mut config = pennypost::config::load::load(None, &pennypost::config::environment::Environment::default()).unwrap().config;
    config.server.hostname = "mail.sender.example".into();
    config.server.http_listen = text("listen").parse().unwrap();
    config.server.master_key_file = text("key").into();
    (config.smtp.submission_listen, config.smtp.submissions_listen, config.smtp.mx_listen) = (Listen::Off, Listen::Off, Listen::Off);
    config.database.url = Secret::new(text("url"));
    config.database.max_connections = 6;
    config.delivery.allow_private_addresses = true;
    config.delivery.allow_unverified_domains = true;
    config.delivery.mx_port = u16::try_from(options["mx_port"].as_u64().unwrap()).unwrap();
    config.dns.servers = vec![text("dns").parse().unwrap()];
    config
}

#[tokio::test]
#[ignore = "the process that the tests of this file kill; without its options it does nothing"]
async fn a_gateway_until_it_is_killed() {
    let Ok(options) = std::env::var(CHILD) else { return };
    let options: serde_json::Value = serde_json::from_str(&options).unwrap();
    let roles = Roles { deliver: options["deliver"].as_bool().unwrap(), ..Roles::ALL };
    let running = serve::run(config_of(&options), roles, Supervisor::default(), Clock::system()).await.unwrap();
    println!("\nlistening={} incarnation={}", running.http.unwrap(), running.node.incarnation());
    // Ends too when the test that started it does.
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    std::process::exit(1);
}

/// A gateway in a process of its own.
struct Victim {
    child: Child,
    http: SocketAddr,
    key: String,
    incarnation: i64,
}

impl Victim {
    /// Starts it, on a world that has its domain and a key.
    fn start(world: &World, key: &str, roles: Roles) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "crash::a_gateway_until_it_is_killed", "--nocapture"])
            .env(CHILD, options(world, roles))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.find_map(|line| line.ok().filter(|line| line.starts_with("listening="))).unwrap();
        let mut values = line.split(' ').map(|pair| pair.split_once('=').unwrap().1);
        let (http, incarnation) = (values.next().unwrap().parse().unwrap(), values.next().unwrap().parse().unwrap());
        Self { child, http, key: key.to_owned(), incarnation }
    }

    fn headers(&self, key: &str) -> Vec<(&'static str, String)> {
        let mut headers = vec![("authorization", format!("Bearer {}", self.key)), ("content-type", "application/json".to_owned())];
        headers.extend((!key.is_empty()).then(|| ("idempotency-key", key.to_owned())));
        headers
    }

    async fn send(&self, to: &str, text: &str) -> String {
        let headers = self.headers("");
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = http::call(self.http, "POST", "/v1/send", &headers, request(to, text).as_bytes()).await;
        assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Sends a request with an idempotency key and does not read the answer.
    async fn post_unread(&self, key: &str, to: &str) -> TcpStream {
        let body = request(to, "A line.\n");
        let mut text = format!("POST /v1/send HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in self.headers(key) {
            text = format!("{text}{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.unwrap();
        stream
    }

    /// Kill -9. Answers the incarnation that died.
    fn kill(mut self) -> i64 {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.incarnation
    }
}

fn request(to: &str, text: &str) -> String {
    json!({ "from": "hello@sender.example", "to": to, "subject": "Hello", "text": text }).to_string()
}

/// A world with a domain and a key, but no gateway.
async fn prepared(world: &World) -> String {
    let gateway = world.gateway_with(Roles { deliver: false, ..Roles::ALL }).await;
    let key = gateway.key.clone();
    gateway.stop().await;
    key
}

/// Starts a gateway after a death, and lets it notice.
async fn successor(world: &World, dead: i64) -> Gateway {
    let gateway = world.gateway().await;
    world.silence_node(dead).await;
    gateway
}

async fn wait_for(host: &ScriptedHost, line: &str) {
    eventually(|| async { if host.heard().iter().any(|heard| heard.starts_with(line)) { Ok(()) } else { Err(format!("{:?}", host.heard())) } }).await;
}

#[tokio::test]
async fn killed_before_the_commit_nothing_is_kept_and_the_request_can_be_repeated() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let key = prepared(&world).await;
    let victim = Victim::start(&world, &key, Roles::ALL);
    let mut operator = PgConnection::connect(&world.database_url).await.unwrap();
    operator.execute("begin; lock table message in share mode").await.unwrap();
    let mut unread = victim.post_unread("order-1", "bee@example.net").await;
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    eventually(|| async { if world.number(waiting).await > 0 { Ok(()) } else { Err("nobody waits".to_owned()) } }).await;
    let dead = victim.kill();
    let mut answer = Vec::new();
    let _cut_off = tokio::io::AsyncReadExt::read_to_end(&mut unread, &mut answer).await;
    assert!(answer.is_empty(), "no answer before the commit: {}", String::from_utf8_lossy(&answer));
    operator.execute("rollback").await.unwrap();
    let gateway = successor(&world, dead).await;
    eventually(|| async { if world.number(waiting).await == 0 { Ok(()) } else { Err("somebody waits".to_owned()) } }).await;
    assert_eq!(world.number("select count(*) from message").await, 0);
    let repeated = gateway.call("POST", "/v1/send", &[("idempotency-key", "order-1")], request("bee@example.net", "A line.\n").as_bytes()).await;
    assert_eq!(repeated.status, 202);
    check(&world, &gateway, &[repeated.json()["id"].as_str().unwrap().to_owned()], || copies(&mx)).await;
    assert_eq!(mx.counts().messages, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn killed_after_the_commit_the_repeated_request_finds_its_message() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let key = prepared(&world).await;
    let victim = Victim::start(&world, &key, Roles { deliver: false, ..Roles::ALL });
    let _unread = victim.post_unread("order-2", "bee@example.net").await;
    eventually(|| async { if world.number("select count(*) from message").await == 1 { Ok(()) } else { Err("none".to_owned()) } }).await;
    let dead = victim.kill();
    let gateway = successor(&world, dead).await;
    let repeated = gateway.call("POST", "/v1/send", &[("idempotency-key", "order-2")], request("bee@example.net", "A line.\n").as_bytes()).await;
    assert_eq!(repeated.status, 202, "{}", String::from_utf8_lossy(&repeated.body));
    assert_eq!(world.number("select count(*) from message").await, 1);
    check(&world, &gateway, &[repeated.json()["id"].as_str().unwrap().to_owned()], || copies(&mx)).await;
    assert_eq!(mx.counts().messages, 1, "exactly one mail");
    gateway.stop().await;
}

#[tokio::test]
async fn killed_after_the_answer_and_before_any_claim_the_message_is_delivered() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let key = prepared(&world).await;
    let victim = Victim::start(&world, &key, Roles { deliver: false, ..Roles::ALL });
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(victim.send(&format!("r{number}@example.net"), "A line.\n").await);
    }
    let dead = victim.kill();
    let gateway = successor(&world, dead).await;
    check(&world, &gateway, &ids, || copies(&mx)).await;
    assert_eq!(mx.counts().messages, 5);
    assert_eq!(gateway.delivery(&ids[0], "r0@example.net").await["attempts"].as_array().unwrap().len(), 1, "it was in nobody's hands");
    gateway.stop().await;
}

#[tokio::test]
async fn killed_with_a_claim_but_before_content_was_sent_the_message_is_delivered_once() {
    let world = World::new().await;
    // The first session gets no greeting.
    let host = world.scripted_mx("example.net", &["!silence", "!take"]).await;
    let key = prepared(&world).await;
    let victim = Victim::start(&world, &key, Roles::ALL);
    let id = victim.send("bee@example.net", "A line.\n").await;
    eventually(|| async { if host.connections() == 1 { Ok(()) } else { Err("no connection".to_owned()) } }).await;
    assert_eq!(world.number("select count(*) from delivery where owner > 0").await, 1);
    let dead = victim.kill();
    let gateway = successor(&world, dead).await;
    check(&world, &gateway, &[id], || host.copies()).await;
    assert_eq!(host.copies().len(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn killed_inside_the_content_the_message_is_delivered_once() {
    let world = World::new().await;
    // The host stops reading, so that most of a large message is still on its way.
    let host = world.scripted_mx("example.net", &[&format!("{ENVELOPE}C: Subject\n!stall"), "!take"]).await;
    let key = prepared(&world).await;
    let victim = Victim::start(&world, &key, Roles::ALL);
    let id = victim.send("bee@example.net", &"A line of seventy characters, so that the content is large enough for it.\n".repeat(200_000)).await;
    wait_for(&host, "Subject").await;
    let dead = victim.kill();
    let gateway = successor(&world, dead).await;
    check_whole(&world, &gateway, &id, &host).await;
    gateway.stop().await;
}

/// The first session ended inside its content, so the host's log of it has no dot before the second session's lines.
async fn check_whole(world: &World, gateway: &Gateway, id: &str, host: &ScriptedHost) {
    let delivered = gateway.delivery_in(id, "bee@example.net", "delivered").await;
    assert_eq!(delivered["attempts"].as_array().unwrap().len(), 2, "{delivered:#}");
    assert_eq!(host.heard().iter().filter(|line| *line == ".").count(), 1, "one whole copy");
    assert_eq!(world.number("select count(*) from delivery").await, 0);
    assert_eq!(world.number("select count(*) from event where kind = 3").await, 1);
}

#[tokio::test]
async fn killed_between_the_final_dot_and_its_reply_the_second_copy_is_the_same_and_told_of() {
    let world = World::new().await;
    let host = world.scripted_mx("example.net", &[&format!("{ENVELOPE}C: .\n!silence"), "!take"]).await;
    let key = prepared(&world).await;
    let victim = Victim::start(&world, &key, Roles::ALL);
    let id = victim.send("bee@example.net", "A line.\n").await;
    wait_for(&host, ".").await;
    let dead = victim.kill();
    let gateway = successor(&world, dead).await;
    check(&world, &gateway, std::slice::from_ref(&id), || host.copies()).await;
    assert_eq!(host.copies().len(), 2);
    let delivery = gateway.delivery(&id, "bee@example.net").await;
    assert_eq!(delivery["attempts"][0]["outcome_unknown"], true, "{delivery:#}");
    gateway.stop().await;
}

#[tokio::test]
async fn killed_after_the_250_and_before_it_was_written_the_second_copy_is_told_of() {
    let world = World::new().await;
    let host = world.scripted_mx("example.net", &[&format!("{ENVELOPE}C: .\n!wait\nS: 250 taken"), "!take"]).await;
    let key = prepared(&world).await;
    let victim = Victim::start(&world, &key, Roles::ALL);
    let id = victim.send("bee@example.net", "A line.\n").await;
    wait_for(&host, ".").await;
    let mut operator = PgConnection::connect(&world.database_url).await.unwrap();
    operator.execute("begin; select 1 from delivery for update").await.unwrap();
    host.go_on();
    let settling = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%settled%'";
    eventually(|| async { if world.number(settling).await == 1 { Ok(()) } else { Err("no outcome is being written".to_owned()) } }).await;
    // The server must not go on with the statement of a client that is gone.
    let backend =
        "select pid::bigint from pg_stat_activity where wait_event_type = 'Lock' and query like '%settled%' and datname = current_database()";
    let backend = world.number(backend).await;
    let dead = victim.kill();
    world.execute(&format!("select pg_terminate_backend({backend}, 5000)")).await;
    operator.execute("rollback").await.unwrap();
    let gateway = successor(&world, dead).await;
    check(&world, &gateway, &[id], || host.copies()).await;
    assert_eq!(host.copies().len(), 2);
    gateway.stop().await;
}

#[tokio::test]
async fn killed_under_load_at_any_instant_nothing_acknowledged_is_lost() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let key = prepared(&world).await;
    let mut ids = Vec::new();
    let mut dead = Vec::new();
    // The instants differ by how many answers had been given.
    for answers in [1, 4, 9, 15] {
        let victim = Victim::start(&world, &key, Roles::ALL);
        for _ in 0..answers {
            ids.push(victim.send("bee@example.net", "A line.\n").await);
        }
        dead.push(victim.kill());
    }
    let gateway = world.gateway().await;
    for incarnation in dead {
        world.silence_node(incarnation).await;
    }
    check(&world, &gateway, &ids, || copies(&mx)).await;
    assert_eq!(world.number("select count(*) from node").await, 1);
    gateway.stop().await;
}
