//! What is counted about requests.
//!
//! | metric | unit | healthy | alert on |
//! |---|---|---|---|
//! | `pennypost_http_requests_total{status="2xx"}` .. `5xx` | requests | 5xx near zero | 5xx over 1 % for 5 minutes |
//! | `pennypost_http_request_seconds` | seconds | p99 under 0.1 | p99 over 1 for 5 minutes |
//! | `pennypost_http_connections` | connections | well below the limit of the listener | at the limit |

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::clock::{Clock, Tick};

/// Handles of the metrics, looked up once: counting a request costs a few atomic additions.
#[derive(Clone)]
pub struct Figures {
    classes: [Counter; 5],
    seconds: Histogram,
    connections: Gauge,
}

impl Figures {
    /// Registers the metrics with the recorder that is installed by now.
    #[must_use]
    pub fn new() -> Self {
        let class = |status: &'static str| counter!("pennypost_http_requests_total", "status" => status);
        Self {
            classes: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(class),
            seconds: histogram!("pennypost_http_request_seconds"),
            connections: gauge!("pennypost_http_connections"),
        }
    }

    /// Counts an answered request.
    pub fn answered(&self, status: u16, began: Tick, clock: &Clock) {
        if let Some(class) = self.classes.get(usize::from(status / 100).saturating_sub(1)) {
            class.increment(1);
        }
        self.seconds.record(clock.tick().since(began).as_secs_f64());
    }

    /// Counts a connection until the guard is dropped.
    #[must_use]
    pub fn connected(&self) -> Connected {
        self.connections.increment(1.0);
        Connected(self.connections.clone())
    }
}

impl Default for Figures {
    fn default() -> Self {
        Self::new()
    }
}

/// One open connection.
pub struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
