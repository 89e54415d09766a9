//! A checkpoint in memory, with the same fence and chain as the real one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::domain::time::Second;
use crate::domain::token::ShardId;
use crate::ports::{Checkpoint, CheckpointError, Flush, FlushBody, Page, Verdict};

/// What outlives an owner: all shards' changelogs.
#[derive(Debug, Default)]
pub struct LocalStore {
    remembers: bool,
    changelogs: Mutex<BTreeMap<ShardId, Changelog>>,
}

/// One owner's access to a [`LocalStore`].
#[derive(Debug)]
pub struct LocalCheckpoint {
    store: Arc<LocalStore>,
    owner: u64,
}

#[derive(Clone, Debug, Default)]
struct Changelog {
    owner: u64,
    sequence: u64,
    /// Each entry's newest second with its blob.
    entries: Vec<(Second, Bytes)>,
    /// What stood here before the last write.
    before: Option<Box<Changelog>>,
}

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

    /// Takes each changelog's last write back, as a fail-over that loses acknowledged writes.
    pub fn lose_last_writes(&self) {
        self.lock().retain(|_, changelog| match changelog.before.take() {
            Some(before) => {
                *changelog = Changelog { owner: changelog.owner, ..*before };
                true
            }
            None => false,
        });
    }

    /// How many shards have an entry.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.lock().values().filter(|changelog| !changelog.entries.is_empty()).count()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ShardId, Changelog>> {
        self.changelogs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changelog {
    fn alone(mut self) -> Box<Self> {
        self.before = None;
        Box::new(self)
    }

    fn remember(&mut self) {
        self.before = None;
        self.before = Some(Box::new(self.clone()));
    }
}

impl LocalCheckpoint {
    /// The access of an owner, whose number is its fencing token: no two may share one.
    #[must_use]
    pub const fn new(store: Arc<LocalStore>, owner: u64) -> Self {
        Self { store, owner }
    }

    fn apply(&self, flush: &Flush) -> Verdict {
        let mut changelogs = self.store.lock();
        let changelog = changelogs.get_mut(&flush.shard);
        match (&flush.body, changelog) {
            (_, Some(changelog)) if changelog.owner != self.owner => Verdict::Fenced,
            (_, Some(changelog)) if changelog.sequence == flush.sequence => Verdict::Duplicate,
            (FlushBody::Append(_), None) => Verdict::Lost,
            (FlushBody::Append(_), Some(changelog)) if changelog.sequence != flush.previous => {
                Verdict::Gap
            }
            (FlushBody::Append(blob), Some(changelog)) => {
                if self.store.remembers {
                    changelog.remember();
                }
                // As a stream's ids: never below the one before.
                let last = changelog.entries.last().map_or(flush.newest, |(newest, _)| *newest);
                changelog.entries.push((flush.newest.max(last), blob.clone()));
                changelog.entries.retain(|(newest, _)| *newest > flush.trim);
                changelog.sequence = flush.sequence;
                Verdict::Ok
            }
            (FlushBody::Snapshot(parts), _) => {
                let entries = parts.iter().map(|part| (flush.newest, part.clone())).collect();
                let (owner, sequence) = (self.owner, flush.sequence);
                let before = changelogs.remove(&flush.shard).map(Changelog::alone);
                let changelog = Changelog { owner, sequence, entries, before };
                changelogs.insert(flush.shard, changelog);
                Verdict::Ok
            }
        }
    }
}

impl Checkpoint for LocalCheckpoint {
    async fn claim(&self, shard: ShardId) -> Result<u64, CheckpointError> {
        let mut changelogs = self.store.lock();
        let changelog = changelogs.entry(shard).or_default();
        changelog.owner = self.owner;
        Ok(changelog.sequence)
    }

    async fn load(&self, shard: ShardId, _: Option<String>) -> Result<Page, CheckpointError> {
        let changelogs = self.store.lock();
        let entries = changelogs.get(&shard).map_or(&[][..], |changelog| &changelog.entries);
        let blobs = entries.iter().map(|(_, blob)| blob.clone()).collect();
        Ok(Page { blobs, cursor: None })
    }

    async fn flush(&self, flushes: &[Flush]) -> Vec<Result<Verdict, CheckpointError>> {
        flushes.iter().map(|flush| Ok(self.apply(flush))).collect()
    }
}
