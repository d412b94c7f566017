//! What the machine does not give: files, memory, a reader of the log (faults L5, K14, L9). The program itself runs, in a process of its own.

use std::process::Command;
use std::time::Duration;

use pennypost::serve::Roles;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::world::World;
use super::world::gateway::eventually;
use super::world::program::{Log, Program};

/// A world with a domain, a key, a mail host, and no gateway.
async fn prepared() -> (World, String, pennypost::lab::sink::Sink) {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway_with(Roles { deliver: false, ..Roles::ALL }).await;
    let key = gateway.key.clone();
    gateway.stop().await;
    (world, key, mx)
}

/// Sets the number below which file descriptors of a process must lie.
fn limit_files(process: u32, files: u32) {
    let done = Command::new("prlimit").args(["--pid", &process.to_string(), &format!("--nofile={files}:")]).status().unwrap();
    assert!(done.success());
}

#[tokio::test]
async fn without_files_to_open_accepting_backs_off_and_no_mail_is_lost() {
    let (world, key, mx) = prepared().await;
    let program = Program::serve(&world, &key, "ulimit -n 64;", Log::Read, &[]).await;
    let mut ids = vec![program.send("bee@example.net").await];
    program.delivery_in(&ids[0], "delivered").await;
    let mut open = TcpStream::connect(program.http).await.unwrap();

    // A flood of connections is held to half of the files, so that mail goes on.
    open.write_all(program.raw_request("bee@example.net").as_bytes()).await.unwrap();
    ids.push(accepted(&mut open).await);
    let mut flood = Vec::new();
    for _ in 0..100 {
        flood.push(TcpStream::connect(program.http).await.unwrap());
    }
    mx.wait_for(2).await;
    assert!(std::fs::read_dir(format!("/proc/{}/fd", program.id())).unwrap().count() < 64);
    drop(flood);
    program.delivery_in(&ids[1], "delivered").await;

    // Not a file is left: what is open goes on, what is not waits.
    limit_files(program.id(), 3);
    let _waiting = TcpStream::connect(program.http).await.unwrap();
    open.write_all(program.raw_request("bee@example.net").as_bytes()).await.unwrap();
    ids.push(accepted(&mut open).await);
    let failures = || {
        let log = program.log();
        let of_accepting = log.iter().filter(|line| line["message"] == "a connection could not be accepted");
        of_accepting.map(|line| OffsetDateTime::parse(line["timestamp"].as_str().unwrap(), &Rfc3339).unwrap()).collect::<Vec<_>>()
    };
    let failures = eventually(|| async { if failures().len() >= 4 { Ok(failures()) } else { Err(format!("{:#?}", program.log())) } }).await;
    assert!(failures.windows(2).all(|pair| pair[1] - pair[0] > Duration::from_millis(90)), "a busy loop: {failures:?}");

    limit_files(program.id(), 64);
    for id in &ids {
        program.delivery_in(id, "delivered").await;
    }
    assert_eq!(mx.counts().messages, 3);
    assert!(program.stop().await);
}

/// Reads an answer from a connection that stays open, and answers the id in it.
async fn accepted(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.contains("\"id\":\"msg_") || !text.ends_with('}') {
        let mut octets = [0; 4096];
        let read = stream.read(&mut octets).await.unwrap();
        assert!(read > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&octets[..read]));
    }
    assert!(text.starts_with("HTTP/1.1 202 "), "{text}");
    text.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn mail_flows_and_stopping_works_while_nobody_reads_the_log_or_takes_the_traces() {
    let (world, key, mx) = prepared().await;
    // A collector that accepts and never answers.
    let collector = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1/traces", collector.local_addr().unwrap());
    let options = [("TELEMETRY__LOG_FILTER", "trace"), ("TELEMETRY__OTLP_ENDPOINT", endpoint.as_str())];
    let program = Program::serve(&world, &key, "", Log::Unread, &options).await;
    let dropped = eventually(|| async {
        futures_util::future::join_all((0..50).map(|_| program.send("bee@example.net"))).await;
        let dropped = program.figure("pennypost_log_lines_dropped_total").await;
        if dropped > 0.0 { Ok(dropped) } else { Err("the log still has room".to_owned()) }
    })
    .await;
    let last = program.send("bee@example.net").await;
    program.delivery_in(&last, "delivered").await;
    assert!(program.figure("pennypost_log_lines_dropped_total").await >= dropped);
    assert_eq!(program.call("GET", "/readyz", b"").await.status, 200);
    eventually(|| async { if world.number("select count(*) from delivery").await == 0 { Ok(()) } else { Err("some wait".to_owned()) } }).await;
    assert_eq!(i64::try_from(mx.counts().messages).unwrap(), world.number("select count(*) from message").await);
    assert!(program.stop().await);
}

#[tokio::test]
async fn large_messages_at_once_take_no_more_memory_than_is_allowed_and_all_arrive() {
    const MESSAGES: usize = 12;
    const LARGE: usize = 8 << 20;
    let (world, key, mx) = prepared().await;
    let options = [("LIMITS__MESSAGE_OCTETS", "10485760"), ("LIMITS__REQUEST_MEMORY_OCTETS", "25165824"), ("DELIVERY__MEMORY_OCTETS", "16777216")];
    let program = Program::serve(&world, &key, "", Log::Read, &options).await;
    let before = peak(program.id());
    let text = "A line of sixty-four characters, to make the message rather big\n".repeat(LARGE / 64);
    let attempts = futures_util::future::join_all((0..MESSAGES).map(|number| {
        let (program, text) = (&program, &text);
        async move {
            let mut refusals = 0;
            let posted = eventually(|| {
                refusals += 1;
                async move {
                    let answer = program.post(&format!("r{number}@example.net"), text).await;
                    match answer.status {
                        202 => Ok(answer),
                        503 => Err("no room yet".to_owned()),
                        _ => panic!("{}", answer.text()),
                    }
                }
            })
            .await;
            (posted.json()["id"].as_str().unwrap().to_owned(), refusals - 1)
        }
    }))
    .await;
    assert!(attempts.iter().any(|(_, refusals)| *refusals > 0), "the memory for requests has room for three of {MESSAGES}");
    for (id, _) in &attempts {
        program.delivery_in(id, "delivered").await;
    }
    assert_eq!(usize::try_from(mx.counts().messages).unwrap(), MESSAGES, "each once");
    let grown = (peak(program.id()) - before) >> 20;
    assert!(grown < 160, "{grown} MiB more than at the start for {MESSAGES} messages of {} MiB", LARGE >> 20);
    assert!(program.stop().await);
}

/// The most resident memory a process ever had, in octets.
fn peak(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}
