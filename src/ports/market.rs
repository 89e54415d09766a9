//! Questions about active tokens, answered from the live windows as of now: of the part that one
//! process has, and of all. Whatever is answered says which shards it is of, so that what is
//! missing is known, and never taken for nothing.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::domain::aggregate::{ExtendedFigures, Figures};
use crate::domain::history::History;
use crate::domain::ranking::{Place, Ranking};
use crate::domain::time::Second;
use crate::domain::token::ShardId;

/// All active tokens.
pub trait Market: Send + Sync + 'static {
    /// The rows of a ranking.
    fn list(&self, ranking: Ranking) -> BoxFuture<'_, Result<Listing, NotAnswered>>;

    /// One token; `None` where it is not active.
    fn token(&self, token: String) -> BoxFuture<'_, Result<Option<Row>, NotAnswered>>;

    /// One token's last hour; `None` where it is not active.
    fn history(&self, token: String) -> BoxFuture<'_, Result<Option<History>, NotAnswered>>;
}

/// The tokens of one process: this one, or another member of the group. A ranking takes two
/// rounds, so that little travels: first the places, then the rows of those that made it.
pub trait Part: Send + Sync + 'static {
    /// The first places of a ranking.
    fn places(&self, ranking: Arc<Ranking>) -> BoxFuture<'_, Result<Of<Places>, NotAnswered>>;

    /// The rows of those of these tokens that are active.
    fn rows(&self, tokens: Wished) -> BoxFuture<'_, Result<Of<Vec<Row>>, NotAnswered>>;

    /// One token's last hour; `None` where it is not active.
    fn history(&self, token: String) -> BoxFuture<'_, Result<Of<Option<History>>, NotAnswered>>;
}

/// Tokens whose rows are asked for.
pub type Wished = Arc<BTreeSet<Box<str>>>;

/// An answer, and the shards that it is of. Tokens of others are not in it, active or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Of<T> {
    /// What is known.
    pub answer: T,
    /// The shards.
    pub shards: BTreeSet<ShardId>,
}

/// What is known of a ranking.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// The windows' end.
    pub end: Second,
    /// How many tokens are active.
    pub active: usize,
    /// How many of them the search finds.
    pub matching: usize,
    /// The first places, as many as [`Ranking::depth`] says.
    pub first: Vec<Place>,
}

/// The answer to a ranking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The end of all windows.
    pub at: Second,
    /// How many tokens are active.
    pub active: usize,
    /// How many of them the search finds.
    pub matching: usize,
    /// The rows, in the order of their figures.
    pub rows: Vec<Row>,
    /// The last place among them, where anything comes after it.
    pub next: Option<Place>,
    /// Shards whose tokens are not in it: their member has not answered, or they are moving.
    pub missing: BTreeSet<ShardId>,
    /// The members that have not answered, and why.
    pub unanswered: Vec<String>,
}

/// One active token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its address.
    pub token: String,
    /// Its symbol; empty while unknown.
    pub symbol: String,
    /// Its name; empty while unknown.
    pub name: String,
    /// The end of its windows.
    pub end: Second,
    /// Their figures, in the configured order.
    pub windows: Vec<Figures>,
    /// Their extended figures, where there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extended: Vec<ExtendedFigures>,
}

/// Why a question was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAnswered(pub Cow<'static, str>);

impl NotAnswered {
    /// For a reason that is always the same.
    #[must_use]
    pub const fn because(reason: &'static str) -> Self {
        Self(Cow::Borrowed(reason))
    }
}
