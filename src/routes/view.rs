//! A route as the API shows it.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{Action, Route};
use crate::model::{EmailAddress, RouteId, WebhookId};

/// A route.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Route)]
pub struct RouteView {
    /// `rte_…`
    #[schema(value_type = String, examples("rte_01jd5q0v0h7d6r2n8k4m3x9wbz"))]
    pub id: RouteId,
    /// The addresses it takes.
    #[schema(examples("info@example.com", "sales-*@example.com", "*@example.com"))]
    pub pattern: String,
    /// What it does: `forward`, `webhook`, `store`, `reject`, `drop`. More may be added.
    #[schema(examples("forward"))]
    pub action: String,
    /// Of `forward`: where it sends mail.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub targets: Vec<TargetView>,
    /// Of `webhook`: its endpoint, as `/v1/webhooks` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub webhook_id: Option<WebhookId>,
    /// Of `webhook`: where it posts to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Of `reject`: what the sender is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
}

/// Where a route sends mail.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RouteTarget)]
pub struct TargetView {
    /// The address.
    #[schema(value_type = String, examples("penny@gmail.com"))]
    pub address: EmailAddress,
    /// When its owner was last asked; null: not yet.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub asked_at: Option<OffsetDateTime>,
    /// When its owner agreed; null: not yet, and nothing is sent there.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub confirmed_at: Option<OffsetDateTime>,
}

impl From<&Route> for RouteView {
    fn from(route: &Route) -> Self {
        let mut view = Self {
            id: route.id,
            pattern: route.pattern.to_string(),
            action: route.action.name().to_owned(),
            targets: Vec::new(),
            webhook_id: None,
            url: None,
            text: None,
            created_at: route.created_at,
        };
        match &route.action {
            Action::Forward { targets } => {
                let shown = targets.iter().cloned();
                view.targets = shown
                    .map(|target| TargetView { address: target.address, asked_at: target.asked_at, confirmed_at: target.confirmed_at })
                    .collect();
            }
            Action::Webhook { webhook, url } => (view.webhook_id, view.url) = (Some(*webhook), Some(url.clone())),
            Action::Reject { text } => view.text = Some(text.clone()),
            Action::Store | Action::Drop => {}
        }
        view
    }
}
