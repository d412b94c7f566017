//! Reverse-paths that say what they are about: a token for a delivery or a message, which nobody else can make.
//!
//! Answers: the bounce address of a delivery, and the delivery of a bounce address. A report sent there needs no reading to be
//! understood, and a forged one is told from a real one (HMAC-SHA-256, 80 bits of it, over token and domain).
//! Does not: know which domains have bounce addresses, or what a report says.
//!
//! Layout of the local part: `b-` and in base 32 (RFC 4648 6, lower case, no padding) one octet of kind, 16 of the message, two of the
//! recipient's place for a delivery, ten of the code. It has 49 octets at most (a local part may have 64) and survives
//! systems that fold case.

use aws_lc_rs::{constant_time, hmac};

use crate::model::{DeliveryId, DomainName, EmailAddress, MessageId, Secret};

const PREFIX: &str = "b-";
const FORWARD_PREFIX: &str = "fwd-";
const OF_MESSAGE: u8 = 1;
const OF_DELIVERY: u8 = 2;
const OF_FORWARD: u8 = 3;
const CODE_OCTETS: usize = 10;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What a bounce address names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// One message to one recipient.
    Delivery(DeliveryId),
    /// A message; which recipient a report is about, its fields tell.
    Message(MessageId),
}

impl Named {
    /// The message.
    #[must_use]
    pub const fn message(self) -> MessageId {
        match self {
            Self::Message(message) => message,
            Self::Delivery(delivery) => delivery.message,
        }
    }
}

/// Why an address names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerpError {
    /// It does not have the form.
    #[error("not a bounce address")]
    NotOurs,
    /// It has the form, and its code is wrong: made by somebody else, for another domain, or under another master key.
    #[error("a bounce address whose code is wrong")]
    Forged,
}

/// Makes and checks bounce addresses.
#[derive(Clone, Debug)]
pub struct VerpKey(hmac::Key);

impl VerpKey {
    /// Of a secret derived from the master key for this purpose alone.
    #[must_use]
    pub fn new(secret: &Secret<[u8; 32]>) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose()))
    }

    /// The bounce address at `domain` for `named`. The same each time, so that greylisting recognises it. None: the domain is too long.
    #[must_use]
    pub fn address(&self, named: Named, domain: &DomainName) -> Option<EmailAddress> {
        let (kind, message, number) = match named {
            Named::Message(message) => (OF_MESSAGE, message, None),
            Named::Delivery(delivery) => (OF_DELIVERY, delivery.message, Some(delivery.rcpt_no)),
        };
        let mut octets = vec![kind];
        octets.extend_from_slice(message.uuid().as_bytes());
        octets.extend(number.into_iter().flat_map(u16::to_be_bytes));
        self.seal(PREFIX, octets, domain)
    }

    /// The reverse-path at `domain` under which a message that came from elsewhere is passed on as `message`. None: the domain is too long.
    #[must_use]
    pub fn forward_address(&self, message: MessageId, domain: &DomainName) -> Option<EmailAddress> {
        let mut octets = vec![OF_FORWARD];
        octets.extend_from_slice(message.uuid().as_bytes());
        self.seal(FORWARD_PREFIX, octets, domain)
    }

    fn seal(&self, prefix: &str, mut octets: Vec<u8>, domain: &DomainName) -> Option<EmailAddress> {
        let code = self.code(&octets, domain);
        octets.extend_from_slice(code.as_ref().get(..CODE_OCTETS)?);
        EmailAddress::parse(&format!("{prefix}{}@{domain}", encode(&octets))).ok()
    }

    /// What an address names.
    ///
    /// # Errors
    /// [`VerpError`].
    pub fn read(&self, address: &EmailAddress) -> Result<Named, VerpError> {
        self.open(PREFIX, address, named)
    }

    /// The message that a reverse-path of [`Self::forward_address`] names.
    ///
    /// # Errors
    /// [`VerpError`].
    pub fn read_forward(&self, address: &EmailAddress) -> Result<MessageId, VerpError> {
        self.open(FORWARD_PREFIX, address, |told| match told.split_first()? {
            (&OF_FORWARD, message) => Some(MessageId::from_uuid(uuid::Uuid::from_slice(message).ok()?)),
            _ => None,
        })
    }

    fn open<T>(&self, prefix: &str, address: &EmailAddress, read: impl Fn(&[u8]) -> Option<T>) -> Result<T, VerpError> {
        let local = address.local().to_ascii_lowercase();
        let octets = local.strip_prefix(prefix).and_then(decode).ok_or(VerpError::NotOurs)?;
        let (told, code) = octets.len().checked_sub(CODE_OCTETS).and_then(|at| octets.split_at_checked(at)).ok_or(VerpError::NotOurs)?;
        let named = read(told).ok_or(VerpError::NotOurs)?;
        let right = self.code(told, address.domain());
        let right = right.as_ref().get(..CODE_OCTETS).ok_or(VerpError::Forged)?;
        constant_time::verify_slices_are_equal(right, code).map_err(|_| VerpError::Forged)?;
        Ok(named)
    }

    fn code(&self, told: &[u8], domain: &DomainName) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(domain.as_str().as_bytes());
        context.update(&[0]);
        context.update(told);
        context.sign()
    }
}

fn named(told: &[u8]) -> Option<Named> {
    let (kind, rest) = told.split_first()?;
    let (message, number) = rest.split_at_checked(16)?;
    let message = MessageId::from_uuid(uuid::Uuid::from_slice(message).ok()?);
    match (*kind, number) {
        (OF_MESSAGE, []) => Some(Named::Message(message)),
        (OF_DELIVERY, number) => Some(Named::Delivery(DeliveryId { message, rcpt_no: u16::from_be_bytes(number.try_into().ok()?) })),
        _ => None,
    }
}

fn encode(octets: &[u8]) -> String {
    let (mut text, mut bits, mut held) = (String::with_capacity(octets.len() * 8 / 5 + 1), 0_u32, 0_u32);
    let mut digit =
        |five: u32| text.push(usize::try_from(five & 31).ok().and_then(|five| ALPHABET.get(five)).map_or('a', |octet| char::from(*octet)));
    for octet in octets {
        held = (held << 8) | u32::from(*octet);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            digit(held >> bits);
        }
    }
    if bits > 0 {
        digit(held << (5 - bits));
    }
    text
}

/// Reads what [`encode`] wrote; none for anything else, so that a token has one spelling but for case.
fn decode(text: &str) -> Option<Vec<u8>> {
    let (mut octets, mut bits, mut held) = (Vec::with_capacity(text.len() * 5 / 8), 0_u32, 0_u32);
    for character in text.bytes() {
        let five = ALPHABET.iter().position(|known| *known == character).and_then(|five| u32::try_from(five).ok())?;
        held = ((held << 5) | five) & 0xffff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            octets.push(u8::try_from((held >> bits) & 0xff).ok()?);
        }
    }
    (bits < 5 && held & ((1 << bits) - 1) == 0).then_some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(octet: u8) -> VerpKey {
        VerpKey::new(&Secret::new([octet; 32]))
    }

    fn domain(text: &str) -> DomainName {
        DomainName::parse(text).unwrap()
    }

    fn ids() -> [Named; 3] {
        let message = MessageId::from_uuid(uuid::Uuid::from_u128(0x0192_f3a4_b5c6_7d8e_9fa0_b1c2_d3e4_f506));
        let delivery = |rcpt_no| Named::Delivery(DeliveryId { message, rcpt_no });
        [Named::Message(message), delivery(0), delivery(u16::MAX)]
    }

    #[test]
    fn an_address_leads_back_to_what_it_names_in_any_case() {
        let (key, domain) = (key(7), domain("bounce.example.com"));
        for named in ids() {
            let address = key.address(named, &domain).unwrap();
            assert!(address.local().len() <= 64, "{address}");
            assert_eq!(address, key.address(named, &domain).unwrap(), "the same each time");
            for spelled in [address.to_string(), address.to_string().to_ascii_uppercase()] {
                assert_eq!(key.read(&EmailAddress::parse(&spelled).unwrap()), Ok(named), "{spelled}");
            }
        }
    }

    #[test]
    fn what_somebody_else_made_or_changed_is_forged() {
        let (own, other, there) = (key(7), key(8), domain("bounce.example.com"));
        for named in ids() {
            let address = own.address(named, &there).unwrap();
            assert_eq!(other.read(&address), Err(VerpError::Forged));
            let elsewhere = EmailAddress::parse(&format!("{}@bounce.example.net", address.local())).unwrap();
            assert_eq!(own.read(&elsewhere), Err(VerpError::Forged), "a token holds for its domain only");
            for place in PREFIX.len()..address.local().len() {
                let mut local = address.local().as_bytes().to_vec();
                local[place] = if local[place] == b'a' { b'b' } else { b'a' };
                let changed = EmailAddress::parse(&format!("{}@{there}", String::from_utf8(local).unwrap())).unwrap();
                assert!(own.read(&changed).is_err(), "{changed}");
            }
        }
    }

    #[test]
    fn the_reverse_path_of_a_forward_is_no_bounce_address_and_the_other_way_round() {
        let (own, there) = (key(7), domain("bounce.example.com"));
        let Named::Message(message) = ids()[0] else { panic!("a message") };
        let address = own.forward_address(message, &there).unwrap();
        assert!(address.local().starts_with("fwd-") && address.local().len() <= 64, "{address}");
        assert_eq!((own.read_forward(&address), own.read(&address)), (Ok(message), Err(VerpError::NotOurs)));
        let bounce = own.address(ids()[0], &there).unwrap();
        assert_eq!(own.read_forward(&bounce), Err(VerpError::NotOurs));
        for (from, to) in [("fwd-", "b-"), ("@bounce", "@other")] {
            let swapped = EmailAddress::parse(&address.to_string().replacen(from, to, 1)).unwrap();
            assert!(own.read(&swapped).is_err() && own.read_forward(&swapped).is_err(), "{swapped}");
        }
        assert_eq!(key(8).read_forward(&address), Err(VerpError::Forged));
    }

    #[test]
    fn other_addresses_are_not_ours() {
        let there = domain("bounce.example.com");
        let whole = key(7).address(ids()[1], &there).unwrap();
        let short = &whole.local()[..whole.local().len() - 8];
        for local in ["hello", "b-", "b-a", "b-1", short, "b-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            let address = EmailAddress::parse(&format!("{local}@{there}")).unwrap();
            assert!(matches!(key(7).read(&address), Err(VerpError::NotOurs | VerpError::Forged)), "{local}");
        }
        assert_eq!(key(7).read(&EmailAddress::parse("hello@bounce.example.com").unwrap()), Err(VerpError::NotOurs));
    }

    #[test]
    fn a_domain_without_room_for_the_token_has_no_bounce_addresses() {
        let long = domain(&format!("{}example", "abcdefghi.".repeat(23)));
        assert_eq!(key(7).address(ids()[0], &long), None);
    }

    #[test]
    fn octets_and_letters_are_one_to_one() {
        for length in 0..40_u8 {
            let octets: Vec<u8> = (0..length).map(|number| number.wrapping_mul(37)).collect();
            assert_eq!(decode(&encode(&octets)), Some(octets));
        }
        assert_eq!(encode(b"foobar"), "mzxw6ytboi");
        assert_eq!(decode("mzxw6ytboj"), None, "bits that stand for nothing must be zero");
    }
}
