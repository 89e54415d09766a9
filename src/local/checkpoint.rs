//! A checkpoint in memory. Each shard has what it has in Redis: a meta, which says who owns the
//! shard and where its changelog ends, and the log of entries. Claim, append and replace decide as
//! the scripts of `redis` do; either part can be lost without the other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::domain::time::Second;
use crate::domain::token::ShardId;
use crate::ports::{Checkpoint, CheckpointError, Flush, FlushBody, Page, Verdict};

/// What outlives an owner: all shards' changelogs.
#[derive(Debug, Default)]
pub struct LocalStore {
    remembers: bool,
    shards: Mutex<BTreeMap<ShardId, Keys>>,
}

/// One owner's access to a [`LocalStore`].
#[derive(Debug)]
pub struct LocalCheckpoint {
    store: Arc<LocalStore>,
    owner: u64,
    tries: AtomicU64,
}

#[derive(Clone, Debug, Default)]
struct Keys {
    meta: Option<Meta>,
    /// Ids with blobs, in order.
    log: Vec<(Id, Bytes)>,
    /// What stood here before the last write.
    before: Option<Box<Keys>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Meta {
    owner: Writer,
    /// The owner before the last claim.
    owner_before: Writer,
    sequence: u64,
    last: Id,
    /// Who has written the last entry.
    writer: Writer,
    /// Sequence number of the last snapshot.
    snapshot: u64,
    /// The newest try of a snapshot that was applied.
    tried: u64,
}

/// An owner, and its time with the shard.
type Writer = (u64, u64);

/// The newest second of an entry, and a number that tells those of one second apart.
type Id = (Second, u64);

impl LocalStore {
    /// A store that can take its last writes back: it keeps a copy for that.
    #[must_use]
    pub fn remembering() -> Self {
        Self { remembers: true, ..Self::default() }
    }

    /// Forgets everything, as a server that comes back empty.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Takes each changelog's last write back, as a fail-over that loses acknowledged writes; and
    /// the last claim, too, if that is lost with it.
    pub fn lose_last_writes(&self, claims: bool) {
        for keys in self.lock().values_mut() {
            let owners = keys.meta.map(|meta| (meta.owner, meta.owner_before));
            if let Some(before) = keys.before.take() {
                *keys = *before;
            }
            if let (Some(meta), Some((owner, owner_before))) = (&mut keys.meta, owners) {
                meta.owner = if claims { owner_before } else { owner };
            }
        }
    }

    /// Drops a shard's meta, as a server does that evicts keys.
    pub fn evict_meta(&self, shard: ShardId) {
        self.lock().entry(shard).or_default().meta = None;
    }

    /// Drops a shard's log, as a server does that evicts keys.
    pub fn evict_log(&self, shard: ShardId) {
        self.lock().entry(shard).or_default().log.clear();
    }

    /// The entries of a shard, oldest first, if its changelog is whole and not empty.
    #[must_use]
    pub fn changelog(&self, shard: ShardId) -> Option<Vec<Bytes>> {
        self.lock().get(&shard).and_then(Keys::whole)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ShardId, Keys>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meta {
    /// Whether the shard is another's, or the owner's own of a later time with it.
    const fn fences(&self, (owner, tenure): Writer) -> bool {
        self.owner.0 != owner || self.owner.1 > tenure
    }
}

impl Keys {
    fn whole(&self) -> Option<Vec<Bytes>> {
        let (last, _) = self.log.last()?;
        let whole = self.meta.is_some_and(|meta| meta.last == *last);
        whole.then(|| self.log.iter().map(|(_, blob)| blob.clone()).collect())
    }

    fn append(&mut self, writer: Writer, flush: &Flush, blob: &Bytes) -> Verdict {
        let last = self.log.last().map(|(id, _)| *id);
        let meta = match &mut self.meta {
            None => return Verdict::Lost,
            Some(meta) if meta.fences(writer) => return Verdict::Fenced,
            // Where a claim was lost with what came after it, the same number may be another's.
            Some(meta) if meta.sequence == flush.sequence && meta.writer == writer => {
                return Verdict::Duplicate;
            }
            Some(meta) if meta.sequence != flush.previous => return Verdict::Gap,
            Some(meta) if meta.sequence != 0 && last.is_none() => return Verdict::Lost,
            Some(meta) if last.unwrap_or_default() != meta.last => return Verdict::Gap,
            Some(meta) => meta,
        };
        let (second, number) = meta.last;
        let id = if flush.newest > second { (flush.newest, 1) } else { (second, number + 1) };
        meta.sequence = flush.sequence;
        meta.last = id;
        meta.writer = writer;
        self.log.push((id, blob.clone()));
        // The last entry stays even when it has expired: the chain is checked against it.
        self.log.retain(|entry| entry.0.0 > flush.trim || entry.0 == id);
        Verdict::Ok
    }

    fn replace(
        &mut self,
        writer: Writer,
        flush: &Flush,
        parts: &[Bytes],
        number: u64,
    ) -> Result<Verdict, &'static str> {
        let anew = Meta { owner: writer, owner_before: writer, ..Meta::default() };
        let meta = self.meta.unwrap_or(anew);
        if meta.fences(writer) {
            return Ok(Verdict::Fenced);
        }
        let written = meta.sequence == flush.sequence && meta.writer == writer;
        if written && meta.snapshot == flush.sequence {
            return Ok(Verdict::Duplicate);
        }
        if meta.tried >= number {
            return Err("a later try was applied");
        }
        self.log = (1..).map(|at| (flush.newest, at)).zip(parts.iter().cloned()).collect();
        self.meta = Some(Meta {
            sequence: flush.sequence,
            last: self.log.last().map_or((flush.newest, 0), |(id, _)| *id),
            writer,
            snapshot: flush.sequence,
            tried: number,
            ..meta
        });
        Ok(Verdict::Ok)
    }
}

impl LocalCheckpoint {
    /// The access of an owner, whose number is its fencing token: no two may share one.
    #[must_use]
    pub const fn new(store: Arc<LocalStore>, owner: u64) -> Self {
        Self { store, owner, tries: AtomicU64::new(1) }
    }

    /// The number of the next sending.
    #[must_use]
    pub fn next_try(&self) -> u64 {
        self.tries.fetch_add(1, Relaxed)
    }

    /// What one flush does when it arrives; `number` is that of its sending.
    ///
    /// # Errors
    /// A later sending of a snapshot has arrived before.
    pub fn apply(&self, flush: &Flush, number: u64) -> Result<Verdict, CheckpointError> {
        let mut shards = self.store.lock();
        let keys = shards.entry(flush.shard).or_default();
        let before = Keys { meta: keys.meta, log: Vec::new(), before: None };
        let before = self.store.remembers.then(|| Keys { log: keys.log.clone(), ..before });
        let writer = (self.owner, flush.tenure);
        let said = match &flush.body {
            FlushBody::Append(blob) => Ok(keys.append(writer, flush, blob)),
            FlushBody::Snapshot(parts) => keys.replace(writer, flush, parts, number),
        };
        if said == Ok(Verdict::Ok) {
            keys.before = before.map(Box::new);
        }
        let cause = |cause: &str| CheckpointError::Unreachable {
            shard: flush.shard,
            cause: cause.to_owned(),
        };
        said.map_err(cause)
    }

    /// The whole changelog, where this owner has it, if one is asked for.
    fn page(&self, shard: ShardId, owner: Option<u64>) -> Result<Page, CheckpointError> {
        let damaged = |cause: &str| CheckpointError::Damaged { shard, cause: cause.to_owned() };
        let shards = self.store.lock();
        let keys = shards.get(&shard).ok_or_else(|| damaged("the claim is gone"))?;
        let blobs = match keys.meta {
            Some(meta) if owner.is_some_and(|owner| meta.owner.0 != owner) => {
                Err(damaged("the claim is gone"))
            }
            None => Err(damaged("the claim is gone")),
            Some(meta) if meta.sequence == 0 => Ok(Vec::new()),
            Some(_) => keys.whole().ok_or_else(|| damaged("its last entry is missing")),
        };
        Ok(Page { blobs: blobs?, cursor: None })
    }
}

impl Checkpoint for LocalCheckpoint {
    async fn claim(&self, shard: ShardId, tenure: u64) -> Result<u64, CheckpointError> {
        let mut shards = self.store.lock();
        let meta = shards.entry(shard).or_default().meta.get_or_insert_default();
        if meta.owner.0 == self.owner {
            // A claim that was given up may arrive after the next one.
            meta.owner.1 = meta.owner.1.max(tenure);
        } else {
            meta.owner_before = std::mem::replace(&mut meta.owner, (self.owner, tenure));
            meta.tried = 0;
        }
        Ok(meta.sequence)
    }

    async fn load(&self, shard: ShardId, _: Option<String>) -> Result<Page, CheckpointError> {
        self.page(shard, Some(self.owner))
    }

    async fn peek(&self, shard: ShardId, _: Option<String>) -> Result<Page, CheckpointError> {
        self.page(shard, None)
    }

    async fn newest(&self, shards: &[ShardId]) -> Result<Vec<Option<Bytes>>, CheckpointError> {
        let store = self.store.lock();
        let last = |shard| store.get(shard)?.log.last().map(|(_, blob): &(Id, Bytes)| blob.clone());
        Ok(shards.iter().map(last).collect())
    }

    async fn flush(&self, flushes: &[Flush]) -> Vec<Result<Verdict, CheckpointError>> {
        let number = self.next_try();
        flushes.iter().map(|flush| self.apply(flush, number)).collect()
    }
}
