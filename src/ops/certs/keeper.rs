//! Shows the certificates of the database, and has them renewed.
//!
//! Answers: every node shows what is new within [`LOOK`], and answers the authority from memory. One node at a time works on an order: it takes a
//! lease in the order's row, for a time limit that the work keeps to; so no session of the database is held, and a node that dies is followed by another.
//! Does not: decide which certificate a client gets; `net::server_tls` does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::CertificateIdentifier;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use time::OffsetDateTime;
use uuid::Uuid;

use super::account::Accounts;
use super::challenge::{Prover, Zones};
use super::order::{self, OrderError};
use super::renewal;
use super::transport::Transport;
use super::{CertificateSource, Certificates};
use crate::config::Tls;
use crate::net::acme::Answers;
use crate::net::dns::Resolver;
use crate::net::dns_update::DnsUpdater;
use crate::net::https::HttpsClient;
use crate::net::server_tls::{Kept, ServerTls};
use crate::net::x509::Facts;
use crate::store::StoreError;
use crate::store::certificate::{self, CertificateRow, OrderRow, Plan};
use crate::supervisor::Supervisor;
use crate::telemetry::certificates as metrics;

/// How often a node looks whether anything changed.
pub const LOOK: Duration = Duration::from_secs(2);
/// How often it reads everything, changed or not: certificates end.
const READ: Duration = Duration::from_hours(1);
/// How often a node asks whether an order is due.
const ASK: Duration = Duration::from_secs(5);
/// What the work on one order may take.
const WORK: Duration = Duration::from_mins(14);
/// For how long others leave it alone: more than the work may take.
const LEASE: Duration = Duration::from_mins(15);
/// How long certificates are kept that ended, or that another followed.
const OLD: time::Duration = time::Duration::days(30);
/// Days before the end at which it is told, once each.
const ALARMS: [i64; 4] = [14, 7, 3, 1];

/// What a keeper works with.
#[derive(Debug)]
pub struct KeeperParts {
    /// The certificates.
    pub certificates: Certificates,
    /// Where they are shown; none on a node that shows none.
    pub tls: Option<ServerTls>,
    /// What the authority is answered.
    pub answers: Answers,
    /// What the operator asked for.
    pub settings: Tls,
    /// Our name.
    pub hostname: String,
    /// DNS.
    pub resolver: Resolver,
    /// How the authority is reached.
    pub https: HttpsClient,
}

/// Shows and renews. See the head of this file.
#[derive(Debug)]
pub struct Keeper {
    parts: KeeperParts,
    zones: Option<Zones>,
}

impl Keeper {
    /// Of its parts.
    ///
    /// # Errors
    /// What is configured for dns-01 cannot be used.
    pub fn new(parts: KeeperParts) -> Result<Arc<Self>, String> {
        let zones = zones(&parts)?;
        Ok(Arc::new(Self { parts, zones }))
    }

    /// Shows what there is, once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn show(&self) -> Result<(), StoreError> {
        let store = &self.parts.certificates.store;
        let kept = self.parts.certificates.kept().await?;
        if let Some(tls) = &self.parts.tls {
            tls.keep(&kept);
            tracing::debug!(count = kept.len(), "certificates of the database are in use");
        }
        let now = self.parts.certificates.clock.now();
        let (mut texts, mut digests) = (HashMap::new(), HashMap::new());
        for row in certificate::challenges(store).await?.into_iter().filter(|row| row.expires_at > now) {
            match row.kind.as_str() {
                "http-01" => drop(texts.insert(row.token, row.answer)),
                "tls-alpn-01" => drop(digests.insert(row.name, row.answer)),
                _ => {}
            }
        }
        self.parts.answers.set_texts(texts);
        if let Err(error) = self.parts.answers.set_digests(&digests) {
            tracing::error!(%error, "tls-alpn-01 cannot be answered");
        }
        Ok(())
    }

    /// Shows what is new until the process drains.
    pub async fn follow(self: Arc<Self>, supervisor: Supervisor) {
        let clock = &self.parts.certificates.clock;
        let mut seen = None;
        let mut read_at = clock.tick();
        let mut told = HashMap::new();
        while !supervisor.is_draining() {
            match certificate::version(&self.parts.certificates.store).await {
                Ok(version) if seen == Some(version) && clock.tick().since(read_at) < READ => {}
                Ok(version) => match self.show().await {
                    Ok(()) => (seen, read_at) = (Some(version), clock.tick()),
                    Err(error) => tracing::warn!(%error, "the certificates could not be read; trying again in a moment"),
                },
                Err(error) => tracing::debug!(%error, "the database was not asked for certificates"),
            }
            self.tell_ends(&mut told);
            tokio::select! {
                () = clock.sleep(LOOK) => {}
                () = supervisor.draining() => {}
            }
        }
    }

    /// Tells how long the certificates in use are good, and warns before they end.
    fn tell_ends(&self, told: &mut HashMap<String, i64>) {
        let now = self.parts.certificates.clock.now();
        let mut seen: Vec<String> = Vec::new();
        for Facts { names, not_after, .. } in self.parts.tls.iter().flat_map(ServerTls::facts) {
            let Some(name) = names.into_iter().next().filter(|name| !seen.contains(name)) else { continue };
            let left = not_after - now;
            metrics::expires(&name, left);
            match ALARMS.into_iter().rev().find(|days| left < time::Duration::days(*days)) {
                None => drop(told.remove(&name)),
                Some(days) => {
                    if told.insert(name.clone(), days) != Some(days) {
                        tracing::warn!(name, ends = %not_after.date(), "a certificate ends soon; `pennypost cert status` says why it was not renewed");
                    }
                }
            }
            seen.push(name);
        }
    }

    /// Has certificates renewed until the process drains.
    pub async fn renew(self: Arc<Self>, supervisor: Supervisor) {
        let clock = &self.parts.certificates.clock;
        let mut cleaned = None;
        while !supervisor.is_draining() {
            let looked = tokio::select! {
                looked = self.look() => looked,
                // What goes on is left where it stands; the lease ends by itself.
                () = supervisor.draining() => return,
            };
            if let Err(error) = looked {
                tracing::warn!(%error, "the orders for certificates could not be read; trying again in a moment");
            }
            if cleaned.is_none_or(|at| clock.tick().since(at) >= READ) {
                cleaned = Some(clock.tick());
                if let Err(error) = certificate::drop_old(&self.parts.certificates.store, clock.now() - OLD).await {
                    tracing::debug!(%error, "old certificates were not removed");
                }
            }
            tokio::select! {
                () = clock.sleep(ASK) => {}
                () = supervisor.draining() => {}
            }
        }
    }

    /// Works on our order if it is due and nobody else does.
    async fn look(&self) -> Result<(), StoreError> {
        let Some(directory) = self.parts.settings.directory() else { return Ok(()) };
        let Certificates { store, clock, .. } = &self.parts.certificates;
        let names = self.parts.settings.wanted_names(&self.parts.hostname);
        let (now, key) = (clock.now(), names.join(","));
        certificate::want(store, directory, &key, now).await?;
        let lease = clock.uuid();
        let until = now + LEASE;
        let Some(order) = certificate::take(store, directory, &key, lease, [now, until]).await? else { return Ok(()) };
        let transport = Transport::new(self.parts.https.clone());
        let work = Work { keeper: self, directory, names: &names, order: &order, lease, until, transport: &transport };
        let ended = clock.timeout(WORK, Box::pin(work.run())).await.unwrap_or(Err(OrderError::Late));
        let Err(error) = ended else { return Ok(()) };
        let failures = u32::try_from(order.failures).unwrap_or(0).saturating_add(1);
        let limited = error.is_rate_limit().then(|| transport.retry_after().unwrap_or_default());
        let wait = clock.jitter(renewal::wait(failures, limited), 0.1);
        metrics::ordered(if limited.is_some() { "rate_limited" } else { "failed" });
        tracing::error!(%error, names = key, failures, again_in_seconds = wait.as_secs(), "no certificate was obtained");
        let now = clock.now();
        certificate::fail(store, lease, now, now + wait, &error.to_string()).await?;
        Ok(())
    }
}

fn zones(parts: &KeeperParts) -> Result<Option<Zones>, String> {
    use base64::Engine;
    let Tls { acme_dns_hook, acme_dns_server, acme_dns_key_name, acme_dns_key, .. } = &parts.settings;
    if !acme_dns_hook.as_os_str().is_empty() {
        return Ok(Some(Zones::Hook(acme_dns_hook.clone())));
    }
    if acme_dns_server.is_empty() {
        return Ok(None);
    }
    let server = acme_dns_server.parse().map_err(|_| "tls.acme_dns_server is no address:port".to_owned())?;
    let key = base64::engine::general_purpose::STANDARD.decode(acme_dns_key.expose()).map_err(|_| "tls.acme_dns_key is not base64".to_owned())?;
    let clock = parts.certificates.clock.clone();
    let updater = DnsUpdater::new(server, acme_dns_key_name, &crate::model::Secret::new(key), clock).map_err(|error| error.to_string())?;
    Ok(Some(Zones::Server(updater)))
}

/// Work on one order under a lease.
struct Work<'a> {
    keeper: &'a Keeper,
    directory: &'a str,
    names: &'a [String],
    order: &'a OrderRow,
    lease: Uuid,
    until: OffsetDateTime,
    transport: &'a Transport,
}

impl Work<'_> {
    async fn run(&self) -> Result<(), OrderError> {
        let Certificates { store, clock, .. } = &self.keeper.parts.certificates;
        let old = match self.order.certificate_id {
            None => None,
            Some(id) => certificate::list(store, clock.now()).await?.into_iter().find(|row| row.id == id),
        };
        let accounts = Accounts {
            store,
            sealer: &self.keeper.parts.certificates.sealer,
            clock,
            settings: &self.keeper.parts.settings,
            directory: self.directory,
            transport: self.transport,
        };
        let mut replaces = None;
        if let Some(old) = &old {
            let (plan, is_advised) = self.plan(old, &accounts).await;
            if !self.order.forced && plan.renew_at.is_some_and(|at| at > clock.now()) {
                certificate::put_off(store, self.lease, plan).await?;
                return Ok(());
            }
            replaces = is_advised.then(|| identifier(old)).flatten();
        }
        let (id, account) = accounts.open().await?;
        tracing::info!(names = self.order.names, authority = self.directory, forced = self.order.forced, "a certificate is ordered");
        let prover = Prover {
            store,
            clock,
            resolver: &self.keeper.parts.resolver,
            zones: self.keeper.zones.as_ref(),
            kind: self.keeper.parts.settings.acme_challenge,
            lease: self.lease,
            until: self.until,
        };
        prover.withdraw().await?;
        let obtained = order::obtain(&account, self.names, replaces, &prover).await;
        if obtained.as_ref().is_err_and(OrderError::is_unknown_account) {
            certificate::drop_account(store, id).await?;
        }
        let obtained = obtained?;
        self.keep(obtained).await
    }

    /// When `old` is to be renewed, by the authority's advice where it gives one; and whether it does.
    async fn plan(&self, old: &CertificateRow, accounts: &Accounts<'_>) -> (Plan, bool) {
        let clock = &self.keeper.parts.certificates.clock;
        let now = clock.now();
        let share = f64::from(u32::try_from(clock.pick(1000)).unwrap_or(0)) / 1000.0;
        let by_age = self.order.renew_at.filter(|_| self.order.advice_start.is_none());
        let by_age = by_age.unwrap_or_else(|| renewal::by_age(old.not_before, old.not_after, share));
        let known = self.order.advice_start.zip(self.order.advice_end);
        let mut plan = Plan { next_at: now, renew_at: Some(by_age), advice_at: self.order.advice_at, advice: known };
        if self.order.advice_at.is_none_or(|at| at <= now) {
            let (window, after) = advice(old, accounts).await;
            plan.advice_at = Some(now + renewal::ask_again(after));
            plan.advice = window;
        }
        if let Some(window) = plan.advice {
            // A point once chosen stays while the window does.
            let chosen = self.order.renew_at.filter(|_| plan.advice == known);
            plan.renew_at = Some(chosen.unwrap_or_else(|| renewal::by_advice(window, share)));
        }
        plan.next_at = [plan.renew_at, plan.advice_at].into_iter().flatten().min().unwrap_or(now);
        (plan, plan.advice.is_some())
    }

    async fn keep(&self, obtained: order::Obtained) -> Result<(), OrderError> {
        let Certificates { store, clock, .. } = &self.keeper.parts.certificates;
        let unusable = |error: super::CertificateError| OrderError::Unusable(error.to_string());
        Kept::parse(obtained.chain.as_bytes(), obtained.key.expose()).map_err(|error| OrderError::Unusable(error.to_string()))?;
        let made = self.keeper.parts.certificates.row(CertificateSource::Acme, Some(self.directory), obtained.chain.as_bytes(), &obtained.key);
        let row = made.map_err(unusable)?;
        let share = f64::from(u32::try_from(clock.pick(1000)).unwrap_or(0)) / 1000.0;
        let renew_at = renewal::by_age(row.not_before, row.not_after, share);
        let now = clock.now();
        // The authority is asked for its advice soon, but not in the same breath.
        let advice_at = now + renewal::ask_again(Some(Duration::ZERO));
        let plan = Plan { next_at: advice_at.min(renew_at), renew_at: Some(renew_at), advice_at: Some(advice_at), advice: None };
        if !certificate::succeed(store, self.lease, &row, plan).await? {
            return Err(OrderError::Stopped("another node took the order over meanwhile"));
        }
        metrics::ordered("issued");
        tracing::info!(names = self.order.names, issuer = row.issuer, ends = %row.not_after.date(), renewed = %renew_at.date(), "a certificate was obtained");
        Ok(())
    }
}

/// The window that the authority wants, and after how long to ask again; nothing from one that says nothing (RFC 9773).
async fn advice(old: &CertificateRow, accounts: &Accounts<'_>) -> (Option<renewal::Window>, Option<Duration>) {
    let (Some(id), Ok((_, account))) = (identifier(old), accounts.open().await) else { return (None, None) };
    match account.renewal_info(&id).await {
        Ok((info, after)) => (Some((info.suggested_window.start, info.suggested_window.end)), Some(after)),
        Err(error) => {
            tracing::debug!(%error, "the authority gives no advice about renewals");
            (None, None)
        }
    }
}

/// How an authority names one of its certificates (RFC 9773 4.1).
fn identifier(row: &CertificateRow) -> Option<CertificateIdentifier<'static>> {
    let der = CertificateDer::from_pem_slice(row.chain.as_bytes()).ok()?;
    CertificateIdentifier::try_from(&der).ok().map(CertificateIdentifier::into_owned)
}
