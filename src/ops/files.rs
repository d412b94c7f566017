//! Open files: every connection is one, and the system lets a process have only so many (L5).
//!
//! Answers: the limit, raised as far as we may; and connections that fit it, so that a flood of one kind leaves files for the others: half are for HTTP, a
//! quarter for sessions to mail hosts, an eighth for the two doors of SMTP together, the rest for the database, look-ups and ourselves.
//! Does not: fail when the system refuses; the limit then stays as it is.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::config::Config;
use crate::telemetry::metrics;

/// More is of no use, and some programs we start close every file up to the limit one by one.
const ENOUGH: u64 = 1 << 20;

/// Raises the limit as far as the system allows without privileges. The limit that holds now; none where it cannot be read.
pub fn raise() -> Option<usize> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let wanted = hard.min(ENOUGH);
    let limit = if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() { wanted } else { soft };
    metrics::file_limit(limit);
    Some(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Lowers the numbers of connections that would take more than their share of `limit` files, and says so in the log.
pub fn fit(config: &mut Config, limit: usize) {
    let (limits, delivery, smtp) = (&mut config.limits, &mut config.delivery, &mut config.smtp);
    lower("limits.connections", &mut limits.connections, limit / 2);
    limits.connections_per_client = limits.connections_per_client.min(limits.connections);
    // Submission and port 25 have as many each.
    lower("smtp.connections", &mut smtp.connections, limit / 16);
    smtp.connections_per_client = smtp.connections_per_client.min(smtp.connections);
    lower("delivery.max_connections", &mut delivery.max_connections, limit / 4);
    delivery.max_connections_per_domain = delivery.max_connections_per_domain.min(delivery.max_connections);
}

fn lower(option: &'static str, value: &mut usize, share: usize) {
    let share = share.max(1);
    if *value > share {
        tracing::warn!(
            option,
            configured = *value,
            used = share,
            "the system lets this process open too few files; raise its limit (ulimit -n, LimitNOFILE=)"
        );
        *value = share;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_held_to_their_share_of_the_files() {
        let mut config = Config::default();
        fit(&mut config, 64);
        assert_eq!((config.limits.connections, config.limits.connections_per_client), (32, 32));
        assert_eq!((config.delivery.max_connections, config.delivery.max_connections_per_domain), (16, 16));
        assert_eq!((config.smtp.connections, config.smtp.connections_per_client), (4, 4), "twice that is an eighth");
        let mut config = Config::default();
        fit(&mut config, 1);
        assert_eq!((config.limits.connections, config.delivery.max_connections), (1, 1));
        let mut config = Config::default();
        config.limits.connections_per_client = 0;
        fit(&mut config, 100_000);
        assert_eq!((config.limits.connections, config.limits.connections_per_client), (4096, 0), "what fits stays");
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_may_be() {
        let limit = raise().unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(u64::try_from(limit).unwrap(), soft);
        assert_eq!(soft, hard.min(ENOUGH));
    }
}
