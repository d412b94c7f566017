//! Listens for HTTP/1.1 and HTTP/2 (prior knowledge) and serves connections within limits.
//!
//! Answers: slow or idle clients lose their connection after 10 s without a request head, or when they stop reading (L6); a flood waits at the connection
//! limit, a client with more than its share of connections is told so and turned away; a drain lets requests end and closes idle connections.
//! Does not: speak TLS; a proxy in front does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::patience::Patience;
use super::problem::Problem;
use super::stack::Stack;
use super::timer::ClockTimer;
use crate::net::places::{Place, Places, Telling};
use crate::supervisor::Supervisor;
use crate::telemetry::metrics;

/// Clients that are told at once why they are turned away; more are turned away without a word.
const FAREWELLS: usize = 32;
/// How long a client may take for the head of a request, the wait for it included.
pub const HEADER_TIME: Duration = Duration::from_secs(10);
/// Octets of a request head that is read at all; `stack` tells of a smaller limit.
const MAX_HEADER_OCTETS: u32 = 64 * 1024;
/// Fields of a request head that is read at all.
const MAX_HEADERS: usize = 400;
/// Requests of one HTTP/2 connection at once.
const MAX_STREAMS: u32 = 128;
/// How long to wait after accepting failed: most such failures are a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Places for `most` connections, at most `of_one_client` of each client; zero: as many as there are.
#[must_use]
pub fn places(most: usize, of_one_client: usize) -> Arc<Places> {
    let telling = Telling {
        protocol: "HTTP",
        opened: metrics::http_connection_opened,
        closed: metrics::http_connection_closed,
        turned_away: metrics::turned_away,
    };
    Places::new(most, of_one_client, telling)
}

/// A bound socket, not served yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
}

impl Listener {
    /// Binds `address`.
    ///
    /// # Errors
    /// The address is taken, not ours, or needs a privilege.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await? })
    }

    /// Takes a socket that was bound elsewhere.
    #[must_use]
    pub const fn of(socket: TcpListener) -> Self {
        Self { socket }
    }

    /// The address bound, with the port chosen when 0 was asked for.
    ///
    /// # Errors
    /// The operating system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until a drain, in the background, as many connections as there are places.
    pub fn serve(self, stack: Stack, places: Arc<Places>, supervisor: &Supervisor) {
        let door =
            Door { server: Arc::new(server(&stack)), farewells: Arc::new(Semaphore::new(FAREWELLS)), stack, places, supervisor: supervisor.clone() };
        supervisor.spawn_essential("http", async move { self.accept(door).await });
    }

    async fn accept(self, door: Door) {
        let Door { stack, places, supervisor, .. } = &door;
        loop {
            let next = async {
                // The place first: a connection that is not taken waits in the operating system's queue.
                let room = places.room().await;
                self.socket.accept().await.map(|accepted| (accepted, room))
            };
            let accepted = tokio::select! {
                () = supervisor.draining() => return,
                accepted = next => accepted,
            };
            match accepted {
                Ok(((stream, peer), room)) => match room.and_then(|room| places.take(room, peer.ip())) {
                    Some(place) => supervisor.spawn("http.connection", door.clone().serve(stream, place)),
                    None => door.turn_away(stream),
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    stack.clock().sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn server(stack: &Stack) -> auto::Builder<TokioExecutor> {
    let timer = ClockTimer(stack.clock().clone());
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(timer.clone())
        .header_read_timeout(HEADER_TIME)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_OCTETS as usize)
        .pipeline_flush(true);
    server
        .http2()
        .timer(timer)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_OCTETS)
        .keep_alive_interval(HEADER_TIME)
        .keep_alive_timeout(HEADER_TIME);
    server
}

/// What every connection needs.
#[derive(Clone)]
struct Door {
    server: Arc<auto::Builder<TokioExecutor>>,
    stack: Stack,
    places: Arc<Places>,
    farewells: Arc<Semaphore>,
    supervisor: Supervisor,
}

impl Door {
    /// Serves a connection until it or the process ends.
    async fn serve(self, stream: TcpStream, _place: Place) {
        // Answers are small and whole: waiting to fill a segment would only delay them.
        let _ = stream.set_nodelay(true);
        let (clock, stack) = (self.stack.clock().clone(), self.stack);
        let asked = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&asked);
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            seen.store(true, Ordering::Relaxed);
            let stack = stack.clone();
            async move { Ok::<_, std::convert::Infallible>(stack.respond(request.map(Body::new)).await) }
        });
        let serving = self.server.serve_connection(TokioIo::new(Patience::new(stream, clock.clone())), service);
        tokio::pin!(serving);
        // The server's own limits hold once it knows the version of HTTP, and a client that says nothing never tells it.
        let silent = async {
            clock.sleep(HEADER_TIME).await;
            if asked.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = silent => return,
            () = self.supervisor.draining() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = error.to_string(), "an HTTP connection ended early");
        }
    }

    /// Answers the first request of a client that has too many connections with why, if not too many are being told already, and closes.
    fn turn_away(&self, stream: TcpStream) {
        let Ok(farewell) = Arc::clone(&self.farewells).try_acquire_owned() else { return };
        let (server, clock) = (Arc::clone(&self.server), self.stack.clock().clone());
        let stack = self.stack.refusing(Problem::TooManyConnections(self.places.of_one_client()));
        self.supervisor.spawn("http.farewell", async move {
            let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                let stack = stack.clone();
                async move { Ok::<_, std::convert::Infallible>(stack.respond(request.map(Body::new)).await) }
            });
            // Whether it listens is its own affair.
            let _ = clock.timeout(HEADER_TIME, server.serve_connection(TokioIo::new(stream), service)).await;
            drop(farewell);
        });
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    use super::*;
    use crate::clock::Clock;
    use crate::http::stack::RateLimit;

    async fn serve(routes: Router, clock: &Clock) -> (SocketAddr, Supervisor) {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, supervisor) = (listener.local_addr().unwrap(), Supervisor::default());
        listener.serve(Stack::around(routes, clock.clone(), RateLimit::Off), places(100, 0), &supervisor);
        (address, supervisor)
    }

    async fn read_to_end(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[tokio::test]
    async fn a_request_head_that_comes_too_slowly_ends_the_connection() {
        let clock = Clock::movable();
        let (address, supervisor) = serve(Router::new().route("/", get(async || "ok")), &clock).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        stream.write_all(b"GET / HTT").await.unwrap();
        let ended = read_to_end(&mut stream);
        tokio::pin!(ended);
        assert!(futures_util::poll!(ended.as_mut()).is_pending());
        loop {
            clock.advance(HEADER_TIME);
            tokio::select! {
                _ = ended.as_mut() => break,
                () = tokio::task::yield_now() => {}
            }
        }
        supervisor.kill();
        supervisor.ended().await;
    }

    #[tokio::test]
    async fn a_drain_lets_the_request_under_way_end_and_takes_no_other() {
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let handler = {
            let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
            async move || {
                begun.notify_one();
                go.notified().await;
                "done"
            }
        };
        let (address, supervisor) = serve(Router::new().route("/", get(handler)), &Clock::system()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        begun.notified().await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        begun.notified().await;
        supervisor.drain();
        go.notify_waiters();
        let answer = read_to_end(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"), "{answer}");
        supervisor.ended().await;
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let (address, supervisor) = serve(Router::new().route("/", get(async || "ok")), &Clock::system()).await;
        for head in [
            format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000)),
            format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000)),
            format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(10_000)),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(head.as_bytes()).await;
            let answer = read_to_end(&mut stream).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        }
        supervisor.kill();
        supervisor.ended().await;
    }
}
