//! `/tokens`: the market page by page, one token as its message has it, its last hour. Figures come
//! from the live windows, as of now.

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::parameters::{ListQuery, Parameters, RankingQuery, cursor};
use super::rows::{HistoryJson, Message, TokensJson, message};
use super::{ErrorBody, Failure, HttpState, Shared, routed};
use crate::domain::ranking::Ranking;
use crate::ports::{Market, NotAnswered};

routed!(tokens, token, history);

/// The active tokens, page by page, from the live windows.
///
/// Active is a token with a trade in the longest window. Figures move between two pages: the next
/// page is what ranks behind the last row of the one before.
#[utoipa::path(
    get,
    path = "/tokens",
    tag = "tokens",
    params(ListQuery, RankingQuery),
    responses(
        (status = OK, description = "A page", body = TokensJson),
        (status = BAD_REQUEST, description = "A parameter that is not accepted", body = ErrorBody),
        (status = SERVICE_UNAVAILABLE, description = "Not caught up", body = ErrorBody),
    )
)]
async fn tokens(state: Shared, uri: Uri) -> Result<Response, Failure> {
    let known = ["limit", "after", "sort", "order", "window", "search"];
    let parameters = Parameters::read(&uri, &known)?;
    let rows = parameters.whole("limit", 1..=MAX_LIMIT, DEFAULT_LIMIT)?;
    let windows = &state.windows;
    let ranking = Ranking { rows, ..parameters.ranking(windows)? };
    let listing = open(&state)?.list(ranking.clone()).await?;
    let next = listing.next.as_ref().map(|place| cursor(place, &ranking, windows));
    Ok(Json(TokensJson::new(&listing, windows, next)).into_response())
}

/// One token's aggregate as of now, in the format of its message.
#[utoipa::path(
    get,
    path = "/tokens/{address}",
    tag = "tokens",
    params(("address" = String, Path, description = "The token's address, percent-encoded")),
    responses(
        (status = OK, description = "What a tick would publish now", body = Message),
        (status = BAD_REQUEST, description = "A parameter, or no text", body = ErrorBody),
        (status = NOT_FOUND, description = "Not active", body = ErrorBody),
        (status = SERVICE_UNAVAILABLE, description = "Not caught up", body = ErrorBody),
    )
)]
async fn token(
    state: Shared,
    address: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Failure> {
    Parameters::read(&uri, &[])?;
    let row = open(&state)?.token(text(address)?).await?.ok_or_else(inactive)?;
    let message = message(&row, &state.form, state.now());
    Ok(([(CONTENT_TYPE, "application/json")], message).into_response())
}

/// One token's last hour, or its longest window where that is shorter, in steps with trades.
#[utoipa::path(
    get,
    path = "/tokens/{address}/history",
    tag = "tokens",
    params(("address" = String, Path, description = "The token's address, percent-encoded")),
    responses(
        (status = OK, description = "At most 300 steps", body = HistoryJson),
        (status = BAD_REQUEST, description = "A parameter, or no text", body = ErrorBody),
        (status = NOT_FOUND, description = "Not active", body = ErrorBody),
        (status = SERVICE_UNAVAILABLE, description = "Not caught up", body = ErrorBody),
    )
)]
async fn history(
    state: Shared,
    address: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Failure> {
    Parameters::read(&uri, &[])?;
    let address = text(address)?;
    let history = open(&state)?.history(address.clone()).await?.ok_or_else(inactive)?;
    Ok(Json(HistoryJson::new(&address, &history)).into_response())
}

/// The market, where it can be asked.
fn open(state: &HttpState) -> Result<&dyn Market, Failure> {
    state.running()?;
    Ok(&*state.market)
}

fn text(address: Result<Path<String>, PathRejection>) -> Result<String, Failure> {
    match address {
        Ok(Path(address)) => Ok(address),
        Err(cause) => Err(Failure(cause.status(), cause.body_text())),
    }
}

fn inactive() -> Failure {
    Failure(StatusCode::NOT_FOUND, "no trade of this token in the longest window".to_owned())
}

impl From<NotAnswered> for Failure {
    fn from(cause: NotAnswered) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, cause.to_string())
    }
}

/// Rows of one answer: some hundred kilobytes, and some milliseconds of the workers.
pub(super) const MAX_LIMIT: usize = 1_000;

const DEFAULT_LIMIT: usize = 100;
