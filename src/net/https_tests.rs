//! A server on loopback that answers as told, and a client that must not believe everything.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::lab::zone::Zone;
use crate::net::certificate::tests::TestAuthority;
use crate::supervisor::Supervisor;

const HOST: &str = "policy.example";

struct World {
    client: HttpsClient,
    port: u16,
    clock: Clock,
    supervisor: Supervisor,
}

impl World {
    /// A server that says `answer` to every request, and then nothing.
    async fn new(answer: Vec<u8>, policy: AddressPolicy) -> Self {
        let (clock, supervisor, authority) = (Clock::movable(), Supervisor::default(), TestAuthority::new());
        let zone = Zone::parse(&format!("{HOST} A 127.0.0.1\nother.example A 127.0.0.1")).expect("a zone");
        let dns = zone.serve("127.0.0.1:0".parse().expect("an address"), &supervisor, &clock).await.expect("a server");
        let resolver = Resolver::of_servers(&[dns.local_addr], Duration::from_secs(5)).expect("a resolver");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let port = listener.local_addr().expect("its address").port();
        let acceptor = TlsAcceptor::from(authority.server(HOST, 30).0);
        supervisor.spawn("server", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut heard = [0; 4096];
                let _ = stream.read(&mut heard).await;
                let _ = stream.write_all(&answer).await;
                // Held open: only the client's own limits end a request.
                let _ = stream.read(&mut heard).await;
            }
        });
        let client = HttpsClient { resolver, clock: clock.clone(), policy, authorities: authority.trusted(), limit: Duration::from_mins(1) };
        Self { client, port, clock, supervisor }
    }

    async fn get(&self, host: &str) -> Result<Answer, HttpsError> {
        let answer = self.client.get(host, self.port, "/", 100).await;
        self.supervisor.kill();
        answer
    }
}

fn said(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\n\r\n{body}").into_bytes()
}

const OPEN: AddressPolicy = AddressPolicy { allow_private: true };

#[tokio::test]
async fn an_answer_is_given_as_it_came_redirects_included() {
    let world =
        World::new(said("302 Found\r\nLocation: https://other.example/\r\nContent-Type: Text/Plain; charset=x\r\nContent-Length: 2", "no"), OPEN)
            .await;
    let answer = world.get(HOST).await.expect("an answer");
    assert_eq!(answer, Answer { status: 302, media_type: "text/plain".to_owned(), body: Bytes::from_static(b"no") });
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    for head in ["200 OK\r\nContent-Length: 101", "200 OK\r\nConnection: close"] {
        let world = World::new(said(head, &"x".repeat(101)), OPEN).await;
        assert_eq!(world.get(HOST).await, Err(HttpsError::TooLarge(100)), "{head}");
    }
}

// C10
#[tokio::test]
async fn private_addresses_are_not_dialled_unless_that_is_allowed() {
    let world = World::new(said("200 OK\r\nContent-Length: 0", ""), AddressPolicy { allow_private: false }).await;
    assert_eq!(world.get(HOST).await, Err(HttpsError::NoAddress(HOST.to_owned())));
    let world = World::new(said("200 OK\r\nContent-Length: 0", ""), AddressPolicy { allow_private: false }).await;
    assert_eq!(world.get("127.0.0.1").await, Err(HttpsError::NoAddress("127.0.0.1".to_owned())), "nor when they are written as such");
}

#[tokio::test]
async fn a_certificate_for_another_name_ends_it() {
    let world = World::new(said("200 OK\r\nContent-Length: 0", ""), OPEN).await;
    assert_eq!(world.get("other.example").await, Err(HttpsError::Certificate(CertificateFault::HostMismatch("other.example".to_owned()))));
}

#[tokio::test]
async fn what_is_no_http_and_what_never_comes_are_told() {
    let world = World::new(b"220 mx ESMTP\r\n".to_vec(), OPEN).await;
    assert!(matches!(world.get(HOST).await, Err(HttpsError::Http(_))));
    let world = World::new(said("200 OK\r\nContent-Length: 50", "half"), OPEN).await;
    let (client, port) = (world.client.clone(), world.port);
    let asking = client.get(HOST, port, "/", 100);
    tokio::pin!(asking);
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut asking => break answer,
            () = tokio::task::yield_now() => world.clock.advance(Duration::from_secs(1)),
        }
    };
    assert_eq!(answer, Err(HttpsError::TimedOut(Duration::from_mins(1))));
    world.supervisor.kill();
}
