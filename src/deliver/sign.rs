//! DKIM signatures of a message: made once, when its first transaction needs them, and shared by all its recipients.
//!
//! The signature's `t=` is the time of acceptance, so a message that is sent again carries the same octets.

use bytes::Bytes;

use crate::clock::{Clock, time_of};
use crate::domains::{Domains, SignerError};
use crate::mail::dkim::{self, DkimError};
use crate::outbox::OutboundMessage;
use crate::telemetry::{metrics, spans};
use tracing::Instrument;

/// Why a message cannot be signed now.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The keys cannot be read.
    #[error(transparent)]
    Keys(#[from] SignerError),
    /// The keys do not sign.
    #[error(transparent)]
    Dkim(#[from] DkimError),
}

impl SignError {
    /// True if the same call may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Keys(SignerError::Store(error)) if error.is_transient())
    }
}

/// The DKIM-Signature fields of a message; empty where an unverified sender was allowed.
pub async fn signature<'m>(domains: &Domains, clock: &Clock, message: &'m OutboundMessage) -> Result<&'m Bytes, SignError> {
    let making = message.signature.get_or_try_init(async || {
        let Some(domain) = message.domain else { return Ok(Bytes::new()) };
        let signers = domains.signers(domain).await?;
        let started = clock.tick();
        let fields = dkim::sign_all(&signers, &message.content, time_of(message.id.uuid()))?;
        metrics::signed(clock.tick().since(started));
        Ok(fields.into())
    });
    making.instrument(spans::sign(message.id)).await
}
