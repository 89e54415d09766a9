//! The live panes of a shard, grouped by second: what folds and what expires at one moment lies
//! together. Only seconds that hold a pane exist. A pane's place is its second and its index
//! there; it keeps that place until its whole second goes.
//!
//! A pane takes 84 bytes here, see `compact`; one that does not fit stands aside, whole. Memory is
//! to spare in open seconds alone: one that has closed is tightened. The chunks of one that goes
//! are used for those that come, so that a steady stream allocates none.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use hashbrown::HashMap;

use super::chunks::{Chunks, give_back, room};
use super::compact::Compact;
use super::dense;
use super::pane::{Pane, Sums};
use super::price::Price;
use super::time::Second;

/// Panes in a chunk: 4,032 bytes, which allocators hand out without a gap.
const CHUNK: usize = 48;

/// Seconds of places lie within ±2³⁹: RFC 3339 ends at 2³⁸.
const SECONDS: i64 = 1 << 39;
/// Bits of a place's index: 16 million panes in one second of one shard.
const INDEX_BITS: u32 = 24;

/// Where a live pane stands, in 8 bytes: its second above its index, so places are ordered by
/// second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PaneRef(NonZeroU64);

/// A pane with its token.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed)]
pub(crate) struct StoredPane {
    /// The token's slot in the shard's table, and two flags.
    tag: u32,
    /// Worth nothing where it stands aside.
    compact: Compact,
}

/// Changed since the last flush.
const DIRTY: u32 = 1 << 31;
/// Stands aside.
const WIDE: u32 = 1 << 30;
/// Slots are below this.
pub(crate) const MAX_SLOTS: u32 = WIDE;

/// All panes of one second.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) second: Second,
    panes: Chunks<StoredPane, CHUNK>,
}

/// The panes of a shard, in the order of their seconds.
#[derive(Debug, Default)]
pub(crate) struct PaneStore {
    buckets: VecDeque<Bucket>,
    wide: HashMap<PaneRef, Pane>,
    /// Chunks of seconds that went: no more than one of the last that went had.
    spare: Vec<Vec<StoredPane>>,
    count: usize,
}

impl PaneRef {
    /// The place of this index in this second; `None` where no place is.
    pub(crate) fn new(second: Second, index: usize) -> Option<Self> {
        let index = u64::try_from(index).ok().filter(|index| index >> INDEX_BITS == 0)?;
        let second = u64::try_from(second.0.checked_add(SECONDS)?).ok()?;
        let fits = second >> 40 == 0;
        NonZeroU64::new(second << INDEX_BITS | index).filter(|_| fits).map(Self)
    }

    pub(crate) fn second(self) -> Second {
        Second((self.0.get() >> INDEX_BITS).cast_signed() - SECONDS)
    }

    fn index(self) -> usize {
        usize::try_from(self.0.get() & ((1 << INDEX_BITS) - 1)).unwrap_or(usize::MAX)
    }
}

impl StoredPane {
    /// The token's slot.
    pub(crate) const fn slot(&self) -> u32 {
        self.tag & !(DIRTY | WIDE)
    }

    const fn is(&self, flag: u32) -> bool {
        self.tag & flag != 0
    }
}

impl Bucket {
    /// The panes chunk by chunk, each chunk with the index of its first.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = (usize, &[StoredPane])> {
        (0..).step_by(CHUNK).zip(self.panes.chunks())
    }

    /// The panes with their places.
    fn places(&self) -> impl Iterator<Item = (PaneRef, &StoredPane)> {
        let panes = self.panes.chunks().flatten().enumerate();
        panes.filter_map(|(index, stored)| Some((PaneRef::new(self.second, index)?, stored)))
    }

    pub(crate) const fn len(&self) -> usize {
        self.panes.len()
    }
}

impl PaneStore {
    /// Adds a pane of the token in a slot and says where, if there is a place.
    #[inline]
    pub(crate) fn push(
        &mut self,
        second: Second,
        slot: u32,
        pane: &Pane,
        dirty: bool,
    ) -> Option<PaneRef> {
        let found = self.find(second);
        let index = found.ok().and_then(|at| self.buckets.get(at)).map_or(0, Bucket::len);
        let place = PaneRef::new(second, index)?;
        let at = found.unwrap_or_else(|at| self.open_bucket(second, at));
        let tag = slot | if dirty { DIRTY } else { 0 };
        let panes = &mut self.buckets.get_mut(at)?.panes;
        self.count += 1;
        match Compact::of(pane) {
            Some(compact) => panes.push(StoredPane { tag, compact }, &mut self.spare),
            None => {
                let aside = StoredPane { tag: tag | WIDE, compact: Compact::default() };
                panes.push(aside, &mut self.spare);
                self.put_aside(place, *pane);
            }
        }
        Some(place)
    }

    /// A bucket for a second that has none, at its place; the place.
    #[cold]
    fn open_bucket(&mut self, second: Second, at: usize) -> usize {
        room(&mut self.buckets);
        // As many as the second before: their list is made once, however many they are.
        let before = at.checked_sub(1).and_then(|before| self.buckets.get(before));
        let full = before.map_or(0, |before| before.panes.count() - 1);
        let panes = Chunks::of_about(if full == 0 { 0 } else { full + 1 });
        self.buckets.insert(at, Bucket { second, panes });
        at
    }

    /// Keeps a pane whole.
    #[cold]
    fn put_aside(&mut self, at: PaneRef, pane: Pane) {
        self.wide.insert(at, pane);
    }

    /// Merges a pane into the one at a place, and marks that as changed; true where it was not
    /// before.
    #[inline]
    pub(crate) fn merge(&mut self, at: PaneRef, pane: &Pane) -> bool {
        let Some(stored) = self.stored_mut(at) else { return false };
        let clean = !stored.is(DIRTY);
        stored.tag |= DIRTY;
        let merged =
            !stored.is(WIDE) && Compact::of(pane).is_some_and(|more| stored.compact.merge(&more));
        if !merged {
            self.merge_aside(at, *pane);
        }
        clean
    }

    /// As [`merge`](Self::merge), of one that stands aside, or has to.
    #[cold]
    fn merge_aside(&mut self, at: PaneRef, pane: Pane) {
        let Some(stored) = self.stored_mut(at) else { return };
        let whole = if stored.is(WIDE) { None } else { Some(stored.compact.pane()) };
        stored.tag |= WIDE;
        self.wide.extend(whole.map(|whole| (at, whole)));
        self.wide.get_mut(&at).into_iter().for_each(|whole| whole.merge(&pane));
    }

    /// Puts a pane in place of the one at a place.
    pub(crate) fn replace(&mut self, at: PaneRef, pane: &Pane) {
        let Some(stored) = self.stored_mut(at) else { return };
        match Compact::of(pane).filter(|_| !stored.is(WIDE)) {
            Some(compact) => stored.compact = compact,
            None => {
                stored.tag |= WIDE;
                self.wide.insert(at, *pane);
            }
        }
    }

    /// The pane at a place, if it still lives; its changes are taken.
    #[inline]
    pub(crate) fn take_change(&mut self, at: PaneRef) -> Option<Pane> {
        let stored = self.stored_mut(at)?;
        stored.tag &= !DIRTY;
        if stored.is(WIDE) { self.wide.get(&at).copied() } else { Some(stored.compact.pane()) }
    }

    /// The token of a pane has moved to another slot.
    pub(crate) fn set_slot(&mut self, at: PaneRef, slot: u32) {
        if let Some(stored) = self.stored_mut(at) {
            stored.tag = stored.tag & (DIRTY | WIDE) | slot;
        }
    }

    /// The pane at a place with its token's slot, if it still lives.
    #[inline]
    pub(crate) fn get(&self, at: PaneRef) -> Option<(u32, Pane)> {
        let stored = self.stored(at)?;
        Some((stored.slot(), self.whole(at, stored, Compact::pane, |pane| *pane)?))
    }

    /// The slot of the token of the pane at a place, if it still lives.
    pub(crate) fn slot(&self, at: PaneRef) -> Option<u32> {
        self.stored(at).map(StoredPane::slot)
    }

    /// The pane at this index in this second.
    pub(crate) fn pane(&self, second: Second, index: usize, stored: &StoredPane) -> Option<Pane> {
        self.whole(PaneRef::new(second, index)?, stored, Compact::pane, |pane| *pane)
    }

    /// Sums of the pane at this index in this second.
    pub(crate) fn sums(&self, second: Second, index: usize, stored: &StoredPane) -> Option<Sums> {
        self.whole(PaneRef::new(second, index)?, stored, Compact::sums, |pane| pane.sums)
    }

    /// Sums of the pane at a place.
    pub(crate) fn sums_at(&self, at: PaneRef) -> Option<Sums> {
        self.whole(at, self.stored(at)?, Compact::sums, |pane| pane.sums)
    }

    /// Price of the first trade in the pane at a place.
    pub(crate) fn open(&self, at: PaneRef) -> Option<Price> {
        self.whole(at, self.stored(at)?, Compact::open, |pane| pane.first.price)
    }

    /// Price of the last trade in the pane at a place.
    pub(crate) fn close(&self, at: PaneRef) -> Option<Price> {
        self.whole(at, self.stored(at)?, Compact::close, |pane| pane.last.price)
    }

    /// The buckets with `after < second ≤ until`, oldest first.
    pub(crate) fn between(
        &self,
        after: Second,
        until: Second,
    ) -> impl Iterator<Item = &Bucket> + use<'_> {
        let from = self.buckets.partition_point(|bucket| bucket.second <= after);
        self.buckets.range(from..).take_while(move |bucket| bucket.second <= until)
    }

    /// The seconds with `after < second ≤ until` have closed: few panes will come to them.
    pub(crate) fn tighten(&mut self, after: Second, until: Second) {
        let from = self.buckets.partition_point(|bucket| bucket.second <= after);
        let closed = self.buckets.range_mut(from..).take_while(|bucket| bucket.second <= until);
        closed.for_each(|bucket| bucket.panes.tighten_into(&mut self.spare));
    }

    /// Removes the buckets whose second is not after `until`.
    pub(crate) fn drop_until(&mut self, until: Second) {
        let mut most = 0;
        while let Some(bucket) = self.buckets.pop_front_if(|bucket| bucket.second <= until) {
            most = most.max(bucket.panes.count());
            self.count -= bucket.len();
            if !self.wide.is_empty() {
                for (place, _) in bucket.places().filter(|(_, stored)| stored.is(WIDE)) {
                    self.wide.remove(&place);
                }
            }
            self.spare.extend(bucket.panes.into_spare());
        }
        if most > 0 {
            self.spare.truncate(most);
            self.spare.shrink_to(2 * most);
        }
        give_back(&mut self.buckets);
        if self.wide.capacity() > 4 * self.wide.len() + CHUNK {
            self.wide.shrink_to(2 * self.wide.len());
        }
    }

    /// How many panes there are.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// All panes with their tokens' slots and seconds, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, Second, Pane)> {
        self.buckets.iter().flat_map(Bucket::places).filter_map(|(at, stored)| {
            let pane = self.whole(at, stored, Compact::pane, |pane| *pane)?;
            Some((stored.slot(), at.second(), pane))
        })
    }

    /// Brings a pane near.
    pub(crate) fn prefetch(&self, at: PaneRef) {
        if let Some(stored) = self.stored(at) {
            memfn::prefetch(stored);
        }
    }

    #[inline]
    fn whole<T>(
        &self,
        at: PaneRef,
        stored: &StoredPane,
        compact: impl FnOnce(&Compact) -> T,
        whole: impl FnOnce(&Pane) -> T,
    ) -> Option<T> {
        if stored.is(WIDE) { self.wide.get(&at).map(whole) } else { Some(compact(&stored.compact)) }
    }

    #[inline]
    fn stored(&self, at: PaneRef) -> Option<&StoredPane> {
        self.buckets.get(self.find(at.second()).ok()?)?.panes.get(at.index())
    }

    #[inline]
    fn stored_mut(&mut self, at: PaneRef) -> Option<&mut StoredPane> {
        let bucket = self.find(at.second()).ok()?;
        self.buckets.get_mut(bucket)?.panes.get_mut(at.index())
    }

    /// The bucket of a second, or where it would stand.
    #[inline]
    fn find(&self, second: Second) -> Result<usize, usize> {
        dense::find(self.buckets.len(), second, |at| Some(self.buckets.get(at)?.second))
    }
}

#[cfg(test)]
impl PaneStore {
    /// Bytes that there is memory for.
    pub(crate) fn bytes(&self) -> usize {
        let panes: usize = self.buckets.iter().map(|bucket| bucket.panes.capacity()).sum();
        let spare: usize = self.spare.iter().map(Vec::capacity).sum();
        (panes + spare) * size_of::<StoredPane>()
            + self.buckets.capacity() * size_of::<Bucket>()
            + self.wide.capacity() * size_of::<(PaneRef, Pane)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pane_takes_84_bytes_and_its_place_8() {
        assert_eq!((size_of::<StoredPane>(), align_of::<StoredPane>()), (84, 1));
        assert_eq!((size_of::<PaneRef>(), size_of::<Option<PaneRef>>()), (8, 8));
        assert!(size_of::<StoredPane>() * CHUNK <= 4_096);
    }

    #[test]
    fn every_second_that_text_can_tell_has_places_and_they_are_ordered() {
        let (first, last) = (-62_167_305_540, 253_402_387_140); // with offsets of a day
        let seconds = [1 - SECONDS, first, -1, 0, 1, last, SECONDS - 1];
        let places: Vec<_> = seconds
            .iter()
            .flat_map(|second| [0, 1, (1 << INDEX_BITS) - 1].map(|index| (*second, index)))
            .map(|(second, index)| {
                let place = PaneRef::new(Second(second), index).unwrap();
                assert_eq!((place.second(), place.index()), (Second(second), index));
                place
            })
            .collect();
        assert!(places.is_sorted());
        for second in [i64::MIN, -SECONDS - 1, SECONDS, i64::MAX] {
            assert_eq!(PaneRef::new(Second(second), 0), None, "{second}");
        }
        assert_eq!(PaneRef::new(Second(0), 1 << INDEX_BITS), None);
    }
}
