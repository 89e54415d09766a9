//! A log in memory: partitions of records, the oldest of which go when there are too many.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::domain::position::{Offset, Partition};
use crate::domain::time::WallMs;
use crate::ports::{Fetched, LogError, PartitionRange, Record, Records, TradeLog};

/// Records in one fetch.
const FETCH_RECORDS: usize = 1_000;

/// How long a fetch waits for something new.
const FETCH_WAIT: Duration = Duration::from_millis(500);

/// Partitions of records.
#[derive(Debug)]
pub struct LocalLog {
    partitions: Mutex<Vec<LocalPartition>>,
    keep: usize,
}

#[derive(Debug, Default)]
struct LocalPartition {
    first: i64,
    records: VecDeque<Record>,
    /// Told whenever something is appended, and when the log is made anew.
    changed: Arc<Notify>,
}

impl LocalLog {
    /// An empty log that keeps at most `keep` records a partition.
    #[must_use]
    pub fn new(partitions: usize, keep: usize) -> Self {
        let partitions = (0..partitions).map(|_| LocalPartition::default()).collect();
        Self { partitions: Mutex::new(partitions), keep }
    }

    /// Appends a record (its offset is set here); answers its offset. A partition that does not
    /// exist yet is added.
    pub fn append(&self, partition: Partition, mut record: Record) -> Offset {
        let mut partitions = self.lock();
        let at = usize::try_from(partition.0).unwrap_or(0);
        while partitions.len() <= at {
            partitions.push(LocalPartition::default());
        }
        let Some(log) = partitions.get_mut(at) else {
            return Offset(0);
        };
        record.offset = log.end();
        let offset = record.offset;
        log.records.push_back(record);
        while log.records.len() > self.keep {
            log.records.pop_front();
            log.first += 1;
        }
        log.changed.notify_waiters();
        offset
    }

    /// Removes the records of a partition below an offset, as retention does.
    pub fn truncate(&self, partition: Partition, below: Offset) {
        let mut partitions = self.lock();
        let log = usize::try_from(partition.0).ok().and_then(|at| partitions.get_mut(at));
        let Some(log) = log else { return };
        while log.first < below.0 && log.records.pop_front().is_some() {
            log.first += 1;
        }
    }

    /// The topic is deleted and made again: its partitions are empty and begin at `first`.
    pub fn remake(&self, first: Offset) {
        for log in self.lock().iter_mut() {
            log.first = first.0;
            log.records.clear();
            log.changed.notify_waiters();
        }
    }

    fn read(&self, partition: Partition, from: Offset) -> Result<Fetched, LogError> {
        let partitions = self.lock();
        let at = usize::try_from(partition.0).ok();
        let Some(log) = at.and_then(|at| partitions.get(at)) else {
            return Err(LogError::Unavailable {
                topic: "in process".to_owned(),
                partition: Some(partition),
                cause: "no such partition".to_owned(),
            });
        };
        let (first, end) = (Offset(log.first), log.end());
        if from < first || from > end {
            return Err(LogError::OutOfRange { partition, asked: from, first, end });
        }
        let skip = usize::try_from(from.0 - log.first).unwrap_or(usize::MAX);
        let records = log.records.iter().skip(skip).take(FETCH_RECORDS).cloned();
        let records: Records = records.collect();
        let next = records.last().map_or(from, |record| record.offset().next());
        Ok(Fetched { records, unreadable: Vec::new(), next, end })
    }

    fn changed(&self, partition: Partition) -> Arc<Notify> {
        let at = usize::try_from(partition.0).unwrap_or(usize::MAX);
        self.lock().get(at).map(|log| Arc::clone(&log.changed)).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<LocalPartition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocalPartition {
    fn end(&self) -> Offset {
        Offset(self.first + i64::try_from(self.records.len()).unwrap_or(0))
    }
}

impl TradeLog for LocalLog {
    async fn partitions(&self) -> Result<Vec<PartitionRange>, LogError> {
        let range = |(partition, log): (i32, &LocalPartition)| PartitionRange {
            partition: Partition(partition),
            first: Offset(log.first),
            end: log.end(),
        };
        Ok((0..).zip(self.lock().iter()).map(range).collect())
    }

    async fn offset_at(&self, partition: Partition, at: WallMs) -> Result<Offset, LogError> {
        let partitions = self.lock();
        let index = usize::try_from(partition.0).unwrap_or(usize::MAX);
        let Some(log) = partitions.get(index) else {
            return Ok(Offset(0));
        };
        let reached = |record: &&Record| record.timestamp.is_some_and(|stamp| stamp >= at);
        Ok(log.records.iter().find(reached).map_or(log.end(), |record| record.offset))
    }

    async fn fetch(&self, partition: Partition, from: Offset) -> Result<Fetched, LogError> {
        let changed = self.changed(partition);
        let changed = changed.notified();
        let fetched = self.read(partition, from)?;
        if fetched.next > from {
            return Ok(fetched);
        }
        // Whether it was appended to or the time is up: what stands there now is the answer.
        drop(tokio::time::timeout(FETCH_WAIT, changed).await);
        self.read(partition, from)
    }
}
