//! A gateway of a world, and what its user does with it.

use std::net::SocketAddr;
use std::time::Duration;

use pennypost::access::{NewKey, Scope};
use pennypost::clock::Clock;
use pennypost::config::Config;
use pennypost::domains::DomainError;
use pennypost::model::DomainName;
use pennypost::serve::{self, Roles, Running};
use pennypost::supervisor::Supervisor;
use serde_json::{Value, json};

use super::World;
use super::http::{self, Answer};

/// How long a test waits for something that needs no passing of (moved) time.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running gateway with a key.
pub struct Gateway {
    pub http: SocketAddr,
    pub key: String,
    pub running: Box<Running>,
    pub supervisor: Supervisor,
}

impl Gateway {
    pub(super) async fn start(world: &World, roles: Roles) -> Self {
        Self::start_on(world, roles, &world.clock).await
    }

    pub(super) async fn start_on(world: &World, roles: Roles, clock: &Clock) -> Self {
        let supervisor = Supervisor::default();
        let running = Box::new(Box::pin(serve::run(Config::clone(&world.config), roles, supervisor.clone(), clock.clone())).await.unwrap());
        let house = &running.house;
        match house.domains.add(house.project, DomainName::parse("sender.example").unwrap()).await {
            Ok(_) | Err(DomainError::Exists) => {}
            Err(error) => panic!("{error}"),
        }
        let new = NewKey { name: "test".into(), scope: Scope::Full, domains: None, expires_at: None, test: false };
        let key = house.access.create_key(house.project, new).await.unwrap().secret.expose().clone();
        let http = running.http.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 1)));
        Self { http, key, running, supervisor }
    }

    /// A request with the key.
    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        let mut all = vec![("authorization", bearer.as_str())];
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            all.push(("content-type", "application/json"));
        }
        all.extend_from_slice(headers);
        http::call(self.http, method, path, &all, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], b"").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, &[], body.to_string().as_bytes()).await
    }

    /// Sends a plain message and answers its id.
    pub async fn send(&self, to: &[&str]) -> String {
        self.send_with(to, json!({})).await
    }

    /// Sends a plain message with more fields, or others.
    pub async fn send_with(&self, to: &[&str], more: Value) -> String {
        let mut body = json!({ "from": "Penny <hello@sender.example>", "to": to, "subject": "Hello", "text": "A line.\n" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.post("/v1/send", &body).await;
        assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Sends a whole message as it is, from `hello@sender.example`, and answers its id.
    pub async fn send_raw(&self, to: &[&str], content: &[u8]) -> String {
        use base64::Engine;
        let raw = base64::engine::general_purpose::STANDARD.encode(content);
        let answer = self.post("/v1/send", &json!({ "envelope": { "from": "hello@sender.example", "to": to }, "raw": raw })).await;
        assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// A message as the API shows it.
    pub async fn message(&self, id: &str) -> Value {
        let answer = self.get(&format!("/v1/messages/{id}")).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// The delivery to a recipient.
    pub async fn delivery(&self, id: &str, recipient: &str) -> Value {
        let message = self.message(id).await;
        let deliveries = message["deliveries"].as_array().unwrap();
        deliveries.iter().find(|delivery| delivery["recipient"] == recipient).unwrap_or_else(|| panic!("no {recipient} in {message:#}")).clone()
    }

    /// Waits until a delivery satisfies `condition`, and answers it.
    pub async fn delivery_when(&self, id: &str, recipient: &str, condition: impl Fn(&Value) -> bool) -> Value {
        eventually(|| async {
            let delivery = self.delivery(id, recipient).await;
            if condition(&delivery) { Ok(delivery) } else { Err(format!("{delivery:#}")) }
        })
        .await
    }

    /// Waits until a delivery is in a state.
    pub async fn delivery_in(&self, id: &str, recipient: &str, state: &str) -> Value {
        self.delivery_when(id, recipient, |delivery| delivery["state"] == state).await
    }

    /// Waits until a delivery has had some attempts and waits again or is over.
    pub async fn attempted(&self, id: &str, recipient: &str, attempts: usize) -> Value {
        self.delivery_when(id, recipient, |delivery| {
            delivery["attempts"].as_array().is_some_and(|made| made.len() >= attempts) && delivery["state"] != "active"
        })
        .await
    }

    /// All events of the project so far.
    pub async fn events(&self) -> Vec<Value> {
        let mut all = Vec::new();
        let mut path = "/v1/events?limit=100".to_owned();
        loop {
            let page = self.get(&path).await.json();
            let data = page["data"].as_array().unwrap().clone();
            if data.is_empty() {
                return all;
            }
            all.extend(data);
            path = format!("/v1/events?limit=100&cursor={}", page["next_cursor"].as_str().unwrap());
        }
    }

    /// Stops in order.
    pub async fn stop(self) {
        self.supervisor.drain();
        self.running.wait().await.unwrap();
    }

    /// Dies as by kill -9: nothing is given back or signed off.
    pub async fn crash(self) {
        self.running.abandon().await;
    }
}

/// Asks again and again until the answer is `Ok`; panics with the last `Err` when patience ends.
pub async fn eventually<T, F: Future<Output = Result<T, String>>>(mut ask: impl FnMut() -> F) -> T {
    let mut last = String::new();
    let asking = async {
        loop {
            match ask().await {
                Ok(value) => return value,
                Err(why) => last = why,
            }
            pause().await;
        }
    };
    match limit(asking).await {
        Some(value) => value,
        None => panic!("waited {PATIENCE:?} in vain; last seen: {last}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "a pause between two looks at another task's work; no time of the world passes")]
async fn pause() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

#[expect(clippy::disallowed_methods, reason = "bounds a test that would hang")]
async fn limit<T>(asking: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(PATIENCE, asking).await.ok()
}
