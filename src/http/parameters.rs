//! What stands behind the `?`: each parameter by its name, once, and none that is unknown. What is
//! wrong is said with the parameter, the value and what is accepted.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use utoipa::{IntoParams, ToSchema};

use super::Failure;
use crate::domain::ranking::{Order, Place, Ranking, Search, Sort};
use crate::domain::window::Windows;

/// What `/tokens` alone knows, as it is described; [`Parameters`] reads it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what is read by name")]
pub(super) struct ListQuery {
    /// Rows of a page.
    #[param(minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<u16>,
    /// What `next` said, under the same sort, order and window.
    after: Option<String>,
}

/// What `/events` alone knows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what is read by name")]
pub(super) struct StreamQuery {
    /// The first row that is shown, from 0.
    #[param(minimum = 0, maximum = 50_000, default = 0)]
    from: Option<u32>,
    /// How many are shown.
    #[param(minimum = 1, maximum = 200, default = 50)]
    rows: Option<u16>,
}

/// What both know.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what is read by name")]
pub(super) struct RankingQuery {
    /// What ranks, of `window` where it is a figure; `volume` where none is given.
    #[param(inline)]
    sort: Option<SortName>,
    /// `desc`, but `asc` for `token`, where none is given.
    #[param(inline)]
    order: Option<OrderName>,
    /// One of the configured windows, by its name; the first where none is given.
    window: Option<String>,
    /// Part of the address, symbol or name, in any case.
    #[param(max_length = 256)]
    search: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the names of `Sort`")]
enum SortName {
    Volume,
    Trades,
    PriceChange,
    Price,
    Token,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the names of `Order`")]
enum OrderName {
    Desc,
    Asc,
}

/// The parameters of one request, and those that its path knows.
pub(super) struct Parameters {
    value_by_name: BTreeMap<String, String>,
}

impl Parameters {
    /// Those of a request to a path that knows `known`.
    pub(super) fn read(uri: &Uri, known: &[&str]) -> Result<Self, Failure> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri);
        let Query(pairs) = pairs.map_err(|cause| bad(cause.body_text()))?;
        let mut value_by_name = BTreeMap::new();
        for (name, value) in pairs {
            if !known.contains(&name.as_str()) {
                return Err(bad(format!("{name:?} is unknown; accepted: {}", known.join(", "))));
            }
            if value_by_name.insert(name.clone(), value).is_some() {
                return Err(bad(format!("{name} is given twice")));
            }
        }
        Ok(Self { value_by_name })
    }

    /// A whole number.
    pub(super) fn whole(
        &self,
        name: &str,
        accepted: RangeInclusive<usize>,
        default: usize,
    ) -> Result<usize, Failure> {
        let Some(value) = self.value_by_name.get(name) else { return Ok(default) };
        let number = value.parse().ok().filter(|number| accepted.contains(number));
        let (least, most) = accepted.into_inner();
        number.ok_or_else(|| wrong(name, value, format!("a whole number, {least} to {most}")))
    }

    /// What `sort`, `order`, `window`, `search` and `after` say; no rows yet.
    pub(super) fn ranking(&self, windows: &Windows) -> Result<Ranking, Failure> {
        let sort = self.one_of("sort", Sort::ALL.map(|sort| (sort.name(), sort)))?;
        let sort = sort.unwrap_or(Sort::Volume);
        let order = self.one_of("order", Order::ALL.map(|order| (order.name(), order)))?;
        let order = order.unwrap_or(match sort {
            Sort::Token => Order::Ascending,
            Sort::Volume | Sort::Trades | Sort::PriceChange | Sort::Price => Order::Descending,
        });
        let names = windows.iter().enumerate().map(|(at, window)| (window.name.as_str(), at));
        let window = self.one_of("window", names)?.unwrap_or(0);
        let mut ranking =
            Ranking { window, sort, order, search: self.search()?, after: None, from: 0, rows: 0 };
        if let Some(cursor) = self.said("after") {
            let after = place(cursor, &ranking, windows);
            let accepted = "what `next` said under the same sort, order and window";
            ranking.after = Some(after.ok_or_else(|| wrong("after", cursor, accepted))?);
        }
        Ok(ranking)
    }

    fn search(&self) -> Result<Option<Search>, Failure> {
        match self.said("search") {
            Some(text) if text.len() > MAX_SEARCH_BYTES => {
                Err(wrong("search", text, format!("at most {MAX_SEARCH_BYTES} bytes")))
            }
            text => Ok(text.map(Search::new)),
        }
    }

    fn one_of<'a, T>(
        &self,
        name: &str,
        accepted: impl IntoIterator<Item = (&'a str, T)> + Clone,
    ) -> Result<Option<T>, Failure> {
        let Some(value) = self.value_by_name.get(name) else { return Ok(None) };
        let mut choices = accepted.clone().into_iter();
        let chosen = choices.find(|(choice, _)| choice == value).map(|(_, chosen)| chosen);
        let names = || accepted.into_iter().map(|(choice, _)| choice).collect::<Vec<_>>();
        chosen.map(Some).ok_or_else(|| wrong(name, value, names().join(", ")))
    }

    /// A text; none where it is empty, as forms send it.
    fn said(&self, name: &str) -> Option<&str> {
        self.value_by_name.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// A place as text that fits into an address, with what it is a place in.
pub(super) fn cursor(place: &Place, ranking: &Ranking, windows: &Windows) -> String {
    let text = format!("{}{}\n{}", head(ranking, windows), place.key, place.token);
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// The place that a cursor says; `None` where it is no cursor, or one of another ranking.
fn place(cursor: &str, ranking: &Ranking, windows: &Windows) -> Option<Place> {
    let pair = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = cursor.as_bytes().chunks(2).map(pair).collect();
    let text = String::from_utf8(bytes?).ok()?;
    let (key, token) = text.strip_prefix(&head(ranking, windows))?.split_once('\n')?;
    Some(Place { key: key.parse().ok()?, token: token.into() })
}

fn head(ranking: &Ranking, windows: &Windows) -> String {
    let window = windows.iter().nth(ranking.window).map_or("", |window| window.name.as_str());
    format!("{}\n{}\n{window}\n", ranking.sort.name(), ranking.order.name())
}

fn wrong(name: &str, value: &str, accepted: impl Display) -> Failure {
    bad(format!("{name} {value:?} is not accepted; accepted: {accepted}"))
}

fn bad(says: String) -> Failure {
    Failure(StatusCode::BAD_REQUEST, says)
}

/// As long as the longest name.
const MAX_SEARCH_BYTES: usize = 256;
