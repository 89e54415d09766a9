//! The tasks of a running pipeline, each with its queue, and who feeds whom.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::DefaultHashBuilder;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Shared;
use super::commits;
use super::custody::Custody;
use super::dead_letters::DeadLetters;
use super::engine::Engine;
use super::flusher::Flusher;
use super::mailbox::Mailbox;
use super::messages::Messages;
use super::names::SharedNames;
use super::outbox::Outbox;
use super::reader::{Event, Reader};
use super::reading::Reading;
use super::route::Router;
use super::run::{Ended, Pipeline, Settings, StartError};
use super::steward::{Adopter, Steward};
use super::view_queue::ViewQueue;
use super::worker::{Halted, Worker};
use crate::domain::position::{Offset, Partition};
use crate::domain::time::{Second, WallMs};
use crate::domain::token::Shards;
use crate::ports::{Checkpoint, PartitionRange, Producer, Target, TradeLog, View};
use crate::sabotage::Bug;
use crate::wire::aggregate::Form;
use crate::wire::registered::Writer;

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
    pub(super) commits: JoinHandle<()>,
    pub(super) steward: JoinHandle<Result<Ended, StartError>>,
    pub(super) readers: JoinHandle<()>,
    pub(super) workers: JoinSet<Result<(), Halted>>,
    pub(super) publishers: Vec<JoinHandle<()>>,
    pub(super) dead_letters: Option<JoinHandle<()>>,
    pub(super) view: JoinHandle<()>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) view_queue: Arc<ViewQueue>,
}

impl Tasks {
    /// Starts everything; `reading` ends the readers.
    pub(super) fn start<L: TradeLog, P: Producer, C: Checkpoint, V: View>(
        pipeline: &Pipeline<L, P, C, V>,
        custody: &Arc<Custody>,
        reading: &CancellationToken,
    ) -> Self {
        let Pipeline { log, producer, checkpoint, view, shared, settings, .. } = pipeline;
        shared.metrics.worker_queue_batches.set(0); // a run that was given up leaves some
        let (dead_letters, writer) = start_dead_letters(settings, producer, shared);
        let crew = Crew {
            mailbox: mailbox(settings, &**producer, shared),
            dead_letters: dead_letters.clone(),
            router: Arc::new(router(settings, pipeline.seat.shards)),
            custody,
            settings,
            names: &pipeline.names,
            shared,
        };
        let (queues, workers) = crew.start(checkpoint);
        pipeline.orders.open(&queues, &crew.mailbox, pipeline.seat.shards);
        pipeline.queries.open(&queues);
        let reader = Reader {
            log: Arc::clone(log),
            router: crew.router,
            workers: queues,
            dead_letters,
            shared: Arc::clone(shared),
            reading: Arc::new(Reading::new(pipeline.seat.shards)),
            stop: reading.clone(),
        };
        let view_queue = Arc::new(ViewQueue::new(Arc::clone(&shared.metrics)));
        let (starts, told) = oneshot::channel();
        let adopter = Adopter {
            checkpoint: Arc::clone(checkpoint),
            recovery: pipeline.recovery(),
            reader: reader.clone(),
        };
        let steward = Steward::new(Arc::clone(custody), Arc::clone(&crew.mailbox), adopter, starts);
        let commits = commits::note(Arc::clone(checkpoint), Arc::clone(custody), reading.clone());
        Self {
            commits: tokio::spawn(commits),
            steward: tokio::spawn(steward.run()),
            readers: tokio::spawn(read_all(reader, told)),
            workers,
            publishers: start_publishers(&crew.mailbox, producer, &view_queue, custody, shared),
            dead_letters: writer,
            view: start_view(&view_queue, view, shared),
            mailbox: crew.mailbox,
            view_queue,
        }
    }

    /// Ends all that still runs, at once.
    pub(super) fn abort(&mut self) {
        self.commits.abort();
        self.steward.abort();
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
    custody: &'a Arc<Custody>,
    settings: &'a Settings,
    names: &'a Arc<SharedNames>,
    shared: &'a Arc<Shared>,
}

impl Crew<'_> {
    fn start<C: Checkpoint>(
        &self,
        checkpoint: &Arc<C>,
    ) -> (Vec<mpsc::Sender<Event>>, JoinSet<Result<(), Halted>>) {
        let workers = self.settings.workers.max(1);
        let mut queues = Vec::new();
        let mut tasks = JoinSet::new();
        for me in 0..workers {
            let (queue, events) = mpsc::channel(WORKER_QUEUE);
            queues.push(queue);
            let engine = Engine::new(self.custody.seat().shards, me, workers);
            tasks.spawn(self.worker(me, engine, Arc::clone(checkpoint)).run(events));
        }
        (queues, tasks)
    }

    fn worker<C: Checkpoint>(&self, me: u16, engine: Engine, checkpoint: Arc<C>) -> Worker<C> {
        let Settings { windows, checkpoint_interval, envelope, emission, fields, .. } =
            self.settings;
        Worker {
            engine,
            flusher: Flusher::new(
                checkpoint,
                self.dead_letters.clone(),
                Arc::clone(self.shared),
                me,
                windows.clone(),
                *checkpoint_interval,
            ),
            messages: Messages {
                form: Form::extended(windows, *fields),
                writer: envelope.registered.map(|it| Writer::new(it, windows, *fields)),
                names: Arc::clone(self.names),
                envelope: envelope.clone(),
                marks: DefaultHashBuilder::default(),
            },
            mailbox: Arc::clone(&self.mailbox),
            dead_letters: self.dead_letters.clone(),
            refused: VecDeque::new(),
            router: Arc::clone(&self.router),
            custody: Arc::clone(self.custody),
            followed: self.custody.published().subscribe(),
            latest: self.shared.clock.now(),
            emission: *emission,
            next_tick: WallMs(i64::MAX),
            waiting: None,
            last_tick: Second(i64::MIN),
            tick: None,
            leaving: None,
            shared: Arc::clone(self.shared),
        }
    }
}

fn router(settings: &Settings, shards: Shards) -> Router {
    let Settings { topic, workers, max_future_skew, fields, .. } = settings;
    let router = Router::new(topic.as_str().into(), shards, *workers, *max_future_skew);
    router.extended(fields.any())
}

fn mailbox<P: Producer>(settings: &Settings, producer: &P, shared: &Shared) -> Arc<Mailbox> {
    let outbox = Outbox::new(
        producer.partition_count(Target::Aggregates),
        usize::from(settings.workers.max(1)),
        settings.batching,
        Second(i64::MIN),
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
    custody: &Arc<Custody>,
    shared: &Arc<Shared>,
) -> Vec<JoinHandle<()>> {
    let start = |lane| {
        let (mailbox, producer) = (Arc::clone(mailbox), Arc::clone(producer));
        let (view, shared, custody) = (Arc::clone(view), Arc::clone(shared), Arc::clone(custody));
        tokio::spawn(async move { mailbox.publish(lane, producer, view, &custody, shared).await })
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

/// Runs a reader per partition, those that are added later too, from when it is told where they
/// start until stopped.
async fn read_all<L: TradeLog>(
    reader: Reader<L>,
    starts: oneshot::Receiver<BTreeMap<Partition, Offset>>,
) {
    let Ok(starts) = starts.await else { return };
    let Reader { shared, reading, .. } = &reader;
    let mut known = starts.clone();
    let mut readers = JoinSet::new();
    for (partition, from) in starts {
        shared.status.reads(partition, from, None);
        reading.begin(partition, from);
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
        shared.note_ends(&ranges, asked);
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
                // What retention took before anyone came is nothing that a shard could expect.
                reader.restart(partition, from, end, false).await;
                reading.begin(partition, from);
                readers.spawn(reader.clone().read(partition, from));
            }
        }
    }
    while readers.join_next().await.is_some() {}
}
