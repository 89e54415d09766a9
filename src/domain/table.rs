//! A shard's tokens by address: slots that are used again, found by the token's hash, and beside
//! them what each window has lost of the token's live panes. A window's sums are the token's total
//! without that: so a pane is taken up in one place, and a window is touched when it loses one.
//! Where few of many slots are left in use, the tokens move together and the memory is given back.

use super::chunks::Chunks;
use super::held::Token;
use super::index::Index;
use super::pane::Running;
use super::store::{Bucket, MAX_SLOTS, StoredPane};
use super::time::Second;
use super::token::TokenHash;
use super::window::Windows;

/// Tokens in a chunk: 12 kB, and sums in one: 4 kB. Allocators hand those out without a gap, and
/// beginning with a line of the cache; one that was asked for that would leave an eighth empty.
const CHUNK: usize = 64;

/// Tokens in slots.
#[derive(Debug)]
pub(crate) struct TokenTable {
    slots: Chunks<Option<Token>, CHUNK>,
    /// What each window but the longest has lost of the live panes, slot by slot.
    lost: Chunks<Running, CHUNK>,
    /// How many windows are shorter than the longest.
    shorter: usize,
    /// A mark of what was said last, slot by slot, as far as any was set; 0: none.
    marks: Chunks<u64, CHUNK>,
    free: Vec<u32>,
    index: Index,
}

impl TokenTable {
    /// No tokens.
    pub(crate) fn new(windows: &Windows) -> Self {
        Self {
            slots: Chunks::default(),
            lost: Chunks::default(),
            shorter: windows.shorter().count(),
            marks: Chunks::default(),
            free: Vec::new(),
            index: Index::default(),
        }
    }

    /// How many slots there are, empty ones too.
    pub(crate) fn slots(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// How many tokens there are.
    pub(crate) const fn count(&self) -> usize {
        self.index.len()
    }

    /// The slot of an address.
    pub(crate) fn find(&self, hash: TokenHash, address: &str) -> Option<u32> {
        let is_it = |token: &Token| token.address.as_bytes() == address.as_bytes();
        self.index.find(hash, |slot| self.get(slot).is_some_and(is_it))
    }

    /// The slot that is most likely meant by a hash; its token is not looked at.
    pub(crate) fn guess(&self, hash: TokenHash) -> Option<u32> {
        self.index.find(hash, |_| true)
    }

    /// Adds a token that is not there yet; the slot it got, if there is one.
    pub(crate) fn insert(&mut self, token: Token) -> Option<u32> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = Some(self.slots()).filter(|slot| *slot < MAX_SLOTS)?;
                let none = (&mut Vec::new(), &mut Vec::new());
                self.slots.push(None, none.0);
                (0..self.shorter).for_each(|_| self.lost.push(Running::default(), none.1));
                slot
            }
        };
        self.index.insert(token.hash, slot);
        self.put(slot, Some(token));
        for window in 0..self.shorter {
            self.put_lost(slot, window, Running::default());
        }
        self.put_mark(slot, 0);
        Some(slot)
    }

    /// Removes a token and frees its slot.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Some(token) = self.slots.get_mut(index(slot)).and_then(Option::take) else {
            return;
        };
        self.index.remove(token.hash, slot);
        self.free.push(slot);
    }

    /// Moves the tokens together where fewer than half of the slots are in use; `moved` is told
    /// their old slots and their new ones. So each token moves once at most for each that was
    /// removed.
    pub(crate) fn compact(&mut self, mut moved: impl FnMut(&Token, u32, u32)) {
        let held = self.count();
        if self.slots.len() <= 2 * held + CHUNK {
            return;
        }
        let mut free = std::mem::take(&mut self.free);
        free.sort_unstable_by(|left, right| right.cmp(left));
        let first = u32::try_from(held).unwrap_or(u32::MAX);
        for from in first..self.slots() {
            if self.get(from).is_none() {
                continue;
            }
            // One below for each token above: `held` slots are enough.
            let Some(to) = free.pop() else { break };
            let token = self.slots.get_mut(index(from)).and_then(Option::take);
            if let Some(token) = &token {
                moved(token, from, to);
                self.index.change(token.hash, from, to);
            }
            self.put(to, token);
            for window in 0..self.shorter {
                let lost = self.lost(from, window).copied().unwrap_or_default();
                self.put_lost(to, window, lost);
            }
            self.put_mark(to, self.mark(from).unwrap_or(0));
        }
        self.slots.truncate(held);
        self.lost.truncate(held * self.shorter);
        self.marks.truncate(held);
        self.index.tighten();
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Token> {
        self.slots.get(index(slot))?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Token> {
        self.slots.get_mut(index(slot))?.as_mut()
    }

    /// All tokens with their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Token)> {
        let slots = (0..).zip(self.slots.chunks().flatten());
        slots.filter_map(|(slot, token)| Some((slot, token.as_ref()?)))
    }

    /// What the window at a place among the shorter ones has lost of a token's live panes.
    pub(crate) fn lost(&self, slot: u32, window: usize) -> Option<&Running> {
        self.lost.get(index(slot) * self.shorter + window)
    }

    /// As [`lost`](Self::lost).
    pub(crate) fn lost_mut(&mut self, slot: u32, window: usize) -> Option<&mut Running> {
        self.lost.get_mut(index(slot) * self.shorter + window)
    }

    /// The mark of what was said last of a token; none where it has not been set.
    pub(crate) fn mark(&self, slot: u32) -> Option<u64> {
        self.marks.get(index(slot)).copied().filter(|mark| *mark != 0)
    }

    /// Sets a token's mark. One of 2⁶⁴ stands for none: it is said once more.
    pub(crate) fn set_mark(&mut self, slot: u32, mark: u64) {
        while self.marks.len() <= index(slot) {
            self.marks.push(0, &mut Vec::new());
        }
        self.put_mark(slot, mark);
    }

    /// The windows that have lost a second when they end at `end`: does something for each of them.
    pub(crate) fn each_lost(
        &mut self,
        slot: u32,
        windows: &Windows,
        (second, end): (Second, Second),
        each: impl Fn(&mut Running),
    ) {
        for (at, window) in windows.shorter().enumerate() {
            if second <= window.left_by(end) {
                self.lost_mut(slot, at).into_iter().for_each(&each);
            }
        }
    }

    /// Does something for each pane of a bucket, told with its index; chunk by chunk, after `near`
    /// has been called for the slots of all of its panes.
    pub(crate) fn each(
        &mut self,
        bucket: &Bucket,
        near: impl Fn(&Self, u32),
        mut each: impl FnMut(&mut Self, usize, &StoredPane),
    ) {
        for (first, chunk) in bucket.chunks() {
            chunk.iter().for_each(|stored| near(self, stored.slot()));
            (first..).zip(chunk).for_each(|(index, stored)| each(self, index, stored));
        }
    }

    /// Brings near where a hash is looked up.
    pub(crate) fn prefetch_index(&self, hash: TokenHash) {
        self.index.prefetch(hash);
    }

    /// Brings a token near; does not look whether there is one.
    pub(crate) fn prefetch_token(&self, slot: u32) {
        self.slots.get(index(slot)).into_iter().for_each(memfn::prefetch);
    }

    /// Brings near what one window has lost of a token.
    pub(crate) fn prefetch_lost(&self, slot: u32, window: usize) {
        self.lost(slot, window).into_iter().for_each(memfn::prefetch);
    }

    /// Brings near a token and what all windows have lost of it.
    pub(crate) fn prefetch_all(&self, slot: u32) {
        self.prefetch_token(slot);
        (0..self.shorter).for_each(|window| self.prefetch_lost(slot, window));
    }

    fn put(&mut self, slot: u32, token: Option<Token>) {
        if let Some(place) = self.slots.get_mut(index(slot)) {
            *place = token;
        }
    }

    /// Where none was ever set there is none to change.
    fn put_mark(&mut self, slot: u32, mark: u64) {
        if let Some(place) = self.marks.get_mut(index(slot)) {
            *place = mark;
        }
    }

    fn put_lost(&mut self, slot: u32, window: usize, lost: Running) {
        if let Some(place) = self.lost_mut(slot, window) {
            *place = lost;
        }
    }
}

const fn index(slot: u32) -> usize {
    slot as usize
}

#[cfg(test)]
impl TokenTable {
    /// Bytes that there is memory for.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Option<Token>>()
            + self.lost.capacity() * size_of::<Running>()
            + self.marks.capacity() * size_of::<u64>()
            + self.index.bytes()
            + self.free.capacity() * size_of::<u32>()
    }
}
