//! What this is and how it is set: `/version`, `/config`. Secrets arrive here hidden already.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::{SERVICE, Shared, routed};

routed!(version, config);

/// One setting as it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Setting {
    /// The name of its variable.
    #[schema(examples("KAFKA_TOPIC"))]
    pub name: &'static str,
    /// Its value; `***` for a secret that is set.
    #[schema(examples("trade-info"))]
    pub value: String,
    /// The layer that it comes from.
    #[schema(examples("default", "file", "environment", "flag"))]
    pub origin: &'static str,
}

#[derive(Serialize, ToSchema)]
struct Version {
    #[schema(examples("aggregator-service"))]
    service: &'static str,
    #[schema(examples("1.0.0"))]
    version: &'static str,
    /// The commit that it was built from, where whoever built it said so.
    commit: Option<&'static str>,
    /// The compiler.
    #[schema(examples("rustc 1.95.0 (59807616e 2026-04-14)"))]
    rust: &'static str,
    /// What it was compiled for.
    #[schema(examples("x86_64-unknown-linux-musl"))]
    target: &'static str,
}

#[derive(Serialize, ToSchema)]
struct Settings {
    settings: Vec<Setting>,
}

/// What was built, from what, for what.
#[utoipa::path(
    get,
    path = "/version",
    tag = "service",
    responses((status = OK, description = "The build", body = Version))
)]
async fn version() -> Json<Version> {
    Json(Version {
        service: SERVICE,
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("BUILD_COMMIT").filter(|commit| !commit.is_empty()),
        rust: env!("BUILD_RUST"),
        target: env!("BUILD_TARGET"),
    })
}

/// Every setting as it is in force, and where it comes from.
#[utoipa::path(
    get,
    path = "/config",
    tag = "service",
    responses((status = OK, description = "All settings, secrets hidden", body = Settings))
)]
async fn config(state: Shared) -> Json<Settings> {
    Json(Settings { settings: state.facts.settings.clone() })
}
