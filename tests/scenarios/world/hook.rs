//! An HTTP endpoint that remembers what it was told and answers as the test says.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::World;
use super::gateway::eventually;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Told {
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

/// A server that listens.
#[derive(Clone)]
pub struct Hook {
    pub address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    /// The next answers; when none is left, 204.
    answers: VecDeque<String>,
    told: Vec<Told>,
}

/// What makes it never answer.
pub const SILENCE: &str = "";

/// An answer without a body.
pub fn status(status: u16) -> String {
    format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n")
}

impl World {
    /// An endpoint on an address of its own.
    pub async fn hook(&self) -> Hook {
        let listener = TcpListener::bind(SocketAddr::new(self.fresh_address(), 0)).await.unwrap();
        let hook = Hook { address: listener.local_addr().unwrap(), inner: Arc::default() };
        let (shared, tasks) = (hook.clone(), self.lab.clone());
        self.lab.spawn("hook", async move {
            while let Ok((stream, _)) = listener.accept().await {
                tasks.spawn("hook connection", shared.clone().serve(stream));
            }
        });
        hook
    }
}

impl Hook {
    pub fn url(&self) -> String {
        format!("http://{}/hook?a=b", self.address)
    }

    /// Answers the next request like this.
    pub fn answer(&self, answer: impl Into<String>) {
        self.inner.lock().unwrap().answers.push_back(answer.into());
    }

    pub fn told(&self) -> Vec<Told> {
        self.inner.lock().unwrap().told.clone()
    }

    /// Waits until it was told so often.
    pub async fn told_times(&self, times: usize) -> Vec<Told> {
        eventually(|| async {
            let told = self.told();
            if told.len() >= times { Ok(told) } else { Err(format!("told {} times, not {times}", told.len())) }
        })
        .await
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut octets = Vec::new();
        let told = loop {
            let mut more = [0; 16_000];
            match stream.read(&mut more).await {
                Ok(0) | Err(_) => return,
                Ok(read) => octets.extend_from_slice(&more[..read]),
            }
            if let Some(told) = whole(&octets) {
                break told;
            }
        };
        let answer = {
            let mut inner = self.inner.lock().unwrap();
            inner.told.push(told);
            inner.answers.pop_front().unwrap_or_else(|| status(204))
        };
        if answer == SILENCE {
            // Until the other side has enough.
            let _ended = stream.read(&mut [0; 16]).await;
            return;
        }
        let _gone = stream.write_all(answer.as_bytes()).await;
        let _gone = stream.shutdown().await;
    }
}

impl Told {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    /// Whether one of its signatures is by this secret (Standard Webhooks).
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap());
        let signed = [self.id().as_bytes(), b".", self.headers["webhook-timestamp"].as_bytes(), b".", &self.body].concat();
        let expected = format!("v1,{}", STANDARD.encode(hmac::sign(&key, &signed)));
        self.headers["webhook-signature"].split(' ').any(|signature| signature == expected)
    }
}

fn whole(octets: &[u8]) -> Option<Told> {
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&octets[..end]).into_owned();
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: HashMap<String, String> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let length = headers.get("content-length").map_or(0, |text| text.parse::<usize>().unwrap());
    let body = octets[end + 4..].to_vec();
    (body.len() >= length).then_some(Told { path, headers, body })
}
