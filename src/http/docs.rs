//! The OpenAPI document: made of the handlers' own descriptions, with what all of them share added in one place.
//!
//! Answers: [`openapi`], printed by `pennypost openapi` and served at `/openapi.json`.

use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, Content, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

use super::problem::MEDIA_TYPE;
use super::{api, public};

/// The whole document. Pure: the same for every installation.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let routes = OpenApiRouter::with_openapi(Base::openapi()).merge(api::documented()).merge(public::documented());
    let mut document = routes.into_openapi();
    Shared.modify(&mut document);
    document
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Pennypost",
        description = include_str!("docs.md"),
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "This server")),
    components(schemas(super::problem::Document, crate::accept::fault::FieldError)),
    tags(
        (name = "Send", description = "Send messages."),
        (name = "Messages", description = "Find messages, see what became of them, take them back or hurry them up."),
        (name = "Events", description = "Everything that happened, in order."),
        (name = "Reports", description = "What receivers tell about mail in the name of your domains."),
        (name = "Domains", description = "Domains to send from, and the DNS records they need."),
        (name = "Keys", description = "API keys."),
        (name = "SMTP users", description = "Who may submit mail by SMTP."),
        (name = "Routes", description = "Where mail from the world goes."),
        (name = "Incoming", description = "Mail from the world that was kept."),
        (name = "Webhooks", description = "Endpoints that are told what happens."),
        (name = "Queue", description = "What waits to be delivered, and control over it."),
        (name = "Nodes", description = "The processes that take part."),
        (name = "Certificates", description = "The certificates that mail programs are shown."),
        (name = "Audit", description = "Who changed what."),
        (name = "Sandbox", description = "What was kept instead of delivered."),
        (name = "Operations", description = "For those who run the server. No key needed."),
    ),
)]
struct Base;

/// What every operation with a key has in common.
struct Shared;

/// Enumerations of answers that may grow: a client must be able to read a value it does not know.
const OPEN: [&str; 13] = [
    "BatchStatus",
    "DeliveryState",
    "DomainState",
    "EventKind",
    "FailureScope",
    "FindingState",
    "NodeState",
    "Outcome",
    "RecordState",
    "ReportKind",
    "SendStatus",
    "Stage",
    "WaitReason",
];

impl Modify for Shared {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        open_enumerations(document.components.get_or_insert_default());
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key: `pp_live_...` or `pp_test_...`.")).build();
        document.components.get_or_insert_default().add_security_scheme("api_key", SecurityScheme::Http(bearer));
        for item in document.paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.delete, &mut item.patch];
            for operation in operations.into_iter().flatten() {
                if operation.security.is_none() {
                    operation.security = Some(vec![utoipa::openapi::SecurityRequirement::new("api_key", [""; 0])]);
                    add_problems(operation);
                }
            }
        }
    }
}

/// Adds "or any other string" to the enumerations that may grow.
fn open_enumerations(components: &mut Components) {
    for name in OPEN {
        if let Some(RefOr::T(Schema::Object(known))) = components.schemas.get(name) {
            let (mut known, description) = (known.clone(), known.description.clone());
            (known.title, known.description) = (Some(format!("Known{name}")), Some("The values known today.".to_owned()));
            let other = ObjectBuilder::new().schema_type(Type::String).description(Some("A value added later."));
            let open = AnyOfBuilder::new().description(description).item(known).item(other).build();
            components.schemas.insert(name.to_owned(), RefOr::T(Schema::AnyOf(open)));
        }
    }
}

fn add_problems(operation: &mut Operation) {
    let mut common = vec![
        ("401", "No valid API key: `unauthorized`."),
        ("403", "The API key may not do this: `insufficient-scope`, and for sending `sender-not-verified`, `domain-not-allowed`."),
        ("414", "Path and query are too long: `uri-too-long`."),
        (
            "429",
            "Too many requests by this key: `rate-limited`; try again after Retry-After. Too many connections of this client: `too-many-connections`.",
        ),
        ("431", "The header of the request is too large: `headers-too-large`."),
        ("500", "A fault of the server: `internal`."),
        ("503", "The server cannot do this now: `unavailable`, `overloaded`, `storage-full`. Try again after Retry-After."),
    ];
    let outside_path = |parameter: &RefOr<Parameter>| !matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Path);
    if operation.parameters.iter().flatten().any(outside_path) || operation.request_body.is_some() {
        common.push(("400", "The request cannot be read: `malformed-json`, `incomplete-body`, `invalid-parameter`, `invalid-idempotency-key`."));
    }
    if operation.request_body.is_some() {
        common.push(("408", "The request came too slowly: `request-timeout`."));
        common.push(("413", "Too large: `body-too-large`, `message-too-large`."));
        common.push(("415", "Not JSON, or compressed: `unsupported-media-type`, `unsupported-encoding`."));
        common.push(("422", "Fields are wrong: `invalid-request`, or the code of the fields when all break the same rule, like `invalid-address`."));
    }
    for (status, description) in common {
        let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
        let problem = ResponseBuilder::new().description(description).content(MEDIA_TYPE, Content::new(Some(schema))).build();
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| problem.into());
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn the_api_has_these_operations() {
        let document = serde_json::to_value(openapi()).unwrap();
        let mut shown = String::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let statuses: Vec<_> = operation["responses"].as_object().unwrap().keys().cloned().collect();
                let id = operation["operationId"].as_str().unwrap();
                writeln!(shown, "{} {path} {id} {}", method.to_uppercase(), statuses.join(" ")).unwrap();
            }
        }
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_response_is_described() {
        let document = serde_json::to_value(openapi()).unwrap();
        let mut open = vec![&document];
        while let Some(value) = open.pop() {
            if let Some(reference) = value["$ref"].as_str() {
                assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            }
            if let Some(responses) = value["responses"].as_object() {
                assert!(responses.values().all(|response| response["description"].as_str().is_some_and(|text| !text.is_empty())));
            }
            open.extend(value.as_object().into_iter().flat_map(serde_json::Map::values));
            open.extend(value.as_array().into_iter().flatten());
        }
    }
}
