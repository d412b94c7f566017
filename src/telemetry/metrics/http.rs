//! Counting at the HTTP door, as [`super`] does.

use std::time::Duration;

use metrics::SharedString;

use super::HANDLES;
use crate::telemetry::catalog;
use crate::telemetry::recorder::labelled_histogram;

/// Counts one answered HTTP request; `route` is the pattern and not the path.
pub fn http_request(route: &str, status: u16, took: Duration) {
    let owned = |text: &str| SharedString::from(text.to_owned());
    HANDLES.http_requests.add((Box::from(route), status), 1, |(route, status)| [owned(route), owned(&status.to_string())]);
    if let Some(histogram) = HANDLES.http_seconds.read().iter().find(|(known, _)| **known == *route).map(|(_, histogram)| histogram) {
        return histogram.record(took);
    }
    let histogram = labelled_histogram(&catalog::HTTP_SECONDS, owned(route));
    histogram.record(took);
    HANDLES.http_seconds.write().push((Box::from(route), histogram));
}

/// Counts one HTTP connection that was opened.
pub fn http_connection_opened() {
    HANDLES.http_connections.increment(1.0);
}

/// Counts one HTTP connection that ended.
pub fn http_connection_closed() {
    HANDLES.http_connections.decrement(1.0);
}

/// Counts one HTTP connection of a client that had too many.
pub fn turned_away() {
    HANDLES.turned_away.increment(1);
}
