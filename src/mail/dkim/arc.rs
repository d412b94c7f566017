//! ARC: the results found here, sealed for those that the message is forwarded to (RFC 8617).
//!
//! Answers: the three fields of a new set, to be prepended. The signature is `c=relaxed/simple` over the fields of a DKIM signature and the DKIM signatures
//! that stand; the seal covers all sets, or this one alone where the chain before is broken (RFC 8617 5.1.2).
//! Does not: verify the chain (see `authenticate::seals`), or say that what came was good.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;

use super::canonical::{SignedFields, push_relaxed};
use super::{DkimError, Signer, body_hash, push_base64};
use crate::mail::authenticate::seals::{ArcState, tag};
use crate::mail::fields::{Field, Fields};

/// Sets of a chain (RFC 8617 4.2.1).
const MAX_INSTANCE: u32 = 50;
const RESULTS: &str = "ARC-Authentication-Results";
const SIGNATURE: &str = "ARC-Message-Signature";
const SEAL: &str = "ARC-Seal";
const SET: [&str; 3] = [RESULTS, SIGNATURE, SEAL];

/// The fields of the next set: seal, signature, results. `results` is the value of Authentication-Results, `chain` the state of the sets that stand.
/// None if the chain is full, or its last seal says that it was broken before: then there is nothing to add (RFC 8617 5.1.2).
///
/// # Errors
/// [`DkimError`].
pub fn seal(signer: &Signer, message: &[u8], results: &str, chain: ArcState, at: OffsetDateTime) -> Result<Option<Vec<u8>>, DkimError> {
    let fields = Fields::split(message, usize::MAX, usize::MAX);
    let instance = 1 + SET.iter().flat_map(|name| fields.named(name)).filter_map(instance).max().unwrap_or(0);
    let last_said_fail = fields.named(SEAL).any(|field| instance_is(field, instance - 1) && tag(field, "cv").is_some_and(|cv| cv == "fail"));
    if instance > MAX_INSTANCE || last_said_fail {
        return Ok(None);
    }
    let chain = if instance == 1 { ArcState::None } else { chain };
    let seconds = at.unix_timestamp().max(0);
    let head = |more: &str| format!(" i={instance}; a={};{more} t={seconds};\r\n\t{}\r\n\t", signer.key.tag(), signer.place);

    let results = format!(" i={instance}; {results}");
    let mut signature = head(" c=relaxed/simple;").into_bytes();
    sign_message(signer, message, &fields, &mut signature)?;

    let mut sealed = Vec::with_capacity(2048);
    if chain == ArcState::Pass {
        for number in 1..instance {
            for name in SET {
                let field = fields.named(name).find(|field| instance_is(field, number)).ok_or(DkimError::Message("its ARC chain has a gap"))?;
                push_relaxed(&mut sealed, field.name(), field.value());
            }
        }
    }
    push_relaxed(&mut sealed, RESULTS.as_bytes(), results.as_bytes());
    push_relaxed(&mut sealed, SIGNATURE.as_bytes(), &signature);
    let mut seal = head(&format!(" cv={};", chain.as_str())).into_bytes();
    seal.extend_from_slice(b"b=");
    push_relaxed(&mut sealed, SEAL.as_bytes(), &seal);
    let signed = signer.key.sign(sealed.strip_suffix(b"\r\n").unwrap_or(&sealed))?;
    push_base64(&mut seal, &STANDARD.encode(signed));

    let mut output = Vec::with_capacity(seal.len() + signature.len() + results.len() + 96);
    for (name, value) in SET.into_iter().rev().zip([seal.as_slice(), signature.as_slice(), results.as_bytes()]) {
        output.extend_from_slice(name.as_bytes());
        output.push(b':');
        output.extend_from_slice(value);
        output.extend_from_slice(b"\r\n");
    }
    Ok(Some(output))
}

/// Completes an ARC-Message-Signature: body hash, names of fields, signature.
fn sign_message(signer: &Signer, message: &[u8], fields: &Fields<'_>, signature: &mut Vec<u8>) -> Result<(), DkimError> {
    let body = fields.body_start.and_then(|start| message.get(start..)).ok_or(DkimError::Message("no empty line ends its header block"))?;
    let mut signed = SignedFields::collect(fields);
    for field in fields.named("DKIM-Signature").rev() {
        signed.names.extend_from_slice(b":\r\n\tDKIM-Signature");
        push_relaxed(&mut signed.octets, field.name(), field.value());
    }
    signature.extend_from_slice(b"bh=");
    signature.extend_from_slice(STANDARD.encode(body_hash(body)).as_bytes());
    signature.extend_from_slice(b";\r\n\th=");
    signature.extend_from_slice(&signed.names);
    signature.extend_from_slice(b";\r\n\tb=");
    push_relaxed(&mut signed.octets, SIGNATURE.as_bytes(), signature);
    let value = signer.key.sign(signed.octets.strip_suffix(b"\r\n").unwrap_or(&signed.octets))?;
    push_base64(signature, &STANDARD.encode(value));
    Ok(())
}

fn instance(field: &Field<'_>) -> Option<u32> {
    tag(field, "i").and_then(|number| number.parse().ok()).filter(|number| (1..=MAX_INSTANCE).contains(number))
}

fn instance_is(field: &Field<'_>, number: u32) -> bool {
    instance(field) == Some(number)
}
