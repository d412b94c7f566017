//! Sites as people see them: how much is sent there now, and why not more.
//!
//! Answers: the sites that a project's mail waits for, or all of them to an operator. Only what other projects send is left out of the former.
//! Does not: change anything; the engine does, by what it is answered.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::Outbox;
use crate::model::ProjectId;
use crate::store::StoreError;
use crate::store::site::SiteRow;

/// The most that a site is sent.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct SiteLimits {
    /// Sessions at once, of all nodes together.
    pub connections: u64,
    /// Messages in one session.
    pub messages_per_connection: u64,
    /// Messages a minute, of all nodes together; null: no limit.
    pub messages_per_minute: Option<u64>,
    /// Recipients in one transaction.
    pub recipients_per_transaction: u64,
    /// Seconds a session stays open without work.
    pub idle_seconds: u64,
}

/// How a site stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SiteState {
    /// It is sent all there is, up to its limits.
    Open,
    /// It asked for less, and gets less.
    Slowed,
    /// Nothing is sent for now: it asked for that, or its hosts could not be reached.
    Paused,
}

/// Domains with the same mail hosts, or of one provider.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SiteView {
    /// The mail hosts, or the name of a provider whose customers are one site, or `host:port` of a smart host.
    pub name: String,
    /// Whose limits hold; of those in no table `smart-host` for a smart host, `other` for all others.
    pub provider: String,
    /// How it stands.
    pub state: SiteState,
    /// Why it is slowed or paused: what the site said, or what went wrong.
    pub reason: Option<String>,
    /// When it last asked for less.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<OffsetDateTime>,
    /// Nothing is sent before.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<OffsetDateTime>,
    /// Sessions allowed now, of all nodes together.
    pub sessions: u64,
    /// Messages a minute allowed now, of all nodes together; null: as many as there are.
    pub messages_per_minute: Option<f64>,
    /// IPv6 is not used before, since the site refused it.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub without_ipv6_until: Option<OffsetDateTime>,
    /// The most that would be sent.
    pub limits: SiteLimits,
    /// Recipient domains seen there lately; not all of them where there are many.
    pub domains: Vec<String>,
}

impl SiteView {
    /// As it stands at `now`.
    #[must_use]
    pub(super) fn of(row: SiteRow, now: OffsetDateTime) -> Self {
        let later = |at: Option<OffsetDateTime>| at.filter(|at| *at > now);
        let (paused, rests) = (later(row.paused_until), later(row.rest_until));
        let state = match (paused.max(rests), row.slowed) {
            (Some(_), _) => SiteState::Paused,
            (None, true) => SiteState::Slowed,
            (None, false) => SiteState::Open,
        };
        let reason = if rests > paused { row.rest_reason } else { row.reason };
        let mut domains = row.domains;
        domains.sort_unstable();
        Self {
            name: row.name,
            provider: row.provider,
            state,
            reason: reason.filter(|_| state != SiteState::Open),
            since: row.slowed_at,
            until: paused.max(rests),
            sessions: u64::try_from(row.sessions).unwrap_or(0),
            messages_per_minute: row.per_minute.map(|rate| (rate * 10.0).round() / 10.0),
            without_ipv6_until: later(row.without_ipv6_until),
            limits: serde_json::from_value(row.limits).unwrap_or_default(),
            domains,
        }
    }
}

impl Outbox {
    /// All sites that are held back, or were lately: for an operator.
    pub async fn all_sites(&self) -> Result<Vec<SiteView>, StoreError> {
        Ok(self.views(self.store.sites_changed(None).await?))
    }

    /// The sites among them that deliveries of a project wait for, with its own domains only.
    pub async fn sites(&self, project: ProjectId) -> Result<Vec<SiteView>, StoreError> {
        let own = self.store.outstanding_domains(project.uuid()).await?;
        let mut sites = self.views(self.store.sites_of(&own).await?);
        keep_domains(&mut sites, own);
        Ok(sites)
    }

    pub(super) fn views(&self, rows: Vec<SiteRow>) -> Vec<SiteView> {
        let now = self.clock.now();
        let mut sites: Vec<SiteView> = rows.into_iter().map(|row| SiteView::of(row, now)).collect();
        sites.sort_by(|one, other| one.name.cmp(&other.name));
        sites
    }
}

/// Leaves sites with these domains only, in whatever order the database gave them: it sorts as its locale wants.
fn keep_domains(sites: &mut [SiteView], own: Vec<String>) {
    let own: HashSet<String> = own.into_iter().collect();
    for site in sites {
        site.domains.retain(|domain| own.contains(domain));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(in crate::outbox) fn row(now: OffsetDateTime) -> SiteRow {
        SiteRow {
            name: "mx.example.net".into(),
            provider: "other".into(),
            limits: serde_json::json!({"connections": 20, "messages_per_connection": 100, "messages_per_minute": null,
                                       "recipients_per_transaction": 100, "idle_seconds": 5}),
            standing: serde_json::Value::Null,
            slowed: false,
            slowed_at: None,
            sessions: 20,
            per_minute: None,
            paused_until: None,
            reason: None,
            rest_until: None,
            rest_reason: None,
            without_ipv6_until: None,
            domains: vec!["b.example".into(), "a.example".into()],
            updated_at: now,
        }
    }

    #[test]
    fn a_project_sees_its_own_domains_whatever_order_they_came_in() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let now = OffsetDateTime::UNIX_EPOCH;
        let mut sites = [SiteView::of(SiteRow { domains: names(&["a-b.example", "ab.example", "other.example"]), ..row(now) }, now)];
        // The hyphen counts last in many locales.
        keep_domains(&mut sites, names(&["ab.example", "a-b.example", "abc.example"]));
        assert_eq!(sites[0].domains, ["a-b.example", "ab.example"]);
    }

    #[test]
    fn a_site_is_shown_with_what_holds_it_back_now() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let [past, soon, later] = [-1, 1, 2].map(|minutes| Some(now + time::Duration::minutes(minutes)));
        let said = Some("451 slow down".to_owned());
        let open = SiteView::of(SiteRow { paused_until: past, reason: said.clone(), ..row(now) }, now);
        assert_eq!((open.state, open.until, open.reason, open.limits.connections), (SiteState::Open, None, None, 20));
        let slowed = SiteView::of(SiteRow { slowed: true, reason: said.clone(), per_minute: Some(66.66), ..row(now) }, now);
        assert_eq!((slowed.state, slowed.reason, slowed.messages_per_minute), (SiteState::Slowed, said.clone(), Some(66.7)));
        let resting =
            SiteRow { paused_until: soon, reason: said.clone(), rest_until: later, rest_reason: Some("connection refused".into()), ..row(now) };
        let paused = SiteView::of(resting.clone(), now);
        assert_eq!((paused.state, paused.until, paused.reason.as_deref()), (SiteState::Paused, later, Some("connection refused")));
        let paused = SiteView::of(SiteRow { rest_until: past, ..resting }, now);
        assert_eq!((paused.until, paused.reason), (soon, said));
        assert_eq!(paused.domains, ["a.example", "b.example"]);
    }
}
