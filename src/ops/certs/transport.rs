//! How the ACME library reaches the authority: by our own HTTPS client, with its limits, its authorities and its rule for private addresses.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Uri, header};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use parking_lot::Mutex;

use crate::net::https::HttpsClient;

/// Octets of an answer at most; a chain has some thousands.
const MAX_OCTETS: usize = 1024 * 1024;

/// The client. Clones share what the authority last said of waiting.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    https: HttpsClient,
    retry_after: Arc<Mutex<Option<Duration>>>,
}

impl Transport {
    pub(super) fn new(https: HttpsClient) -> Self {
        Self { https, retry_after: Arc::default() }
    }

    /// For how long the authority wants to be left alone, as its last answer told in seconds.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        *self.retry_after.lock()
    }

    async fn ask(&self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (mut head, body) = request.into_parts();
        let (host, port) = place(&head.uri)?;
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        head.uri = path.parse()?;
        let Ok(body) = body.collect().await;
        let request = Request::from_parts(head, Full::new(body.to_bytes()));
        let answer = self.https.send(&host, port, request, MAX_OCTETS).await.map_err(|error| Error::Other(format!("{host}: {error}").into()))?;
        let seconds = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse().ok());
        *self.retry_after.lock() = seconds.map(Duration::from_secs);
        Ok(BytesResponse::from(answer.map(Full::new)))
    }
}

impl HttpClient for Transport {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let transport = self.clone();
        Box::pin(async move { transport.ask(request).await })
    }
}

/// Host and port of an address that the authority names; nothing but HTTPS is spoken with it.
fn place(uri: &Uri) -> Result<(String, u16), Error> {
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(host)) => Ok((host.trim_matches(['[', ']']).to_owned(), uri.port_u16().unwrap_or(443))),
        _ => Err(Error::Other(format!("{uri} is no https:// address").into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_is_spoken_with_an_authority() {
        let place = |text: &str| place(&text.parse().unwrap()).ok();
        assert_eq!(place("https://acme.example/directory"), Some(("acme.example".to_owned(), 443)));
        assert_eq!(place("https://127.0.0.1:14000/dir?a=b"), Some(("127.0.0.1".to_owned(), 14000)));
        assert_eq!(place("http://acme.example/directory"), None);
        assert_eq!(place("/directory"), None);
    }
}
