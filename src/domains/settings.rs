//! What the records of all domains have in common: where our mail comes from, and what this host takes.

use std::net::SocketAddr;
use std::time::Duration;

use super::spf::Senders;
use crate::config::{Config, Listen};
use crate::model::DomainName;

/// The port that MTA-STS policies are fetched from (RFC 8461 3.3).
const HTTPS_PORT: u16 = 443;

/// What the records of all domains have in common.
#[derive(Clone, Debug, Default)]
pub struct DomainSettings {
    /// From where our mail comes, for SPF and the return path's MX.
    pub senders: Senders,
    /// Whether mail from the world is taken (`smtp.mx_listen`): without it nothing that comes back would arrive.
    pub takes_reports: bool,
    /// The port of submission with STARTTLS, where users find it.
    pub submission: Option<u16>,
    /// The port of submission inside TLS.
    pub submissions: Option<u16>,
    /// The host that serves MTA-STS policies by HTTPS.
    pub policy_host: Option<DomainName>,
    /// How old DKIM keys may get before the next ones are made; none: they are made on request only.
    pub rotate_after: Option<Duration>,
}

impl DomainSettings {
    /// Those of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let hostname = DomainName::parse(&config.server.hostname).ok();
        let public = config.server.https_place().filter(|(_, port)| *port == HTTPS_PORT).and_then(|(host, _)| DomainName::parse(host).ok());
        let days = u64::from(config.domains.rotate_dkim_days);
        Self {
            policy_host: public.or_else(|| hostname.clone()),
            senders: Senders { hostname, egress: config.delivery.source_addresses() },
            takes_reports: config.smtp.mx_listen != Listen::Off,
            submission: port(config.smtp.submission_listen),
            submissions: port(config.smtp.submissions_listen),
            rotate_after: (days > 0).then(|| Duration::from_hours(24 * days)),
        }
    }
}

/// The port of a listener; none if it is off, or if the system chooses the port.
fn port(listen: Listen) -> Option<u16> {
    listen.addresses().first().map(SocketAddr::port).filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::Environment;
    use crate::config::load::load;

    #[test]
    fn what_this_host_takes_is_read_from_its_listeners() {
        let mut config = load(None, &Environment::default()).unwrap().config;
        config.server.hostname = "mail.example.net".to_owned();
        let usual = DomainSettings::of(&config);
        assert_eq!((usual.takes_reports, usual.submission, usual.submissions), (true, Some(587), Some(465)));
        assert_eq!((usual.policy_host, usual.rotate_after), (DomainName::parse("mail.example.net").ok(), None));

        config.smtp.mx_listen = Listen::Off;
        config.smtp.submission_listen = Listen::Off;
        config.smtp.submissions_listen = "127.0.0.1:0".parse().unwrap();
        config.domains.rotate_dkim_days = 30;
        let other = DomainSettings::of(&config);
        assert_eq!((other.takes_reports, other.submission, other.submissions), (false, None, None));
        assert_eq!(other.rotate_after, Some(Duration::from_hours(720)));

        for (url, host) in [("https://api.example.net", "api.example.net"), ("https://api.example.net:8443", "mail.example.net")] {
            config.server.public_url = url.to_owned();
            assert_eq!(DomainSettings::of(&config).policy_host, DomainName::parse(host).ok(), "{url}");
        }
    }
}
