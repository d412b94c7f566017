//! Proves to the authority that names are ours: what it will ask for is written where every node finds it, or into the zone.
//!
//! Answers: what is published while an order goes on, and removed afterwards, also what a node left behind that died meanwhile.
//! Does not: answer the authority; each node does, from memory.

use std::path::PathBuf;
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::hook;
use super::order::OrderError;
use crate::clock::Clock;
use crate::config::AcmeChallenge;
use crate::net::dns::{DnsError, Resolver};
use crate::net::dns_update::{Change, DnsUpdater};
use crate::store::certificate::{self, ChallengeRow};
use crate::store::{Store, StoreError};

/// How long until every node has what is new: see [`super::keeper`].
const SPREAD: Duration = Duration::from_secs(5);
/// How long a record may take until our resolvers see it.
const SEEN: Duration = Duration::from_mins(5);
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// Aliases that are followed from a name to the zone that holds its record.
const MAX_ALIASES: usize = 8;

/// What has to be shown for one name.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    /// The name, without `*.`.
    pub(super) name: String,
    pub(super) token: String,
    /// For http-01.
    pub(super) text: String,
    /// For tls-alpn-01, in hexadecimal digits.
    pub(super) digest: String,
    /// For dns-01.
    pub(super) record: String,
}

/// Who changes the zones for dns-01.
#[derive(Clone, Debug)]
pub(super) enum Zones {
    /// The operator's program.
    Hook(PathBuf),
    /// The server of the zones.
    Server(DnsUpdater),
}

/// Publishes under one lease.
pub(super) struct Prover<'a> {
    pub(super) store: &'a Store,
    pub(super) clock: &'a Clock,
    pub(super) resolver: &'a Resolver,
    pub(super) zones: Option<&'a Zones>,
    pub(super) kind: AcmeChallenge,
    pub(super) lease: Uuid,
    pub(super) until: OffsetDateTime,
}

impl Prover<'_> {
    /// Publishes all proofs and waits until they can be seen.
    pub(super) async fn publish(&self, proofs: &[Proof]) -> Result<(), OrderError> {
        let rows: Vec<ChallengeRow> = proofs.iter().map(|proof| self.row(proof)).collect();
        certificate::put_challenges(self.store, &rows).await?;
        if self.kind != AcmeChallenge::Dns01 {
            self.clock.sleep(SPREAD).await;
            return Ok(());
        }
        for row in &rows {
            self.change(Change::Add, row).await.map_err(OrderError::Record)?;
        }
        for row in &rows {
            self.wait_for(row).await?;
        }
        Ok(())
    }

    /// Takes back what was published under this lease, and what is left of others whose time is over.
    pub(super) async fn withdraw(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        for row in certificate::challenges(self.store).await? {
            if row.lease != self.lease && row.expires_at > now {
                continue;
            }
            if row.kind == AcmeChallenge::Dns01.as_str()
                && let Err(error) = self.change(Change::Remove, &row).await
            {
                tracing::warn!(%error, name = row.token, "a TXT record of dns-01 could not be removed; remove it by hand");
            }
            certificate::drop_challenge(self.store, row.id).await?;
        }
        Ok(())
    }

    fn row(&self, proof: &Proof) -> ChallengeRow {
        let (token, answer) = match self.kind {
            AcmeChallenge::Http01 => (proof.token.clone(), proof.text.clone()),
            AcmeChallenge::TlsAlpn01 => (String::new(), proof.digest.clone()),
            AcmeChallenge::Dns01 => (format!("_acme-challenge.{}", proof.name), proof.record.clone()),
        };
        let (id, kind, name) = (self.clock.uuid(), self.kind.as_str().to_owned(), proof.name.clone());
        ChallengeRow { id, lease: self.lease, kind, name, token, answer, expires_at: self.until }
    }

    async fn change(&self, change: Change, row: &ChallengeRow) -> Result<(), String> {
        match self.zones {
            None => Err("nothing is configured that changes the zone (tls.acme_dns_hook, tls.acme_dns_server)".to_owned()),
            Some(Zones::Hook(program)) => {
                let verb = if change == Change::Add { "add" } else { "rm" };
                hook::run(program, verb, &row.token, &row.answer, self.clock).await
            }
            Some(Zones::Server(updater)) => {
                let (zone, name) = self.zone_of(&row.token).await?;
                updater.change(change, &zone, &name, &row.answer).await.map_err(|error| error.to_string())
            }
        }
    }

    /// The zone that holds the record of a name, and the name there, which an alias may lead to.
    async fn zone_of(&self, name: &str) -> Result<(String, String), String> {
        let mut name = name.to_owned();
        for _ in 0..MAX_ALIASES {
            match self.resolver.cname(&name).await {
                Ok(aliases) => match aliases.into_iter().next() {
                    Some(alias) => name = alias,
                    None => break,
                },
                Err(DnsError::Temporary(why)) => return Err(format!("{name} cannot be looked up: {why}")),
                Err(_) => break,
            }
        }
        let mut zone = name.as_str();
        while let Some((_, parent)) = zone.split_once('.') {
            match self.resolver.soa(parent).await {
                Ok(_) => return Ok((parent.to_owned(), name)),
                Err(DnsError::Temporary(why)) => return Err(format!("{parent} cannot be looked up: {why}")),
                Err(_) => zone = parent,
            }
        }
        Err(format!("no zone of {name} is found"))
    }

    async fn wait_for(&self, row: &ChallengeRow) -> Result<(), OrderError> {
        let deadline = self.clock.tick().plus(SEEN);
        loop {
            self.resolver.forget(&row.token);
            if self.resolver.txt(&row.token).await.is_ok_and(|texts| texts.contains(&row.answer)) {
                return Ok(());
            }
            if self.clock.tick() >= deadline {
                return Err(OrderError::Record(format!("the record of {} is not seen after {} s", row.token, SEEN.as_secs())));
            }
            self.clock.sleep(LOOK_AGAIN).await;
        }
    }
}
