//! `/openapi.json`: what every path takes and answers. The document is made from the annotations of
//! the handlers, which route them, too; the binary holds it as text, not what makes it, and the
//! test below compares the two.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::routed;

routed!(openapi);

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "service",
    responses((status = OK, description = "OpenAPI 3.1", body = serde_json::Value))
)]
async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT)
}

const DOCUMENT: &str = include_str!("openapi.json");

#[cfg(test)]
mod tests {
    use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
    use utoipa::openapi::{Components, OpenApi as Document};
    use utoipa::{Modify, OpenApi};

    use super::*;

    #[derive(OpenApi)]
    #[openapi(
        info(description = "Exact, live, per-token sliding-window aggregates of a stream of \
            trades.\n\nReading is open. Every error is JSON, `{\"error\": \"…\"}`: 404 for an \
            unknown path, 405 for an unknown method, 504 for an answer that took over 10 s."),
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
                "`ADMIN_TOKEN`. Where none is configured, requests are answered over loopback \
                 alone, and need none.",
            ));
            let components = document.components.get_or_insert_with(Components::new);
            components.add_security_scheme("admin_token", SecurityScheme::Http(bearer.build()));
        }
    }

    #[test]
    fn the_document_is_what_the_handlers_say() {
        let mut document = Head::openapi();
        for part in super::super::described() {
            document.merge(part);
        }
        let made = document.to_pretty_json().unwrap() + "\n";
        if made != DOCUMENT {
            let new = std::env::temp_dir().join("openapi.json");
            std::fs::write(&new, made).unwrap();
            panic!("cp {} src/http/openapi.json", new.display());
        }
    }
}
