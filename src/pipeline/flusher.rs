//! Writes the changes of a worker's shards to the checkpoint: every interval one call with a flush
//! for each changed shard, one call in flight. With the checkpoint away the changes gather in
//! memory and go when it is back.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::field::{Empty, display};
use tracing::{Instrument, error, info, info_span, warn};

use super::Shared;
use super::chain::{Chain, Step};
use super::dead_letters::DeadLetters;
use super::engine::Engine;
use super::shard_flush::{Moment, ShardFlush};
use crate::domain::time::{Second, WallMs};
use crate::domain::window::Windows;
use crate::ports::{Checkpoint, CheckpointError, Verdict};
use crate::sabotage::Bug;
use crate::status::Component;

/// What the checkpoint answered, by place of the shard and the tenure of its chain.
pub type Replies = Vec<(usize, u64, Result<Verdict, CheckpointError>)>;

/// The flushing of one worker's shards.
#[derive(Debug)]
pub struct Flusher<C> {
    checkpoint: Arc<C>,
    dead_letters: Option<DeadLetters>,
    shared: Arc<Shared>,
    worker: i32,
    windows: Windows,
    interval: Duration,
    /// By place.
    shards: Vec<Option<ShardFlush>>,
    in_flight: Option<JoinHandle<Replies>>,
    started: WallMs,
    /// What is in flight holds every change up to then.
    covers: WallMs,
    due: WallMs,
    /// The last look found something to write.
    owed: bool,
    hurried: bool,
    failing: bool,
}

impl<C: Checkpoint> Flusher<C> {
    /// A flusher of a worker without shards.
    pub fn new(
        checkpoint: Arc<C>,
        dead_letters: Option<DeadLetters>,
        shared: Arc<Shared>,
        worker: u16,
        windows: Windows,
        interval: Duration,
    ) -> Self {
        let now = shared.clock.now();
        let worker = i32::from(worker);
        shared.status.flushed(worker, now);
        Self {
            checkpoint,
            dead_letters,
            shared,
            worker,
            windows,
            interval,
            shards: Vec::new(),
            in_flight: None,
            started: now,
            covers: now,
            due: now.plus(interval),
            owed: true,
            hurried: false,
            failing: false,
        }
    }

    /// A shard has come, with its chain. Until something changes, nothing of it is owed to the
    /// checkpoint. One that was `followed` before is not written until it is
    /// [`permitted`](Self::permit).
    pub fn adopt(&mut self, at: usize, chain: Chain, followed: bool) {
        if at >= self.shards.len() {
            self.shards.resize_with(at + 1, || None);
        }
        if let Some(place) = self.shards.get_mut(at) {
            *place = Some(ShardFlush::new(chain, followed));
        }
    }

    /// The dead letters from before the positions of the shard at a place are on their way.
    pub fn permit(&mut self, at: usize) {
        if let Some(Some(shard)) = self.shards.get_mut(at) {
            shard.permit();
            if shard.waits_its_turn() {
                self.due = WallMs(0);
            }
        }
    }

    /// The shard at a place is written once more, as soon as can be.
    pub fn owe(&mut self, at: usize) {
        if let Some(Some(shard)) = self.shards.get_mut(at) {
            shard.owed = true;
            self.due = WallMs(0);
        }
    }

    /// Whether all that was owed of the shard at a place is in the checkpoint.
    pub fn is_settled(&self, at: usize) -> bool {
        let shard = self.shards.get(at).and_then(Option::as_ref);
        shard.is_none_or(|shard| !shard.owed && shard.chain.pending().is_none())
    }

    /// The shard at a place has gone.
    pub fn let_go(&mut self, at: usize) {
        if let Some(place) = self.shards.get_mut(at) {
            *place = None;
        }
    }

    /// From now on there is no waiting, and every shard is written once more: its positions have
    /// moved, and a checkpoint that has come back empty unnoticed gets them all.
    pub fn hurry(&mut self) {
        self.shards.iter_mut().flatten().for_each(|shard| shard.owed = true);
        self.owed = true;
        self.hurried = true;
        self.due = WallMs(0);
    }

    /// When to call [`start_if_due`](Self::start_if_due) next; far away while a call is in flight.
    pub const fn due_at(&self) -> WallMs {
        if self.in_flight.is_some() { WallMs(i64::MAX) } else { self.due }
    }

    /// Nothing is in flight and nothing was left to write when last looked.
    pub const fn is_idle(&self) -> bool {
        self.in_flight.is_none() && !self.owed
    }

    /// Starts a flush of what changed, if it is time and none is in flight. `latest` is the latest
    /// that the clock has ever shown: later than `now` where it was set back.
    pub fn start_if_due(
        &mut self,
        engine: &mut Engine,
        published: Second,
        now: WallMs,
        latest: WallMs,
    ) {
        self.due = self.due.min(now.plus(self.interval)); // a clock set back delays nothing
        if self.in_flight.is_some() || now < self.due {
            return;
        }
        self.due = now.plus(self.interval);
        // A flush that is sent again says nothing of what came after it.
        if self.shards.iter().flatten().all(|shard| shard.chain.pending().is_none()) {
            self.covers = now;
        }
        let mut places = Vec::new();
        let mut flushes = Vec::new();
        // Everything of one shard is written before that of the next, else memory would hold it all
        // twice.
        let mut turn = !self.shards.iter().flatten().any(ShardFlush::sends_everything);
        let longest = self.windows.longest();
        let shards = self.shards.iter_mut().enumerate();
        for (at, shard) in shards.filter_map(|(at, shard)| Some((at, shard.as_mut()?))) {
            let Some(published) = engine.published(at, published) else { continue };
            let moment = Moment { published, latest, longest };
            if let Some(flush) = shard.next(at, engine, &moment, &mut turn) {
                places.push((at, flush.tenure));
                flushes.push(flush);
            }
        }
        self.owed = !flushes.is_empty();
        if flushes.is_empty() {
            if !self.shards.iter().flatten().any(ShardFlush::is_behind) {
                self.shared.status.flushed(self.worker, now); // nothing is owed
            }
            return;
        }
        self.started = now;
        let checkpoint = Arc::clone(&self.checkpoint);
        let gate = self.dead_letters.clone().map(|letters| (letters.ticket(), letters));
        let gate = gate.filter(|_| !Bug::DeadLettersNotAwaited.on());
        let shared = Arc::clone(&self.shared);
        self.in_flight = Some(tokio::spawn(async move {
            if let Some((ticket, letters)) = gate {
                letters.acknowledged(ticket).await;
            }
            shared.flushing(&flushes);
            let span = info_span!(parent: None, "flush", shards = flushes.len(), cause = Empty);
            let answers = checkpoint.flush(&flushes).instrument(span.clone()).await;
            if let Some(Err(cause)) = answers.iter().find(|answer| answer.is_err()) {
                span.record("cause", display(cause));
            }
            let answered = places.into_iter().zip(answers);
            answered.map(|((at, tenure), answer)| (at, tenure, answer)).collect()
        }));
    }

    /// Waits for the answer to what is in flight; for ever if nothing is. Cancel-safe.
    pub async fn replies(&mut self) -> Replies {
        let Some(handle) = &mut self.in_flight else {
            return std::future::pending().await;
        };
        let replies = handle.await.unwrap_or_default(); // aborted: everything stays pending
        self.in_flight = None;
        replies
    }

    /// Takes in the answers; says in which places shards have another owner by now.
    pub fn settle(&mut self, replies: Replies, now: WallMs) -> Vec<usize> {
        let mut failure = None;
        let (mut fenced, mut lost) = (Vec::new(), 0_u32);
        for (at, tenure, reply) in replies {
            let shard = self.shards.get_mut(at).and_then(Option::as_mut);
            let Some(shard) = shard.filter(|shard| shard.chain.tenure() == tenure) else {
                continue;
            };
            match reply {
                Err(cause) => {
                    failure = Some(cause);
                    if Bug::UnknownFlushDropped.on() {
                        shard.chain.drop_pending();
                    }
                }
                Ok(verdict) => {
                    self.shared.flushed(verdict);
                    match shard.chain.settle(verdict, now) {
                        Step::Done => {}
                        Step::Fenced => fenced.push(at),
                        Step::Rewrite => lost += 1,
                    }
                }
            }
        }
        if lost > 0 {
            warn!(
                shards = lost,
                action = "look at Redis: eviction, fail-over, FLUSHALL, a start without its data",
                "checkpoint has lost acknowledged writes: all is written anew"
            );
        }
        match failure {
            None => {
                self.shared.metrics.flush_seconds.observe(now.since(self.started).as_secs_f64());
                let shards = || self.shards.iter().flatten();
                if lost == 0 && !shards().any(ShardFlush::is_behind) {
                    self.shared.status.flushed(self.worker, self.covers);
                }
                if self.hurried || shards().any(ShardFlush::waits_its_turn) {
                    self.due = now; // the next one's turn; or a stop waits until nothing is left
                }
                if std::mem::take(&mut self.failing) {
                    self.shared.status.works(Component::Checkpoint, self.worker);
                    info!("checkpointing again");
                }
            }
            Some(cause) => {
                self.shared.metrics.flush_errors.inc();
                let (status, says) = (&self.shared.status, cause.to_string());
                status.fails(Component::Checkpoint, self.worker, now, says);
                self.failing = true;
                error!(
                    %cause,
                    action = "check Redis: memory, permissions, network",
                    "checkpoint not written: publishing goes on from memory"
                );
            }
        }
        fenced
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;

    use super::*;
    use crate::domain::budget::Budget;
    use crate::domain::shard::Shard;
    use crate::domain::token::{ShardId, Shards};
    use crate::domain::window::Window;
    use crate::metrics::Metrics;
    use crate::pipeline::shard_flush::IDLE_INTERVAL;
    use crate::ports::{Clock, Flush, Page};
    use crate::status::Status;

    /// Answers every flush with the verdicts of its list, in turn; none is no answer.
    struct Scripted(std::sync::Mutex<Vec<Option<Verdict>>>);

    impl Checkpoint for Scripted {
        async fn claim(&self, _: ShardId, _: u64) -> Result<u64, CheckpointError> {
            Ok(0)
        }

        async fn load(&self, _: ShardId, _: Option<String>) -> Result<Page, CheckpointError> {
            Ok(Page::default())
        }

        async fn peek(&self, _: ShardId, _: Option<String>) -> Result<Page, CheckpointError> {
            Ok(Page::default())
        }

        async fn newest(&self, _: &[ShardId]) -> Result<Vec<Option<Bytes>>, CheckpointError> {
            Ok(Vec::new())
        }

        async fn flush(&self, flushes: &[Flush]) -> Vec<Result<Verdict, CheckpointError>> {
            let verdict = self.0.lock().unwrap().remove(0);
            let shard = flushes[0].shard;
            let away = || CheckpointError::Unreachable { shard, cause: "away".to_owned() };
            vec![verdict.ok_or_else(away)]
        }
    }

    struct AtStart;

    impl Clock for AtStart {
        fn now(&self) -> WallMs {
            WallMs(0)
        }
    }

    #[tokio::test]
    async fn the_checkpoint_is_as_old_as_what_it_holds_not_as_its_last_answer() {
        let windows = Windows::new(vec![Window { name: "1min".to_owned(), seconds: 60 }]).unwrap();
        let budget = Arc::new(Budget::new(1, 1));
        let shard = Shard::new(windows.clone(), budget, Second(0), Second(0));
        let mut engine = Engine::new(Shards::DEFAULT, 0, 64);
        engine.adopt(ShardId(0), shard, BTreeMap::new(), Second(0), Second(0));
        let status = Arc::new(Status::new(WallMs(0)));
        let metrics = Arc::new(Metrics::new().unwrap());
        let shared = Shared { clock: Arc::new(AtStart), metrics, status: Arc::clone(&status) };
        let verdicts = [None, Some(Verdict::Ok), Some(Verdict::Lost), Some(Verdict::Ok)];
        let checkpoint = Arc::new(Scripted(std::sync::Mutex::new(verdicts.to_vec())));
        let mut flusher =
            Flusher::new(checkpoint, None, Arc::new(shared), 0, windows, IDLE_INTERVAL);
        flusher.adopt(0, Chain::new(ShardId(0), 1, 0, WallMs(0)), false);
        // What a flush covers that is begun at each of these moments, once it is answered.
        for (begun, covered) in [(10, 0), (70, 10), (80, 10), (90, 90)] {
            let begun = WallMs(begun * 1_000);
            flusher.start_if_due(&mut engine, Second(0), begun, begun);
            let replies = flusher.replies().await;
            assert!(flusher.settle(replies, begun).is_empty());
            assert_eq!(status.last_flush(), Some(WallMs(covered * 1_000)));
        }
    }
}
