//! A shard's tokens by address: slots that are used again, found by the token's hash, and the sums
//! of their windows, one list for each window. Where few of many slots are left in use, the tokens
//! move together and the memory is given back.

use hashbrown::HashTable;

use super::chunks::Chunks;
use super::held::Token;
use super::pane::{Running, Sums};
use super::store::{Bucket, MAX_SLOTS, StoredPane};
use super::time::Second;
use super::token::TokenHash;
use super::window::Windows;

/// Tokens in a chunk: 11 kB, and 4 kB of each window's sums. Not asked to begin with a line of the
/// cache: an allocator would leave an eighth empty for that.
const CHUNK: usize = 64;

/// Tokens in slots.
#[derive(Debug)]
pub(crate) struct TokenTable {
    slots: Chunks<Option<Token>, CHUNK>,
    /// Running sums by slot, for each window but the longest, which is told by the tokens' totals.
    windows: Box<[Chunks<Running, CHUNK>]>,
    free: Vec<u32>,
    found: HashTable<Found>,
}

/// A slot with its token's hash: a token that is looked at is the right one.
#[derive(Clone, Copy, Debug)]
struct Found {
    hash: TokenHash,
    slot: u32,
}

impl TokenTable {
    /// No tokens.
    pub(crate) fn new(windows: &Windows) -> Self {
        Self {
            slots: Chunks::default(),
            windows: windows.shorter().map(|_| Chunks::default()).collect(),
            free: Vec::new(),
            found: HashTable::new(),
        }
    }

    /// How many slots there are, empty ones too.
    pub(crate) fn slots(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// How many tokens there are.
    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }

    /// The slot of an address.
    pub(crate) fn find(&self, hash: TokenHash, address: &str) -> Option<u32> {
        let is_it = |found: &Found| {
            found.hash == hash
                && self
                    .get(found.slot)
                    .is_some_and(|it| it.address.as_bytes() == address.as_bytes())
        };
        self.found.find(spread(hash), is_it).map(|found| found.slot)
    }

    /// The token that is most likely meant by a hash, not looked at yet.
    pub(crate) fn guess(&self, hash: TokenHash) -> Option<&Token> {
        let found = self.found.find(spread(hash), |found| found.hash == hash)?;
        self.get(found.slot)
    }

    /// Adds a token that is not there yet; the slot it got, if there is one.
    pub(crate) fn insert(&mut self, token: Token) -> Option<u32> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = Some(self.slots()).filter(|slot| *slot < MAX_SLOTS)?;
                self.slots.push(None);
                self.windows.iter_mut().for_each(|sums| sums.push(Running::default()));
                slot
            }
        };
        let found = Found { hash: token.hash, slot };
        self.put(slot, Some(token));
        for sums in &mut self.windows {
            if let Some(sums) = sums.get_mut(index(slot)) {
                *sums = Running::default();
            }
        }
        self.found.insert_unique(spread(found.hash), found, |found| spread(found.hash));
        Some(slot)
    }

    /// Removes a token and frees its slot.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Some(token) = self.slots.get_mut(index(slot)).and_then(Option::take) else {
            return;
        };
        let found = self.found.find_entry(spread(token.hash), |found| found.slot == slot);
        if let Ok(entry) = found {
            entry.remove();
        }
        self.free.push(slot);
    }

    /// Moves the tokens together where fewer than half of the slots are in use; `moved` is told
    /// their new slots. So each token moves once at most for each that was removed.
    pub(crate) fn compact(&mut self, mut moved: impl FnMut(&Token, u32)) {
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
                moved(token, to);
                let is_it = |found: &Found| found.slot == from;
                if let Some(found) = self.found.find_mut(spread(token.hash), is_it) {
                    found.slot = to;
                }
            }
            self.put(to, token);
            for sums in &mut self.windows {
                let running = sums.get(index(from)).copied().unwrap_or_default();
                if let Some(place) = sums.get_mut(index(to)) {
                    *place = running;
                }
            }
        }
        self.slots.truncate(held);
        self.windows.iter_mut().for_each(|sums| sums.truncate(held));
        self.found.shrink_to_fit(|found| spread(found.hash));
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

    /// The running sums of a token in the window at a place among the shorter ones.
    pub(crate) fn window(&self, slot: u32, at: usize) -> Option<&Running> {
        self.windows.get(at)?.get(index(slot))
    }

    /// As [`window`](Self::window).
    pub(crate) fn window_mut(&mut self, slot: u32, at: usize) -> Option<&mut Running> {
        self.windows.get_mut(at)?.get_mut(index(slot))
    }

    /// Adds a pane's sums to the windows that hold its second when they end at `end`.
    pub(crate) fn add(
        &mut self,
        slot: u32,
        windows: &Windows,
        pane: Second,
        end: Second,
        sums: &Sums,
    ) {
        for (window, running) in windows.shorter().zip(&mut self.windows) {
            if window.holds(pane, end)
                && let Some(running) = running.get_mut(index(slot))
            {
                running.add(sums);
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

    /// Brings a token near.
    pub(crate) fn prefetch_token(&self, slot: u32) {
        if let Some(token) = self.slots.get(index(slot)) {
            memfn::prefetch(token);
        }
    }

    /// Brings a token's running sums in one window near.
    pub(crate) fn prefetch_window(&self, slot: u32, at: usize) {
        if let Some(running) = self.window(slot, at) {
            memfn::prefetch(running);
        }
    }

    /// Brings a token's running sums in all windows near.
    pub(crate) fn prefetch_windows(&self, slot: u32) {
        (0..self.windows.len()).for_each(|at| self.prefetch_window(slot, at));
    }

    fn put(&mut self, slot: u32, token: Option<Token>) {
        if let Some(place) = self.slots.get_mut(index(slot)) {
            *place = token;
        }
    }
}

const fn index(slot: u32) -> usize {
    slot as usize
}

/// Tokens of a shard share the bits that chose it: multiply, so that the table's bits differ.
const fn spread(hash: TokenHash) -> u64 {
    (hash.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
impl TokenTable {
    /// Bytes that there is memory for.
    pub(crate) fn bytes(&self) -> usize {
        let running: usize = self.windows.iter().map(Chunks::capacity).sum();
        self.slots.capacity() * size_of::<Option<Token>>()
            + running * size_of::<Running>()
            + self.found.capacity() * (size_of::<Found>() + 1)
            + self.free.capacity() * size_of::<u32>()
    }
}
