//! What the mail hosts of each provider are sent at most, and which domains are one site.
//!
//! Answers: from the MX hosts of a domain its site, its provider and its limits. The knowledge is data: `providers.toml`, which an
//! operator's file (`delivery.providers`) extends and changes; `[delivery]` holds for everybody else.
//! Does not: look up, or react to replies (`throttle` does, within these limits). Pure but for reading the file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::config;

/// The text of the embedded table.
const PROVIDERS: &str = include_str!("providers.toml");
/// Everybody who is in no table.
pub const EVERYBODY_ELSE: &str = "other";
/// A smart host that is in no table.
pub const SMART_HOST: &str = "smart-host";

/// The most that one site is sent, by all nodes together where it says "at once" or "a minute".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions at once.
    pub connections: usize,
    /// Messages in one session.
    pub messages_per_connection: usize,
    /// Messages a minute; none: no limit.
    pub messages_per_minute: Option<u32>,
    /// Recipients in one transaction.
    pub recipients_per_transaction: usize,
    /// How long a session stays open without work.
    pub idle: Duration,
}

/// Where the mail of a domain goes, as far as limits and sessions are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The site: what shares limits. Its name is made of its MX hosts, or is that of a provider of one site.
    pub site: Arc<str>,
    /// The MX hosts, sorted: what shares sessions.
    pub hosts: Arc<str>,
    /// The provider.
    pub provider: Arc<str>,
    /// Its limits.
    pub limits: Limits,
}

/// The table of providers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProvidersError {
    /// The file cannot be read.
    #[error("{path} (delivery.providers) cannot be read: {source}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is no table of providers.
    #[error("{path} (delivery.providers) is no table of providers: {message}")]
    Syntax {
        /// Which.
        path: String,
        /// What is wrong, with line and column.
        message: String,
    },
    /// A value makes no sense.
    #[error("{path} (delivery.providers): provider {name:?}: {what}")]
    Wrong {
        /// Which file.
        path: String,
        /// Which entry.
        name: String,
        /// What is wrong, and the fix.
        what: String,
    },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    mx: Option<Vec<String>>,
    one_site: Option<bool>,
    connections: Option<usize>,
    messages_per_connection: Option<usize>,
    messages_per_minute: Option<u32>,
    recipients_per_transaction: Option<usize>,
    idle_seconds: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    provider: Vec<Entry>,
}

#[derive(Debug)]
struct Provider {
    name: Arc<str>,
    suffixes: Vec<String>,
    one_site: bool,
    limits: Limits,
}

/// All providers.
#[derive(Debug)]
pub struct Providers {
    known: Vec<Provider>,
    other: (Arc<str>, Limits),
}

impl Providers {
    /// The embedded table, with the file that `[delivery]` names on top.
    ///
    /// # Errors
    /// [`ProvidersError`] names the file, the entry and the fix.
    pub fn load(delivery: &config::Delivery) -> Result<Self, ProvidersError> {
        let path = delivery.providers.display().to_string();
        let text = if delivery.providers.as_os_str().is_empty() { String::new() } else { read(&delivery.providers)? };
        Self::of_texts(delivery, &path, &text)
    }

    fn of_texts(delivery: &config::Delivery, path: &str, text: &str) -> Result<Self, ProvidersError> {
        let mut entries = parse("providers.toml", PROVIDERS)?;
        let mut new = Vec::new();
        for entry in parse(path, text)? {
            check(path, &entry, entries.iter().any(|known| known.name == entry.name))?;
            match entries.iter_mut().find(|known| known.name == entry.name) {
                Some(known) => change(known, entry),
                None => new.push(entry),
            }
        }
        let other = Limits {
            connections: delivery.max_connections_per_domain,
            messages_per_connection: delivery.max_messages_per_connection,
            messages_per_minute: None,
            recipients_per_transaction: delivery.max_recipients_per_transaction,
            idle: Duration::from_secs(delivery.idle_seconds),
        };
        let known = new.into_iter().chain(entries).map(|entry| provider(entry, other)).collect();
        Ok(Self { known, other: (Arc::from(EVERYBODY_ELSE), other) })
    }

    /// The limits of those who are in no table.
    #[must_use]
    pub const fn other(&self) -> Limits {
        self.other.1
    }

    /// The place of all mail that goes by a smart host: a site of its own, `host:port`, with the limits of the provider that has the host. Who
    /// uses it by another rule, perhaps with another login, has other sessions and rests alone.
    #[must_use]
    pub fn smart_host(&self, name: &str, label: Arc<str>, rule: usize) -> Place {
        let Place { provider, limits, .. } = self.place([name]);
        let provider = if *provider == *EVERYBODY_ELSE { SMART_HOST.into() } else { provider };
        Place { hosts: format!("{label} (rule {rule})").into(), site: label, provider, limits }
    }

    /// The place of a domain by its MX hosts, in any order. Never empty.
    #[must_use]
    pub fn place<'h>(&self, hosts: impl IntoIterator<Item = &'h str>) -> Place {
        let mut names: Vec<String> = hosts.into_iter().map(|host| host.trim_end_matches('.').to_ascii_lowercase()).collect();
        names.sort_unstable();
        names.dedup();
        // Every host: whoever names one host of a provider beside one of his own must not have a say in that provider's site.
        let found = self.known.iter().find(|provider| !names.is_empty() && names.iter().all(|name| provider.has(name)));
        let hosts: Arc<str> = names.join(",").into();
        match found {
            Some(provider) => Place {
                site: if provider.one_site { Arc::clone(&provider.name) } else { Arc::clone(&hosts) },
                hosts,
                provider: Arc::clone(&provider.name),
                limits: provider.limits,
            },
            None => Place { site: Arc::clone(&hosts), hosts, provider: Arc::clone(&self.other.0), limits: self.other.1 },
        }
    }
}

impl Provider {
    fn has(&self, host: &str) -> bool {
        self.suffixes.iter().any(|suffix| host.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
    }
}

fn read(path: &Path) -> Result<String, ProvidersError> {
    std::fs::read_to_string(path).map_err(|source| ProvidersError::Unreadable { path: path.display().to_string(), source })
}

fn parse(path: &str, text: &str) -> Result<Vec<Entry>, ProvidersError> {
    let table: Table = toml::from_str(text).map_err(|error| ProvidersError::Syntax { path: path.to_owned(), message: error.to_string() })?;
    Ok(table.provider)
}

fn check(path: &str, entry: &Entry, known: bool) -> Result<(), ProvidersError> {
    let wrong = |what: String| Err(ProvidersError::Wrong { path: path.to_owned(), name: entry.name.clone(), what });
    let bounds = [
        ("connections", entry.connections, 1, 20_000),
        ("messages_per_connection", entry.messages_per_connection, 1, 100_000),
        ("recipients_per_transaction", entry.recipients_per_transaction, 1, 1_000),
        ("idle_seconds", entry.idle_seconds.and_then(|seconds| usize::try_from(seconds).ok()), 0, 290),
    ];
    for (name, value, least, most) in bounds {
        if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
            return wrong(format!("{name} is {value}; use {least} to {most}"));
        }
    }
    if entry.name.is_empty() || [EVERYBODY_ELSE, SMART_HOST].contains(&entry.name.as_str()) {
        return wrong(format!("the name is taken; the limits of everybody else ({EVERYBODY_ELSE}) stand in [delivery]"));
    }
    if !known && entry.mx.as_ref().is_none_or(Vec::is_empty) {
        return wrong("no such provider is known, and no mx is given; name the MX hosts, as in mx = [\"mx.example.com\"]".to_owned());
    }
    let odd =
        |name: &&String| !name.trim_matches('.').contains('.') || !name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet));
    match entry.mx.iter().flatten().find(odd) {
        Some(name) => wrong(format!("mx holds {name:?}; write host names of two labels or more, like mx.example.com")),
        None => Ok(()),
    }
}

fn change(known: &mut Entry, by: Entry) {
    let Entry { mx, one_site, connections, messages_per_connection, messages_per_minute, recipients_per_transaction, idle_seconds, name: _ } = by;
    known.mx = mx.or_else(|| known.mx.take());
    known.one_site = one_site.or(known.one_site);
    known.connections = connections.or(known.connections);
    known.messages_per_connection = messages_per_connection.or(known.messages_per_connection);
    known.messages_per_minute = messages_per_minute.or(known.messages_per_minute);
    known.recipients_per_transaction = recipients_per_transaction.or(known.recipients_per_transaction);
    known.idle_seconds = idle_seconds.or(known.idle_seconds);
}

fn provider(entry: Entry, other: Limits) -> Provider {
    Provider {
        name: entry.name.into(),
        suffixes: entry.mx.into_iter().flatten().map(|name| name.trim_matches('.').to_ascii_lowercase()).collect(),
        one_site: entry.one_site.unwrap_or(false),
        limits: Limits {
            connections: entry.connections.unwrap_or(other.connections),
            messages_per_connection: entry.messages_per_connection.unwrap_or(other.messages_per_connection),
            messages_per_minute: entry.messages_per_minute.filter(|rate| *rate > 0).or(other.messages_per_minute),
            recipients_per_transaction: entry.recipients_per_transaction.unwrap_or(other.recipients_per_transaction),
            idle: entry.idle_seconds.map_or(other.idle, Duration::from_secs),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<Providers, ProvidersError> {
        Providers::of_texts(&config::Config::default().delivery, "own.toml", text)
    }

    fn place(hosts: &[&str]) -> Place {
        with("").unwrap().place(hosts.iter().copied())
    }

    #[test]
    fn domains_with_the_same_hosts_are_one_site_in_whatever_order_and_spelling() {
        let one = place(&["mx1.example.net", "mx2.example.net"]);
        assert_eq!(one, place(&["MX2.example.net.", "mx1.example.NET", "mx2.example.net"]));
        assert_eq!((&*one.site, &*one.provider), ("mx1.example.net,mx2.example.net", EVERYBODY_ELSE));
        assert_ne!(one.site, place(&["mx1.example.net"]).site, "another set is another site");
        assert_eq!(one.limits, with("").unwrap().other());
    }

    #[test]
    fn customers_of_one_provider_share_what_it_shares() {
        let google = ["aspmx.l.google.com", "alt1.aspmx.l.google.com", "alt2.aspmx.l.google.com"];
        let workspace = place(&google);
        assert_eq!((&*workspace.provider, &workspace.site), ("google", &workspace.hosts), "one site for each set of hosts");
        assert_ne!(workspace.site, place(&["gmail-smtp-in.l.google.com", "alt1.gmail-smtp-in.l.google.com"]).site);
        let [one, two] = ["one-example.mail.protection.outlook.com", "two-example.mail.protection.outlook.com"].map(|host| place(&[host]));
        assert_eq!((&*one.site, &one.site), ("microsoft-365", &two.site), "each customer has a host of its own");
        assert_ne!(one.hosts, two.hosts, "and no session goes to both");
        assert_eq!(&*place(&["outlook-com.olc.protection.outlook.com"]).provider, "outlook.com");
        assert_eq!(&*place(&["mta5.am0.yahoodns.net", "mta6.am0.yahoodns.net"]).provider, "yahoo");
        assert_eq!(&*place(&["mx01.mail.icloud.com"]).provider, "apple");
    }

    #[test]
    fn a_smart_host_is_a_site_of_its_own_with_the_limits_of_its_provider() {
        let own = "[[provider]]\nname = \"relay\"\nmx = [\"smtp.example.com\"]\nconnections = 50\none_site = true\n";
        let providers = with(own).unwrap();
        let [one, other, unknown] = [("smtp.example.com", 1), ("smtp.example.com", 2), ("192.0.2.1", 0)]
            .map(|(name, rule)| providers.smart_host(name, format!("{name}:587").into(), rule));
        assert_eq!((&*one.site, &*one.provider, one.limits.connections), ("smtp.example.com:587", "relay", 50));
        assert!(one.site == other.site && one.hosts != other.hosts, "another rule may have another login");
        assert_eq!((&*unknown.site, &*unknown.provider, unknown.limits), ("192.0.2.1:587", SMART_HOST, providers.other()));
    }

    #[test]
    fn nobody_enters_the_site_of_a_provider_with_a_host_of_his_own() {
        for hosts in [
            &["one.mail.protection.outlook.com", "mx.evil.example"][..],
            &["mail.protection.outlook.com.evil.example"],
            &["evilmail.protection.outlook.com"],
            &["evil-olc.protection.outlook.com.example"],
        ] {
            assert_eq!(&*place(hosts).provider, EVERYBODY_ELSE, "{hosts:?}");
        }
        assert_eq!(&*place(&[]).provider, EVERYBODY_ELSE);
    }

    #[test]
    fn an_operators_file_changes_and_adds() {
        let own = "[[provider]]\nname = \"google\"\nconnections = 3\n\n[[provider]]\nname = \"school\"\nmx = [\".School.example.\"]\nmessages_per_minute = 30\n";
        let providers = with(own).unwrap();
        let google = providers.place(["aspmx.l.google.com"]).limits;
        assert_eq!((google.connections, google.messages_per_connection), (3, 50), "what is not given stays");
        let school = providers.place(["mx.school.example"]);
        assert_eq!(
            (&*school.provider, school.limits.messages_per_minute, school.limits.connections),
            ("school", Some(30), providers.other().connections)
        );
    }

    #[test]
    fn a_wrong_file_is_refused_with_the_entry_and_the_fix() {
        for (text, told) in [
            ("[[provider]]\nname = \"google\"\nconections = 3\n", "unknown field `conections`"),
            ("[[provider]]\nname = \"google\"\nconnections = 0\n", "connections is 0; use 1 to 20000"),
            ("[[provider]]\nname = \"gogle\"\nconnections = 1\n", "no such provider is known"),
            ("[[provider]]\nname = \"com\"\nmx = [\"com\"]\n", "mx holds \"com\""),
            ("[[provider]]\nname = \"smart-host\"\nmx = [\"a.example\"]\n", "stand in [delivery]"),
            ("[[provider]]\nname = \"other\"\nmx = [\"a.example\"]\n", "stand in [delivery]"),
            ("[[provider]\n", "is no table of providers"),
            ("[[provider]]\nname = \"a\"\nmx = [\"a.example\"]\nidle_seconds = 400\n", "idle_seconds is 400"),
        ] {
            let error = with(text).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(told) && error.contains("own.toml"), "{error}");
        }
    }
}
