//! `/members`: who is in the group, and which shards are whose, as this member sees it; and
//! `/members/part`, where a member answers another one's questions, of its own shards alone.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::everyone::Everyone;
use super::peer::{Asked, Question, signature};
use super::tokens::MAX_LIMIT;
use super::{ErrorBody, Failure, HttpState, Shared, routed};
use crate::domain::ranking::MAX_SKIPPED;
use crate::metrics::STAGES;

routed!(members, part);

/// The group, as this member sees it.
#[derive(Serialize, ToSchema)]
pub(super) struct Group {
    /// The number of what the group has agreed on; none without a group, or before the first.
    generation: Option<i32>,
    /// Whether this member may publish, as far as the group is concerned: it is not cut off.
    lease: bool,
    /// How many shards are here: `joining`, `open` (they are published), `leaving`, `standby`
    /// (others own them, they are followed).
    shards: BTreeMap<&'static str, i64>,
    /// In the order of their ids; none without a group.
    members: Vec<MemberJson>,
}

/// One member of the group.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
struct MemberJson {
    id: String,
    /// Where its HTTP paths can be reached; empty where it has none.
    #[schema(examples("10.0.0.7:8081"))]
    address: String,
    /// Whether it is the one that answers.
    here: bool,
    /// The shards that it is assigned. Those that are moving are nobody's.
    shards: Vec<u16>,
    /// The shards of others that it is to follow.
    standby: Vec<u16>,
}

/// Who shares the tokens, and which shards are whose.
#[utoipa::path(
    get,
    path = "/members",
    tag = "service",
    responses((status = OK, description = "As this member sees it", body = Group))
)]
async fn members(state: Shared) -> Json<Group> {
    Json(Group::of(&state))
}

/// What one member asks another, for `/tokens`, `/tokens/{address}` and its history; for members of
/// one version alone.
#[utoipa::path(
    post,
    path = "/members/part",
    tag = "service",
    request_body = serde_json::Value,
    responses(
        (status = OK, description = "Of this member's shards alone", body = serde_json::Value),
        (status = BAD_REQUEST, description = "Not understood", body = ErrorBody),
        (status = CONFLICT, description = "Other windows are configured here", body = ErrorBody),
        (status = PAYLOAD_TOO_LARGE, description = "Beyond 1 MB", body = ErrorBody),
        (status = SERVICE_UNAVAILABLE, description = "Not caught up", body = ErrorBody),
    )
)]
async fn part(state: Shared, request: Request) -> Result<Response, Failure> {
    let body = Bytes::from_request(request, &state.0).await;
    let body = body.map_err(|cause| Failure(cause.status(), cause.body_text()))?;
    let bad = |says: String| Failure(StatusCode::BAD_REQUEST, says);
    let asked: Asked = serde_json::from_slice(&body).map_err(|cause| bad(cause.to_string()))?;
    if asked.windows != signature(&state.windows) {
        let says = "this member has other windows: give all the same TIME_WINDOWS";
        return Err(Failure(StatusCode::CONFLICT, says.to_owned()));
    }
    state.running()?;
    let everyone = state.everyone.as_deref().ok_or_else(|| bad("no group".to_owned()))?;
    let Everyone { here, .. } = everyone;
    let bounded = match &asked.question {
        Question::Places(ranking) => {
            ranking.from <= MAX_SKIPPED
                && ranking.rows <= MAX_LIMIT
                && ranking.window < asked.windows.len()
        }
        Question::Rows(tokens) => tokens.len() <= MAX_LIMIT,
        Question::History(_) => true,
    };
    if !bounded {
        return Err(bad("beyond what `/tokens` and `/events` would ask".to_owned()));
    }
    Ok(match asked.question {
        Question::Places(ranking) => Json(here.places(ranking).await?).into_response(),
        Question::Rows(tokens) => Json(here.rows(tokens).await?).into_response(),
        Question::History(token) => Json(here.history(token).await?).into_response(),
    })
}

/// A page of the longest addresses, escaped.
pub(super) const fn body_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(1_024 * 1_024)
}

impl Group {
    pub(super) fn of(state: &HttpState) -> Self {
        let shards = STAGES.map(|stage| (stage, state.metrics.shards_in(stage)));
        let told = state.everyone.as_ref().and_then(|everyone| everyone.assignment());
        let lease = state.everyone.as_ref().is_none_or(|everyone| everyone.seat.has_lease());
        let members = told.iter().flat_map(|told| &told.members).map(|member| MemberJson {
            id: member.id.clone(),
            address: member.address.clone(),
            here: member.here,
            shards: member.shards.iter().map(|shard| shard.0).collect(),
            standby: member.standby.iter().map(|shard| shard.0).collect(),
        });
        Self {
            generation: told.as_ref().map(|told| told.generation),
            lease,
            shards: shards.into(),
            members: members.collect(),
        }
    }
}
