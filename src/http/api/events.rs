//! `/v1/events`: everything that happened, in order, by cursor.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

use crate::events::{EventKind, EventPage};
use crate::http::Api;
use crate::http::extract::{Asked, Reader, limit_of};
use crate::http::problem::Problem;

/// Which events, and from where on.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// `next_cursor` of the answer before; left out: from the oldest event kept.
    pub cursor: Option<String>,
    /// Entries at most, 1 to 100; 25 unless said.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u16>,
    /// Only these kinds, with commas between.
    #[param(example = "delivered,bounced")]
    pub kinds: Option<String>,
}

impl EventQuery {
    fn kinds(&self) -> Result<Vec<EventKind>, Problem> {
        let read = |text: &str| {
            let text: StrDeserializer<'_, Error> = text.into_deserializer();
            EventKind::deserialize(text).map_err(|_| Problem::parameter("kinds", "expected kinds of events with commas between"))
        };
        self.kinds.as_deref().map_or_else(|| Ok(Vec::new()), |kinds| kinds.split(',').map(read).collect())
    }
}

/// Read events
///
/// Oldest first. `next_cursor` is always there: ask again with it to go on where this answer ended, now or later. An event is never skipped.
#[utoipa::path(get, path = "/v1/events", operation_id = "list_events", tag = "Events", params(EventQuery),
    responses((status = 200, description = "The events after the cursor; empty if there is none yet.", body = EventPage)))]
pub async fn list(State(api): State<Arc<Api>>, Reader(caller): Reader, Asked(query): Asked<EventQuery>) -> Result<Json<EventPage>, Problem> {
    let limit = limit_of(query.limit)?;
    Ok(Json(api.events.read(caller.project, query.cursor.as_deref(), limit, &query.kinds()?).await?))
}
