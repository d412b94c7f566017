//! Reads a request's body whole, within limits of size, memory and time.
//!
//! Answers: the octets, once they are all here. Holds their share of the memory for request bodies until dropped, so that many
//! large requests at once are refused and do not fill the memory (A16).
//! Does not: decompress: a compressed body is refused.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;
use crate::clock::Clock;

/// Octets of one unit of the memory for bodies.
const UNIT: usize = 1024;
/// How long a body may take at least.
const BASE_TIME: Duration = Duration::from_secs(15);
/// Octets a second below which a body is too slow.
const SLOWEST: usize = 16 * 1024;

/// The memory for request bodies.
#[derive(Clone, Debug)]
pub struct Budget {
    units: Arc<Semaphore>,
}

/// A body and its share of the memory.
#[derive(Debug)]
pub struct Held {
    /// The octets.
    pub bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// Memory of `octets`.
    #[must_use]
    pub fn new(octets: usize) -> Self {
        Self { units: Arc::new(Semaphore::new((octets / UNIT).clamp(1, Semaphore::MAX_PERMITS))) }
    }

    fn take(&self, octets: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let units = u32::try_from(octets.div_ceil(UNIT)).unwrap_or(u32::MAX);
        Arc::clone(&self.units).try_acquire_many_owned(units).map_err(|_| Problem::Overloaded)
    }

    /// Reads `body` if it has at most `limit` octets.
    ///
    /// # Errors
    /// 413, 415 for compressed, 503 without memory, 408 when slow, 400 when cut off.
    pub async fn read(&self, headers: &HeaderMap, body: Body, limit: usize, clock: &Clock) -> Result<Held, Problem> {
        if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(Problem::UnsupportedEncoding);
        }
        let declared = declared_length(headers)?;
        if declared.is_some_and(|length| length > limit) {
            return Err(Problem::BodyTooLarge(limit));
        }
        let share = declared.map(|length| self.take(length)).transpose()?;
        let seconds = declared.unwrap_or(limit) / SLOWEST;
        let time = BASE_TIME + Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX));
        let reading = self.collect(body, declared.unwrap_or(0), limit, share);
        clock.timeout(time, reading).await.map_err(|_| Problem::RequestTimeout)?
    }

    async fn collect(&self, mut body: Body, declared: usize, limit: usize, mut share: Option<OwnedSemaphorePermit>) -> Result<Held, Problem> {
        // Most bodies come in one piece, which is then used where it lies.
        let first = next(&mut body).await?.unwrap_or_default();
        let Some(second) = next(&mut body).await? else {
            self.cover(&mut share, first.len(), limit)?;
            return Ok(Held { bytes: first, _share: share });
        };
        let mut bytes = BytesMut::with_capacity(declared.max(first.len() + second.len()));
        bytes.extend_from_slice(&first);
        let mut piece = Some(second);
        while let Some(octets) = piece {
            self.cover(&mut share, bytes.len() + octets.len(), limit)?;
            bytes.extend_from_slice(&octets);
            piece = next(&mut body).await?;
        }
        Ok(Held { bytes: bytes.freeze(), _share: share })
    }

    /// Grows `share` so that it covers `octets`.
    fn cover(&self, share: &mut Option<OwnedSemaphorePermit>, octets: usize, limit: usize) -> Result<(), Problem> {
        if octets > limit {
            return Err(Problem::BodyTooLarge(limit));
        }
        let held = share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) * UNIT;
        if octets > held {
            let more = self.take(octets - held)?;
            match share {
                Some(share) => share.merge(more),
                None => *share = Some(more),
            }
        }
        Ok(())
    }
}

/// The next piece of data; trailers are skipped.
async fn next(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| Problem::IncompleteBody)?.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

fn declared_length(headers: &HeaderMap) -> Result<Option<usize>, Problem> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else { return Ok(None) };
    value.to_str().ok().and_then(|text| text.parse().ok()).map(Some).ok_or(Problem::IncompleteBody)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use futures_util::stream;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn pieces(pieces: &[&'static str]) -> Body {
        Body::from_stream(stream::iter(pieces.iter().map(|piece| Ok::<_, std::io::Error>(*piece)).collect::<Vec<_>>()))
    }

    #[tokio::test]
    async fn a_body_in_one_piece_or_many_is_read_whole() {
        let budget = Budget::new(4096);
        for body in [Body::from("abcdef"), pieces(&["ab", "", "cd", "ef"])] {
            let held = budget.read(&HeaderMap::new(), body, 6, &Clock::system()).await.unwrap();
            assert_eq!(held.bytes, "abcdef");
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_by_its_length_or_while_it_comes() {
        let budget = Budget::new(1 << 20);
        let declared = headers(&[("content-length", "7")]);
        for (headers, body) in [(declared, Body::empty()), (HeaderMap::new(), pieces(&["abc", "defg"])), (HeaderMap::new(), Body::from("abcdefg"))] {
            let refused = budget.read(&headers, body, 6, &Clock::system()).await.unwrap_err();
            assert!(matches!(refused, Problem::BodyTooLarge(6)), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn memory_that_is_taken_refuses_until_it_is_given_back() {
        let budget = Budget::new(2048);
        let clock = Clock::system();
        let held = budget.read(&headers(&[("content-length", "2000")]), Body::from("x".repeat(2000)), 4096, &clock).await.unwrap();
        let refused = budget.read(&HeaderMap::new(), Body::from("x"), 4096, &clock).await.unwrap_err();
        assert!(matches!(refused, Problem::Overloaded), "{refused:?}");
        drop(held);
        assert!(budget.read(&HeaderMap::new(), Body::from("x"), 4096, &clock).await.is_ok());
    }

    #[tokio::test]
    async fn a_compressed_a_slow_and_a_broken_body_are_refused() {
        let (budget, clock) = (Budget::new(1 << 20), Clock::movable());
        let refused = budget.read(&headers(&[("content-encoding", "gzip")]), Body::from("x"), 10, &clock).await.unwrap_err();
        assert!(matches!(refused, Problem::UnsupportedEncoding), "{refused:?}");
        let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let empty = HeaderMap::new();
        let slow = budget.read(&empty, never, 10, &clock);
        let (refused, ()) = tokio::join!(slow, async { clock.advance(BASE_TIME) });
        assert!(matches!(refused, Err(Problem::RequestTimeout)), "{refused:?}");
        let broken = Body::from_stream(stream::iter([Ok("a"), Err(std::io::Error::other("gone"))]));
        let refused = budget.read(&HeaderMap::new(), broken, 10, &clock).await.unwrap_err();
        assert!(matches!(refused, Problem::IncompleteBody), "{refused:?}");
    }
}
