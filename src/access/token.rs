//! The text of an API key: `pp_live_` or `pp_test_`, then 10 characters by which its row is found, 28 random characters
//! (166 bits) and 6 characters of checksum, all in base 62.
//!
//! Answers: make one, and is this text one at all. The checksum (CRC-32 of all before it) lets a mistyped key be refused without
//! asking the database, and lets secret scanners tell keys from other texts: `pp_(live|test)_[0-9A-Za-z]{44}`.
//! Does not: know whether the key exists.

use aws_lc_rs::{constant_time, digest};

use crate::clock::Clock;
use crate::model::Secret;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LIVE: &str = "pp_live_";
const TEST: &str = "pp_test_";
const LOOKUP_CHARACTERS: usize = 10;
const SECRET_CHARACTERS: usize = 28;
pub(super) const CHECKSUM_CHARACTERS: usize = 6;
const BODY_CHARACTERS: usize = LOOKUP_CHARACTERS + SECRET_CHARACTERS + CHECKSUM_CHARACTERS;

/// A fresh key.
pub(super) struct Fresh {
    /// The whole key, to be shown once.
    pub(super) key: Secret<String>,
    /// Its public part.
    pub(super) lookup: String,
    /// What is stored of the rest.
    pub(super) hash: [u8; 32],
}

/// Makes a key.
pub(super) fn generate(clock: &Clock, test: bool) -> Fresh {
    let random = random_characters(clock, LOOKUP_CHARACTERS + SECRET_CHARACTERS);
    let mut key = format!("{}{random}", prefix(test));
    key.push_str(&checksum(&key));
    let lookup = random.chars().take(LOOKUP_CHARACTERS).collect();
    let hash = hash(&key);
    Fresh { key: Secret::new(key), lookup, hash }
}

/// The public part of a text that is formed like a key and has the right checksum.
pub(super) fn lookup_of(text: &str) -> Option<&str> {
    let body = text.strip_prefix(LIVE).or_else(|| text.strip_prefix(TEST))?;
    if body.len() != BODY_CHARACTERS || !body.bytes().all(|octet| octet.is_ascii_alphanumeric()) {
        return None;
    }
    let (checked, sum) = text.split_at_checked(text.len() - CHECKSUM_CHARACTERS)?;
    if checksum(checked) == sum { body.get(..LOOKUP_CHARACTERS) } else { None }
}

/// What a list shows of a key.
pub(super) fn display_prefix(test: bool, lookup: &str) -> String {
    format!("{}{lookup}", prefix(test))
}

/// Reads [`display_prefix`]: whether it is a test key's, and the part by which the row is found.
pub(super) fn parse_prefix(text: &str) -> Option<(bool, &str)> {
    let (test, lookup) = text.strip_prefix(LIVE).map(|rest| (false, rest)).or_else(|| text.strip_prefix(TEST).map(|rest| (true, rest)))?;
    (lookup.len() == LOOKUP_CHARACTERS && lookup.bytes().all(|octet| octet.is_ascii_alphanumeric())).then_some((test, lookup))
}

/// SHA-256 of the whole key, prefix included: a live key is never taken for a test key.
pub(super) fn hash(key: &str) -> [u8; 32] {
    let mut octets = [0; 32];
    octets.copy_from_slice(digest::digest(&digest::SHA256, key.as_bytes()).as_ref());
    octets
}

/// Compares two hashes in a time that does not depend on where they differ.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

const fn prefix(test: bool) -> &'static str {
    if test { TEST } else { LIVE }
}

/// Characters from [`ALPHABET`], each equally likely: six random bits are thrown away when they are 62 or 63.
pub(super) fn random_characters(clock: &Clock, count: usize) -> String {
    let mut text = String::with_capacity(count);
    while text.len() < count {
        let octets = clock.random::<64>();
        let characters = octets.iter().filter_map(|octet| ALPHABET.get(usize::from(octet & 63))).map(|octet| char::from(*octet));
        text.extend(characters.take(count - text.len()));
    }
    text
}

/// Six digits of base 62 hold the 32 bits.
pub(super) fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM_CHARACTERS];
    for digit in digits.iter_mut().rev() {
        *digit = usize::try_from(rest % 62).ok().and_then(|place| ALPHABET.get(place)).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits.iter().map(|octet| char::from(*octet)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_key_is_a_key_and_names_its_row() {
        let clock = Clock::system();
        for test in [false, true] {
            let fresh = generate(&clock, test);
            let key = fresh.key.expose();
            assert_eq!(key.len(), 8 + 44);
            assert_eq!(lookup_of(key), Some(fresh.lookup.as_str()));
            assert_eq!(hash(key), fresh.hash);
            assert_eq!(key.starts_with("pp_test_"), test);
        }
        assert_ne!(generate(&clock, false).key.expose(), generate(&clock, false).key.expose());
    }

    #[test]
    fn any_single_wrong_character_is_noticed() {
        let fresh = generate(&Clock::system(), false);
        let key = fresh.key.expose();
        for place in 0..key.len() {
            let mut octets = key.clone().into_bytes();
            octets[place] = if octets[place] == b'x' { b'y' } else { b'x' };
            let wrong = String::from_utf8(octets).unwrap();
            assert_eq!(lookup_of(&wrong), None, "{place}");
        }
    }

    #[test]
    fn other_texts_are_not_keys() {
        let fresh = generate(&Clock::system(), false);
        let key = fresh.key.expose();
        let texts = [
            String::new(),
            "pp_live_".to_owned(),
            format!("{key} "),
            format!(" {key}"),
            key.replace("pp_live_", "pp_test_"),
            key.replace("pp_live_", ""),
            key.to_uppercase(),
            format!("{key}0"),
            format!("pp_live_{}", "é".repeat(22)),
            format!("pp_live_{}", "0".repeat(44)),
        ];
        for text in texts {
            assert_eq!(lookup_of(&text), None, "{text:?}");
        }
    }

    #[test]
    fn the_checksum_is_the_one_that_scanners_compute() {
        // CRC-32/ISO-HDLC of "123456789" is 0xCBF43926, in base 62 with the digits 0-9 A-Z a-z.
        assert_eq!(checksum("123456789"), "3jZRME");
    }
}
