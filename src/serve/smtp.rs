//! Opens the SMTP door: ports, users.
//!
//! Answers: where it listens; a usual port that nobody asked for may be taken, which is told and no more.
//! Does not: speak SMTP; `smtpd` does.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;

use super::{Start, certificates, host_name};
use crate::accept::Accept;
use crate::clock::Clock;
use crate::config::{self, Listen};
use crate::deliver::class::Rules;
use crate::inbound::{Inbound, Reception};
use crate::model::EmailAddress;
use crate::routes::{Action, Target};
use crate::smtp::server::session::Purpose;
use crate::smtpd::{self, Door, Encryption};

impl Start<'_> {
    /// Opens the SMTP doors: where they listen by STARTTLS, by TLS from the first octet, and for the world.
    pub(super) async fn smtp(&self, accept: &Accept, rules: Arc<Rules>, shown: &certificates::Shown) -> anyhow::Result<[Option<SocketAddr>; 3]> {
        let smtp = &self.config.smtp;
        let Some(tls) = shown.tls.clone() else { return Ok([None, None, None]) };
        let hostname = host_name(self.config);
        let rooms = smtpd::Rooms {
            accept: accept.with_recipients(smtp.recipients),
            reception: self.reception(accept, rules, &hostname),
            users: self.house.smtp_users.clone(),
            tls: tls.clone(),
            config: Arc::clone(self.config),
            hostname,
            clock: self.clock.clone(),
            supervisor: self.supervisor.clone(),
        };
        // Each has limits of its own: the world must not take the places of our users.
        let world = Door::new(rooms.clone(), Purpose::Exchange);
        let door = Door::new(rooms, Purpose::Submission);
        let submission = self.listen(&door, "smtp.submission_listen", smtp.submission_listen, Encryption::StartTls).await?;
        let submissions = self.listen(&door, "smtp.submissions_listen", smtp.submissions_listen, Encryption::Implicit).await?;
        let mx = self.listen(&world, "smtp.mx_listen", smtp.mx_listen, Encryption::StartTls).await?;
        if submission.is_some() || submissions.is_some() {
            self.house.smtp_users.keep_last_used(self.supervisor);
            if tls.is_self_signed() {
                let fix = if self.config.tls.directory().is_some() {
                    "wait for the first one by ACME; `pennypost cert status` tells how that goes"
                } else {
                    "set tls.acme, import one by `pennypost cert import`, or name files in tls.certificate_files and tls.key_files"
                };
                tracing::warn!(fix, "SMTP clients are shown a certificate that nobody trusts, and most will refuse it");
            }
        }
        Ok([submission, submissions, mx])
    }

    /// What takes mail from the world.
    fn reception(&self, accept: &Accept, rules: Arc<Rules>, hostname: &str) -> Reception {
        let house = self.house;
        let settings = &self.config.inbound;
        Reception {
            reports: Inbound {
                store: house.store.clone(),
                domains: house.domains.clone(),
                clock: self.clock.clone(),
                rules,
                reports: house.reports.clone(),
            },
            routes: house.routes.clone(),
            webhooks: house.webhooks.clone(),
            hostname: hostname.to_owned(),
            house: house.project,
            postmaster: postmaster(settings, self.clock),
            stored_octets: settings.stored_octets,
            counted: Reception::counting(),
            accept: accept.clone(),
            claims: Arc::clone(self.claims),
            resolver: house.resolver.clone(),
            settings: settings.clone(),
            forward_pace: Arc::default(),
        }
    }

    /// Listens for SMTP; none if it is off. An address that nobody asked for may be taken: that is told and no more.
    async fn listen(&self, door: &Arc<Door>, option: &'static str, listen: Listen, encryption: Encryption) -> anyhow::Result<Option<SocketAddr>> {
        let name = option.trim_start_matches("smtp.").trim_end_matches("_listen");
        let handed = if listen == Listen::Off { None } else { self.sockets.take(name).with_context(|| format!("the socket {name}"))? };
        let opened = match handed {
            Some(socket) => Ok(Some(smtpd::Listener::of(socket, encryption))),
            None => smtpd::Listener::bind(listen, encryption).await,
        };
        let listener = match opened {
            Ok(Some(listener)) => listener,
            Ok(None) => return Ok(None),
            Err(error) if matches!(listen, Listen::Everywhere(587 | 465 | 25)) => {
                let fix = "free the port and give the program the right to it (CAP_NET_BIND_SERVICE), set another address, or \"\" for off";
                tracing::warn!(option, %error, fix, "no mail can come in here: the address cannot be listened on");
                return Ok(None);
            }
            Err(error) => return Err(error).with_context(|| format!("cannot listen on the address of {option}")),
        };
        let bound = listener.local_addr()?;
        listener.serve(Arc::clone(door));
        tracing::info!(address = %bound, ?encryption, "listening for SMTP");
        Ok(Some(bound))
    }
}

/// What is done with mail to postmaster and abuse. An address that the operator wrote down needs nobody's agreement.
fn postmaster(settings: &config::Inbound, clock: &Clock) -> Action {
    match EmailAddress::parse(&settings.postmaster) {
        Ok(address) => Action::Forward { targets: vec![Target { address, asked_at: None, confirmed_at: Some(clock.now()) }] },
        Err(_) => Action::Store,
    }
}
