//! Which route a path belongs to, for figures and traces: the pattern, never the path, which may hold ids.
//!
//! Does not: route; the router does.

use std::collections::HashSet;

/// What paths without a route are counted as.
const OTHER: &str = "other";
/// The segment that holds an id: `/v1/messages/{id}/raw` split at `/`.
const ID_SEGMENT: usize = 3;

/// The patterns of the routes.
#[derive(Clone, Debug, Default)]
pub struct Patterns(HashSet<String>);

impl Patterns {
    /// Knows these patterns.
    pub fn new(patterns: impl IntoIterator<Item = String>) -> Self {
        Self(patterns.into_iter().collect())
    }

    /// The pattern of a path.
    #[must_use]
    pub fn of(&self, path: &str) -> &str {
        self.0.get(path).or_else(|| self.0.get(&with_id(path))).map_or(OTHER, String::as_str)
    }
}

fn with_id(path: &str) -> String {
    let segments = path.split('/').enumerate().map(|(place, segment)| if place == ID_SEGMENT && !segment.is_empty() { "{id}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_unknown_paths_make_no_figures_of_their_own() {
        let patterns = Patterns::new(["/v1/send", "/v1/messages", "/v1/messages/{id}", "/v1/messages/{id}/raw"].map(str::to_owned));
        for (path, pattern) in [
            ("/v1/send", "/v1/send"),
            ("/v1/messages", "/v1/messages"),
            ("/v1/messages/msg_1", "/v1/messages/{id}"),
            ("/v1/messages/msg_1/raw", "/v1/messages/{id}/raw"),
            ("/v1/messages/msg_1/else", "other"),
            ("/v1/messages/", "other"),
            ("/", "other"),
            ("*", "other"),
        ] {
            assert_eq!(patterns.of(path), pattern, "{path}");
        }
    }
}
