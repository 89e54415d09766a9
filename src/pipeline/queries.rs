//! Questions about tokens: from whoever asks to the workers, and back. A ranking takes two rounds,
//! so that little travels: each worker names its first places, then those that made it are asked
//! for their figures. Answering changes no figure, and every wait, every list and the share of the
//! workers' time has a bound.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::engine::Engine;
use super::names::SharedNames;
use super::reader::Event;
use crate::domain::aggregate::Aggregate;
use crate::domain::history::History;
use crate::domain::ranking::{Best, Place, Ranking, Search};
use crate::domain::time::Second;
use crate::ports::{Listing, Market, NotAnswered, Row};

/// How long an answer may take, with the wait for a turn. Below the time that HTTP gives a request,
/// so that the reason is told.
const LIMIT: Duration = Duration::from_secs(8);

/// Questions to the workers at once: each is short, and so many find room in their queues beside
/// the batches.
const TURNS: usize = 4;

/// One walk through all tokens is under way at a time, and the next one waits so long for each of
/// them: about ten times of what it takes a worker, so that walks have a tenth of its time at most.
const REST_PER_TOKEN: Duration = Duration::from_micros(1);

/// How often rows are asked for when a second ends between two workers' answers.
const ROUNDS: usize = 3;

/// Where questions are taken, from before the pipeline runs until after it. It may run again:
/// questions go to the last run.
#[derive(Debug)]
pub struct Queries {
    turns: Arc<Semaphore>,
    walk: Arc<Semaphore>,
    /// Who answers. The workers end when nobody can send to them any more: this does not count.
    workers: Mutex<Option<Arc<[mpsc::WeakSender<Event>]>>>,
}

/// What a worker is asked.
#[derive(Debug)]
pub struct Query {
    question: Question,
    /// Given back when the last worker is done, whether anyone still waits or not.
    _turn: Arc<OwnedSemaphorePermit>,
}

/// The questions, and who is told. A worker that may not publish yet drops them.
#[derive(Debug)]
enum Question {
    /// The first places of a ranking.
    Places(Arc<Ranking>, oneshot::Sender<Places>),
    /// The rows of these tokens.
    Rows(Arc<BTreeSet<Box<str>>>, oneshot::Sender<Vec<Row>>),
    /// A token's last hour.
    History(Arc<str>, oneshot::Sender<Option<History>>),
}

/// What is known of a ranking.
#[derive(Debug, Default)]
struct Places {
    /// The windows' end.
    end: Second,
    active: usize,
    matching: usize,
    first: Vec<Place>,
}

impl Default for Queries {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(TURNS)),
            walk: Arc::new(Semaphore::new(1)),
            workers: Mutex::new(None),
        }
    }
}

impl Market for Queries {
    fn list(&self, ranking: Ranking) -> BoxFuture<'_, Result<Listing, NotAnswered>> {
        within_limit(self.listing(Arc::new(ranking))).boxed()
    }

    fn token(&self, token: String) -> BoxFuture<'_, Result<Option<Row>, NotAnswered>> {
        let only = Arc::new(BTreeSet::from([token.into_boxed_str()]));
        within_limit(async move { Ok(self.rows(&only).await?.pop()) }).boxed()
    }

    fn history(&self, token: String) -> BoxFuture<'_, Result<Option<History>, NotAnswered>> {
        let token: Arc<str> = token.into();
        let answers = self.ask(move |done| Question::History(Arc::clone(&token), done));
        within_limit(async { Ok(answers.await?.into_iter().flatten().next()) }).boxed()
    }
}

impl Queries {
    /// From now on these answer.
    pub(super) fn open(&self, workers: &[mpsc::Sender<Event>]) {
        let workers = workers.iter().map(mpsc::Sender::downgrade).collect();
        *self.workers.lock().unwrap_or_else(PoisonError::into_inner) = Some(workers);
    }

    async fn listing(&self, ranking: Arc<Ranking>) -> Result<Listing, NotAnswered> {
        let Places { end, active, matching, first } = self.places(&ranking).await?;
        let last = ranking.from + ranking.rows;
        let next = first.get(last).and_then(|_| first.get(last - 1)).cloned();
        let shown = first.into_iter().take(last).skip(ranking.from);
        let tokens = Arc::new(shown.map(|place| place.token).collect());
        let mut rows = self.rows(&tokens).await?;
        for _ in 1..ROUNDS {
            if rows.is_sorted_by(|left, right| left.end == right.end) {
                break;
            }
            rows = self.rows(&tokens).await?;
        }
        // Trades have gone on since the places were found.
        let at = |row: &Row| ranking.key(&row.windows);
        rows.sort_by(|left, right| {
            ranking.order.compare((at(left), &left.token), (at(right), &right.token))
        });
        let at = rows.iter().map(|row| row.end).max().unwrap_or(end);
        Ok(Listing { at, active, matching, rows, next })
    }

    /// The first places of all workers. The walk and its rest go on when nobody waits any more.
    async fn places(&self, ranking: &Arc<Ranking>) -> Result<Places, NotAnswered> {
        let walk = Arc::clone(&self.walk).acquire_owned().await.map_err(|_| STOPPING)?;
        let (tell, told) = oneshot::channel();
        let wanted = Arc::clone(ranking);
        let answers = self.ask(move |done| Question::Places(Arc::clone(&wanted), done));
        tokio::spawn(async move {
            let answers = answers.await;
            let walked = answers.iter().flatten().map(|one| one.active).sum::<usize>();
            drop(tell.send(answers)); // whoever asked may have given up
            sleep(REST_PER_TOKEN * u32::try_from(walked).unwrap_or(u32::MAX)).await;
            drop(walk);
        });
        let mut all = Places::default();
        let mut best = Best::new(ranking);
        for one in told.await.map_err(|_| STOPPING)?? {
            all.end = all.end.max(one.end);
            all.active += one.active;
            all.matching += one.matching;
            best.merge(one.first);
        }
        Ok(Places { first: best.finish(), ..all })
    }

    async fn rows(&self, tokens: &Arc<BTreeSet<Box<str>>>) -> Result<Vec<Row>, NotAnswered> {
        let tokens = Arc::clone(tokens);
        let answers = self.ask(move |done| Question::Rows(Arc::clone(&tokens), done));
        Ok(answers.await?.into_iter().flatten().collect())
    }

    /// Asks every worker; their answers.
    fn ask<T, Q>(
        &self,
        question: Q,
    ) -> impl Future<Output = Result<Vec<T>, NotAnswered>> + use<T, Q>
    where
        Q: Fn(oneshot::Sender<T>) -> Question,
    {
        let turns = Arc::clone(&self.turns);
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        async move {
            let workers = workers.ok_or(NotAnswered("starting"))?;
            let turn = Arc::new(turns.acquire_owned().await.map_err(|_| STOPPING)?);
            let mut answers = Vec::with_capacity(workers.len());
            for worker in workers.iter() {
                let (done, answer) = oneshot::channel();
                let query = Query { question: question(done), _turn: Arc::clone(&turn) };
                let worker = worker.upgrade().ok_or(STOPPING)?;
                worker.send(Event::Query(query)).await.map_err(|_| STOPPING)?;
                answers.push(answer);
            }
            let mut all = Vec::with_capacity(answers.len());
            for answer in answers {
                all.push(answer.await.map_err(|_| NotAnswered("catching up, or stopping"))?);
            }
            Ok(all)
        }
    }
}

impl Query {
    /// Says what the engine knows. Whoever asked may have given up.
    pub(super) async fn answer(self, engine: &Engine, names: &SharedNames) {
        match self.question {
            Question::Places(ranking, done) => {
                drop(done.send(places(engine, names, &ranking).await))
            }
            Question::Rows(tokens, done) => {
                let mut rows = Vec::new();
                for token in &*tokens {
                    engine.active_one(token, |aggregate| rows.push(row(aggregate, names)));
                }
                drop(done.send(rows));
            }
            Question::History(token, done) => drop(done.send(engine.history(&token))),
        }
    }
}

async fn places(engine: &Engine, names: &SharedNames, ranking: &Ranking) -> Places {
    let mut found = Places { end: engine.end(), ..Places::default() };
    let mut best = Best::new(ranking);
    for at in 0..engine.count() {
        engine.keys(at, ranking.window, ranking.sort, |token, key| {
            found.active += 1;
            if ranking.search.as_ref().is_none_or(|search| finds(search, token, names)) {
                found.matching += 1;
                best.offer(key(), token);
            }
        });
        tokio::task::yield_now().await;
    }
    Places { first: best.finish(), ..found }
}

fn finds(search: &Search, token: &str, names: &SharedNames) -> bool {
    search.finds(token)
        || names.with(token, |symbol, name| search.finds(symbol) || search.finds(name))
}

fn row(aggregate: &Aggregate<'_>, names: &SharedNames) -> Row {
    names.with(aggregate.token, |symbol, name| Row {
        token: aggregate.token.to_owned(),
        symbol: symbol.to_owned(),
        name: name.to_owned(),
        end: aggregate.end,
        windows: aggregate.windows.to_vec(),
    })
}

async fn within_limit<T>(
    answer: impl Future<Output = Result<T, NotAnswered>>,
) -> Result<T, NotAnswered> {
    timeout(LIMIT, answer).await.unwrap_or(Err(NotAnswered("too much is asked at once")))
}

const STOPPING: NotAnswered = NotAnswered("stopping");
