//! Answers authorities at ports 80 and 443: http-01 and tls-alpn-01, and nothing else.
//!
//! Answers: a text for a known token, 404 for all other paths; a handshake for a known name. A connection lasts seconds at most.
//! Does not: keep answers; [`crate::net::acme`] does.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::net::acme::{AlpnServer, Answers, HTTP_PATH};
use crate::supervisor::Supervisor;

/// What one connection may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Connections at once; more are closed.
const CONNECTIONS: usize = 64;
/// Octets of a request's head.
const MAX_HEAD: usize = 16 * 1024;
/// How long to wait after accepting failed.
const PAUSE: Duration = Duration::from_millis(100);

/// Who is answered.
#[derive(Clone, Debug)]
pub enum Responder {
    /// http-01.
    Http(Answers),
    /// tls-alpn-01.
    Tls(AlpnServer),
}

/// Serves until a drain, in the background.
pub fn serve(listener: TcpListener, responder: Responder, clock: Clock, supervisor: &Supervisor) {
    let owner = supervisor.clone();
    supervisor.spawn("acme", async move {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                () = owner.draining() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
                    let (responder, clock) = (responder.clone(), clock.clone());
                    owner.spawn("acme.connection", async move {
                        let _ = clock.timeout(LIMIT, answer(stream, peer, responder)).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection of an authority could not be accepted");
                    clock.sleep(PAUSE).await;
                }
            }
        }
    });
}

async fn answer(stream: TcpStream, peer: SocketAddr, responder: Responder) {
    let ended = match responder {
        Responder::Tls(server) => server.answer(stream).await.map_err(|error| error.to_string()),
        Responder::Http(answers) => {
            let service = service_fn(move |request| {
                let answer = text(&answers, &request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut builder = http1::Builder::new();
            builder.keep_alive(false).max_buf_size(MAX_HEAD);
            builder.serve_connection(TokioIo::new(stream), service).await.map_err(|error| error.to_string())
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, error, "somebody asked for no proof that is known here");
    }
}

fn text(answers: &Answers, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let token = request.uri().path().strip_prefix(HTTP_PATH).filter(|_| *request.method() == Method::GET);
    let text = token.and_then(|token| answers.text(token));
    let status = if text.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let mut response = Response::new(Full::from(text.unwrap_or_else(|| "only proofs for certificate authorities are here\n".to_owned())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/octet-stream"));
    response
}
