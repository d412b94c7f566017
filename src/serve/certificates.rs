//! Starts what shows certificates: from files, which are watched, and from the database, where ACME puts them.
//!
//! Answers: TLS that has its certificates before the first connection comes; answers for the authority where it asks.
//! Does not: know ACME; `ops::certs` does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Roles, Start, host_name, service};
use crate::clock::Clock;
use crate::config::{AcmeChallenge, Listen};
use crate::net::acme::{AlpnServer, Answers};
use crate::net::certificate::Authorities;
use crate::net::dial::AddressPolicy;
use crate::net::https::HttpsClient;
use crate::net::server_tls::{CertificateFiles, Reload, ServerTls};
use crate::ops::certs::listen::{self, Responder};
use crate::ops::certs::{Keeper, KeeperParts};
use crate::supervisor::Supervisor;

/// How often certificate files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// What one request to an authority may take.
const REQUEST: Duration = Duration::from_secs(30);

/// What the doors show.
pub(super) struct Shown {
    /// The server's side of TLS; none where no listener speaks it.
    pub(super) tls: Option<ServerTls>,
    /// What an authority is answered.
    pub(super) answers: Answers,
    /// Where http-01 or tls-alpn-01 is answered.
    pub(super) acme: Option<SocketAddr>,
}

impl Start<'_> {
    /// Loads the certificates and keeps them up to date.
    pub(super) async fn certificates(&self, roles: Roles) -> anyhow::Result<Shown> {
        let (smtp, settings) = (&self.config.smtp, &self.config.tls);
        let listens = [smtp.submission_listen, smtp.submissions_listen, smtp.mx_listen].iter().any(|listen| *listen != Listen::Off);
        let mut shown = Shown { tls: None, answers: Answers::default(), acme: None };
        if roles.smtp && listens {
            let pairs = settings.certificate_files.iter().zip(&settings.key_files);
            let files = pairs.map(|(certificate, key)| CertificateFiles { certificate: certificate.clone(), key: key.clone() }).collect();
            shown.tls = Some(ServerTls::load(files, &host_name(self.config)).context("see [tls] in the configuration")?);
        }
        let by_acme = settings.directory().is_some();
        if shown.tls.is_none() && !by_acme {
            watch(None, None, self.clock.clone(), self.supervisor);
            return Ok(shown);
        }
        let keeper = self.keeper(&shown)?;
        if let Err(error) = keeper.show().await {
            tracing::warn!(%error, "the certificates in the database could not be read; trying again in a moment");
        }
        self.supervisor.spawn("certificates", Arc::clone(&keeper).follow(self.supervisor.clone()));
        watch(shown.tls.clone(), Some(Arc::clone(&keeper)), self.clock.clone(), self.supervisor);
        if shown.tls.is_some() && by_acme {
            shown.acme = self.answer(&shown.answers).await?;
            self.supervisor.spawn("certificates.renewal", keeper.renew(self.supervisor.clone()));
        }
        Ok(shown)
    }

    fn keeper(&self, shown: &Shown) -> anyhow::Result<Arc<Keeper>> {
        let settings = self.config.tls.clone();
        let own = !settings.acme_ca_file.as_os_str().is_empty();
        let authorities = if own { Authorities::only(&settings.acme_ca_file).context("see tls.acme_ca_file")? } else { Authorities::public() };
        let https = HttpsClient {
            resolver: self.house.resolver.clone(),
            clock: self.clock.clone(),
            // An authority of one's own is where its owner says.
            policy: AddressPolicy { allow_private: own || self.config.delivery.allow_private_addresses },
            authorities,
            limit: REQUEST,
        };
        let parts = KeeperParts {
            certificates: self.house.certificates.clone(),
            tls: shown.tls.clone(),
            answers: shown.answers.clone(),
            settings,
            hostname: self.config.server.hostname.clone(),
            resolver: self.house.resolver.clone(),
            https,
        };
        Keeper::new(parts).map_err(anyhow::Error::msg)
    }

    /// Listens where the authority will ask; dns-01 needs no listener.
    async fn answer(&self, answers: &Answers) -> anyhow::Result<Option<SocketAddr>> {
        let tls = &self.config.tls;
        let (option, name, listen, responder) = match tls.acme_challenge {
            AcmeChallenge::Http01 => ("tls.acme_http_listen", "acme-http", tls.acme_http_listen, Responder::Http(answers.clone())),
            AcmeChallenge::TlsAlpn01 => ("tls.acme_tls_listen", "acme-tls", tls.acme_tls_listen, Responder::Tls(AlpnServer::new(answers.clone())?)),
            AcmeChallenge::Dns01 => return Ok(None),
        };
        let handed = if listen == Listen::Off { None } else { self.sockets.take(name).with_context(|| format!("the socket {name}"))? };
        let opened = match handed {
            Some(socket) => Ok(Some(socket)),
            None => bind(listen).await,
        };
        let listener = match opened {
            Ok(Some(socket)) => socket,
            Ok(None) => return Ok(None),
            Err(error) if matches!(listen, Listen::Everywhere(80 | 443)) => {
                let fix = "free the port and give the program the right to it (CAP_NET_BIND_SERVICE), or let the proxy there hand \
                           /.well-known/acme-challenge/ on to server.http_listen and set tls.acme_http_listen = \"\"";
                tracing::warn!(option, %error, fix, "the authority is not answered here: the address cannot be listened on");
                return Ok(None);
            }
            Err(error) => return Err(error).with_context(|| format!("cannot listen on the address of {option}")),
        };
        let bound = listener.local_addr()?;
        listen::serve(listener, responder, self.clock.clone(), self.supervisor);
        tracing::info!(address = %bound, challenge = tls.acme_challenge.as_str(), "listening for certificate authorities");
        Ok(Some(bound))
    }
}

async fn bind(listen: Listen) -> std::io::Result<Option<TcpListener>> {
    let mut failed = Ok(None);
    for address in listen.addresses() {
        match TcpListener::bind(address).await {
            Ok(socket) => return Ok(Some(socket)),
            Err(error) => failed = Err(error),
        }
    }
    failed
}

/// Uses new certificate files as they come, and everything at SIGHUP, until a drain. Without any there is SIGHUP still, which must end nothing.
fn watch(tls: Option<ServerTls>, keeper: Option<Arc<Keeper>>, clock: Clock, supervisor: &Supervisor) {
    let draining = supervisor.clone();
    supervisor.spawn("certificates.files", async move {
        let mut hangups = signal(SignalKind::hangup()).ok();
        loop {
            tokio::select! {
                () = draining.draining() => return,
                () = clock.sleep(LOOK_EVERY) => look(tls.as_ref()).await,
                () = hangup(&mut hangups) => {
                    service::reloading();
                    look(tls.as_ref()).await;
                    if let Some(keeper) = &keeper
                        && let Err(error) = keeper.show().await
                    {
                        tracing::warn!(%error, "the certificates in the database could not be read");
                    }
                    tracing::info!("certificates were read again (SIGHUP)");
                    service::reloaded();
                }
            }
        }
    });
}

async fn hangup(signals: &mut Option<Signal>) {
    if let Some(signals) = signals
        && signals.recv().await.is_some()
    {
        return;
    }
    std::future::pending::<()>().await;
}

async fn look(tls: Option<&ServerTls>) {
    let Some(tls) = tls.cloned() else { return };
    match tokio::task::spawn_blocking(move || tls.reload()).await {
        Ok(Ok(Reload::Swapped)) => tracing::info!("new certificates are in use"),
        Ok(Err(error)) => tracing::error!(%error, "new certificates cannot be used; the old ones stay (tls.certificate_files, tls.key_files)"),
        Ok(Ok(Reload::Same)) | Err(_) => {}
    }
}
