//! What the pipeline needs of the world: a log to read, a place to produce to, a checkpoint.
//! Each has two implementations today: the real one (`kafka`, `redis`) and the in-process one
//! (`local`), over which `demo`, `replay` and the simulation run the very same pipeline.

pub mod group;
pub mod market;
pub mod records;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::future::Future;
use std::ops::Range;

use bytes::Bytes;

use crate::domain::position::{Offset, Partition};
use crate::domain::time::{Second, WallMs};
use crate::domain::token::ShardId;

pub use market::{Listing, Market, NotAnswered, Of, Part, Places, Row, Wished};
pub use records::{Record, RecordView, Records};

/// The input topic, read partition by partition.
pub trait TradeLog: Send + Sync + 'static {
    /// Every partition of the topic with its first offset and its end (the last stable offset:
    /// nothing beyond it can be read yet). Asks the brokers each time.
    fn partitions(&self) -> impl Future<Output = Result<Vec<PartitionRange>, LogError>> + Send;

    /// The first offset whose record timestamp is not before `at`; the end if there is none.
    fn offset_at(
        &self,
        partition: Partition,
        at: WallMs,
    ) -> impl Future<Output = Result<Offset, LogError>> + Send;

    /// What stands at `from`. Waits up to about a second for something new, then answers empty.
    /// Cancel-safe.
    fn fetch(
        &self,
        partition: Partition,
        from: Offset,
    ) -> impl Future<Output = Result<Fetched, LogError>> + Send;
}

/// A partition's readable offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionRange {
    /// Which.
    pub partition: Partition,
    /// The oldest offset that still stands there.
    pub first: Offset,
    /// One past the newest that can be read.
    pub end: Offset,
}

/// The answer to a fetch.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Records in offset order, all at or above the offset asked for.
    pub records: Records,
    /// Ranges inside `from..next` that nobody could decode; their records are lost to us and are
    /// dead-lettered by position. Transaction markers are not among them.
    pub unreadable: Vec<Range<Offset>>,
    /// Where to fetch next: everything below is in `records`, `unreadable`, or was never a
    /// record (compacted away, aborted, a marker). Equal to `from` when there was nothing.
    pub next: Offset,
    /// The partition's end as known now, for lag.
    pub end: Offset,
}

/// Why the log did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// The offset asked for does not stand in the log (any more, or yet).
    #[error("offset {asked} of partition {partition} is out of range {first}..{end}")]
    OutOfRange {
        /// Partition asked.
        partition: Partition,
        /// Offset asked for.
        asked: Offset,
        /// The oldest that stands there.
        first: Offset,
        /// One past the newest.
        end: Offset,
    },
    /// Broker away, leader moving, time-out: try again.
    #[error("{} cannot be read: {cause}", place(topic, *partition))]
    Unavailable {
        /// The topic.
        topic: String,
        /// The partition, where it concerns one.
        partition: Option<Partition>,
        /// What was said.
        cause: String,
    },
}

fn place(topic: &str, partition: Option<Partition>) -> String {
    partition.map_or_else(|| topic.to_owned(), |at| format!("partition {at} of {topic}"))
}

/// The topics that the service writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// `AGGREGATE_TOPIC`.
    Aggregates,
    /// `DLQ_TOPIC`.
    DeadLetters,
}

/// Where messages go. One call is one batch; it returns when the brokers have acknowledged it.
pub trait Producer: Send + Sync + 'static {
    /// How many partitions the target has; known since the start, refreshed when a produce found
    /// otherwise. At least 1.
    fn partition_count(&self, target: Target) -> u32;

    /// Appends `messages` to one partition, in order. On an error some of them may have been
    /// appended all the same.
    fn produce(
        &self,
        target: Target,
        partition: Partition,
        messages: &[Message],
    ) -> impl Future<Output = Result<(), ProduceError>> + Send;
}

/// One message to produce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
    /// Headers that it has in common with others: in front of its own.
    pub common: Option<&'static Common>,
    /// Its own headers.
    pub headers: Vec<Header>,
    /// Its timestamp.
    pub timestamp: WallMs,
}

/// Headers that messages have in common: no message has to hold them.
#[derive(Debug, PartialEq, Eq)]
pub struct Common {
    /// Names and values.
    pub fixed: [(&'static str, &'static str); 2],
    /// Name of the one behind them, whose value is the message's key.
    pub key: &'static str,
}

impl Message {
    /// All its headers, in order.
    pub fn all_headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let key = self.key.as_deref().unwrap_or_default();
        let common = self.common.map(|Common { fixed, key: name }| {
            let fixed = fixed.iter().map(|(name, value)| (*name, value.as_bytes()));
            fixed.chain([(*name, key)])
        });
        let own = self.headers.iter().map(|(name, value)| (&**name, &**value));
        common.into_iter().flatten().chain(own)
    }
}

/// A header of a message: name and value.
pub type Header = (Cow<'static, str>, Bytes);

/// Why a batch was not acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProduceError {
    /// The broker refuses a batch of this size: sending it again will not help.
    #[error("a batch for {topic} is larger than its brokers take: {cause}")]
    TooLarge {
        /// The topic.
        topic: String,
        /// What was said.
        cause: String,
    },
    /// Broker away, leader moving, time-out: send it again.
    #[error("partition {partition} of {topic} cannot be written: {cause}")]
    Unavailable {
        /// The topic.
        topic: String,
        /// The partition.
        partition: Partition,
        /// What was said.
        cause: String,
    },
}

/// The checkpoint: per shard a changelog of entries, fenced by owner and chained by sequence.
/// The owner is this process; its fencing token is the implementation's matter.
pub trait Checkpoint: Send + Sync + 'static {
    /// Takes the shard over: from now on every other owner is fenced, and so is what this process
    /// wrote in an earlier `tenure`, of a lower number, which may still be on its way. Answers the
    /// sequence number of the last entry, 0 where there is no checkpoint.
    fn claim(
        &self,
        shard: ShardId,
        tenure: u64,
    ) -> impl Future<Output = Result<u64, CheckpointError>> + Send;

    /// The entries after `cursor` (`None`: from the start), in order, some megabytes at a time.
    fn load(
        &self,
        shard: ShardId,
        cursor: Option<String>,
    ) -> impl Future<Output = Result<Page, CheckpointError>> + Send;

    /// As [`load`](Self::load), of a shard that another owner may have and write on. What was put
    /// in place of its changelog between two pages is never taken for the rest of it.
    fn peek(
        &self,
        shard: ShardId,
        cursor: Option<String>,
    ) -> impl Future<Output = Result<Page, CheckpointError>> + Send;

    /// The newest entry's blob of each of these shards, whoever owns them; `None` where there is
    /// none.
    fn newest(
        &self,
        shards: &[ShardId],
    ) -> impl Future<Output = Result<Vec<Option<Bytes>>, CheckpointError>> + Send;

    /// Writes one flush for each of several shards in one round trip; an answer for each, in
    /// order. An error leaves it open whether the flush took effect: send the same one again.
    fn flush(
        &self,
        flushes: &[Flush],
    ) -> impl Future<Output = Vec<Result<Verdict, CheckpointError>>> + Send;
}

/// A page of a shard's changelog.
#[derive(Debug, Default)]
pub struct Page {
    /// The entries' blobs, oldest first.
    pub blobs: Vec<Bytes>,
    /// Where the next page begins; `None` after the last.
    pub cursor: Option<String>,
}

/// One write to a shard's changelog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flush {
    /// The shard.
    pub shard: ShardId,
    /// Which of this process' times with the shard it belongs to, as the shard was claimed. Of one
    /// sequence number, only a flush of the same time is the same flush.
    pub tenure: u64,
    /// Sequence number of the entry before; 0: none.
    pub previous: u64,
    /// Sequence number of this one: `previous + 1`.
    pub sequence: u64,
    /// What to write.
    pub body: FlushBody,
    /// The newest pane's second in it: entries are trimmed by it.
    pub newest: Second,
    /// Entries whose newest pane is not after this second may go.
    pub trim: Second,
}

/// A change, or everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlushBody {
    /// One entry, appended to the changelog.
    Append(Bytes),
    /// The shard's whole state in parts: replaces the changelog, after `Gap` or `Lost`.
    Snapshot(Vec<Bytes>),
}

/// What the checkpoint says of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Applied.
    Ok,
    /// It had been applied already: this was a second sending.
    Duplicate,
    /// Another owner has the shard.
    Fenced,
    /// The checkpoint lost entries that it had acknowledged.
    Gap,
    /// The checkpoint lost the shard altogether.
    Lost,
}

/// Why the checkpoint did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Away, full, too slow, failing over: try the same call again.
    #[error("the checkpoint of shard {} cannot be reached: {cause}", shard.0)]
    Unreachable {
        /// The shard.
        shard: ShardId,
        /// What was said.
        cause: String,
    },
    /// The changelog is not whole, or was taken by another owner while it was loaded: drop what
    /// was loaded of it, rebuild the shard from the log, then write a snapshot.
    #[error("the checkpoint of shard {} is not whole: {cause}", shard.0)]
    Damaged {
        /// The shard.
        shard: ShardId,
        /// What is missing.
        cause: String,
    },
    /// A newer version of this program wrote it. Nothing was claimed.
    #[error("the checkpoint of shard {} has format {found}, newer than {known}", shard.0)]
    NewerFormat {
        /// The shard.
        shard: ShardId,
        /// Its format.
        found: u32,
        /// The newest format that this program knows.
        known: u32,
    },
    /// The tokens are spread over another number of shards there. Nothing was claimed.
    #[error("the checkpoint is spread over {found} shards, and SHARDS is {configured}")]
    OtherShards {
        /// How many they are.
        found: String,
        /// How many they should be.
        configured: u16,
    },
}

impl CheckpointError {
    /// Whether asking again cannot help.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::NewerFormat { .. } | Self::OtherShards { .. })
    }
}

/// Whose aggregates are to be published between ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Every active token's.
    All,
    /// These tokens'.
    Tokens(BTreeSet<String>),
}

/// What was published, and has been acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// How many messages.
    pub published: usize,
    /// Tokens that were wanted and are not active.
    pub unknown: Vec<String>,
    /// Shards with something that was wanted, which are not here: of them nothing was published.
    pub missing: BTreeSet<ShardId>,
}

/// Why an order was not fulfilled, or is not known to be. Ordering the same again does no harm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotPublished(pub &'static str);

/// The query view: each token's last published message, for any program to read.
pub trait View: Send + Sync + 'static {
    /// Stores messages by token address.
    fn store(
        &self,
        entries: &[(Bytes, Bytes)],
    ) -> impl Future<Output = Result<(), ViewError>> + Send;
}

/// Why the view was not written. The next tick writes it anew.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the query view cannot be written: {0}")]
pub struct ViewError(pub String);

/// A clock: the one place where the present comes from.
pub trait Clock: Send + Sync + 'static {
    /// The present.
    fn now(&self) -> WallMs;
}
