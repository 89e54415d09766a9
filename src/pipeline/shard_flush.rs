//! One shard's next flush: the one that is pending, everything, what changed, or none yet. A shard
//! that was followed waits until the dead letters before its positions are on their way, and then
//! for its turn: its first flush carries everything, and of one shard at a time.

use std::time::Duration;

use super::chain::Chain;
use super::engine::Engine;
use crate::domain::time::{Second, WallMs};
use crate::ports::{Flush, FlushBody};
use crate::sabotage::Bug;

/// A shard without trades is written this often all the same: positions move on, and a new owner
/// or a loss is noticed. Soon enough that a restart re-reads little, rare enough to cost nothing.
pub(super) const IDLE_INTERVAL: Duration = Duration::from_secs(5);

/// The flushing of one shard.
#[derive(Debug)]
pub(super) struct ShardFlush {
    pub(super) chain: Chain,
    /// It must be written whether or not it changed.
    pub(super) owed: bool,
    first: First,
}

/// What keeps a shard from its first write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// Dead letters from before its positions are not on their way yet.
    Letters,
    /// Others are written first.
    Turn,
    /// Nothing.
    Free,
}

/// What a flush says of its moment.
#[derive(Debug)]
pub(super) struct Moment {
    /// The last tick that was published of the shard.
    pub(super) published: Second,
    /// The latest that the clock has ever shown.
    pub(super) latest: WallMs,
    /// The longest window, in seconds.
    pub(super) longest: u32,
}

impl ShardFlush {
    pub(super) const fn new(chain: Chain, followed: bool) -> Self {
        let first = if followed { First::Letters } else { First::Free };
        Self { chain, owed: false, first }
    }

    /// The dead letters before its positions are on their way.
    pub(super) fn permit(&mut self) {
        if self.first == First::Letters {
            self.first = First::Turn;
        }
    }

    /// Whether the checkpoint does not have it yet as it came.
    pub(super) fn is_behind(&self) -> bool {
        self.first != First::Free
    }

    /// Whether it is written as soon as others are.
    pub(super) fn waits_its_turn(&self) -> bool {
        self.first == First::Turn
    }

    /// Whether all of it is on its way.
    pub(super) fn sends_everything(&self) -> bool {
        let pending = self.chain.pending();
        pending.is_some_and(|flush| matches!(flush.body, FlushBody::Snapshot(_)))
    }

    /// What is to be sent of the shard at a place; it may take the `turn`.
    pub(super) fn next(
        &mut self,
        at: usize,
        engine: &mut Engine,
        moment: &Moment,
        turn: &mut bool,
    ) -> Option<Flush> {
        match self.first {
            First::Letters if !Bug::FollowedLettersNotAwaited.on() => return None,
            First::Turn if !self.owed && !std::mem::take(turn) => return None,
            First::Letters | First::Turn | First::Free => self.first = First::Free,
        }
        let Moment { published, latest, longest } = *moment;
        let latest_second = latest.second_after();
        if Bug::MergedAfterUnknown.on() && self.chain.pending().is_some() {
            self.chain.drop_pending();
            let everything = engine.encode_everything(at, published, latest_second)?;
            return Some(self.chain.begin(everything, Second(i64::MIN)).clone());
        }
        if let Some(pending) = self.chain.pending() {
            return Some(pending.clone());
        }
        let kept = if Bug::TrimmedTooEarly.on() { 1 } else { longest };
        let trim = published.plus(-i64::from(kept));
        let idle = latest.since(self.chain.flushed_at()) >= IDLE_INTERVAL;
        let encoded = if self.chain.wants_everything() {
            engine.encode_everything(at, published, latest_second)?
        } else if self.owed || idle || engine.has_changes(at) {
            engine.encode_changes(at, published, latest_second)?
        } else {
            return None;
        };
        self.owed = false;
        Some(self.chain.begin(encoded, trim).clone())
    }
}
