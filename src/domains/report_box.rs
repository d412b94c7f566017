//! Where receivers send reports about mail in the name of a domain: two addresses at its return path.
//!
//! Answers: those addresses, whose one is, and whether a domain is a project's. The return path's MX leads here already, and it lies below the domain, so its
//! owner has to grant nothing more (RFC 9990 4).
//! Does not: read reports, or publish the records that name these addresses.

use super::Domains;
use super::expected::{DMARC_REPORTS, TLS_REPORTS, return_path};
use crate::model::{DomainName, EmailAddress, ProjectId};
use crate::store::StoreError;
use crate::store::domain as table;

/// The labels of a name that a domain may have above it.
const MAX_LABELS: usize = 20;

/// Whose reports come to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportBox {
    /// The project.
    pub project: ProjectId,
    /// The domain whose return path it stands at.
    pub domain: DomainName,
}

impl Domains {
    /// Whose reports come to `address`; none unless it is one of the two at the return path of a verified domain.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn report_box(&self, address: &EmailAddress) -> Result<Option<ReportBox>, StoreError> {
        let is_box = [DMARC_REPORTS, TLS_REPORTS].iter().any(|local| address.local().eq_ignore_ascii_case(local));
        let above = address.domain().as_str().split_once('.').and_then(|(_, domain)| DomainName::parse(domain).ok());
        let Some(domain) = above.filter(|domain| is_box && return_path(domain).as_ref() == Some(address.domain())) else { return Ok(None) };
        let project = table::verified_owner(&self.inner.store, &domain).await?;
        Ok(project.map(|project| ReportBox { project: ProjectId::from_uuid(project), domain }))
    }

    /// True if `name` is a verified domain of the project, or below one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn owns(&self, project: ProjectId, name: &str) -> Result<bool, StoreError> {
        let tails = std::iter::successors(Some(name), |rest| rest.split_once('.').map(|(_, above)| above));
        let names: Vec<String> = tails.take(MAX_LABELS).map(str::to_owned).collect();
        table::owns_one(&self.inner.store, project, &names).await
    }
}
