//! How much a route passes on in a minute, counted in this process.
//!
//! Does not: share the count with other nodes; each lets as much through.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::model::RouteId;

/// Routes counted before those of past minutes are forgotten.
const MANY: usize = 1_024;

/// Messages of each route in the minute that runs.
#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<Option<RouteId>, (i64, u32)>>);

impl Pace {
    /// Counts a message; false if the route had as many as it may.
    pub fn admits(&self, clock: &Clock, route: Option<RouteId>, limit: u32) -> bool {
        let minute = clock.now().unix_timestamp().div_euclid(60);
        let mut counts = self.0.lock();
        if counts.len() > MANY {
            counts.retain(|_, (counted, _)| *counted == minute);
        }
        let (counted, count) = counts.entry(route).or_insert((minute, 0));
        if *counted != minute {
            (*counted, *count) = (minute, 0);
        }
        *count = count.saturating_add(1);
        *count <= limit
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_route_passes_on_so_many_a_minute_and_then_anew() {
        let (clock, pace) = (Clock::movable(), Pace::default());
        let route = Some(RouteId::from_uuid(uuid::Uuid::from_u128(1)));
        let many = |route| (0..5).filter(|_| pace.admits(&clock, route, 3)).count();
        assert_eq!((many(route), many(None)), (3, 3));
        clock.advance(Duration::from_mins(1));
        assert_eq!(many(route), 3);
    }
}
