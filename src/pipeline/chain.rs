//! A shard's chain of flushes: each presents the sequence number that it continues from. One is in
//! flight at a time; after an error the very same one is sent again, since it may have taken
//! effect; newer panes go into the next. Pure.

use super::entries::Encoded;
use crate::domain::time::{Second, WallMs};
use crate::domain::token::ShardId;
use crate::ports::{Flush, FlushBody, Verdict};
use crate::sabotage::Bug;

/// What follows from a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The checkpoint has it.
    Done,
    /// The checkpoint lost something: everything must be written.
    Rewrite,
    /// Another owner has the shard: stop.
    Fenced,
}

/// The state of one shard's chain.
#[derive(Debug)]
pub struct Chain {
    shard: ShardId,
    tenure: u64,
    acknowledged: u64,
    pending: Option<Flush>,
    rewrite: bool,
    flushed_at: WallMs,
}

impl Chain {
    /// A chain that continues from `sequence`, read at `now`. `tenure` is not that of any other
    /// chain of the shard in this process.
    #[must_use]
    pub const fn new(shard: ShardId, tenure: u64, sequence: u64, now: WallMs) -> Self {
        Self {
            shard,
            tenure,
            acknowledged: sequence,
            pending: None,
            rewrite: false,
            flushed_at: now,
        }
    }

    /// The same chain, whose next flush carries everything.
    #[must_use]
    pub fn rewriting(self) -> Self {
        Self { rewrite: true, ..self }
    }

    /// Tells it from other chains of the shard in this process.
    #[must_use]
    pub const fn tenure(&self) -> u64 {
        self.tenure
    }

    /// The flush that must be sent again, if there is one.
    #[must_use]
    pub const fn pending(&self) -> Option<&Flush> {
        self.pending.as_ref()
    }

    /// Gives the pending flush up: only a deliberate bug does.
    pub(super) fn drop_pending(&mut self) {
        self.pending = None;
    }

    /// Whether the next flush has to carry the whole state.
    #[must_use]
    pub const fn wants_everything(&self) -> bool {
        self.rewrite
    }

    /// When a flush last took effect.
    #[must_use]
    pub const fn flushed_at(&self) -> WallMs {
        self.flushed_at
    }

    /// Makes the next flush. There must be none pending. It replaces what the checkpoint has if it
    /// [`wants_everything`](Self::wants_everything), or has more parts than one.
    pub fn begin(&mut self, encoded: Encoded, trim: Second) -> &Flush {
        debug_assert!(self.pending.is_none(), "one flush in flight per shard");
        let Encoded { body, newest } = encoded;
        let body = match body {
            FlushBody::Append(blob) if self.rewrite => FlushBody::Snapshot(vec![blob]),
            FlushBody::Snapshot(mut parts) if !self.rewrite && parts.len() == 1 => {
                parts.pop().map_or(FlushBody::Snapshot(parts), FlushBody::Append)
            }
            body @ (FlushBody::Append(_) | FlushBody::Snapshot(_)) => body,
        };
        let previous = self.acknowledged;
        let sequence = previous + 1;
        let Self { shard, tenure, .. } = *self;
        let flush = Flush { shard, tenure, previous, sequence, body, newest, trim };
        self.pending.insert(flush)
    }

    /// Takes in what the checkpoint said of the pending flush.
    pub fn settle(&mut self, verdict: Verdict, now: WallMs) -> Step {
        let taken_for_ok = (verdict == Verdict::Fenced && Bug::FenceSkipped.on())
            || (verdict == Verdict::Gap && Bug::GapIgnored.on())
            || (verdict == Verdict::Lost && Bug::LostIgnored.on());
        match verdict {
            _ if taken_for_ok => self.settle(Verdict::Ok, now),
            Verdict::Ok | Verdict::Duplicate => {
                if let Some(flush) = self.pending.take() {
                    self.acknowledged = flush.sequence;
                }
                self.rewrite = false;
                self.flushed_at = now;
                Step::Done
            }
            Verdict::Gap | Verdict::Lost => {
                self.pending = None;
                self.rewrite = true;
                Step::Rewrite
            }
            Verdict::Fenced => Step::Fenced,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn chain() -> Chain {
        Chain::new(ShardId(7), 1, 4, WallMs(0))
    }

    fn encoded(parts: &[Bytes]) -> Encoded {
        Encoded { body: FlushBody::Snapshot(parts.to_vec()), newest: Second(1) }
    }

    #[test]
    fn a_flush_stays_pending_until_its_verdict_and_the_next_continues_from_it() {
        let mut chain = chain();
        let first = chain.begin(encoded(&[Bytes::from_static(b"a")]), Second(0)).clone();
        assert_eq!((first.previous, first.sequence), (4, 5));
        assert_eq!(chain.pending(), Some(&first));
        assert_eq!(chain.settle(Verdict::Duplicate, WallMs(9)), Step::Done);
        assert_eq!((chain.pending(), chain.flushed_at()), (None, WallMs(9)));
        let second = chain.begin(encoded(&[Bytes::new()]), Second(0));
        assert_eq!((second.previous, second.sequence), (5, 6));
    }

    #[test]
    fn after_a_loss_everything_is_written_once() {
        for verdict in [Verdict::Gap, Verdict::Lost] {
            let mut chain = chain();
            chain.begin(encoded(&[Bytes::from_static(b"a")]), Second(0));
            assert_eq!(chain.settle(verdict, WallMs(1)), Step::Rewrite);
            assert!(chain.wants_everything() && chain.pending().is_none());
            let parts = vec![Bytes::from_static(b"all")];
            let flush = chain.begin(encoded(&parts), Second(0));
            assert_eq!(flush.body, FlushBody::Snapshot(parts));
            assert_eq!(chain.settle(Verdict::Ok, WallMs(2)), Step::Done);
            assert!(!chain.wants_everything());
        }
    }
}
