//! Clients that post messages, and insist: a request without an answer is repeated under its idempotency key until there is one.
//!
//! Every fifth has no key. It is not repeated, and if its answer was lost nobody knows whether it was accepted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use pennypost::clock::Clock;
use serde_json::{Value, json};

use super::dice::Dice;
use crate::world::http;

const PAUSE: Duration = Duration::from_millis(10);
/// An answer may take as long as a database takes to come back, and hangs while its process is stopped.
const PATIENCE: Duration = Duration::from_secs(8);

/// A message that was posted.
#[derive(Clone, Debug)]
pub struct Posted {
    pub recipients: Vec<String>,
    /// What the 202 said; none: the answer was lost, and there was no key.
    pub id: Option<String>,
}

/// What clients share.
pub struct Load {
    pub dice: Dice,
    pub domains: usize,
    /// Messages to post; more are not.
    pub messages: usize,
    /// One message in so many is large.
    pub large: u64,
    pub key: String,
    pub targets: Mutex<Vec<SocketAddr>>,
    pub posted: Mutex<BTreeMap<usize, Posted>>,
    pub next: AtomicUsize,
    pub stop: AtomicBool,
    pub clock: Clock,
}

impl Load {
    /// Runs so many clients until all is posted, or they are told to stop; each ends its message first.
    pub async fn run(&self, clients: usize) {
        futures_util::future::join_all((0..clients).map(|_| self.client())).await;
    }

    /// The recipients of a message: one to three of one domain.
    pub fn recipients(&self, number: usize) -> Vec<String> {
        let domain = self.dice.roll(("domain", number), self.domains as u64);
        (0..=self.dice.roll(("many", number), 3)).map(|place| format!("m{number}-{place}@d{domain}.storm.example")).collect()
    }

    async fn client(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.messages {
                return;
            }
            let recipients = self.recipients(number);
            let text =
                if self.dice.roll(("large", number), self.large) == 0 { "A line of a large message.\n".repeat(8_000) } else { "A line.\n".into() };
            let body = json!({ "from": "hello@sender.example", "to": recipients, "subject": format!("m{number}"), "text": text }).to_string();
            let key = (!number.is_multiple_of(5)).then(|| format!("storm-{number}"));
            let id = self.post(&body, key.as_deref(), number).await;
            self.posted.lock().unwrap().insert(number, Posted { recipients, id });
        }
    }

    async fn post(&self, body: &str, key: Option<&str>, number: usize) -> Option<String> {
        let bearer = format!("Bearer {}", self.key);
        let mut headers = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        for tries in 0.. {
            let target = {
                let targets = self.targets.lock().unwrap();
                targets[usize::try_from(self.dice.roll(("target", number, tries), targets.len() as u64)).unwrap()]
            };
            // A connection that is refused has said nothing: even without a key the request can be made again.
            let call = async {
                drop(tokio::net::TcpStream::connect(target).await.ok()?);
                Some(http::try_call(target, "POST", "/v1/send", &headers, body.as_bytes()).await)
            };
            match self.clock.timeout(PATIENCE, call).await {
                Ok(Some(Ok(answer))) if answer.status == 202 => return Some(id_in(&answer.json())),
                // With the database gone in the middle of a commit a 503 may be of a message that is stored.
                Ok(Some(Ok(answer))) if answer.status == 503 && key.is_none() => return None,
                Ok(Some(Ok(answer))) if answer.status == 503 || answer.json()["type"] == "idempotency-in-progress" => {}
                Ok(Some(Ok(answer))) => panic!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body)),
                Ok(Some(Err(_))) | Err(_) if key.is_none() => return None,
                Ok(None | Some(Err(_))) | Err(_) => {}
            }
            self.clock.sleep(PAUSE).await;
        }
        None
    }
}

fn id_in(answer: &Value) -> String {
    answer["id"].as_str().unwrap().to_owned()
}
