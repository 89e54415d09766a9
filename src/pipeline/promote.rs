//! From following a shard to owning it. It goes on from memory, where three things are settled:
//!
//! - Its state is that of all trades below its own positions, as its owner's was, and it owes what
//!   its owner has not published for sure: the closings after the checkpoint's last tick.
//! - What was rejected between the checkpoint's positions and its own may never have been told: it
//!   is read again, and until that is on its way no position of the shard is written.
//! - The checkpoint lacks what was counted between the two: its first flush carries everything.

use std::ops::Range;

use super::recover::{Recovered, ahead};
use super::rewind::Until;
use crate::domain::position::{Offset, Partition};
use crate::domain::shard::Shard;
use crate::domain::time::{Second, WallMs};
use crate::domain::token::ShardId;
use crate::ports::{Checkpoint, CheckpointError, PartitionRange};
use crate::sabotage::Bug;
use crate::wire::checkpoint::{self, Entry};

/// A shard that was followed, as it goes on from the checkpoint's newest entry. `None` where there
/// is no such shard, or no such entry; where the shard's windows end later than that; or where it
/// was written by a clock that was ahead. It is claimed `now`; the longest window begins at
/// `oldest`.
pub(super) async fn promote<C: Checkpoint>(
    checkpoint: &C,
    id: ShardId,
    followed: &mut Option<Shard>,
    (now, oldest): (WallMs, Second),
) -> Result<Option<(Shard, Entry)>, CheckpointError> {
    if followed.is_none() {
        return Ok(None);
    }
    let newest = checkpoint.newest(&[id]).await?.pop().flatten();
    let newest = newest.and_then(|blob| checkpoint::decode(&blob, |_| ()).ok());
    let Some((mut shard, newest)) = followed.take().zip(newest) else { return Ok(None) };
    let early = Bug::FollowedClosesEarly.on();
    let published = if early { now.second() } else { newest.published };
    let goes_on = !ahead(newest.latest, now) && shard.follow(published);
    shard.advance(oldest);
    Ok(goes_on.then_some((shard, newest)))
}

/// What is to be read again of each partition for shards that were followed: from where the
/// checkpoint stands to where they do. A checkpoint beyond the end knew another log.
pub(super) fn unheard(
    recovered: &[Recovered],
    ranges: &[PartitionRange],
) -> Vec<(Partition, Offset, Until)> {
    let of_shard = |one: &Recovered, range: &PartitionRange| -> Option<Range<Offset>> {
        let told = one.unheard.as_ref()?.get(&range.partition).copied().unwrap_or_default();
        let from = if told > range.end { range.first } else { told.max(range.first) };
        Some(from..one.shard.next_offset(range.partition)).filter(|unheard| !unheard.is_empty())
    };
    let of_all = |range: &PartitionRange| {
        let all = || recovered.iter().filter_map(|one| of_shard(one, range));
        let (from, end) = (all().map(|one| one.start).min()?, all().map(|one| one.end).max()?);
        Some((range.partition, from, Until::Offset(end)))
    };
    ranges.iter().filter_map(of_all).collect()
}
