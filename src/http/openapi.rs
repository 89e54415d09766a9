//! `/openapi.json`: what every path takes and answers. The document grows from the annotation that
//! each handler carries and that routes it too: nothing is answered and not described, nothing
//! described and not answered.

use std::sync::LazyLock;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi as Document};
use utoipa::{Modify, OpenApi};
use utoipa_axum::routes;

use super::{Failure, Routes};

pub(super) fn routes() -> Routes {
    Routes::default().routes(routes!(openapi))
}

/// What the document says before any path.
pub(super) fn head() -> Document {
    Head::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(description = "Exact, live, per-token sliding-window aggregates of a stream of trades.\n\n\
        Reading is open. Every error is JSON, `{\"error\": \"…\"}`: 404 for an unknown path, 405 \
        for an unknown method, 504 for an answer that took longer than 10 s."),
    modifiers(&Admin),
    tags(
        (name = "health", description = "For whoever restarts, routes or reads."),
        (name = "figures", description = "What was done so far."),
        (name = "tokens", description = "Aggregates, as of now and on demand."),
        (name = "service", description = "What this is and how it is set."),
    )
)]
struct Head;

struct Admin;

impl Modify for Admin {
    fn modify(&self, document: &mut Document) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
            "`ADMIN_TOKEN`. Where none is configured, requests are answered over loopback alone, \
             and need none.",
        ));
        let components = document.components.get_or_insert_with(Components::new);
        components.add_security_scheme("admin_token", SecurityScheme::Http(bearer.build()));
    }
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "service",
    responses((status = OK, description = "OpenAPI 3.1", body = serde_json::Value))
)]
async fn openapi() -> Response {
    static TEXT: LazyLock<Result<String, String>> =
        LazyLock::new(|| super::described().to_openapi().to_json().map_err(|e| e.to_string()));
    match &*TEXT {
        Ok(text) => ([(CONTENT_TYPE, "application/json")], text.as_str()).into_response(),
        Err(error) => Failure(StatusCode::INTERNAL_SERVER_ERROR, error.clone()).into_response(),
    }
}
