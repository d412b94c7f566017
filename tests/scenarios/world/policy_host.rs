//! An HTTPS server that answers every request with the octets it was told, and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::World;
use super::authority::Identity;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub head: String,
    pub body: Vec<u8>,
}

/// A server that listens. Its answer may change at any time.
#[derive(Clone)]
pub struct PolicyHost {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    answer: Vec<u8>,
    requests: Vec<Request>,
}

/// An answer of 200 with a policy.
pub fn policy(mode: &str, mx: &str, max_age: u64) -> String {
    answer(200, "text/plain", &format!("version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: {max_age}\r\n"))
}

/// Any answer.
pub fn answer(status: u16, media_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} x\r\nContent-Type: {media_type}\r\nLocation: https://elsewhere.example/\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

impl World {
    /// Publishes MTA-STS for `domain` under `id` and serves `answer` as the policy, with a certificate for the policy host.
    pub async fn policy_host(&self, domain: &str, id: &str, identity: &Identity, answer: &str) -> PolicyHost {
        self.zone.add(&format!("_mta-sts.{domain} TXT v=STSv1; id={id};")).unwrap();
        self.https_host(&format!("mta-sts.{domain}"), identity, answer).await
    }

    /// An HTTPS server named `host`, at the port of policy hosts.
    pub async fn https_host(&self, host: &str, identity: &Identity, answer: &str) -> PolicyHost {
        let address = self.fresh_address();
        self.zone.add(&format!("{host} A {address}")).unwrap();
        let listener = TcpListener::bind(SocketAddr::new(address, self.config.delivery_tls.policy_port)).await.unwrap();
        let inner = Inner { answer: answer.as_bytes().to_vec(), requests: Vec::new() };
        let server = PolicyHost { inner: Arc::new(Mutex::new(inner)) };
        let (shared, tasks, config) = (server.clone(), self.lab.clone(), Arc::clone(&identity.config));
        self.lab.spawn("policy host", async move {
            while let Ok((stream, _)) = listener.accept().await {
                tasks.spawn("policy host connection", shared.clone().serve(stream, Arc::clone(&config)));
            }
        });
        server
    }
}

impl PolicyHost {
    /// What it says from now on.
    pub fn say(&self, answer: &str) {
        self.inner.lock().unwrap().answer = answer.as_bytes().to_vec();
    }

    /// Requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.inner.lock().unwrap().requests.clone()
    }

    async fn serve(self, stream: TcpStream, config: Arc<ServerConfig>) {
        // Who does not like the certificate goes away.
        let Ok(mut stream) = TlsAcceptor::from(config).accept(stream).await else { return };
        let mut octets = Vec::new();
        let request = loop {
            let mut more = [0; 4096];
            match stream.read(&mut more).await {
                Ok(0) | Err(_) => return,
                Ok(read) => octets.extend_from_slice(&more[..read]),
            }
            if let Some(request) = whole(&octets) {
                break request;
            }
        };
        let answer = {
            let mut inner = self.inner.lock().unwrap();
            inner.requests.push(request);
            inner.answer.clone()
        };
        // The client may have read enough and gone.
        let _gone = stream.write_all(&answer).await;
        let _gone = stream.shutdown().await;
    }
}

fn whole(octets: &[u8]) -> Option<Request> {
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&octets[..end]).into_owned();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(|text| text.parse::<usize>().unwrap()));
    let body = octets[end + 4..].to_vec();
    (body.len() >= length.unwrap_or(0)).then_some(Request { head, body })
}
