//! `/v1/certificates`: the certificates that are in no file, and how their renewal goes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::Api;
use crate::http::extract::Manager;
use crate::http::problem::Problem;
use crate::ops::certs::CertificateView;

/// The certificates.
#[derive(Serialize, ToSchema)]
pub struct CertificateList {
    /// Those in use, then those that are wanted and not there yet.
    pub data: Vec<CertificateView>,
    /// Always null: the list is whole.
    pub next_cursor: Option<String>,
}

/// List the certificates
///
/// Those had by ACME and those imported, with their time, their renewal and what went wrong last. For keys of the project `default`.
#[utoipa::path(get, path = "/v1/certificates", operation_id = "list_certificates", tag = "Certificates",
    responses((status = 200, description = "All certificates that are in no file.", body = CertificateList)))]
pub async fn list(State(api): State<Arc<Api>>, Manager(caller): Manager) -> Result<Json<CertificateList>, Problem> {
    api.require_house(&caller)?;
    Ok(Json(CertificateList { data: api.certificates.list().await?, next_cursor: None }))
}
