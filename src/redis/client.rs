//! One way to send to Redis, that always answers in time. It never waits for a server that is
//! away: a command then fails at once, and the connection comes back by itself. It never sends a
//! command twice. A connection that is stuck (a command timed out, its task ended, its server
//! became a replica) is thrown away and made anew.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fred::clients::{Client as FredClient, Pipeline, WithOptions};
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, EventInterface};
use fred::types::config::{Options, Server};
use fred::types::{ClusterHash, ConnectHandle, CustomCommand, Value};
use fred::util::redis_keyslot;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use super::connect::{COMMAND_TIMEOUT, RedisError};

/// A connection to Redis, shared by its clones.
#[derive(Clone, Debug)]
pub struct Client {
    live: Arc<Mutex<Live>>,
}

impl Client {
    /// Starts the connection's task.
    pub(super) fn start(client: FredClient) -> Self {
        let live = Arc::new(Mutex::new(Live::start(client, 0)));
        Self { live }
    }

    /// Asks for a sign of life.
    pub async fn ping(&self) -> Result<(), RedisError> {
        self.ask(Call::anywhere("PING", vec![])).await.map(drop)
    }

    /// Returns as soon as Redis answers or refuses, at the latest after `deadline`.
    pub async fn wait_until_reachable(&self, deadline: Duration) -> Result<(), RedisError> {
        let mut last = RedisError::Unanswered("no answer yet".to_owned());
        let answered = async {
            loop {
                match self.ping().await {
                    Err(error @ RedisError::Unanswered(_)) => last = error,
                    decided => return decided,
                }
                tokio::time::sleep(REACHABLE_POLL).await;
            }
        };
        let decided = tokio::time::timeout(deadline, answered).await;
        decided.unwrap_or(Err(last))
    }

    /// The server's `maxmemory-policy`. With any but `noeviction` it may drop a checkpoint.
    pub async fn policy(&self) -> Result<String, RedisError> {
        // INFO rather than CONFIG GET, which managed servers forbid.
        let call = Call::anywhere("INFO", vec![Value::from("memory")]);
        let info = self.ask(call).await?.into_string().unwrap_or_default();
        info.lines()
            .find_map(|line| line.strip_prefix("maxmemory_policy:"))
            .map(|policy| policy.trim().to_owned())
            .ok_or_else(|| RedisError::Unanswered("no maxmemory_policy in INFO".to_owned()))
    }

    /// Whether it is a Redis Cluster, where keys lie in slots.
    pub(super) fn is_clustered(&self) -> bool {
        self.lock().client.is_clustered()
    }

    async fn ask(&self, call: Call) -> Result<Value, RedisError> {
        match self.send(vec![call]).await.pop() {
            Some(answer) => answer.map_err(|error| RedisError::said(error.to_string())),
            None => Err(RedisError::Unanswered("no answer".to_owned())),
        }
    }

    /// Sends commands in one round trip; an answer for each, in order. Answers within
    /// [`COMMAND_TIMEOUT`]; at once where there is no connection.
    pub(super) async fn send(&self, calls: Vec<Call>) -> Vec<Result<Value, SendError>> {
        let count = calls.len();
        let (client, generation) = self.lock().usable();
        let answers = exchange(&client, calls).await;
        let stuck = answers.iter().any(asks_for_a_new_connection);
        let mut live = self.lock();
        if answers.iter().any(Result::is_ok) {
            live.forget();
        }
        let explained =
            answers.into_iter().map(|answer| answer.map_err(|error| live.explain(&error)));
        let mut answers: Vec<_> = explained.collect();
        // Others may have seen the same and renewed it already.
        if stuck && live.generation == generation {
            live.renew();
        }
        // A pipeline that failed as a whole says so once.
        let missing = match answers.last() {
            Some(Err(error)) => error.clone(),
            _ => SendError::unexpected(&Value::Null),
        };
        answers.resize(count, Err(missing));
        answers
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One command.
#[derive(Clone, Debug)]
pub(super) struct Call {
    command: CustomCommand,
    args: Vec<Value>,
}

impl Call {
    /// A command whose first key is the argument at `key_at`.
    pub(super) fn keyed(name: &'static str, key_at: usize, args: Vec<Value>) -> Self {
        // The slot itself: of a custom command the driver minds no other way to tell it.
        let key = args.get(key_at).and_then(Value::as_bytes).unwrap_or_default();
        let slot = ClusterHash::Custom(redis_keyslot(key));
        Self { command: CustomCommand::new_static(name, slot, false), args }
    }

    /// A command that any node can answer.
    pub(super) fn anywhere(name: &'static str, args: Vec<Value>) -> Self {
        let command = CustomCommand::new_static(name, ClusterHash::Random, false);
        Self { command, args }
    }
}

/// Why one command has no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct SendError {
    text: String,
    /// The connection failed, so that what follows will fail too; not Redis refusing this one.
    pub(super) disconnected: bool,
}

impl SendError {
    /// An answer that was not understood.
    pub(super) fn unexpected(answer: &Value) -> Self {
        let text = format!("unexpected answer of type {}", answer.kind());
        Self { text, disconnected: false }
    }

    /// Whether Redis said this word. Inside scripts some versions wrap their errors, so the word
    /// may stand anywhere.
    pub(super) fn says(&self, word: &str) -> bool {
        self.text.contains(word)
    }
}

/// The connection of the moment.
struct Live {
    client: FredClient,
    task: ConnectHandle,
    errors: broadcast::Receiver<(Error, Option<Server>)>,
    said: Option<String>,
    generation: u64,
}

impl Live {
    fn start(client: FredClient, generation: u64) -> Self {
        let errors = client.error_rx();
        let task = client.connect();
        Self { client, task, errors, said: None, generation }
    }

    fn usable(&mut self) -> (WithOptions<FredClient>, u64) {
        if self.task.is_finished() {
            self.renew();
        }
        let options = Options {
            max_attempts: Some(1),
            timeout: Some(COMMAND_TIMEOUT),
            fail_fast: true,
            ..Options::default()
        };
        (self.client.with_options(&options), self.generation)
    }

    fn renew(&mut self) {
        tracing::warn!(
            cause = self.said(),
            action = "check Redis and the network to it, where this repeats",
            "redis connection is made anew: what was not answered is sent again"
        );
        *self = Self::start(self.client.clone_new(), self.generation.saturating_add(1));
    }

    /// The error; without a connection what the attempts to connect said last, which is the cause
    /// one looks for.
    fn explain(&mut self, error: &Error) -> SendError {
        if error.details().contains(REDIRECTED) {
            let text = "its slot of the cluster moves to another node".to_owned();
            return SendError { text, disconnected: false };
        }
        let disconnected = is_disconnect(error.kind());
        let text = match (disconnected, self.said()) {
            (true, Some(said)) => said.to_owned(),
            _ => error.to_string(),
        };
        SendError { text, disconnected }
    }

    /// It works again: what was said before is no cause any more.
    fn forget(&mut self) {
        self.said();
        self.said = None;
    }

    fn said(&mut self) -> Option<&str> {
        loop {
            match self.errors.try_recv() {
                Ok((error, _)) => self.said = Some(error.to_string()),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return self.said.as_deref(),
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("generation", &self.generation).finish_non_exhaustive()
    }
}

async fn exchange(client: &WithOptions<FredClient>, calls: Vec<Call>) -> Vec<Result<Value, Error>> {
    let pipeline = Pipeline::from(client.clone());
    for Call { command, args } in calls {
        // Inside a pipeline this only queues.
        if let Err(error) = pipeline.custom::<Value, Value>(command, args).await {
            return vec![Err(error)];
        }
    }
    // A command waiting behind the pipeline keeps it from being flushed command by command.
    let (answers, _) = tokio::join!(pipeline.try_all::<Value>(), client.ping::<Value>(None));
    answers
}

/// A time-out here is a connection that its own checks, which are quicker, did not recover.
fn asks_for_a_new_connection(answer: &Result<Value, Error>) -> bool {
    matches!(answer, Err(error)
        if *error.kind() == ErrorKind::Timeout || error.details().contains("READONLY"))
}

fn is_disconnect(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::IO
            | ErrorKind::Timeout
            | ErrorKind::Canceled
            | ErrorKind::Routing
            | ErrorKind::Protocol
            | ErrorKind::Sentinel
            | ErrorKind::Tls
    )
}

/// What the driver says of a command that a node of a cluster sent elsewhere.
const REDIRECTED: &str = "Too many redirections";

/// How often `wait_until_reachable` asks: small beside a start, and without a connection free.
const REACHABLE_POLL: Duration = Duration::from_millis(20);
