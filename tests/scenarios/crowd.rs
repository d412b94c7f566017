//! Clients that open much and take or give little (fault L6): each is held to its share and its time, and others do not notice.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::world::gateway::eventually;
use super::world::{Gateway, World};

/// A connection from an address of the world's own.
async fn connect_from(world: &World, number: u32, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(world.address(number), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

async fn ask(mut stream: TcpStream) -> String {
    let _cut_off = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\nx-request-id: r7\r\nconnection: close\r\n\r\n").await;
    let mut text = String::new();
    let _reset = stream.read_to_string(&mut text).await;
    text
}

async fn turned_away(gateway: &Gateway) -> u64 {
    let text = gateway.get("/metrics").await.text();
    text.lines().find_map(|line| line.strip_prefix("pennypost_http_connections_turned_away_total ")?.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn a_client_with_too_many_connections_is_told_so_and_others_are_served() {
    let mut world = World::new().await;
    world.config.limits.connections_per_client = 5;
    let gateway = world.gateway().await;
    let before = turned_away(&gateway).await;
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut stream = connect_from(&world, 1, gateway.http).await;
        // An answer shows that the connection has its place.
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        stream.read_exact(&mut [0; 15]).await.unwrap();
        held.push(stream);
    }
    let refused = ask(connect_from(&world, 1, gateway.http).await).await;
    assert!(refused.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{refused}");
    assert!(
        refused.contains("connection: close") && refused.contains("x-request-id: r7") && refused.contains("application/problem+json"),
        "{refused}"
    );
    assert!(refused.contains("\"type\":\"too-many-connections\"") && refused.contains("5 connections of this address"), "{refused}");
    assert_eq!(gateway.get("/v1/messages").await.status, 200, "another client");
    assert!(ask(connect_from(&world, 2, gateway.http).await).await.starts_with("HTTP/1.1 200 "));
    assert!(turned_away(&gateway).await > before);
    drop(held.pop());
    eventually(|| async {
        let answer = ask(connect_from(&world, 1, gateway.http).await).await;
        if answer.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(answer) }
    })
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_crowd_that_says_nothing_or_too_little_is_sent_away_and_others_are_served_meanwhile() {
    let mut world = World::new().await;
    world.accepting_mx("example.net").await;
    world.config.limits.connections = 300;
    world.config.limits.connections_per_client = 200;
    let gateway = world.gateway().await;
    let mut crowd = Vec::new();
    for number in 0..200 {
        let mut stream = connect_from(&world, 1, gateway.http).await;
        if number % 2 == 0 {
            stream.write_all(b"POST /v1/send HTTP/1.1\r\nhost").await.unwrap();
        }
        crowd.push(stream);
    }
    let id = gateway.send(&["bee@example.net"]).await;
    gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    // A head that comes octet by octet has no more time than one that does not come.
    for _ in 0..3 {
        world.advance(Duration::from_secs(3));
        for stream in crowd.iter_mut().step_by(2) {
            let _gone = stream.write_all(b"x").await;
        }
        assert_eq!(gateway.get("/healthz").await.status, 200);
    }
    eventually(|| async {
        world.advance(Duration::from_secs(1));
        let open = gateway.get("/metrics").await.text();
        let open: u64 = open.lines().find_map(|line| line.strip_prefix("pennypost_http_connections_open ")?.parse().ok()).unwrap();
        if ask(connect_from(&world, 1, gateway.http).await).await.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(format!("{open} are open")) }
    })
    .await;
    for stream in &crowd {
        rest_of(stream).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_takes_no_answer_loses_its_connection() {
    const REQUESTS: usize = 400;
    let world = World::new().await;
    let gateway = world.gateway().await;
    let whole = gateway.get("/openapi.json").await.body.len();
    let mut stream = TcpStream::connect(gateway.http).await.unwrap();
    let requests = "GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n".repeat(REQUESTS);
    stream.write_all(requests.as_bytes()).await.unwrap();
    // It reads nothing while two minutes pass; others are served.
    for _ in 0..12 {
        world.advance(Duration::from_secs(10));
        assert_eq!(gateway.get("/healthz").await.status, 200);
    }
    let taken = rest_of(&stream).await;
    assert!(taken < whole * REQUESTS / 2, "{taken} of {} octets came", whole * REQUESTS);
    gateway.stop().await;
}

/// Reads until the connection is closed, in order or by a reset. The octets that came.
async fn rest_of(stream: &TcpStream) -> usize {
    let (mut octets, mut buffer) = (0, vec![0; 65_536]);
    eventually(|| {
        let closed = loop {
            match stream.try_read(&mut buffer) {
                Ok(0) => break true,
                Ok(read) => octets += read,
                Err(error) => break error.kind() != std::io::ErrorKind::WouldBlock,
            }
        };
        let seen = octets;
        async move { if closed { Ok(seen) } else { Err(format!("{seen} octets came and the connection is open")) } }
    })
    .await
}
