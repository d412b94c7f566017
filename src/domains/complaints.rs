//! The address that feedback loops are registered for: `complaints@bounce.<domain>` of every verified domain.
//!
//! Answers: is this one. It needs no record beside those of the return path, whose MX leads here. Does not: read complaints.

use super::expected::return_path;
use super::{Domains, parse_name};
use crate::model::EmailAddress;
use crate::store::StoreError;
use crate::store::domain as table;

/// The local part, in any case.
const COMPLAINTS: &str = "complaints";

impl Domains {
    /// True if `address` is where complaints about the mail of a verified domain go.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn takes_complaints(&self, address: &EmailAddress) -> Result<bool, StoreError> {
        let above = address.domain().as_str().split_once('.').and_then(|(_, above)| parse_name(above).ok());
        let Some(domain) = above.filter(|above| return_path(above).as_ref() == Some(address.domain())) else { return Ok(false) };
        Ok(address.local().eq_ignore_ascii_case(COMPLAINTS) && table::is_verified(&self.inner.store, &domain).await?)
    }
}
