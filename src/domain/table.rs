//! A shard's tokens by address: slots that are used again, found by the token's hash.

use std::collections::VecDeque;

use hashbrown::HashTable;

use super::aggregate::Figures;
use super::pane::Sums;
use super::price::Price;
use super::store::{PaneRef, PaneStore};
use super::time::Second;
use super::token::TokenHash;
use super::window::{Window, Windows};

/// What a shard knows of one token. It exists as long as it has a live pane or owes its closing
/// message.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) address: Box<str>,
    pub(crate) hash: TokenHash,
    /// Its live panes, oldest first.
    pub(crate) panes: VecDeque<PaneRef>,
    /// The sum of all its live panes. Every window is a part of them, so a trade that fits here
    /// fits everywhere.
    pub(crate) total: Sums,
    /// Its running sums, one per configured window.
    pub(crate) windows: Box<[Sums]>,
    /// Price of its last trade that has expired; shown once no live one is left.
    pub(crate) last_price: Price,
    /// Its last trade has left the longest window, and no message has said so yet.
    pub(crate) closing: bool,
}

/// Tokens in slots.
#[derive(Debug, Default)]
pub(crate) struct TokenTable {
    slots: Vec<Option<Token>>,
    free: Vec<u32>,
    slot_by_hash: HashTable<u32>,
}

impl Token {
    /// Adds a pane's sums to the windows that hold its second when they end at `end`.
    pub(crate) fn add(&mut self, windows: &Windows, pane: Second, end: Second, sums: &Sums) {
        for (window, running) in windows.iter().zip(&mut self.windows) {
            if window.holds(pane, end) {
                running.add(sums);
            }
        }
    }

    /// Where the pane of a second stands, or its place in the order of the token's panes.
    pub(crate) fn place(&self, second: Second) -> Result<PaneRef, usize> {
        match self.panes.back() {
            Some(newest) if newest.second == second => Ok(*newest),
            Some(newest) if newest.second > second => {
                let at = self.panes.binary_search_by_key(&second, |pane| pane.second)?;
                self.panes.get(at).copied().ok_or(at)
            }
            Some(_) | None => Err(self.panes.len()),
        }
    }

    /// Its newest pane that is not after `end`.
    pub(crate) fn newest_until(&self, end: Second) -> Option<PaneRef> {
        self.panes.iter().rev().find(|pane| pane.second <= end).copied()
    }

    /// The figures of its windows, which end at `end`.
    pub(crate) fn figures(
        &self,
        panes: &PaneStore,
        windows: &Windows,
        end: Second,
        figures: &mut Vec<Figures>,
    ) {
        let close = self.close(panes, end);
        figures.clear();
        figures.extend(windows.iter().zip(&self.windows).map(|(window, sums)| {
            let open = self.open(panes, window, end).unwrap_or(close);
            Figures { sums: *sums, open, close }
        }));
    }

    /// Price of its last trade until `end`; the last known one where none is live.
    pub(crate) fn close(&self, panes: &PaneStore, end: Second) -> Price {
        let newest = self.newest_until(end).and_then(|place| panes.get(place));
        newest.map_or(self.last_price, |stored| stored.pane.last.price)
    }

    /// Price of its first trade in a window that ends at `end`.
    pub(crate) fn open(&self, panes: &PaneStore, window: &Window, end: Second) -> Option<Price> {
        let left = window.left_by(end);
        let oldest = self.panes.partition_point(|pane| pane.second <= left);
        let oldest = self.panes.get(oldest).filter(|pane| pane.second <= end)?;
        panes.get(*oldest).map(|stored| stored.pane.first.price)
    }
}

impl TokenTable {
    /// The slot of an address.
    pub(crate) fn find(&self, hash: TokenHash, address: &str) -> Option<u32> {
        let is_it = |slot: &u32| self.get(*slot).is_some_and(|token| &*token.address == address);
        self.slot_by_hash.find(spread(hash), is_it).copied()
    }

    /// Adds a token that is not there yet; the slot it got.
    pub(crate) fn insert(&mut self, token: Token) -> u32 {
        let hash = token.hash;
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        if let Some(place) = self.slots.get_mut(index(slot)) {
            *place = Some(token);
        }
        let slots = &self.slots;
        let rehash = |slot: &u32| {
            let token = slots.get(index(*slot)).and_then(Option::as_ref);
            token.map_or(0, |token| spread(token.hash))
        };
        self.slot_by_hash.insert_unique(spread(hash), slot, rehash);
        slot
    }

    /// Removes a token and frees its slot.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Some(token) = self.slots.get_mut(index(slot)).and_then(Option::take) else {
            return;
        };
        if let Ok(entry) = self.slot_by_hash.find_entry(spread(token.hash), |found| *found == slot)
        {
            entry.remove();
        }
        self.free.push(slot);
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Token> {
        self.slots.get(index(slot))?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Token> {
        self.slots.get_mut(index(slot))?.as_mut()
    }

    /// All tokens.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Token> {
        self.slots.iter().flatten()
    }

    /// All tokens with their slots.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Token)> {
        (0_u32..).zip(&mut self.slots).filter_map(|(slot, token)| Some((slot, token.as_mut()?)))
    }
}

const fn index(slot: u32) -> usize {
    slot as usize
}

/// Tokens of a shard share the bits that chose it: multiply, so that the table's bits differ.
const fn spread(hash: TokenHash) -> u64 {
    (hash.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
