//! Secrets of endpoints, and what they sign: Standard Webhooks 1.0.
//!
//! Answers: a fresh secret, `whsec_` and base64 of 32 octets, and the field `webhook-signature` of a message.
//! Does not: keep secrets.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::clock::Clock;
use crate::model::Secret;

const PREFIX: &str = "whsec_";
const OCTETS: usize = 32;

/// The key of an endpoint.
pub type Key = Secret<Vec<u8>>;

/// Makes a key.
#[must_use]
pub fn make(clock: &Clock) -> Key {
    Secret::new(clock.random::<OCTETS>().to_vec())
}

/// A key as users are shown it, and as libraries that verify want it.
#[must_use]
pub fn text(key: &Key) -> Secret<String> {
    Secret::new(format!("{PREFIX}{}", STANDARD.encode(key.expose())))
}

/// The field `webhook-signature`: one signature by each key, the newest first.
#[must_use]
pub fn signature<'k>(keys: impl IntoIterator<Item = &'k Key>, id: &str, timestamp: i64, body: &[u8]) -> String {
    let signed = keys.into_iter().map(|key| {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()));
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    });
    signed.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The example of the specification of Standard Webhooks.
        let key = Secret::new(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        let signature = |keys: &[&Key]| signature(keys.iter().copied(), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}");
        let one = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signature(&[&key]), one);
        let other = make(&Clock::system());
        assert!(signature(&[&other, &key]).ends_with(&format!(" {one}")) && !signature(&[&other]).contains(one));
        assert_eq!(text(&other).expose().len(), PREFIX.len() + 44);
    }
}
