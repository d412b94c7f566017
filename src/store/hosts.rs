//! The hosts of `database.url`: one, or several of which one can be written to.
//!
//! Answers: which server is the primary now. The hosts are asked in the order given and the first that is no standby is taken, as libpq does it
//! with `target_session_attrs=read-write`; sqlx itself knows no lists. After a failover the node's heartbeat fails, and the hosts are asked again.
//! Does not: decide which server ought to be the primary; that is the work of what manages the servers.

use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::limit::within;
use super::{StoreError, connect};
use crate::clock::{Clock, Tick};

/// How long one host may take to answer, before the next is asked.
const PROBE: Duration = Duration::from_secs(2);

/// The servers, and which of them is used.
#[derive(Debug)]
pub(super) struct Hosts {
    all: Vec<PgConnectOptions>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    current: usize,
    /// Connections made before this are not used any more. On the system's clock, as the pool's own.
    renewed: Option<Tick>,
}

impl Hosts {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`StoreError::Url`], with what to write instead.
    pub(super) fn read(url: &str) -> Result<Self, StoreError> {
        let read = |url: &String| connect::options(url).map_err(|error| StoreError::Url(format!("cannot be read: {error}")));
        let all = split(url)?.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { all, state: Mutex::default() })
    }

    /// True of a connection of this age if its server was left since.
    pub(super) fn is_outdated(&self, age: Duration) -> bool {
        self.state.lock().renewed.is_some_and(|at| Clock::system().tick().since(at) <= age)
    }

    /// The first host that is fit.
    ///
    /// # Errors
    /// Why none is: of a single host its own error.
    pub(super) async fn choose(&self) -> Result<PgConnectOptions, StoreError> {
        let (index, options) = self.probe().await?;
        self.state.lock().current = index;
        Ok(options)
    }

    /// Looks for another host after `error`. Some if connections are to be made anew: to another host, or to the same since it changed its role.
    pub(super) async fn choose_after(&self, error: &StoreError) -> Option<PgConnectOptions> {
        let lost_its_role = matches!(error, StoreError::ReadOnly);
        if !lost_its_role && (self.all.len() < 2 || !error.is_transient()) {
            return None;
        }
        match self.probe().await {
            Ok((index, options)) => {
                let mut state = self.state.lock();
                if index == state.current && !lost_its_role {
                    return None;
                }
                (state.current, state.renewed) = (index, Some(Clock::system().tick()));
                drop(state);
                tracing::warn!(host = options.get_host(), port = options.get_port(), "the database is written to at this host from now on");
                Some(options)
            }
            Err(error) => {
                tracing::warn!(%error, "no host of database.url can be written to");
                None
            }
        }
    }

    async fn probe(&self) -> Result<(usize, PgConnectOptions), StoreError> {
        let mut reasons = Vec::new();
        for (index, options) in self.all.iter().enumerate() {
            match within(PROBE, fit(options)).await {
                Ok(()) => return Ok((index, options.clone())),
                Err(error) if self.all.len() == 1 => return Err(error),
                Err(error) => reasons.push(format!("{}:{}: {error}", options.get_host(), options.get_port())),
            }
        }
        Err(StoreError::Unavailable(format!("none of the hosts can be written to: {}", reasons.join("; "))))
    }
}

async fn fit(options: &PgConnectOptions) -> Result<(), StoreError> {
    let mut connection = PgConnection::connect_with(options).await?;
    connect::prepare(&mut connection).await?;
    Ok(connection.close().await?)
}

/// One URL for each host of `postgres://user@a:5432,b:5433/database`.
fn split(url: &str) -> Result<Vec<String>, StoreError> {
    let Some((scheme, rest)) = url.split_once("://") else { return Ok(vec![url.to_owned()]) };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let is_list = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        ["host", "hostaddr", "port"].contains(&name) && (value.contains(',') || value.to_ascii_uppercase().contains("%2C"))
    };
    if query.split('&').any(is_list) {
        return Err(StoreError::Url("has a list in host= or port=; write several hosts as postgres://user@a:5432,b:5432/database".to_owned()));
    }
    let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
    let user = if authority.contains('@') { format!("{user}@") } else { String::new() };
    let mut urls = Vec::new();
    for host in hosts.split(',') {
        if host.is_empty() && hosts.contains(',') {
            return Err(StoreError::Url("has an empty place in its list of hosts; write postgres://user@a:5432,b:5432/database".to_owned()));
        }
        urls.push(format!("{scheme}://{user}{host}{path}"));
    }
    Ok(urls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_hosts_is_a_url_for_each() {
        let hosts = |url: &str| {
            let hosts = Hosts::read(url).unwrap();
            hosts.all.iter().map(|one| format!("{}:{}/{}", one.get_host(), one.get_port(), one.get_database().unwrap_or(""))).collect::<Vec<_>>()
        };
        assert_eq!(hosts("postgres://penny:a%2Cb@db.example/mail"), ["db.example:5432/mail"]);
        assert_eq!(hosts("postgres://penny@a,b:5433,[::1]:5434/mail?sslmode=disable"), ["a:5432/mail", "b:5433/mail", "[::1]:5434/mail"]);
        assert_eq!(hosts("postgresql://a,b/mail"), ["a:5432/mail", "b:5432/mail"]);
    }

    #[test]
    fn what_is_no_list_as_we_read_it_is_refused_with_the_way_to_write_it() {
        for bad in
            ["postgres://a,,b/mail", "postgres://u@,a/mail", "postgres:///mail?host=a,b", "postgres:///mail?host=a%2cb", "postgres://a/mail?port=1,2"]
        {
            let error = Hosts::read(bad).unwrap_err();
            assert!(matches!(&error, StoreError::Url(text) if text.contains("postgres://user@a:5432,b:5432/database")), "{bad}: {error}");
        }
        assert!(matches!(Hosts::read("postgres://a:port/mail"), Err(StoreError::Url(_))));
    }
}
