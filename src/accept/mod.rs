//! The one door in: check, prepare, commit.
//!
//! Answers: may this caller send this message, and is it kept for good. After [`Accept::send`] has returned without an error
//! the message is committed (invariant 1).
//! Does not: deliver, sign or know HTTP.

pub mod batch;
pub mod checks;
pub mod fault;
pub mod json;
mod keys;
pub mod prepare;
pub mod relay;
pub mod request;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use crate::access::Caller;
use crate::clock::{Clock, time_of};
use crate::config::Config;
use crate::domains::{Domains, SenderDomain};
use crate::model::{DomainName, EmailAddress, MessageId};
use crate::outbox::{IdempotencyKey, NewMessage, StoreError};
use batch::{Batcher, SubmitError, Submitted};
use checks::{Checked, Content, Raw};
use fault::FieldError;
use prepare::Origins;
use request::SendRequest;

/// Takes messages in. Cheap to clone.
#[derive(Clone)]
pub struct Accept {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Accept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Accept")
    }
}

#[derive(Clone)]
struct Inner {
    domains: Domains,
    batcher: Batcher,
    clock: Clock,
    limits: crate::config::Limits,
    expire: Duration,
    unverified: Unverified,
}

/// Whether domains send before they are verified.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unverified {
    Refused,
    Allowed,
}

/// A message that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub id: MessageId,
    /// How many recipients it has.
    pub deliveries: u16,
    /// How many of them are suppressed: nothing is sent to them.
    pub suppressed: u16,
    /// True if an earlier request with the same idempotency key had made it.
    pub replayed: bool,
    /// When it was accepted.
    pub accepted_at: OffsetDateTime,
}

impl Accepted {
    /// Of a message that is written now.
    fn fresh(message: &NewMessage) -> Self {
        let deliveries = u16::try_from(message.envelope.recipients.len()).unwrap_or(u16::MAX);
        Self { id: message.id, deliveries, suppressed: 0, replayed: false, accepted_at: time_of(message.id.uuid()) }
    }

    /// As it is told when it was `submitted`.
    fn when(self, submitted: Submitted) -> Self {
        match submitted {
            Submitted::New { suppressed } => Self { suppressed, ..self },
            Submitted::Replayed { id, deliveries, suppressed } => {
                Self { id, deliveries, suppressed, replayed: true, accepted_at: time_of(id.uuid()) }
            }
        }
    }
}

/// Why a message was not taken. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The request is wrong; every fault found.
    #[error("the request has {} faults", .0.len())]
    Invalid(Vec<FieldError>),
    /// The domain is not one the project may send from now.
    #[error("{domain} {why}")]
    SenderNotVerified {
        /// The domain of the author or of the reverse-path.
        domain: DomainName,
        /// What is missing.
        why: NotVerified,
    },
    /// The key is limited to other domains.
    #[error("this API key may not send from {0}")]
    Forbidden(DomainName),
    /// The message has more octets than allowed.
    #[error("the message has more than {limit} octets")]
    TooLarge {
        /// The limit in octets.
        limit: usize,
    },
    /// Too much is waiting to be written.
    #[error("overloaded")]
    Overloaded,
    /// The database's disk is full.
    #[error("storage full")]
    StorageFull,
    /// The database cannot be reached.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The idempotency key stands for another request.
    #[error("idempotency key reused")]
    KeyReused,
    /// The first request with this idempotency key is not answered yet.
    #[error("idempotency key in progress")]
    InProgress,
}

/// What a sender's domain lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotVerified {
    /// The project has no such domain.
    #[error("is not a domain of this project; add it with POST /v1/domains")]
    Unknown,
    /// Its records were not found in DNS.
    #[error("is not verified yet; publish its DNS records and check it with POST /v1/domains/{{id}}/check")]
    Unverified,
    /// There is nothing to sign with.
    #[error("has no DKIM key")]
    NoKey,
}

impl Accept {
    /// Takes messages for the domains of `domains` and hands them to `batcher`.
    #[must_use]
    pub fn new(domains: Domains, batcher: Batcher, clock: Clock, config: &Config) -> Self {
        let unverified = if config.delivery.allow_unverified_domains { Unverified::Allowed } else { Unverified::Refused };
        let expire = Duration::from_secs(config.delivery.expire_seconds);
        Self { inner: Arc::new(Inner { domains, batcher, clock, limits: config.limits.clone(), expire, unverified }) }
    }

    /// The same door for a way in whose messages may have `recipients`: SMTP takes 100 at least (RFC 5321 4.5.3.1.8).
    #[must_use]
    pub fn with_recipients(&self, recipients: usize) -> Self {
        let mut inner = Inner::clone(&self.inner);
        inner.limits.recipients = recipients;
        Self { inner: Arc::new(inner) }
    }

    /// Checks, composes and commits one message.
    ///
    /// # Errors
    /// [`AcceptError`]; then nothing was kept, save [`AcceptError::Unavailable`]: whether a commit whose answer was lost
    /// took place is not known, and the same request with the same idempotency key finds out.
    pub async fn send(&self, caller: &Caller, request: SendRequest, key: Option<IdempotencyKey>) -> Result<Accepted, AcceptError> {
        let message = self.message(caller, request).await?;
        let fresh = Accepted::fresh(&message);
        Ok(fresh.when(self.inner.batcher.submit(message, key).await?))
    }

    /// Checks and composes a message that a batch may hold, and keeps nothing yet.
    ///
    /// # Errors
    /// As [`Accept::send`].
    pub async fn message(&self, caller: &Caller, request: SendRequest) -> Result<NewMessage, AcceptError> {
        let inner = &*self.inner;
        let now = inner.clock.now();
        let checked = checks::check(request, &inner.limits, now).map_err(AcceptError::Invalid)?;
        let message = self.prepared(caller, checked, now).await?;
        if message.content.len() > inner.limits.message_octets {
            return Err(AcceptError::TooLarge { limit: inner.limits.message_octets });
        }
        Ok(message)
    }

    /// The same for a message that came whole and was read on its way ([`check_raw`](crate::mail::headers::check_raw)): `options` says all that is
    /// no part of it.
    ///
    /// # Errors
    /// As [`Accept::send`].
    pub async fn whole(&self, caller: &Caller, options: SendRequest, recipients: &[EmailAddress], raw: Raw) -> Result<NewMessage, AcceptError> {
        let inner = &*self.inner;
        if raw.bytes.len() > inner.limits.message_octets {
            return Err(AcceptError::TooLarge { limit: inner.limits.message_octets });
        }
        let now = inner.clock.now();
        let checked = checks::check_whole(options, recipients, raw, &inner.limits, now).map_err(AcceptError::Invalid)?;
        self.prepared(caller, checked, now).await
    }

    async fn prepared(&self, caller: &Caller, checked: Checked, now: OffsetDateTime) -> Result<NewMessage, AcceptError> {
        let domain = self.sender(caller, &checked).await?.id;
        let id = MessageId::from_uuid(self.inner.clock.uuid());
        let origins = Origins { id, project: caller.project, domain, now, expire: self.inner.expire };
        Ok(prepare::prepare(checked, &origins))
    }

    /// Commits messages of one project, together where they fit. Answers each by itself, in order; errors as of [`Accept::send`].
    pub async fn send_all(&self, messages: Vec<(NewMessage, Option<IdempotencyKey>)>) -> Vec<Result<Accepted, AcceptError>> {
        let fresh: Vec<Accepted> = messages.iter().map(|(message, _)| Accepted::fresh(message)).collect();
        let submitted = self.inner.batcher.submit_all(messages).await;
        fresh.into_iter().zip(submitted).map(|(fresh, submitted)| Ok(fresh.when(submitted?))).collect()
    }

    /// The domain that signs: the author's. Reverse-path and Sender field must be the project's too.
    async fn sender(&self, caller: &Caller, checked: &Checked) -> Result<SenderDomain, AcceptError> {
        let (author, others) = match &checked.content {
            Content::Parts(parts) => (parts.from.address.domain(), [None, None]),
            Content::Raw(raw) => {
                let sender = raw.headers.sender.as_ref().map(|mailbox| &mailbox.address);
                (raw.headers.from.address.domain(), [raw.reverse_path.address(), sender])
            }
        };
        let signer = self.permitted(caller, author).await?;
        for address in others.into_iter().flatten().filter(|address| address.domain() != author) {
            self.permitted(caller, address.domain()).await?;
        }
        Ok(signer)
    }

    /// The project's domain of exactly this name, if it may send now by this key.
    async fn permitted(&self, caller: &Caller, name: &DomainName) -> Result<SenderDomain, AcceptError> {
        let refused = |why| Err(AcceptError::SenderNotVerified { domain: name.clone(), why });
        if caller.domains.as_ref().is_some_and(|domains| !domains.contains(name)) {
            return Err(AcceptError::Forbidden(name.clone()));
        }
        match self.inner.domains.sender(caller.project, name).await? {
            None => refused(NotVerified::Unknown),
            Some(sender) if !sender.verified && self.inner.unverified == Unverified::Refused => refused(NotVerified::Unverified),
            Some(sender) if !sender.has_key => refused(NotVerified::NoKey),
            Some(sender) => Ok(sender),
        }
    }
}

impl From<StoreError> for AcceptError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<SubmitError> for AcceptError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Overloaded => Self::Overloaded,
            SubmitError::StorageFull => Self::StorageFull,
            SubmitError::Unavailable => Self::Unavailable("the outbox cannot be reached".to_owned()),
            SubmitError::KeyReused => Self::KeyReused,
            SubmitError::InProgress => Self::InProgress,
        }
    }
}
