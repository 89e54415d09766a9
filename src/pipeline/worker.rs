//! The loop of one worker: wait for one event, apply it to the engine, perform what follows.
//! Events: a batch, a shard that comes, is to go or is followed, an order to publish, a query, the
//! time (tick, flush, fold), the verdicts of a flush, the end of the input.
//!
//! Invariants:
//! - Ticks lie at wall-clock multiples of the interval; one that was missed is skipped. A tick is
//!   walked in steps (`tick`), between which batches are absorbed and flushes go on.
//! - Nothing is published of a shard before every partition has been read for it to where it ended
//!   when the shard came, and nothing at all while the group does not permit it.
//! - Orders and queries are answered between ticks: what they say ends before the next tick, and
//!   they take nothing from it.
//! - One flush of all changed shards is in flight; it waits for the dead letters before it.
//! - Windows never end earlier than windows did before: after a clock that was set back, ticks wait
//!   for it, or the worker ends and all is rebuilt.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tracing::field::Empty;
use tracing::{Span, info_span};

use super::Shared;
use super::custody::Custody;
use super::dead_letters::{DeadLetters, Room};
use super::engine::Engine;
use super::flusher::{Flusher, Replies};
use super::hand_over::Leaving;
use super::mailbox::Mailbox;
use super::messages::Messages;
use super::orders::{Done, Order};
use super::outgoing::Cause;
use super::queries::Query;
use super::reader::{Event, Release};
use super::route::{Batch, Router};
use super::shared::CLOCK_WAIT;
use super::tick::Tick;
use crate::domain::emission::Emission;
use crate::domain::reject::Reason;
use crate::domain::time::{Second, WallMs};
use crate::domain::token::ShardId;
use crate::ports::{Checkpoint, Message, Wanted};
use crate::sabotage::Bug;

/// Between ticks the windows' end follows the clock at this distance: a tick has little left to
/// take out of them, and a trade that is younger costs no look at them.
const FOLD_AFTER: Duration = Duration::from_secs(5);

/// How long the loop sleeps at most, so that a clock that was set is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Why a worker ended before its input did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halted {
    /// The clock was set back by more than ticks wait for: what the windows have dropped counts
    /// again, and only the log has it.
    #[error("the clock was set back")]
    ClockSetBack,
}

/// One worker: its shards, their checkpoints, and what it needs.
#[derive(Debug)]
pub struct Worker<C> {
    /// Its shards.
    pub engine: Engine,
    /// Writes their changes.
    pub flusher: Flusher<C>,
    /// Makes messages of aggregates.
    pub messages: Messages,
    /// Where messages go.
    pub mailbox: Arc<Mailbox>,
    /// Where refused trades go; `None`: they are only counted.
    pub dead_letters: Option<DeadLetters>,
    /// Refused trades that wait for room there. Until then nothing is absorbed or flushed; ticks
    /// go on.
    pub refused: VecDeque<Message>,
    /// Makes dead letters of refused trades.
    pub router: Arc<Router>,
    /// Which shards are here, and whether they may be published.
    pub custody: Arc<Custody>,
    /// The last ticks that were published of shards that are followed.
    pub followed: watch::Receiver<Arc<BTreeMap<ShardId, Second>>>,
    /// The latest that the clock has ever shown, before this start too.
    pub latest: WallMs,
    /// When ticks come.
    pub emission: Emission,
    /// When the next tick is due.
    pub next_tick: WallMs,
    /// One that is due and waits for the permission to publish, and in which membership it came.
    pub waiting: Option<(WallMs, u64)>,
    /// The last one that began.
    pub last_tick: Second,
    /// The tick that is under way.
    pub tick: Option<Tick>,
    /// Shards that are to go.
    pub leaving: Option<Leaving>,
    /// Clock, metrics, status.
    pub shared: Arc<Shared>,
}

/// What the loop waits for.
enum Happened {
    /// It is time to look at the clock.
    Time,
    /// Nothing else is to be done before the next step of the tick; whether the outbox is low.
    Calm { low: bool },
    /// The checkpoint has answered.
    Replies(Replies),
    /// A reader says something.
    Event(Event),
    /// The readers have ended.
    End,
}

/// What comes after the tick that may be due.
enum Asked {
    /// Publish.
    Order(Order),
    /// Say something.
    Query(Query),
    /// Let shards go.
    Release(Release),
}

impl<C: Checkpoint> Worker<C> {
    /// Runs until the input ends, then writes the last flush.
    ///
    /// # Errors
    /// The clock was set back too far.
    pub async fn run(mut self, mut events: mpsc::Receiver<Event>) -> Result<(), Halted> {
        self.next_tick = self.look().next_multiple(self.emission.interval());
        // Bounded by who asks: one order and a few queries are under way at a time.
        let mut asked = VecDeque::new();
        loop {
            let now = self.look();
            if self.latest.since(now) > CLOCK_WAIT && !Bug::ClockTrusted.on() {
                return Err(Halted::ClockSetBack);
            }
            if self.tick.is_none() && now >= self.next_tick {
                self.begin_tick(now);
            }
            if self.tick.is_some() {
                self.step_when_due(now).await;
            } else if let Some(asked) = asked.pop_front() {
                self.say(asked, now).await;
            }
            self.fold(now);
            self.follow_on();
            // Not while a refused trade waits for room: the flush would pass its position.
            let mut wake = if asked.is_empty() { self.next_tick } else { now };
            wake = wake.min(self.let_go_when_written(now));
            if self.refused.is_empty() {
                self.start_flush(now);
                wake = wake.min(self.flusher.due_at());
            }
            let paced = self.paced_for(now);
            match self.wait(&mut events, wake.since(now).min(LONGEST_SLEEP), paced).await {
                Happened::Time => {}
                Happened::Calm { low } => self.nothing_waits(low),
                Happened::Replies(replies) => self.settle(replies),
                Happened::Event(event) => asked.extend(self.apply(event)),
                Happened::End => return self.finish().await,
            }
        }
    }

    async fn say(&mut self, asked: Asked, now: WallMs) {
        match asked {
            Asked::Order(order) => self.fulfil(order, now).await,
            Asked::Query(query) => self.answer(query, now).await,
            Asked::Release(release) => self.release(release, now),
        }
    }

    /// While a tick is under way nothing is waited for but that the outbox runs low, `paced` at
    /// most, and what has come goes first.
    async fn wait(
        &mut self,
        events: &mut mpsc::Receiver<Event>,
        longest: Duration,
        paced: Duration,
    ) -> Happened {
        let Self { flusher, dead_letters, refused, tick, mailbox, .. } = self;
        tokio::select! {
            biased;
            replies = flusher.replies() => Happened::Replies(replies),
            () = tokio::time::sleep(longest), if tick.is_none() => Happened::Time,
            room = room(dead_letters.as_ref()), if !refused.is_empty() => {
                room.hand_in(refused);
                Happened::Time
            }
            event = events.recv(), if refused.is_empty() => {
                event.map_or(Happened::End, Happened::Event)
            }
            low = runs_low(mailbox, paced), if tick.is_some() => Happened::Calm { low },
        }
    }

    /// What is asked is handed back: it comes after the tick that may be due.
    fn apply(&mut self, event: Event) -> Option<Asked> {
        self.count_event();
        match event {
            Event::Batch(batch, read) => {
                self.shared.metrics.worker_queue_batches.dec();
                let span = info_span!(
                    parent: &read,
                    "absorb",
                    counted = Empty,
                    late = Empty,
                    duplicate = Empty,
                    refused = Empty,
                );
                span.in_scope(|| self.absorb(&batch));
            }
            Event::Restart { partition, next, end, anew } => {
                if anew {
                    self.engine.restart(partition, next);
                } else {
                    self.engine.pass(partition, next);
                }
                self.engine.retarget(partition, end);
            }
            Event::Adopt(recovered, targets) => self.adopt(*recovered, &targets),
            Event::Follow(id, shard) => self.engine.follow(id, *shard),
            Event::Unfollow(shards, to) => self.unfollow(&shards, to),
            Event::Heard(shards) => self.permit(&shards),
            Event::Release(release) => return Some(Asked::Release(release)),
            Event::Order(order) => return Some(Asked::Order(order)),
            Event::Query(query) => return Some(Asked::Query(query)),
        }
        self.open();
        None
    }

    fn absorb(&mut self, batch: &Batch) {
        let absorbed = self.engine.absorb(batch);
        let now = self.shared.clock.now();
        let span = Span::current();
        span.record("counted", absorbed.counted).record("late", absorbed.late);
        span.record("duplicate", absorbed.duplicate).record("refused", absorbed.refused.len());
        self.shared.absorbed(absorbed, now);
        let spoiled = absorbed.spoiled.clone();
        if self.dead_letters.is_some() {
            for &(trade, reason) in &absorbed.refused {
                let letter = self.router.refused(batch, trade, reason, refusal(reason), now);
                self.refused.extend(letter);
            }
        }
        self.spoil(&spoiled);
    }

    /// Publishes what a tick at this moment would, but for closing messages. The next tick's end is
    /// later: it was not due yet.
    async fn fulfil(&mut self, order: Order, now: WallMs) {
        if !self.custody.may_publish() || !self.custody.is_ready() {
            return;
        }
        self.engine.advance(now.second());
        let cause = Cause { tick: None, order: Some(order.number) };
        let lanes = self.mailbox.lanes();
        let shards = self.engine.open_shards().collect();
        let mut done = Done { shards, ..Done::default() };
        let mut outgoing = Vec::new();
        match &*order.wanted {
            Wanted::Tokens(tokens) => {
                let mut making = self.messages.begin(cause, now);
                for token in tokens {
                    let known = self.engine.active_one(token, |aggregate| {
                        outgoing.push((aggregate.hash.partition(lanes), making.make(aggregate)));
                    });
                    if known {
                        done.known.insert(token.clone());
                    }
                }
                done.published = outgoing.len();
                self.mailbox.push(outgoing.drain(..), now);
            }
            Wanted::All => {
                for at in 0..self.engine.count() {
                    {
                        let mut making = self.messages.begin(cause, now);
                        self.engine.active(at, |aggregate| {
                            let lane = aggregate.hash.partition(lanes);
                            outgoing.push((lane, making.make(aggregate)));
                        });
                    }
                    done.published += outgoing.len();
                    self.mailbox.push(outgoing.drain(..), now);
                    tokio::task::yield_now().await;
                }
            }
        }
        // Whoever asked may have given up.
        drop(order.done.send(done));
    }

    /// Says what a tick at this moment would. Before the log is read, nothing.
    async fn answer(&mut self, query: Query, now: WallMs) {
        if self.custody.is_ready() {
            self.engine.advance(now.second());
            query.answer(&mut self.engine, &self.messages.names).await;
        }
    }

    /// Moves the windows' end after the clock. Not while a tick is under way: its end stays,
    /// however long it takes.
    fn fold(&mut self, now: WallMs) {
        if self.tick.is_none() {
            self.engine.advance(now.minus(FOLD_AFTER).second());
        }
    }

    /// Reads the clock.
    fn look(&mut self) -> WallMs {
        let now = self.shared.clock.now();
        self.latest = self.latest.max(now);
        now
    }

    fn start_flush(&mut self, now: WallMs) {
        let published = self.mailbox.published();
        self.flusher.start_if_due(&mut self.engine, published, now, self.latest);
    }

    /// A shard that another owner has is gone from here.
    pub(super) fn settle(&mut self, replies: Replies) {
        for at in self.flusher.settle(replies, self.shared.clock.now()) {
            self.drop_place(at, Custody::fenced);
        }
    }

    /// The input has ended: everything that changed goes to the checkpoint.
    async fn finish(&mut self) -> Result<(), Halted> {
        while self.tick.is_some() {
            self.step().await;
        }
        self.flusher.hurry();
        loop {
            if Bug::LastFlushSkipped.on() {
                return Ok(());
            }
            let now = self.look();
            self.start_flush(now);
            if self.flusher.is_idle() {
                return Ok(());
            }
            let sleep = tokio::time::sleep(self.flusher.due_at().since(now).min(LONGEST_SLEEP));
            tokio::select! {
                biased;
                replies = self.flusher.replies() => self.settle(replies),
                () = sleep => {}
            }
        }
    }
}

/// What a dead letter says of a trade that a shard had to refuse.
#[must_use]
pub fn refusal(reason: Reason) -> &'static str {
    if reason == Reason::OutOfRange {
        "the token's sums in the longest window would leave 128 bits"
    } else {
        "MAX_TOKENS or MAX_PANES is reached"
    }
}

/// Whether the outbox runs low within `paced`.
async fn runs_low(mailbox: &Mailbox, paced: Duration) -> bool {
    !paced.is_zero() && tokio::time::timeout(paced, mailbox.low()).await.is_ok()
}

/// Room for refused trades; never where dead letters are off, and so none wait.
async fn room(dead_letters: Option<&DeadLetters>) -> Room<'_> {
    match dead_letters {
        Some(dead_letters) => dead_letters.room().await,
        None => std::future::pending().await,
    }
}
