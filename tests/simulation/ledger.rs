//! What each process was told at its start and later, and what follows from that: which records
//! each of its shards can never have counted, since they were gone before it came to read them.
//! Everything else it must count.
//!
//! A shard begins where its checkpoint ends. What retention took beyond that is lost; so is what
//! was lost to the process that wrote the checkpoint. Without a checkpoint it begins where the log
//! says that the longest window does.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::time::WallMs;
use aggregator_service::ports::PartitionRange;
use aggregator_service::wire::checkpoint::Entry;

use crate::world::{BASE, PARTITIONS};

/// Where a record stands, in a number that goes on rising when the topic is made anew. In a life
/// that happens at most once, and the first topic begins at [`BASE`].
pub(crate) fn key(partition: i32, offset: i64) -> i64 {
    let anew = partition < PARTITIONS && offset < BASE;
    if anew { offset + ANEW } else { offset }
}

/// A clock that was further ahead when a checkpoint was written is not waited for.
const CLOCK_WAIT: Duration = Duration::from_secs(60);

const ANEW: i64 = 1 << 40;

/// Ranges of keys, by partition.
pub(crate) type Lost = Vec<(i32, Range<i64>)>;

pub(crate) fn holds(lost: &Lost, partition: i32, offset: i64) -> bool {
    let key = key(partition, offset);
    lost.iter().any(|(at, range)| *at == partition && range.contains(&key))
}

/// What one process was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// Each partition's first offset and its end, when it first asked.
    pub(crate) ranges: Option<BTreeMap<i32, (i64, i64)>>,
    /// Where the longest window begins.
    begin: BTreeMap<i32, i64>,
    /// Where each shard began by that, in its last stay: older things are no matter of its owners.
    began: BTreeMap<u16, BTreeMap<i32, i64>>,
    /// Shards that have come together, and whether it was asked for them where the window begins.
    coming: (BTreeSet<u16>, bool),
    claimed_at: BTreeMap<u16, WallMs>,
    loaded: BTreeMap<u16, Base>,
    /// How often each shard was claimed.
    claims: BTreeMap<u16, u32>,
    /// What was lost to a shard when it was claimed anew, and where it began.
    before: BTreeMap<u16, (Lost, Option<BTreeMap<i32, i64>>)>,
    resets: Vec<Reset>,
    known: BTreeSet<i32>,
    /// Shards whose changelog it wrote anew: what had expired is not in there.
    rewrote: BTreeSet<u16>,
    /// What the clock showed when it was gone.
    gone_at: Option<WallMs>,
}

/// A shard's stay with a process, from one claim to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stay {
    process: usize,
    shard: u16,
    claims: u32,
}

/// What a shard was started from.
#[derive(Clone, Debug)]
enum Base {
    Nothing,
    Checkpoint {
        positions: BTreeMap<i32, i64>,
        /// What was lost to its writer.
        lost: Lost,
    },
    /// A checkpoint of a clock that was far ahead: only its positions say something, what lies
    /// before them has its dead letters.
    Ahead {
        positions: BTreeMap<i32, i64>,
    },
}

#[derive(Clone, Debug)]
struct Reset {
    partition: i32,
    asked: i64,
    first: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger(Vec<Told>);

impl Ledger {
    /// One more process; its number.
    pub(crate) fn open(&mut self) -> usize {
        self.0.push(Told::default());
        self.0.len() - 1
    }

    pub(crate) fn told(&self, process: usize) -> &Told {
        &self.0[process]
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn claimed(&mut self, process: usize, shard: u16, at: WallMs) {
        if self.0[process].loaded.contains_key(&shard) {
            let before = (self.lost(process, shard), self.0[process].began.get(&shard).cloned());
            self.0[process].before.insert(shard, before);
        }
        let told = &mut self.0[process];
        *told.claims.entry(shard).or_default() += 1;
        told.loaded.insert(shard, Base::Nothing);
        told.claimed_at.insert(shard, at);
        told.began.remove(&shard);
        let (coming, asked) = &mut told.coming;
        if std::mem::take(asked) {
            coming.clear();
        }
        coming.insert(shard);
    }

    /// When a process last claimed a shard.
    pub(crate) fn claimed_at(&self, process: usize, shard: u16) -> Option<i64> {
        self.0[process].claimed_at.get(&shard).map(|at| at.second().0)
    }

    /// The present stay of a shard with a process.
    pub(crate) fn stay(&self, process: usize, shard: u16) -> Stay {
        let claims = self.0[process].claims.get(&shard).copied().unwrap_or_default();
        Stay { process, shard, claims }
    }

    /// What was lost to a shard in a stay, and where it began. What the process has been told of a
    /// later stay says nothing of it.
    fn of(&self, stay: Stay) -> (Lost, Option<BTreeMap<i32, i64>>) {
        let Stay { process, shard, claims } = stay;
        match self.0[process].before.get(&shard) {
            Some(before) if claims < self.stay(process, shard).claims => before.clone(),
            _ => (self.lost(process, shard), self.0[process].began.get(&shard).cloned()),
        }
    }

    /// What a shard can never have counted in a stay.
    pub(crate) fn lost_in(&self, stay: Stay) -> Lost {
        self.of(stay).0
    }

    /// Whether a shard began behind this in a stay, without a checkpoint.
    pub(crate) fn began_behind_in(&self, stay: Stay, place: (i32, i64)) -> bool {
        is_behind(self.of(stay).1.as_ref(), place)
    }

    pub(crate) fn loaded(&mut self, process: usize, shard: u16, last: &Entry, writer: Stay) {
        let positions = last.positions.iter();
        let positions =
            positions.map(|(Partition(partition), Offset(next))| (*partition, *next)).collect();
        let (lost, began) = self.of(writer);
        let told = &mut self.0[process];
        told.coming.0.remove(&shard);
        told.began.extend(began.map(|began| (shard, began)));
        let now = told.claimed_at[&shard];
        let ahead = last.latest > now.plus(CLOCK_WAIT).second_after();
        let base =
            if ahead { Base::Ahead { positions } } else { Base::Checkpoint { positions, lost } };
        told.loaded.insert(shard, base);
    }

    pub(crate) fn ranges(&mut self, process: usize, ranges: &[PartitionRange]) {
        let told = &mut self.0[process];
        let first_time = told.ranges.is_none();
        for PartitionRange { partition: Partition(partition), first: Offset(first), .. } in ranges {
            if told.known.insert(*partition) && !first_time && *first > 0 {
                told.resets.push(Reset { partition: *partition, asked: 0, first: *first });
            }
        }
        told.ranges.get_or_insert_with(|| {
            let range = |range: &PartitionRange| (range.first.0, range.end.0);
            ranges.iter().map(|one| (one.partition.0, range(one))).collect()
        });
    }

    /// The last answer counts. A member of a group asks anew with every fresh shard that comes:
    /// there the first one does, for what lies between two answers is in no window any more.
    pub(crate) fn window_begins(&mut self, process: usize, partition: i32, at: i64, anew: bool) {
        let begin = self.0[process].begin.entry(partition).or_insert(at);
        if anew {
            *begin = at;
        }
        let Told { began, coming: (coming, asked), .. } = &mut self.0[process];
        *asked = true;
        for shard in coming.iter() {
            began.entry(*shard).or_default().insert(partition, at);
        }
    }

    /// Whether a shard began behind this without a checkpoint, here or with an earlier owner.
    pub(crate) fn began_behind(&self, process: usize, shard: u16, place: (i32, i64)) -> bool {
        is_behind(self.0[process].began.get(&shard), place)
    }

    pub(crate) fn out_of_range(&mut self, process: usize, partition: i32, asked: i64, first: i64) {
        self.0[process].resets.push(Reset { partition, asked, first });
    }

    pub(crate) fn gone(&mut self, process: usize, at: WallMs) {
        self.0[process].gone_at = Some(at);
    }

    pub(crate) fn rewrote(&mut self, process: usize, shard: u16) {
        self.0[process].rewrote.insert(shard);
    }

    /// Whether a process that was gone after a token had expired may have left no trace of its
    /// last trade: it counted it itself, or wrote the changelog anew, and let it expire.
    pub(crate) fn may_have_hidden(
        &self,
        process: usize,
        shard: u16,
        (partition, offset, _): (i32, i64, u32),
        expired: i64,
    ) -> bool {
        let Told { loaded, rewrote, gone_at, .. } = &self.0[process];
        let Some(Base::Checkpoint { positions, .. }) = loaded.get(&shard) else { return false };
        let next = key(partition, positions.get(&partition).copied().unwrap_or(0));
        let unwritten = next <= key(partition, offset) || rewrote.contains(&shard);
        unwritten && gone_at.is_some_and(|at| at.second().0 >= expired)
    }

    /// Whether the shard was started without a checkpoint.
    pub(crate) fn is_fresh(&self, process: usize, shard: u16) -> bool {
        !matches!(self.0[process].loaded.get(&shard), Some(Base::Checkpoint { .. }))
    }

    /// What a shard of a process can never have counted.
    pub(crate) fn lost(&self, process: usize, shard: u16) -> Lost {
        let told = &self.0[process];
        let none = BTreeMap::new();
        let ranges = told.ranges.as_ref().unwrap_or(&none);
        let mut starts = BTreeMap::new();
        let mut lost = Lost::new();
        match told.loaded.get(&shard) {
            None | Some(Base::Nothing) => {
                for (partition, begin) in &told.begin {
                    starts.insert(*partition, key(*partition, *begin));
                    lost.push((*partition, i64::MIN..key(*partition, *begin)));
                }
            }
            Some(Base::Ahead { positions }) => {
                for (partition, (first, _)) in ranges {
                    let key = |offset| key(*partition, offset);
                    let begin = told.begin.get(partition).map(|begin| key(*begin));
                    let handled = positions.get(partition).map(|next| key(*next));
                    let start =
                        begin.into_iter().chain(handled).min().unwrap_or(0).max(key(*first));
                    starts.insert(*partition, start);
                    lost.push((*partition, i64::MIN..start));
                }
            }
            Some(Base::Checkpoint { positions, lost: before }) => {
                let next = |partition: i32| {
                    key(partition, positions.get(&partition).copied().unwrap_or(0))
                };
                let until =
                    |(at, range): &(i32, Range<i64>)| (*at, range.start..range.end.min(next(*at)));
                lost.extend(before.iter().map(until));
                for (partition, (first, _)) in ranges {
                    let first = key(*partition, *first);
                    lost.push((*partition, next(*partition)..first));
                    starts.insert(*partition, first.max(next(*partition)));
                }
            }
        }
        for Reset { partition, asked, first } in &told.resets {
            let start = starts.get(partition).copied().unwrap_or(i64::MIN);
            let from = key(*partition, *asked).max(start);
            lost.push((*partition, from..key(*partition, *first)));
        }
        lost.retain(|(_, range)| !range.is_empty());
        lost
    }

    /// How many offsets a process must have counted as lost: those that retention took before any
    /// of its shards had them.
    pub(crate) fn lost_count(&self, process: usize, partition: i32) -> i64 {
        let told = &self.0[process];
        let between = |from: i64, to: i64| {
            let one_log = (key(partition, from) < ANEW) == (key(partition, to) < ANEW);
            if one_log { (to - from).max(0) } else { 0 }
        };
        let first = told.ranges.as_ref().and_then(|ranges| ranges.get(&partition));
        let at_start = told.loaded.values().filter_map(|base| match (base, first) {
            (Base::Checkpoint { positions, .. }, Some((first, _))) => {
                Some(between(positions.get(&partition).copied().unwrap_or(0), *first))
            }
            _ => None,
        });
        let resets = told.resets.iter().filter(|reset| reset.partition == partition);
        let resets: i64 = resets.map(|reset| between(reset.asked, reset.first)).sum();
        at_start.max().unwrap_or(0) + resets
    }
}

fn is_behind(began: Option<&BTreeMap<i32, i64>>, (partition, offset): (i32, i64)) -> bool {
    let began = began.and_then(|began| began.get(&partition));
    began.is_some_and(|began| key(partition, offset) < key(partition, *began))
}
