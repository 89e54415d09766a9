//! The life of the pipeline: recover, start the tasks, run, drain. Everything that is started here
//! is ended here.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Shared;
use super::custody::Custody;
use super::names::SharedNames;
use super::orders::Orders;
use super::outbox::Batching;
use super::queries::Queries;
use super::recover::Recovery;
use super::tasks::Tasks;
use super::worker::Halted;
use crate::domain::budget::Budget;
use crate::domain::emission::Emission;
use crate::domain::position::StartFrom;
use crate::domain::window::Windows;
use crate::ports::group::Seat;
use crate::ports::{Checkpoint, CheckpointError, Producer, TradeLog, View};
use crate::status::Phase;
use crate::wire::envelope::Envelope;
use crate::wire::extended::Chosen;

/// What the pipeline is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The input topic, as dead letters name it.
    pub topic: String,
    /// The windows.
    pub windows: Windows,
    /// The extended fields that are written; with any, the budget has wallets.
    pub fields: Chosen,
    /// When ticks come.
    pub emission: Emission,
    /// Time between flushes.
    pub checkpoint_interval: Duration,
    /// How far ahead of its record a trade may be.
    pub max_future_skew: Duration,
    /// Where to read from without a checkpoint.
    pub start_from: StartFrom,
    /// How aggregates are batched.
    pub batching: Batching,
    /// What stands around messages.
    pub envelope: Envelope,
    /// Whether rejected trades go to a topic.
    pub dead_letters: bool,
    /// How many workers the shards are spread over.
    pub workers: u16,
    /// How long a stop may take.
    pub shutdown_timeout: Duration,
}

/// The pipeline and what it needs.
#[derive(Debug)]
pub struct Pipeline<L, P, C, V> {
    /// Where trades come from.
    pub log: Arc<L>,
    /// Where aggregates and dead letters go.
    pub producer: Arc<P>,
    /// Where the state is kept.
    pub checkpoint: Arc<C>,
    /// Where the last messages can be read.
    pub view: Arc<V>,
    /// What all shards together may hold.
    pub budget: Arc<Budget>,
    /// The seat in the group: which shards are this process'.
    pub seat: Seat,
    /// Symbols and names of tokens.
    pub names: Arc<SharedNames>,
    /// Orders to publish between ticks.
    pub orders: Arc<Orders>,
    /// Questions about tokens.
    pub queries: Arc<Queries>,
    /// Clock, metrics, status.
    pub shared: Arc<Shared>,
    /// What it is told.
    pub settings: Settings,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Stopped as asked.
    Stopped,
    /// Another instance has taken over.
    Fenced,
    /// The clock was set back: to be run again, under a new owner of the checkpoint.
    ClockSetBack,
    /// A worker failed, against every invariant: the next start reads on from the checkpoint.
    Failed,
}

/// Why it could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl<L: TradeLog, P: Producer, C: Checkpoint, V: View> Pipeline<L, P, C, V> {
    /// Runs until `stop`, or until another instance takes over. After [`Ended::ClockSetBack`] it
    /// may be run again, over a checkpoint of another owner.
    ///
    /// # Errors
    /// The checkpoint was written by a newer version.
    pub async fn run(&self, stop: CancellationToken) -> Result<Ended, StartError> {
        self.shared.status.enter(Phase::Starting);
        let custody = Arc::new(Custody::new(self.seat.clone(), Arc::clone(&self.shared.metrics)));
        let reading = CancellationToken::new();
        let mut tasks = Tasks::start(self, &custody, &reading);
        let mut until = None;
        let ended = tokio::select! {
            biased;
            deadline = self.retired(&stop, &custody) => {
                until = Some(deadline);
                Ok(Ended::Stopped)
            }
            ended = &mut tasks.steward => ended.unwrap_or(Ok(Ended::Failed)),
            ended = tasks.workers.join_next() => match ended {
                Some(Ok(Err(Halted::ClockSetBack))) => Ok(Ended::ClockSetBack),
                // Nobody feeds it any more: the steward is about to say why.
                Some(Ok(Ok(()))) => (&mut tasks.steward).await.unwrap_or(Ok(Ended::Failed)),
                _ => Ok(Ended::Failed),
            },
        };
        reading.cancel();
        match ended {
            Ok(Ended::Stopped) => {
                let until = until.unwrap_or_else(|| deadline(self.settings.shutdown_timeout));
                Ok(self.drain(tasks, &custody, until).await)
            }
            Ok(Ended::ClockSetBack) => {
                self.shared.metrics.clock_steps.inc();
                self.give_up(tasks).await;
                ended
            }
            Ok(Ended::Fenced | Ended::Failed) | Err(_) => {
                self.shared.status.enter(Phase::Stopping);
                tasks.abort();
                ended
            }
        }
    }

    /// Returns once it is asked to stop and others have its shards, if there are any that take
    /// them: until then it works on. Until when it has to have ended.
    async fn retired(&self, stop: &CancellationToken, custody: &Custody) -> Instant {
        stop.cancelled().await;
        self.shared.status.enter(Phase::Stopping);
        let limit = self.settings.shutdown_timeout;
        let (until, retired) = (deadline(limit), deadline(limit * RETIRING / 3));
        if timeout_at(retired, custody.retire()).await.is_err() {
            let shards = custody.shards().len();
            info!(shards, "stops before others follow these: whoever gets them loads them");
        }
        until
    }

    /// How shards are recovered.
    pub(super) fn recovery(&self) -> Recovery {
        Recovery {
            windows: self.settings.windows.clone(),
            budget: Arc::clone(&self.budget),
            max_future_skew: self.settings.max_future_skew,
            start_from: self.settings.start_from,
            shared: Arc::clone(&self.shared),
            tenures: Arc::default(),
            seat: self.seat.clone(),
        }
    }

    /// Ends everything but the dead letters: what was read stays read where it was rejected, and
    /// is read again where it was counted.
    async fn give_up(&self, mut tasks: Tasks) {
        let dead_letters = tasks.dead_letters.take();
        tasks.abort();
        // What the shards hold must be free again before the next ones take it.
        while tasks.workers.join_next().await.is_some() {}
        if let Some(mut dead_letters) = dead_letters {
            let limit = self.settings.shutdown_timeout;
            if tokio::time::timeout(limit, join(&mut dead_letters)).await.is_err() {
                dead_letters.abort(); // no position has passed them
            }
        }
    }

    /// Stops in order: reading, absorbing and the last flush, publishing what waits, dead letters.
    async fn drain(&self, mut tasks: Tasks, custody: &Custody, until: Instant) -> Ended {
        self.shared.status.enter(Phase::Stopping);
        let mut ended = Ended::Stopped;
        let orderly = async {
            tasks.steward.abort();
            join(&mut tasks.steward).await;
            custody.seal();
            join(&mut tasks.readers).await;
            while let Some(worker) = tasks.workers.join_next().await {
                match worker {
                    Ok(Ok(())) => {}
                    // Stopping all the same: the next start sees it in the checkpoint.
                    Ok(Err(Halted::ClockSetBack)) => {}
                    Err(_) => ended = Ended::Failed,
                }
            }
            tasks.mailbox.close();
            for publisher in &mut tasks.publishers {
                join(publisher).await;
            }
            tasks.view_queue.close();
            join(&mut tasks.view).await;
            if let Some(dead_letters) = &mut tasks.dead_letters {
                join(dead_letters).await;
            }
        };
        if timeout_at(until, orderly).await.is_err() {
            let unsent = tasks.mailbox.waiting();
            warn!(
                unsent,
                action = "raise SHUTDOWN_TIMEOUT where this repeats",
                "stopped at the deadline: what is not in the checkpoint is read again"
            );
            tasks.abort();
        }
        ended
    }
}

/// When so much time has passed from now on.
fn deadline(limit: Duration) -> Instant {
    sleep(limit).deadline()
}

/// So many thirds of the time for a stop are for others, who take over before anything ends; in
/// the rest it writes, and publishes, what it still has.
const RETIRING: u32 = 2;

async fn join<T>(task: &mut JoinHandle<T>) {
    if let Err(error) = task.await
        && error.is_panic()
    {
        warn!(
            %error,
            action = "report it with the lines before this one",
            "a task of the pipeline had failed: the stop goes on without it"
        );
    }
}
