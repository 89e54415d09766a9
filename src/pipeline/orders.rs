//! Orders to publish between ticks: from whoever asks to the workers, and back when the brokers
//! have acknowledged. One is under way at a time, and each has a bound. An order takes nothing from
//! the tick: closing messages and the last published second are the tick's alone.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::mailbox::Mailbox;
use super::reader::Event;
use crate::domain::token::{ShardId, Shards};
use crate::ports::{NotPublished, Published, Wanted};

/// How long an order may take: what is queued before it, and the brokers' acknowledgement. Below
/// the time that HTTP gives a request, so that the reason is told.
const LIMIT: Duration = Duration::from_secs(8);

/// Where orders are taken, from before the pipeline runs until after it. It may run again: orders
/// go to the last run.
#[derive(Debug)]
pub struct Orders {
    turn: Semaphore,
    open: Mutex<Option<Arc<Open>>>,
}

/// Who fulfils them. The workers end when nobody can send to them any more, so this does not count.
#[derive(Debug)]
struct Open {
    workers: Vec<mpsc::WeakSender<Event>>,
    mailbox: Arc<Mailbox>,
    shards: Shards,
}

/// What each worker is told.
#[derive(Debug)]
pub struct Order {
    /// Marks its messages.
    pub number: u64,
    /// Whose aggregates.
    pub wanted: Arc<Wanted>,
    /// Told when the messages are in the mailbox; dropped by a worker that may not publish yet.
    pub done: oneshot::Sender<Done>,
}

/// What one worker did.
#[derive(Debug, Default)]
pub struct Done {
    /// Messages that it made.
    pub published: usize,
    /// Those of the wanted tokens that it knows as active.
    pub known: BTreeSet<String>,
    /// The shards that it is of.
    pub shards: BTreeSet<ShardId>,
}

impl Default for Orders {
    fn default() -> Self {
        Self { turn: Semaphore::new(1), open: Mutex::new(None) }
    }
}

impl Orders {
    /// From now on these fulfil orders.
    pub(super) fn open(
        &self,
        workers: &[mpsc::Sender<Event>],
        mailbox: &Arc<Mailbox>,
        shards: Shards,
    ) {
        let workers = workers.iter().map(mpsc::Sender::downgrade).collect();
        let open = Open { workers, mailbox: Arc::clone(mailbox), shards };
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(open));
    }

    /// Publishes as of now; answers when the brokers have acknowledged.
    ///
    /// # Errors
    /// Another order is under way, the pipeline does not publish now, or it took too long.
    pub async fn place(&self, wanted: Wanted) -> Result<Published, NotPublished> {
        let Ok(_turn) = self.turn.try_acquire() else {
            return Err(NotPublished("another order is under way"));
        };
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(open) = open else {
            return Err(NotPublished("starting"));
        };
        match timeout(LIMIT, open.fulfil(wanted)).await {
            Ok(fulfilled) => fulfilled,
            Err(_) => Err(NotPublished("the brokers have not acknowledged in time")),
        }
    }
}

impl Open {
    async fn fulfil(&self, wanted: Wanted) -> Result<Published, NotPublished> {
        let number = self.mailbox.begin_order();
        let wanted = Arc::new(wanted);
        let mut answers = Vec::with_capacity(self.workers.len());
        for worker in &self.workers {
            let (done, answer) = oneshot::channel();
            let order = Event::Order(Order { number, wanted: Arc::clone(&wanted), done });
            let sent = match worker.upgrade() {
                Some(worker) => worker.send(order).await.is_ok(),
                None => false,
            };
            if !sent {
                return Err(NotPublished("stopping"));
            }
            answers.push(answer);
        }
        let mut all = Done::default();
        for answer in answers {
            let done = answer.await.map_err(|_| NotPublished("catching up, or stopping"))?;
            all.published += done.published;
            all.known.extend(done.known);
            all.shards.extend(done.shards);
        }
        self.mailbox.fulfilled(number).await;
        let shard = |token: &String| self.shards.of_token(token);
        let (mut wished, unknown): (BTreeSet<_>, Vec<_>) = match &*wanted {
            Wanted::All => (self.shards.all().collect(), Vec::new()),
            Wanted::Tokens(tokens) => {
                let unknown = tokens.difference(&all.known).cloned();
                let here = unknown.filter(|token| all.shards.contains(&shard(token)));
                (tokens.iter().map(shard).collect(), here.collect())
            }
        };
        wished.retain(|shard| !all.shards.contains(shard));
        Ok(Published { published: all.published, unknown, missing: wished })
    }
}
