//! The market of all members of the group, whichever of them is asked: each answers for its own
//! shards, and the answers become one. A token is asked for where its shard is. For a ranking each
//! member names its first places, then those are asked for figures whose tokens made it.
//!
//! Figures are live or there are none: what a member that does not answer published last stands in
//! the query view, and is not mixed in.
//!
//! Invariants:
//! - A token is in an answer once, and its figures are those of one member that has all its trades.
//! - Shards that nobody has answered for are named in a ranking, and are an error for a token of
//!   theirs: while they move, which takes moments, and while their member is away.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::time::timeout;

use super::peer::Peer;
use crate::domain::history::History;
use crate::domain::ranking::{Best, Ranking};
use crate::domain::token::{ShardId, Shards};
use crate::domain::window::Windows;
use crate::metrics::Metrics;
use crate::ports::group::{Assignment, Member, Seat};
use crate::ports::{Listing, Market, NotAnswered, Of, Part, Places, Row, Wanted};

/// The members, as this one sees them.
pub struct Everyone {
    /// This process' part.
    pub here: Arc<dyn Part>,
    /// Who the others are.
    pub seat: Seat,
    /// The windows that figures are of.
    pub windows: Windows,
    /// Where it is counted that another member has not answered.
    pub metrics: Arc<Metrics>,
}

/// Who can be asked.
#[derive(Clone)]
enum Voice {
    Here(Arc<dyn Part>),
    There(Peer),
}

/// One that has named its places.
struct Said {
    voice: Voice,
    places: Places,
    shards: BTreeSet<ShardId>,
}

impl Market for Everyone {
    fn list(&self, ranking: Ranking) -> BoxFuture<'_, Result<Listing, NotAnswered>> {
        within_limit(self.listing(Arc::new(ranking))).boxed()
    }

    fn token(&self, token: String) -> BoxFuture<'_, Result<Option<Row>, NotAnswered>> {
        within_limit(async move {
            let shard = self.seat.shards.of_token(&token);
            let only = Arc::new(BTreeSet::from([token.into_boxed_str()]));
            Ok(of(shard, self.owner(shard)?.part().rows(only).await?)?.pop())
        })
        .boxed()
    }

    fn history(&self, token: String) -> BoxFuture<'_, Result<Option<History>, NotAnswered>> {
        within_limit(async move {
            let shard = self.seat.shards.of_token(&token);
            of(shard, self.owner(shard)?.part().history(token).await?)
        })
        .boxed()
    }
}

impl Everyone {
    /// What the group has agreed on, if there is a group.
    pub(super) fn assignment(&self) -> Option<Arc<Assignment>> {
        self.seat.assignment.borrow().clone().filter(|told| !told.members.is_empty())
    }

    /// The other members that have something of what is to be published.
    pub(super) fn others_with(&self, wanted: &Wanted) -> Vec<Peer> {
        let mut others = self.others();
        if let Wanted::Tokens(tokens) = wanted {
            let shards: BTreeSet<_> =
                tokens.iter().map(|token| self.seat.shards.of_token(token)).collect();
            others.retain(|(_, owned)| !owned.is_disjoint(&shards));
        }
        others.into_iter().map(|(peer, _)| peer).collect()
    }

    /// The other members that have shards.
    fn others(&self) -> Vec<(Peer, BTreeSet<ShardId>)> {
        let members = self.assignment().map(|told| told.members.clone()).unwrap_or_default();
        let others = members.into_iter().filter(|one| !one.here && !one.shards.is_empty());
        others.map(|one| (self.peer(&one), one.shards)).collect()
    }

    fn peer(&self, member: &Member) -> Peer {
        Peer::new(member, &self.windows, &self.metrics)
    }

    /// Who has a shard.
    fn owner(&self, shard: ShardId) -> Result<Voice, NotAnswered> {
        let here = || Voice::Here(Arc::clone(&self.here));
        let Some(told) = self.assignment() else { return Ok(here()) };
        match told.members.iter().find(|member| member.shards.contains(&shard)) {
            Some(member) if member.here => Ok(here()),
            Some(member) => Ok(Voice::There(self.peer(member))),
            None => Err(MOVING),
        }
    }

    async fn listing(&self, ranking: Arc<Ranking>) -> Result<Listing, NotAnswered> {
        let mut listing = Listing::default();
        let mut said = self.places(&ranking, &mut listing.unanswered).await?;
        let mut best = Best::new(&ranking);
        for one in &mut said {
            best.merge(std::mem::take(&mut one.places.first));
        }
        let first = best.finish();
        let last = ranking.from + ranking.rows;
        listing.next = first.get(last).and_then(|_| first.get(last - 1)).cloned();
        let shown = first.into_iter().take(last).skip(ranking.from);
        let tokens = shown.map(|place| place.token).collect();
        self.rows(&mut said, &tokens, &mut listing).await?;
        // Trades have gone on since the places were found.
        let at = |row: &Row| ranking.key(&row.windows);
        listing.rows.sort_by(|left, right| {
            ranking.order.compare((at(left), &left.token), (at(right), &right.token))
        });
        let ends = said.iter().map(|one| one.places.end);
        let ends = listing.rows.iter().map(|row| row.end).max().or(ends.max());
        listing.at = ends.unwrap_or_default();
        listing.active = said.iter().map(|one| one.places.active).sum();
        listing.matching = said.iter().map(|one| one.places.matching).sum();
        let there = |shard: &ShardId| said.iter().any(|one| one.shards.contains(shard));
        listing.missing = self.seat.shards.all().filter(|shard| !there(shard)).collect();
        Ok(listing)
    }

    /// The first places of each member that answers. None speaks for a shard of another: while
    /// one moves, they may differ on who has it, and are asked again.
    async fn places(
        &self,
        ranking: &Arc<Ranking>,
        unanswered: &mut Vec<String>,
    ) -> Result<Vec<Said>, NotAnswered> {
        for _ in 0..ROUNDS {
            unanswered.clear();
            let others = self.others().into_iter().map(|(peer, _)| Voice::There(peer));
            let here = Voice::Here(Arc::clone(&self.here));
            let voices: Vec<_> = std::iter::once(here).chain(others).collect();
            let asked = voices.iter().map(|voice| voice.part().places(Arc::clone(ranking)));
            let answers = join_all(asked).await;
            let mut all: Vec<Said> = Vec::new();
            for (voice, answer) in voices.into_iter().zip(answers) {
                if let Some(Of { answer, shards }) = Self::heard(&voice, answer, unanswered)? {
                    all.push(Said { voice, places: answer, shards });
                }
            }
            let mut seen = BTreeSet::new();
            if all.iter().flat_map(|one| &one.shards).all(|shard| seen.insert(*shard)) {
                return Ok(all);
            }
        }
        Err(MOVING)
    }

    /// The rows of these tokens, of one second where that can be had; who does not answer any more
    /// is not among those that have said something.
    async fn rows(
        &self,
        said: &mut Vec<Said>,
        tokens: &BTreeSet<Box<str>>,
        listing: &mut Listing,
    ) -> Result<(), NotAnswered> {
        for _ in 0..ROUNDS {
            let answers = join_all(said.iter().map(|one| one.rows(tokens, self.seat.shards))).await;
            let mut still = Vec::with_capacity(said.len());
            listing.rows.clear();
            for (mut one, answer) in said.drain(..).zip(answers) {
                let heard = Self::heard(&one.voice, answer, &mut listing.unanswered)?;
                if let Some(Of { answer, shards }) = heard {
                    listing.rows.extend(answer);
                    one.shards.retain(|shard| shards.contains(shard));
                    still.push(one);
                }
            }
            *said = still;
            if listing.rows.is_sorted_by(|left, right| left.end == right.end) {
                break;
            }
        }
        Ok(())
    }

    /// An answer, or `None` of another member that has none to give; that is noted.
    fn heard<T>(
        voice: &Voice,
        answer: Result<T, NotAnswered>,
        unanswered: &mut Vec<String>,
    ) -> Result<Option<T>, NotAnswered> {
        match (voice, answer) {
            (_, Ok(answer)) => Ok(Some(answer)),
            (Voice::Here(_), Err(cause)) => Err(cause),
            (Voice::There(_), Err(cause)) => {
                unanswered.push(cause.to_string());
                Ok(None)
            }
        }
    }
}

impl Voice {
    fn part(&self) -> &dyn Part {
        match self {
            Self::Here(part) => &**part,
            Self::There(peer) => peer,
        }
    }
}

impl Said {
    /// The rows of those of the tokens that are its own.
    async fn rows(
        &self,
        tokens: &BTreeSet<Box<str>>,
        all: Shards,
    ) -> Result<Of<Vec<Row>>, NotAnswered> {
        let own = tokens.iter().filter(|token| self.shards.contains(&all.of_token(token)));
        let own: BTreeSet<_> = own.cloned().collect();
        if own.is_empty() {
            return Ok(Of { answer: Vec::new(), shards: self.shards.clone() });
        }
        self.voice.part().rows(Arc::new(own)).await
    }
}

/// The answer, where it is of this shard.
fn of<T>(shard: ShardId, told: Of<T>) -> Result<T, NotAnswered> {
    if told.shards.contains(&shard) { Ok(told.answer) } else { Err(MOVING) }
}

impl fmt::Debug for Everyone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Everyone").field("seat", &self.seat).finish_non_exhaustive()
    }
}

async fn within_limit<T>(
    answer: impl Future<Output = Result<T, NotAnswered>>,
) -> Result<T, NotAnswered> {
    timeout(LIMIT, answer).await.unwrap_or(Err(NotAnswered::because("too much is asked at once")))
}

/// How long an answer may take. Below the time that HTTP gives a request, so that the reason is
/// told.
const LIMIT: Duration = Duration::from_secs(8);

/// How often is asked again: rows, when a second ends between two answers; places, when two members
/// speak for one shard.
const ROUNDS: usize = 3;

const MOVING: NotAnswered =
    NotAnswered::because("its shard is moving from one member to another: ask again");
