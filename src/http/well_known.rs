//! What other mail servers ask the HTTP door for: the MTA-STS policy of a domain whose mail comes here (RFC 8461 3.3).
//!
//! Answers: the policy of the domain that the request names as its host, `mta-sts.` and the domain. Does not: end TLS; a proxy in front of the
//! door, or a listener with certificates, does.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::routing::get;

use super::Api;
use super::problem::Problem;
use crate::model::DomainName;

/// Where policies are.
pub const MTA_STS: &str = "/.well-known/mta-sts.txt";

/// The routes.
pub fn routes() -> Router<Arc<Api>> {
    Router::new().route(MTA_STS, get(mta_sts))
}

async fn mta_sts(State(api): State<Arc<Api>>, request: Request) -> Result<([(HeaderName, HeaderValue); 1], String), Problem> {
    let domain = domain(&request).ok_or(Problem::NotFound)?;
    let policy = api.domains.served_policy(&domain).await?.ok_or(Problem::NotFound)?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))], policy))
}

/// The domain whose policy host the request was sent to.
fn domain(request: &Request) -> Option<DomainName> {
    let named = || request.headers().get(header::HOST)?.to_str().ok();
    let host = request.uri().host().or_else(named)?;
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let (label, domain) = host.trim_end_matches('.').split_once('.')?;
    if label.eq_ignore_ascii_case("mta-sts") { DomainName::parse(domain).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn the_domain_is_read_from_the_host_that_was_asked() {
        for (uri, host, domain) in [
            (MTA_STS, Some("mta-sts.example.com"), Some("example.com")),
            (MTA_STS, Some("MTA-STS.Example.com:8443"), Some("example.com")),
            ("https://mta-sts.example.com/.well-known/mta-sts.txt", Some("other.example"), Some("example.com")),
            (MTA_STS, Some("mta-sts.example.com."), Some("example.com")),
            (MTA_STS, Some("www.example.com"), None),
            (MTA_STS, Some("mta-sts.localhost"), None),
            (MTA_STS, Some("mta-sts"), None),
            (MTA_STS, Some(""), None),
            (MTA_STS, None, None),
        ] {
            let mut request = Request::builder().uri(uri);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let found = super::domain(&request.body(Body::empty()).unwrap());
            assert_eq!(found.as_ref().map(DomainName::as_str), domain, "{uri} {host:?}");
        }
    }
}
