//! DKIM: keys, records and signatures (RFC 6376, RFC 8301, RFC 8463).
//!
//! Answers: the DKIM-Signature fields to prepend to a message. Signatures are `c=relaxed/simple`, without `l=`, with `t=` of the time passed in:
//! the same message, key and time give the same octets.
//! Does not: verify, look up records, or check that `d=` fits From.
//!
//! The signing is our own because mail-auth's `DkimSigner` takes `t=` from the system's clock, names a field in `h=` once more only if it is
//! absent (so a present From cannot be oversigned), and hashes the body anew for each key. The tests verify with mail-auth, and
//! `tests/interop/dkim` with dkimpy.

mod arc;
#[cfg(test)]
mod arc_tests;
mod canonical;
mod key;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;

pub use self::arc::seal;
use self::canonical::{SignedFields, body_hash, push_relaxed};
use self::key::PrivateKey;
pub use self::key::{Algorithm, KeyPair, generate, import, rsa_bits};
use crate::mail::fields::Fields;
use crate::mail::lines;
use crate::model::{DomainName, Secret};

const FIELD_NAME: &[u8] = b"DKIM-Signature";
/// Octets of base64 on one line of `b=`.
const SIGNATURE_LINE_OCTETS: usize = 72;

/// Why there is no key or no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DkimError {
    /// The library made no key.
    #[error("no key could be made")]
    Generate,
    /// The private key is not PKCS#8 of the algorithm named.
    #[error("the private key cannot be read")]
    PrivateKey,
    /// The selector is no sequence of DNS labels.
    #[error("the selector is not a valid DNS name")]
    Selector,
    /// The message has a form that verifiers read differently; the text says which.
    #[error("the message cannot be signed: {0}")]
    Message(&'static str),
    /// The library made no signature.
    #[error("the signature could not be computed")]
    Sign,
}

/// A key ready to sign for one domain: parsed once, shared by all threads.
pub struct Signer {
    key: PrivateKey,
    /// The field up to what depends on the message.
    head: Vec<u8>,
    /// Where the public key stands: `d=..; s=..;`
    place: String,
}

impl Signer {
    /// Reads the private key (PKCS#8 in DER) of `<selector>._domainkey.<domain>`.
    ///
    /// # Errors
    /// [`DkimError::Selector`] or [`DkimError::PrivateKey`].
    pub fn new(domain: &DomainName, selector: &str, algorithm: Algorithm, private_der: &Secret<Vec<u8>>) -> Result<Self, DkimError> {
        if !is_selector(selector) {
            return Err(DkimError::Selector);
        }
        let key = PrivateKey::read(algorithm, private_der.expose())?;
        let place = format!("d={domain}; s={selector};");
        let head = format!(" v=1; a={}; c=relaxed/simple;\r\n\t{place}\r\n\t", algorithm.tag());
        Ok(Self { key, head: head.into_bytes(), place })
    }

    /// The value of the TXT record that verifiers need, derived from the private key.
    ///
    /// # Errors
    /// [`DkimError::PrivateKey`] if the library cannot encode its public half.
    pub fn record(&self) -> Result<String, DkimError> {
        self.key.record()
    }

    /// The whole DKIM-Signature field, line end included.
    ///
    /// # Errors
    /// [`DkimError::Message`] for a message with bare CR or LF, no final CRLF, no empty line after its header block, a space before
    /// a colon or no From.
    pub fn sign(&self, message: &[u8], at: OffsetDateTime) -> Result<String, DkimError> {
        let mut prepared = Prepared::read(message, at)?;
        let mut output = Vec::with_capacity(1024);
        self.push_field(&mut prepared, &mut output)?;
        String::from_utf8(output).map_err(|_| DkimError::Message("the name of a List- field is not ASCII"))
    }

    fn push_field(&self, prepared: &mut Prepared, output: &mut Vec<u8>) -> Result<(), DkimError> {
        output.extend_from_slice(FIELD_NAME);
        output.push(b':');
        let start = output.len();
        output.extend_from_slice(&self.head);
        output.extend_from_slice(&prepared.tail);
        let signed = prepared.fields.len();
        push_relaxed(&mut prepared.fields, FIELD_NAME, output.get(start..).unwrap_or_default());
        // The signature field itself is signed without its line end (RFC 6376 3.7).
        let unsigned = prepared.fields.strip_suffix(b"\r\n").unwrap_or(&prepared.fields);
        let signature = self.key.sign(unsigned);
        prepared.fields.truncate(signed);
        push_base64(output, &STANDARD.encode(signature?));
        output.extend_from_slice(b"\r\n");
        Ok(())
    }
}

/// All DKIM-Signature fields, to be prepended to the message; the first signer's stands first. The message is read and hashed once.
///
/// # Errors
/// As [`Signer::sign`].
pub fn sign_all(signers: &[Signer], message: &[u8], at: OffsetDateTime) -> Result<Vec<u8>, DkimError> {
    if signers.is_empty() {
        return Ok(Vec::new());
    }
    let mut prepared = Prepared::read(message, at)?;
    let mut output = Vec::with_capacity(1024 * signers.len());
    for signer in signers {
        signer.push_field(&mut prepared, &mut output)?;
    }
    Ok(output)
}

/// What all signatures of one message share.
struct Prepared {
    /// The signed fields in relaxed form.
    fields: Vec<u8>,
    /// The end of the signature field: `t=..; bh=..; h=..; b=`.
    tail: Vec<u8>,
}

impl Prepared {
    fn read(message: &[u8], at: OffsetDateTime) -> Result<Self, DkimError> {
        if lines::has_bare_line_end(message) {
            return Err(DkimError::Message("it has a bare CR or LF"));
        }
        if !message.ends_with(b"\r\n") {
            return Err(DkimError::Message("it does not end in CRLF"));
        }
        let fields = Fields::split(message, usize::MAX, usize::MAX);
        let body = fields.body_start.and_then(|start| message.get(start..)).ok_or(DkimError::Message("no empty line ends its header block"))?;
        if fields.all.iter().any(|field| !field.name().iter().all(u8::is_ascii_graphic) || field.name().is_empty()) {
            return Err(DkimError::Message("a header field has no valid name"));
        }
        if fields.named("From").next().is_none() {
            return Err(DkimError::Message("it has no From field"));
        }
        let signed = SignedFields::collect(&fields);
        let hash = STANDARD.encode(body_hash(body));
        let mut tail = format!("t={}; bh={hash};\r\n\th=", at.unix_timestamp().max(0)).into_bytes();
        tail.extend_from_slice(&signed.names);
        tail.extend_from_slice(b";\r\n\tb=");
        Ok(Self { fields: signed.octets, tail })
    }
}

fn push_base64(output: &mut Vec<u8>, text: &str) {
    for (index, line) in text.as_bytes().chunks(SIGNATURE_LINE_OCTETS).enumerate() {
        if index > 0 {
            output.extend_from_slice(b"\r\n\t");
        }
        output.extend_from_slice(line);
    }
}

fn is_selector(text: &str) -> bool {
    text.len() <= 200
        && text.split('.').all(|label| {
            let fits = !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-');
            fits && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
        })
}
