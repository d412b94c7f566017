//! A small client of our own HTTP API, in the clear: for a gateway on this machine.
//!
//! Answers: status and JSON of one request. Does not: TLS, redirects, streaming; SDKs are in `clients/`.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::failure::Failure;
use crate::clock::Clock;
use crate::model::Secret;

const ANSWER_LIMIT: Duration = Duration::from_secs(30);
const MAX_ANSWER_OCTETS: usize = 64 * 1024 * 1024;

/// Asks one gateway.
#[derive(Clone, Debug)]
pub struct ApiClient {
    base: String,
    key: Option<Secret<String>>,
    http: Client<HttpConnector, Full<Bytes>>,
    clock: Clock,
}

/// What the gateway answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body; null if it is not JSON.
    pub body: Value,
}

impl Answer {
    /// The body, if the status is 2xx; else what the problem says.
    ///
    /// # Errors
    /// The gateway refused.
    pub fn expect_done(self, what: &str) -> anyhow::Result<Value> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let word = |name: &str| self.body.get(name).and_then(Value::as_str).unwrap_or_default();
        let errors = self.body.get("errors").and_then(Value::as_array).into_iter().flatten();
        let fields = errors.map(|error| {
            let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
            format!("{} {}", part("pointer"), part("reason"))
        });
        let reasons = std::iter::once(word("detail").to_owned()).chain(fields).filter(|reason| !reason.is_empty()).collect::<Vec<_>>();
        let why = format!("{} {}: {}", self.status, word("title"), reasons.join("; "));
        Err(Failure::new(what).because(anyhow::anyhow!(why)))
    }
}

impl ApiClient {
    /// A client of the gateway at `base`, as in `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// The URL is not one this client can reach.
    pub fn new(base: &str, key: Option<Secret<String>>, clock: &Clock) -> anyhow::Result<Self> {
        let base = base.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") {
            let fix = "name the address the gateway listens on, as in --url http://127.0.0.1:8080";
            return Err(Failure::usage(format!("{base} cannot be used: this client speaks http only")).fix(fix).into());
        }
        let http = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { base, key, http, clock: clock.clone() })
    }

    /// GET `path`.
    ///
    /// # Errors
    /// No answer came.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask(Method::GET, path, None).await
    }

    /// POST `body` as JSON to `path`.
    ///
    /// # Errors
    /// No answer came.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// GET `path`, whose answer is not JSON.
    ///
    /// # Errors
    /// No answer came, or another than 200.
    pub async fn get_octets(&self, path: &str) -> anyhow::Result<Bytes> {
        let (status, content) = self.exchange(Method::GET, path, None).await?;
        if status != 200 {
            let body = serde_json::from_slice(&content).unwrap_or(Value::Null);
            Answer { status, body }.expect_done("the content cannot be read")?;
        }
        Ok(content)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
        let (status, content) = self.exchange(method, path, body).await?;
        Ok(Answer { status, body: serde_json::from_slice(&content).unwrap_or(Value::Null) })
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<(u16, Bytes)> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, format!("Bearer {}", key.expose()));
        }
        let content = match body {
            None => Bytes::new(),
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(serde_json::to_vec(body)?)
            }
        };
        let request = request.body(Full::new(content))?;
        let silent =
            || Failure::new(format!("the gateway at {} does not answer", self.base)).fix("start it with `pennypost serve` or `pennypost dev`");
        let answer = self.clock.timeout(ANSWER_LIMIT, self.http.request(request)).await;
        let answer = answer.map_err(|error| silent().because(error))?.map_err(|error| silent().because(error))?;
        let status = answer.status().as_u16();
        let limited = Limited::new(answer.into_body(), MAX_ANSWER_OCTETS).collect();
        let content = self.clock.timeout(ANSWER_LIMIT, limited).await.map_err(|error| silent().because(error))?;
        let content = content.map_err(|error| silent().because(anyhow::anyhow!("{error}")))?.to_bytes();
        Ok((status, content))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::failure::text;
    use super::*;

    #[tokio::test]
    async fn a_request_carries_key_and_json_and_the_answer_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let client = ApiClient::new(&base, Some(Secret::new("pp_test_x".to_owned())), &Clock::system()).unwrap();
        let served = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"{\"a\":1}") {
                stream.read_buf(&mut request).await.unwrap();
            }
            stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 11\r\n\r\n{\"id\":\"m1\"}").await.unwrap();
            String::from_utf8(request).unwrap()
        };
        let body = json!({"a": 1});
        let (answer, request) = tokio::join!(client.post("/v1/send", &body), served);
        assert_eq!(answer.unwrap(), Answer { status: 202, body: json!({"id": "m1"}) });
        assert!(request.starts_with("POST /v1/send HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("authorization: Bearer pp_test_x\r\n") && request.contains("content-type: application/json\r\n"), "{request}");
    }

    #[test]
    fn a_problem_is_told_with_its_fields() {
        let body = json!({"title": "Invalid", "detail": "2 fields are wrong", "errors": [{"pointer": "/to/0", "reason": "no @"}]});
        let error = Answer { status: 422, body }.expect_done("the message was refused").expect_err("refused");
        assert_eq!(text(&error), "error: the message was refused\n  why: 422 Invalid: 2 fields are wrong; /to/0 no @");
    }

    #[tokio::test]
    async fn a_gateway_that_is_not_there_is_told_with_what_to_do() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = ApiClient::new(&base, None, &Clock::system()).unwrap().get("/healthz").await.expect_err("no answer");
        assert!(text(&error).contains("fix: start it with `pennypost serve`"), "{}", text(&error));
        assert!(ApiClient::new("https://mail.example.com", None, &Clock::system()).is_err());
    }
}
