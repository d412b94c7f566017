//! The lines of the log that other programs read: fail2ban bans by them, so the documentation's expressions must fit what is written, in both formats.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};

use regex::Regex;

use super::smtp_submission::run;
use super::world::gateway::eventually;
use super::world::program::command;
use super::world::smtp::SmtpClient;
use super::world::{World, database};

const PAGE: &str = include_str!("../../docs/operate/smtp.md");

/// The expressions that the page gives fail2ban, with an address where they say `<HOST>`.
fn expressions() -> Vec<Regex> {
    let block = PAGE.split("[Definition]\n").nth(1).unwrap().split("```").next().unwrap();
    let lines = block.lines().map(|line| line.trim_start_matches("failregex =").trim()).filter(|line| !line.is_empty());
    lines.map(|line| Regex::new(&line.replace("<HOST>", "(?P<host>[0-9a-f.:]*[0-9a-f])")).unwrap()).collect()
}

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[tokio::test]
async fn the_expressions_for_fail2ban_fit_each_failure_and_name_its_client() {
    let world = World::new().await;
    let (user, code) = run(&world, &["smtp-user", "add", "i@wac.example"], "");
    assert_eq!(code, 0, "{user}");
    let expressions = expressions();
    assert_eq!(expressions.len(), 2);
    for format in ["json", "human"] {
        // Free a moment ago on an address that is ours, so it stays free.
        let free = || std::net::TcpListener::bind(world.config.server.http_listen).unwrap().local_addr().unwrap();
        let (address, http) = (free(), free());
        let path = database::scratch().join(format!("smtp-{format}-{}.log", world.address(1)));
        let mut serving = command(&world, "");
        serving.arg("serve").stdout(Stdio::null()).stderr(std::fs::File::create(&path).unwrap());
        serving.env("PENNYPOST_SERVER__HTTP_LISTEN", http.to_string()).env("PENNYPOST_SMTP__SUBMISSIONS_LISTEN", address.to_string());
        serving.env("PENNYPOST_SMTP__PROXIES", "127.0.0.0/8").env("PENNYPOST_TELEMETRY__LOG_FORMAT", format);
        let running = Running(serving.spawn().unwrap());
        eventually(|| async { tokio::net::TcpStream::connect(address).await.map(drop).map_err(|error| error.to_string()) }).await;
        let clients: BTreeSet<String> = (1..=5).flat_map(|number| [format!("192.0.2.{number}"), format!("2001:db8:{number}::1")]).collect();
        for client in &clients {
            let (family, proxy) = if client.contains(':') { ("TCP6", "2001:db8::25") } else { ("TCP4", "192.0.2.25") };
            let mut dialed = SmtpClient::dial(address).await;
            dialed.send(format!("PROXY {family} {client} {proxy} 4711 465\r\n")).await;
            let mut guessing = dialed.handshake().await;
            assert!(guessing.reply().await.starts_with("220 "));
            guessing.expect("EHLO c", "250").await;
            for guess in 0..3 {
                guessing.expect(&SmtpClient::plain("i@wac.example", &format!("guess {client} {guess}")), "535 5.7.8").await;
            }
        }
        let log = eventually(|| async {
            let log = std::fs::read_to_string(&path).unwrap();
            if log.contains("SMTP sign-in locked out for 15 minutes") { Ok(log) } else { Err(log) }
        })
        .await;
        drop(running);
        let found = |line: &str| expressions.iter().find_map(|expression| expression.captures(line)).map(|found| found["host"].to_owned());
        let hosts: Vec<String> = log.lines().filter_map(found).collect();
        assert_eq!(hosts.len(), 30, "{log}");
        assert_eq!(hosts.into_iter().collect::<BTreeSet<_>>(), clients);
    }
}
