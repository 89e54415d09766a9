//! A batch is applied to the shards that it is for. What its trades will touch is brought near
//! first.

use super::batch::Batch;
use super::engine::{Engine, Held};
use crate::domain::reject::Reason;
use crate::domain::shard::{Outcome, Shard};
use crate::domain::time::WallMs;
use crate::domain::token::ShardId;

/// What a trade will touch is brought near in four steps, so many trades ahead: each is told where
/// to look by what the one before has brought.
const INDEX_AHEAD: usize = 24;
const TOKEN_AHEAD: usize = 16;
const PLACES_AHEAD: usize = 10;
const PANE_AHEAD: usize = 5;
/// So few tokens lie near by themselves: they fit the second level of a processor's cache.
const TOKENS_NEAR: usize = 2_000;
/// And so few with extended figures, which take up the rest of it.
const EXTENDED_NEAR: usize = 250;

/// The slots of the trades that come next, by their places modulo so many.
type Slots = [Option<u32>; TOKEN_AHEAD];

/// What became of a batch's trades.
#[derive(Debug, Default)]
pub struct Absorbed {
    /// Counted.
    pub counted: u64,
    /// Counted before.
    pub duplicate: u64,
    /// Older than the longest window.
    pub late: u64,
    /// The records of which something was counted, by their timestamps: how many in a row have the
    /// same one. Those without are left out.
    pub written: Vec<(WallMs, u32)>,
    /// Refused: the trade's place in the batch, and why.
    pub refused: Vec<(usize, Reason)>,
    /// Shards that are followed, of which a trade was refused here: they lack what their owners
    /// have.
    pub spoiled: Vec<ShardId>,
}

impl Engine {
    /// Applies a batch to the shards that it covers and that stand at its begin, or beyond; its
    /// positions count as passed. A shard that is behind has not been offered what lies before: it
    /// is read for anew, and left as it is; so is one that is this process' by now and was followed
    /// when the batch was made, whose rejected trades nobody told. What becomes of trades of shards
    /// that are followed, their owners count.
    pub fn absorb(&mut self, batch: &Batch) -> &Absorbed {
        // Used again: its lists are as long as a batch.
        let mut absorbed = std::mem::take(&mut self.absorbed);
        absorbed.clear();
        let mut last = None;
        let Batch { partition, from, next, ref cover, ref silent, .. } = *batch;
        let untold = |shard| silent.as_ref().is_some_and(|silent| silent.contains(shard));
        let misses = |held: &Held, shard: ShardId| {
            held.shard.next_offset(partition) < from || !held.followed && untold(shard)
        };
        let mut here = self.shard_ids().zip(&self.held);
        let any_misses =
            here.any(|(shard, held)| held.as_ref().is_some_and(|held| misses(held, shard)));
        let any_followed = self.follows_any();
        let extended = self.shards().any(Shard::is_extended);
        let near = if extended { EXTENDED_NEAR } else { TOKENS_NEAR };
        let many = self.shards().map(Shard::tokens).sum::<usize>() > near;
        let (ahead, mut slots) = (if many { INDEX_AHEAD } else { 0 }, Slots::default());
        for step in 0..batch.count() + ahead {
            if many {
                self.look_ahead(batch, step, &mut slots);
            }
            let Some(at) = step.checked_sub(ahead) else { continue };
            let Some((position, written, trade)) = batch.trade(at) else { continue };
            let shard = self.all.of(trade.hash);
            if any_misses && self.held_mut(shard).is_some_and(|held| misses(held, shard)) {
                continue;
            }
            let outcome = self.absorb_one(position, &trade);
            if any_followed && self.held_mut(shard).is_some_and(|held| held.followed) {
                if matches!(outcome, Outcome::Refused(_)) && !absorbed.spoiled.contains(&shard) {
                    absorbed.spoiled.push(shard);
                }
                continue;
            }
            match outcome {
                Outcome::Counted => {
                    absorbed.counted += 1;
                    if last.replace(position.offset) != Some(position.offset) {
                        absorbed.add_record(written);
                    }
                }
                Outcome::Duplicate => absorbed.duplicate += 1,
                Outcome::Late => absorbed.late += 1,
                Outcome::Refused(reason) => absorbed.refused.push((at, reason)),
            }
        }
        for shard in cover.shards() {
            if let Some(held) = self.held_mut(shard).filter(|held| !misses(held, shard)) {
                held.shard.pass(partition, next);
            }
        }
        self.absorbed = absorbed;
        &self.absorbed
    }

    /// The first step of the trade at place `step`, and the later ones of trades before it.
    fn look_ahead(&self, batch: &Batch, step: usize, slots: &mut Slots) {
        let before = |ahead: usize| {
            let at = step.checked_sub(INDEX_AHEAD - ahead)?;
            let (hash, second) = batch.place(at)?;
            Some((at % TOKEN_AHEAD, self.shard_of(hash)?, hash, second))
        };
        if let Some((_, shard, hash, _)) = before(INDEX_AHEAD) {
            shard.prefetch_index(hash);
        }
        if let Some((at, shard, hash, _)) = before(TOKEN_AHEAD) {
            let slot = shard.prefetch_token(hash);
            slots.get_mut(at).into_iter().for_each(|place| *place = slot);
        }
        let known = |at| slots.get(at).copied().flatten();
        if let Some((at, shard, _, second)) = before(PLACES_AHEAD) {
            known(at).into_iter().for_each(|slot| shard.prefetch_places(slot, second));
        }
        if let Some((at, shard, _, second)) = before(PANE_AHEAD) {
            known(at).into_iter().for_each(|slot| shard.prefetch_pane(slot, second));
        }
    }
}

impl Absorbed {
    fn clear(&mut self) {
        (self.counted, self.duplicate, self.late) = (0, 0, 0);
        self.written.clear();
        self.refused.clear();
        self.spoiled.clear();
    }

    fn add_record(&mut self, written: Option<WallMs>) {
        let Some(written) = written else { return };
        match self.written.last_mut() {
            Some((last, count)) if *last == written => *count += 1,
            _ => self.written.push((written, 1)),
        }
    }
}
