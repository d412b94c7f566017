//! How often each API key may call: a token bucket per key.
//!
//! Answers: may this request go on, and what do the RateLimit headers say (draft-ietf-httpapi-ratelimit-headers).
//! Does not: limit strangers, who have no key; or share its counts with other nodes: the limit is one of each node.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::clock::Tick;
use crate::model::KeyId;

/// Counts the requests of keys. A bucket holds one second's worth of requests.
#[derive(Debug)]
pub struct RateLimiter {
    per_second: u32,
    buckets: Mutex<HashMap<KeyId, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled_at: Tick,
}

/// Where a key stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateState {
    /// Requests a second.
    pub quota: u32,
    /// Requests left at once.
    pub remaining: u32,
    /// True if this request was one too many.
    pub exceeded: bool,
}

impl RateLimiter {
    /// Allows `per_second` requests a second to each key; zero: no limit.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Self { per_second, buckets: Mutex::default() }
    }

    /// True unless there is no limit.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.per_second > 0
    }

    /// Counts a request of `key` at the time `at`. None without a limit.
    pub fn take(&self, key: KeyId, at: Tick) -> Option<RateState> {
        if !self.is_on() {
            return None;
        }
        let full = f64::from(self.per_second);
        let mut buckets = self.buckets.lock();
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: full, filled_at: at });
        bucket.tokens = (bucket.tokens + at.since(bucket.filled_at).as_secs_f64() * full).min(full);
        bucket.filled_at = at;
        let exceeded = bucket.tokens < 1.0;
        if !exceeded {
            bucket.tokens -= 1.0;
        }
        let remaining = whole(bucket.tokens);
        Some(RateState { quota: self.per_second, remaining, exceeded })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "tokens lie between zero and a u32")]
const fn whole(tokens: f64) -> u32 {
    tokens as u32
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_key_gets_its_requests_back_with_time_and_others_are_not_touched() {
        let clock = Clock::movable();
        let limiter = RateLimiter::new(2);
        let [one, other] = [1, 2].map(|number| KeyId::from_uuid(uuid::Uuid::from_u128(number)));
        let at = clock.tick();
        assert_eq!(limiter.take(one, at), Some(RateState { quota: 2, remaining: 1, exceeded: false }));
        assert_eq!(limiter.take(one, at), Some(RateState { quota: 2, remaining: 0, exceeded: false }));
        assert_eq!(limiter.take(one, at), Some(RateState { quota: 2, remaining: 0, exceeded: true }));
        assert_eq!(limiter.take(other, at).map(|state| state.exceeded), Some(false));
        assert_eq!(limiter.take(one, at.plus(Duration::from_millis(400))).map(|state| state.exceeded), Some(true));
        assert_eq!(limiter.take(one, at.plus(Duration::from_millis(600))).map(|state| state.exceeded), Some(false));
        assert_eq!(limiter.take(one, at.plus(Duration::from_hours(1))).map(|state| state.remaining), Some(1));
    }

    #[test]
    fn zero_means_no_limit() {
        assert_eq!(RateLimiter::new(0).take(KeyId::from_uuid(uuid::Uuid::nil()), Clock::system().tick()), None);
    }
}
