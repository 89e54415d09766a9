//! Questions about this process' tokens: from whoever asks to the workers, and back. Answering
//! changes no figure, and every wait, every list and the share of the workers' time has a bound.

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
use crate::domain::ranking::{Best, Ranking, Search};
use crate::ports::{NotAnswered, Of, Part, Places, Row, Wished};

/// How long an answer may take, with the wait for a turn. Below the time that HTTP gives a request,
/// so that the reason is told.
const LIMIT: Duration = Duration::from_secs(8);

/// Questions to the workers at once: each is short, and so many find room in their queues beside
/// the batches.
const TURNS: usize = 4;

/// One walk through all tokens is under way at a time, and the next one waits so long for each of
/// them: about ten times of what it takes a worker, so that walks have a tenth of its time at most.
const REST_PER_TOKEN: Duration = Duration::from_micros(1);

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
    Places(Arc<Ranking>, oneshot::Sender<Of<Places>>),
    /// The rows of these tokens.
    Rows(Wished, oneshot::Sender<Of<Vec<Row>>>),
    /// A token's last hour.
    History(Arc<str>, oneshot::Sender<Of<Option<History>>>),
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

impl Part for Queries {
    fn places(&self, ranking: Arc<Ranking>) -> BoxFuture<'_, Result<Of<Places>, NotAnswered>> {
        within_limit(self.walk(ranking)).boxed()
    }

    fn rows(&self, tokens: Wished) -> BoxFuture<'_, Result<Of<Vec<Row>>, NotAnswered>> {
        let answers = self.ask(move |done| Question::Rows(Arc::clone(&tokens), done));
        within_limit(async {
            let mut all = Of::<Vec<Row>>::default();
            for one in answers.await? {
                all.answer.extend(one.answer);
                all.shards.extend(one.shards);
            }
            Ok(all)
        })
        .boxed()
    }

    fn history(&self, token: String) -> BoxFuture<'_, Result<Of<Option<History>>, NotAnswered>> {
        let token: Arc<str> = token.into();
        let answers = self.ask(move |done| Question::History(Arc::clone(&token), done));
        within_limit(async {
            let mut all = Of::<Option<History>>::default();
            for one in answers.await? {
                all.answer = all.answer.or(one.answer);
                all.shards.extend(one.shards);
            }
            Ok(all)
        })
        .boxed()
    }
}

impl Queries {
    /// From now on these answer.
    pub(super) fn open(&self, workers: &[mpsc::Sender<Event>]) {
        let workers = workers.iter().map(mpsc::Sender::downgrade).collect();
        *self.workers.lock().unwrap_or_else(PoisonError::into_inner) = Some(workers);
    }

    /// The first places of all workers. The walk and its rest go on when nobody waits any more.
    async fn walk(&self, ranking: Arc<Ranking>) -> Result<Of<Places>, NotAnswered> {
        let walk = Arc::clone(&self.walk).acquire_owned().await.map_err(|_| STOPPING)?;
        let (tell, told) = oneshot::channel();
        let wanted = Arc::clone(&ranking);
        let answers = self.ask(move |done| Question::Places(Arc::clone(&wanted), done));
        tokio::spawn(async move {
            let answers = answers.await;
            let walked = answers.iter().flatten().map(|one| one.answer.active).sum::<usize>();
            drop(tell.send(answers)); // whoever asked may have given up
            sleep(REST_PER_TOKEN * u32::try_from(walked).unwrap_or(u32::MAX)).await;
            drop(walk);
        });
        let mut all = Of::<Places>::default();
        let mut best = Best::new(&ranking);
        for Of { answer, shards } in told.await.map_err(|_| STOPPING)?? {
            all.answer.end = all.answer.end.max(answer.end);
            all.answer.active += answer.active;
            all.answer.matching += answer.matching;
            best.merge(answer.first);
            all.shards.extend(shards);
        }
        all.answer.first = best.finish();
        Ok(all)
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
            let workers = workers.ok_or(NotAnswered::because("starting"))?;
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
                all.push(
                    answer.await.map_err(|_| NotAnswered::because("catching up, or stopping"))?,
                );
            }
            Ok(all)
        }
    }
}

impl Query {
    /// Says what the engine knows. Whoever asked may have given up.
    pub(super) async fn answer(self, engine: &mut Engine, names: &SharedNames) {
        let shards = engine.open_shards().collect();
        match self.question {
            Question::Places(ranking, done) => {
                let answer = places(engine, names, &ranking).await;
                drop(done.send(Of { answer, shards }));
            }
            Question::Rows(tokens, done) => {
                let mut rows = Vec::new();
                for token in &*tokens {
                    engine.active_one(token, |aggregate| rows.push(row(aggregate, names)));
                }
                drop(done.send(Of { answer: rows, shards }));
            }
            Question::History(token, done) => {
                let answer = engine.history(&token);
                drop(done.send(Of { answer, shards }));
            }
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
        extended: aggregate.extended.to_vec(),
    })
}

async fn within_limit<T>(
    answer: impl Future<Output = Result<T, NotAnswered>>,
) -> Result<T, NotAnswered> {
    timeout(LIMIT, answer).await.unwrap_or(Err(NotAnswered::because("too much is asked at once")))
}

const STOPPING: NotAnswered = NotAnswered::because("stopping");
