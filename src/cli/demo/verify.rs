//! Checks the DKIM signatures of what arrived, as a receiver does: by mail-auth, with the keys that stand in DNS (RFC 6376 6).
//!
//! Does not: use anything the signer knows; a key that was not published, or other bytes than those signed, fail here.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddr;
use std::time::Duration;

use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator, Parameters, ResolverCache, Txt};
use serde::Serialize;

use crate::lab::sink::Received;
use crate::net::dns::Resolver;

const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

/// One signature of one message that arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// To whom the message went.
    pub recipient: String,
    /// Where its key stands.
    pub key: String,
    /// `pass`, or what is wrong.
    pub result: String,
}

impl Signature {
    /// True if the signature verifies.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.result == "pass"
    }
}

/// Every signature of every message.
///
/// # Errors
/// The resolver cannot be set up.
pub async fn all(messages: &[Received], dns: SocketAddr) -> anyhow::Result<Vec<Signature>> {
    let resolver = Resolver::of_servers(&[dns], LOOKUP_LIMIT)?;
    // It never asks a server: every key it may use was looked up before.
    let authenticator = MessageAuthenticator::new(ResolverConfig::default(), ResolverOpts::default())?;
    let mut signatures = Vec::new();
    for message in messages {
        signatures.extend(verify(message, &resolver, &authenticator).await);
    }
    Ok(signatures)
}

async fn verify(message: &Received, resolver: &Resolver, authenticator: &MessageAuthenticator) -> Vec<Signature> {
    let recipient = message.recipients.join(", ");
    let Some(parsed) = AuthenticatedMessage::parse(&message.content) else {
        return vec![Signature { recipient, key: String::new(), result: "not a message".to_owned() }];
    };
    let names = parsed.dkim_headers.iter().map(|field| format!("{}._domainkey.{}", field.header.s, field.header.d)).collect::<Vec<_>>();
    let keys = published(&names, resolver).await;
    let outputs = authenticator.verify_dkim(Parameters::new(&parsed).with_txt_cache(&keys)).await;
    let results = outputs.iter().map(|output| match output.result() {
        DkimResult::Pass => "pass".to_owned(),
        other => format!("{other:?}"),
    });
    names.into_iter().zip(results).map(|(key, result)| Signature { recipient: recipient.clone(), key, result }).collect()
}

async fn published(names: &[String], resolver: &Resolver) -> Published {
    let mut keys = HashMap::new();
    for name in names {
        let records = resolver.txt(name).await.unwrap_or_default();
        let key = records.iter().find_map(|record| DomainKey::parse(record.as_bytes()).ok());
        keys.extend(key.map(|key| (format!("{name}."), Txt::DomainKey(key.into()))));
    }
    Published(keys)
}

/// The keys found in DNS, in the form that mail-auth asks a cache for.
struct Published(HashMap<String, Txt>);

impl ResolverCache<Box<str>, Txt> for Published {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let asked = |known: &str| <Box<str> as Borrow<Q>>::borrow(&Box::from(known)) == name;
        self.0.iter().find(|(known, _)| asked(known)).map(|(_, key)| key.clone())
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: std::time::Instant) {}
}
