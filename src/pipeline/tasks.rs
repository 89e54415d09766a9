//! The tasks of a running pipeline, each with its queue, and who feeds whom.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Shared;
use super::chain::Chain;
use super::dead_letters::DeadLetters;
use super::engine::Engine;
use super::flusher::Flusher;
use super::mailbox::Mailbox;
use super::messages::Messages;
use super::names::SharedNames;
use super::outbox::Outbox;
use super::reader::{Event, Reader};
use super::recover::Recovered;
use super::route::Router;
use super::run::{Pipeline, Settings};
use super::view_queue::ViewQueue;
use super::worker::{Halted, Worker};
use crate::domain::position::{Offset, Partition};
use crate::domain::shard::Shard;
use crate::domain::time::WallMs;
use crate::ports::{Checkpoint, PartitionRange, Producer, Target, TradeLog, View};
use crate::sabotage::Bug;
use crate::status::Phase;
use crate::wire::aggregate::Form;

/// Batches that wait for one worker at most: enough to keep it busy while a fetch is under way, and
/// few enough that they are still in the cache when their turn comes.
const WORKER_QUEUE: usize = 2;

/// How often new partitions are looked for.
const PARTITION_REFRESH: Duration = Duration::from_secs(10);

/// How often it is looked whether the ends of partitions are known. A reader learns its partition's
/// end with each fetch, twice a second at least; one that waits for room learns nothing.
const END_LOOK: Duration = Duration::from_secs(2);

/// The tasks that run.
pub(super) struct Tasks {
    pub(super) readers: JoinHandle<()>,
    pub(super) workers: JoinSet<Result<(), Halted>>,
    pub(super) publishers: Vec<JoinHandle<()>>,
    pub(super) dead_letters: Option<JoinHandle<()>>,
    pub(super) view: JoinHandle<()>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) view_queue: Arc<ViewQueue>,
}

impl Tasks {
    /// Starts everything; `latest` is the latest that the clock has ever shown, `reading` ends the
    /// readers.
    pub(super) fn start<L: TradeLog, P: Producer, C: Checkpoint, V: View>(
        pipeline: &Pipeline<L, P, C, V>,
        ranges: &[PartitionRange],
        starts: &[Offset],
        recovered: Vec<Recovered>,
        latest: WallMs,
        reading: &CancellationToken,
    ) -> Self {
        let Pipeline { log, producer, checkpoint, view, shared, settings, .. } = pipeline;
        shared.metrics.worker_queue_batches.set(0); // a run that was given up leaves some
        let (dead_letters, writer) = start_dead_letters(settings, producer, shared);
        let crew = Crew {
            mailbox: mailbox(settings, &**producer, shared, &recovered),
            dead_letters: dead_letters.clone(),
            router: Arc::new(Router::new(
                settings.topic.as_str().into(),
                settings.workers,
                settings.max_future_skew,
            )),
            latest,
            targets: ranges.iter().map(|range| (range.partition, range.end)).collect(),
            settings,
            names: &pipeline.names,
            shared,
        };
        let (queues, workers) = crew.start(checkpoint, recovered);
        pipeline.orders.open(&queues, &crew.mailbox);
        pipeline.queries.open(&queues);
        let reader = Reader {
            log: Arc::clone(log),
            router: crew.router,
            workers: queues,
            dead_letters,
            shared: Arc::clone(shared),
            stop: reading.clone(),
        };
        let starts = ranges.iter().map(|range| range.partition).zip(starts.iter().copied());
        note_ends(shared, ranges, shared.clock.now());
        let view_queue = Arc::new(ViewQueue::new(Arc::clone(&shared.metrics)));
        Self {
            readers: tokio::spawn(read_all(reader, starts.collect())),
            workers,
            publishers: start_publishers(&crew.mailbox, producer, &view_queue, shared),
            dead_letters: writer,
            view: start_view(&view_queue, view, shared),
            mailbox: crew.mailbox,
            view_queue,
        }
    }

    /// Ends all that still runs, at once.
    pub(super) fn abort(&mut self) {
        self.readers.abort();
        self.workers.abort_all();
        self.view.abort();
        self.publishers.iter().chain(&self.dead_letters).for_each(JoinHandle::abort);
    }
}

/// What every worker is given.
struct Crew<'a> {
    mailbox: Arc<Mailbox>,
    dead_letters: Option<DeadLetters>,
    router: Arc<Router>,
    latest: WallMs,
    targets: BTreeMap<Partition, Offset>,
    settings: &'a Settings,
    names: &'a Arc<SharedNames>,
    shared: &'a Arc<Shared>,
}

impl Crew<'_> {
    fn start<C: Checkpoint>(
        &self,
        checkpoint: &Arc<C>,
        recovered: Vec<Recovered>,
    ) -> (Vec<mpsc::Sender<Event>>, JoinSet<Result<(), Halted>>) {
        let workers = self.settings.workers.max(1);
        let mut queues = Vec::new();
        let mut tasks = JoinSet::new();
        let mut caught_up = Vec::new();
        for (me, (shards, chains)) in (0..workers).zip(deal(recovered, workers)) {
            let (queue, events) = mpsc::channel(WORKER_QUEUE);
            let (tell, told) = oneshot::channel();
            queues.push(queue);
            caught_up.push(told);
            let engine = Engine::new(me, workers, shards);
            tasks.spawn(self.worker(me, engine, Arc::clone(checkpoint), chains, tell).run(events));
        }
        watch_catching_up(Arc::clone(self.shared), caught_up);
        (queues, tasks)
    }

    fn worker<C: Checkpoint>(
        &self,
        me: u16,
        engine: Engine,
        checkpoint: Arc<C>,
        chains: Vec<Chain>,
        caught_up: oneshot::Sender<()>,
    ) -> Worker<C> {
        let Settings { windows, checkpoint_interval, ttl, publish_interval, .. } = self.settings;
        Worker {
            engine,
            flusher: Flusher::new(
                checkpoint,
                self.dead_letters.clone(),
                Arc::clone(self.shared),
                me,
                windows.clone(),
                *checkpoint_interval,
                chains,
            ),
            messages: Messages {
                form: Form::new(windows),
                names: Arc::clone(self.names),
                ttl: *ttl,
            },
            mailbox: Arc::clone(&self.mailbox),
            dead_letters: self.dead_letters.clone(),
            refused: VecDeque::new(),
            router: Arc::clone(&self.router),
            targets: self.targets.clone(),
            caught_up: Some(caught_up),
            latest: self.latest,
            publish_interval: *publish_interval,
            tick: None,
            shared: Arc::clone(self.shared),
        }
    }
}

fn mailbox<P: Producer>(
    settings: &Settings,
    producer: &P,
    shared: &Shared,
    recovered: &[Recovered],
) -> Arc<Mailbox> {
    let published = recovered.iter().filter_map(|one| one.published).min();
    let outbox = Outbox::new(
        producer.partition_count(Target::Aggregates),
        usize::from(settings.workers.max(1)),
        settings.batching,
        published.unwrap_or(shared.clock.now().second()),
    );
    Arc::new(Mailbox::new(outbox, Arc::clone(&shared.metrics)))
}

fn start_dead_letters<P: Producer>(
    settings: &Settings,
    producer: &Arc<P>,
    shared: &Arc<Shared>,
) -> (Option<DeadLetters>, Option<JoinHandle<()>>) {
    if !settings.dead_letters {
        return (None, None);
    }
    let (letters, queue) = DeadLetters::new(Arc::clone(&shared.metrics));
    let writer = queue.run(Arc::clone(producer), Arc::clone(shared));
    (Some(letters), Some(tokio::spawn(writer)))
}

fn start_publishers<P: Producer>(
    mailbox: &Arc<Mailbox>,
    producer: &Arc<P>,
    view: &Arc<ViewQueue>,
    shared: &Arc<Shared>,
) -> Vec<JoinHandle<()>> {
    let start = |lane| {
        let (mailbox, producer) = (Arc::clone(mailbox), Arc::clone(producer));
        let (view, shared) = (Arc::clone(view), Arc::clone(shared));
        tokio::spawn(async move { mailbox.publish(lane, producer, view, shared).await })
    };
    (0..mailbox.lanes()).map(start).collect()
}

fn start_view<V: View>(
    queue: &Arc<ViewQueue>,
    view: &Arc<V>,
    shared: &Arc<Shared>,
) -> JoinHandle<()> {
    let (queue, view, shared) = (Arc::clone(queue), Arc::clone(view), Arc::clone(shared));
    tokio::spawn(async move { queue.run(view, shared).await })
}

/// Ready when every worker has caught up.
fn watch_catching_up(shared: Arc<Shared>, caught_up: Vec<oneshot::Receiver<()>>) {
    let started = shared.clock.now();
    tokio::spawn(async move {
        if join_all(caught_up).await.iter().all(Result::is_ok) {
            shared.status.enter(Phase::Running);
            let took = shared.clock.now().since(started).as_millis();
            let took_ms = u64::try_from(took).unwrap_or(u64::MAX);
            info!(took_ms, "ready: caught up with the log");
        }
    });
}

/// Deals the shards out to the workers, as [`Engine::shard_ids`] has them.
fn deal(recovered: Vec<Recovered>, workers: u16) -> Vec<(Vec<Shard>, Vec<Chain>)> {
    let mut dealt: Vec<_> = (0..workers).map(|_| (Vec::new(), Vec::new())).collect();
    for (at, one) in recovered.into_iter().enumerate() {
        if let Some((shards, chains)) = dealt.get_mut(at % usize::from(workers)) {
            shards.push(one.shard);
            chains.push(one.chain);
        }
    }
    dealt
}

/// Notes where partitions end, and which there are.
fn note_ends(shared: &Shared, ranges: &[PartitionRange], asked: WallMs) {
    let ends = ranges.iter().map(|range| (range.partition, range.end));
    shared.status.listed(&ends.collect(), asked);
}

/// Runs a reader per partition, those that are added later too, until stopped.
async fn read_all<L: TradeLog>(reader: Reader<L>, starts: BTreeMap<Partition, Offset>) {
    let Reader { shared, .. } = &reader;
    let mut known = starts.clone();
    let mut readers = JoinSet::new();
    for (partition, from) in starts {
        shared.status.reads(partition, from, None);
        readers.spawn(reader.clone().read(partition, from));
    }
    let mut since_listed = Duration::ZERO;
    loop {
        tokio::select! {
            biased;
            () = reader.stop.cancelled() => break,
            () = tokio::time::sleep(END_LOOK) => since_listed += END_LOOK,
        }
        let waits = shared.status.ends_are_old(shared.clock.now(), END_LOOK);
        if since_listed < PARTITION_REFRESH && !waits {
            continue;
        }
        since_listed = Duration::ZERO;
        // Without an answer the readers say what is wrong; the next look comes soon.
        let asked = shared.clock.now();
        let ranges = tokio::select! {
            biased;
            () = reader.stop.cancelled() => break,
            ranges = reader.log.partitions() => ranges,
        };
        let Ok(ranges) = ranges else { continue };
        note_ends(shared, &ranges, asked);
        for range in ranges {
            let PartitionRange { partition, first, end } = range;
            if known.insert(partition, first).is_none() {
                info!(%partition, %first, "new partition");
                let begin = Offset::default();
                if first > begin {
                    shared.offsets_lost(partition, begin, first); // retention was faster
                }
                shared.status.reads(partition, first, None);
                let from = if Bug::NewPartitionAtItsEnd.on() { end } else { first };
                readers.spawn(reader.clone().read(partition, from));
            }
        }
    }
    while readers.join_next().await.is_some() {}
}
