//! Certificates as they are shown: what each says, and how its renewal goes.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::model::CertificateId;
use crate::store::certificate::{CertificateRow, OrderRow};

/// Where a certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateSource {
    /// From an authority, by ACME; renewed by itself.
    Acme,
    /// Brought by an operator, who renews it too.
    Import,
}

impl CertificateSource {
    /// As the database writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acme => "acme",
            Self::Import => "import",
        }
    }
}

/// A certificate that is shown, or one that is wanted and not there yet.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CertificateView {
    /// `crt_…`; null: it is not there yet.
    #[schema(value_type = Option<String>)]
    pub id: Option<CertificateId>,
    /// Where it comes from.
    pub source: CertificateSource,
    /// The directory of the authority, by ACME.
    pub authority: Option<String>,
    /// The names it is for.
    pub names: Vec<String>,
    /// Who issued it.
    pub issuer: Option<String>,
    /// When it began to count.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub not_before: Option<OffsetDateTime>,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub not_after: Option<OffsetDateTime>,
    /// When it is to be renewed, by ACME.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub renew_at: Option<OffsetDateTime>,
    /// When a new one was last asked for.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub tried_at: Option<OffsetDateTime>,
    /// When the next look is due, after failures the next try.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<OffsetDateTime>,
    /// Tries that failed since the last success.
    pub failures: u32,
    /// What went wrong the last time; null after a success.
    pub last_error: Option<String>,
}

/// The certificates in use, then what is wanted and not there. What another certificate followed is left out.
pub(super) fn views(rows: &[CertificateRow], orders: &[OrderRow]) -> Vec<CertificateView> {
    let order_of = |row: &CertificateRow| orders.iter().find(|order| order.certificate_id == Some(row.id));
    let is_shown = |row: &&CertificateRow| row.directory.is_none() || order_of(row).is_some();
    let there = rows.iter().filter(is_shown).map(|row| view(row, order_of(row)));
    let missing = orders.iter().filter(|order| order.certificate_id.is_none()).map(wanted);
    there.chain(missing).collect()
}

pub(super) fn view(row: &CertificateRow, order: Option<&OrderRow>) -> CertificateView {
    CertificateView {
        id: Some(CertificateId::from_uuid(row.id)),
        source: if row.directory.is_some() { CertificateSource::Acme } else { CertificateSource::Import },
        authority: row.directory.clone(),
        names: row.names.clone(),
        issuer: Some(row.issuer.clone()),
        not_before: Some(row.not_before),
        not_after: Some(row.not_after),
        renew_at: order.and_then(|order| order.renew_at),
        tried_at: order.and_then(|order| order.tried_at),
        next_at: order.map(|order| order.next_at),
        failures: order.map_or(0, failures),
        last_error: order.and_then(|order| order.last_error.clone()),
    }
}

fn wanted(order: &OrderRow) -> CertificateView {
    CertificateView {
        id: None,
        source: CertificateSource::Acme,
        authority: Some(order.directory.clone()),
        names: order.names.split(',').map(str::to_owned).collect(),
        issuer: None,
        not_before: None,
        not_after: None,
        renew_at: None,
        tried_at: order.tried_at,
        next_at: Some(order.next_at),
        failures: failures(order),
        last_error: order.last_error.clone(),
    }
}

fn failures(order: &OrderRow) -> u32 {
    u32::try_from(order.failures).unwrap_or(0)
}
