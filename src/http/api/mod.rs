//! The API's resources, one file each: request, description, handler.

pub mod batch;
pub mod certificates;
pub mod domains;
pub mod egress;
pub mod events;
pub mod incoming;
pub mod keys;
pub mod messages;
pub mod nodes;
pub mod operator;
pub mod project;
pub mod queue;
pub mod reports;
pub mod routes;
pub mod sandbox;
pub mod send;
pub mod sites;
pub mod smtp_users;
pub mod suppressions;
pub mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;

/// Every route under `/v1`, and `/send`.
pub fn routes() -> Router<Arc<Api>> {
    documented().split_for_parts().0.route("/send", post(send::send))
}

/// The routes that the OpenAPI document lists: all of `/v1`, grouped by resource.
pub fn documented() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(send::send))
        .routes(routes!(batch::send))
        .routes(routes!(messages::list))
        .routes(routes!(messages::get))
        .routes(routes!(messages::raw))
        .routes(routes!(messages::cancel))
        .routes(routes!(messages::retry))
        .routes(routes!(messages::hold))
        .routes(routes!(messages::release))
        .routes(routes!(events::list))
        .routes(routes!(domains::add, domains::list))
        .routes(routes!(domains::get, domains::change, domains::remove))
        .routes(routes!(domains::records))
        .routes(routes!(domains::check))
        .routes(routes!(domains::health))
        .routes(routes!(domains::rotate_dkim))
        .routes(routes!(domains::import_dkim))
        .routes(routes!(keys::create, keys::list))
        .routes(routes!(keys::revoke))
        .routes(routes!(smtp_users::create, smtp_users::list))
        .routes(routes!(smtp_users::change_password))
        .routes(routes!(smtp_users::remove))
        .routes(routes!(suppressions::add, suppressions::list))
        .routes(routes!(suppressions::import))
        .routes(routes!(suppressions::export))
        .routes(routes!(suppressions::get, suppressions::remove))
        .routes(routes!(reports::list_dmarc))
        .routes(routes!(reports::sources))
        .routes(routes!(reports::list_tls))
        .routes(routes!(reports::failures))
        .routes(routes!(reports::get))
        .routes(routes!(routes::add, routes::list))
        .routes(routes!(routes::test))
        .routes(routes!(routes::get, routes::remove))
        .routes(routes!(routes::confirm))
        .routes(routes!(incoming::list))
        .routes(routes!(incoming::get, incoming::remove))
        .routes(routes!(incoming::raw))
        .routes(routes!(webhooks::add, webhooks::list))
        .routes(routes!(webhooks::get, webhooks::remove))
        .routes(routes!(webhooks::rotate))
        .routes(routes!(webhooks::enable))
        .routes(routes!(webhooks::messages))
        .routes(routes!(webhooks::resend))
        .routes(routes!(project::get, project::change))
        .routes(routes!(queue::list))
        .routes(routes!(operator::hold))
        .routes(routes!(operator::release))
        .routes(routes!(operator::cancel))
        .routes(routes!(operator::retry))
        .routes(routes!(operator::pause))
        .routes(routes!(operator::resume))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::drain))
        .routes(routes!(nodes::resume))
        .routes(routes!(nodes::audit))
        .routes(routes!(certificates::list))
        .routes(routes!(sites::list))
        .routes(routes!(egress::list))
        .routes(routes!(sites::pause))
        .routes(routes!(sites::resume))
        .routes(routes!(sandbox::list))
}
