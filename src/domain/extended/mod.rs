//! The extended figures of a shard's tokens: wallets, volumes of a side, highest and lowest prices,
//! and the window before. Beside the core and told of each trade that it counted: without it the
//! core is as it was. Pure: the windows' end is an argument.
//!
//! A wallet counts in a window while its last trade (on that side) is in it. Late trades count as
//! if they had come in time; trades ahead of the end do not count yet. Where wallets could not be
//! counted, nothing is told of them: never a wrong number.
//!
//! What it takes: 96 bytes a pane, 24 for its counts, and 8 for each window that has a preceding
//! one; a pair of token and wallet twelve, with an eighth to spare, and eight for each second in
//! which it traded. A trade takes 72 until it goes to its token, of 256 in a shard at most, and 16
//! until the end has passed it.

mod apply;
mod extremes;
mod hash;
mod near;
mod pane;
mod recent;
mod ring;
mod rows;
mod save;
mod settle;
mod spans;
mod token;
mod types;
mod wallets;

#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::amount::Amount;
use super::time::Second;
use super::window::Windows;
use recent::Recent;
use spans::Spans;
use token::{Context, Token};

pub use save::Cursor;
pub use types::{ExtendedPane, Figures, Seen, Sides, Visit, WalletBudget, WalletHash};

/// The extended figures of a shard's tokens, by the token's slot in the table.
#[derive(Debug)]
pub struct Extended {
    spans: Spans,
    wallets: Arc<WalletBudget>,
    tokens: Vec<Option<Box<Token>>>,
    recent: Recent,
}

impl Extended {
    /// Of no token yet. A window's preceding one is told where the longest window holds both.
    #[must_use]
    pub fn new(windows: &Windows, wallets: Arc<WalletBudget>) -> Self {
        Self { spans: Spans::new(windows), wallets, tokens: Vec::new(), recent: Recent::default() }
    }

    /// Adds a trade that the core has counted, of this second, to the token in a slot.
    #[inline]
    pub fn add(&mut self, slot: u32, second: Second, visit: &Visit) {
        if self.recent.len() == recent::MOST {
            self.spread();
        }
        self.recent.add(slot, second.0, visit);
    }

    /// The figures of a token's windows that end at `end`, one item for each configured window, in
    /// place of what `figures` held. An `end` that is before the last one asked for counts as that.
    /// A slot of which nothing is known has windows without trades.
    pub fn figures(&mut self, slot: u32, end: Second, figures: &mut Vec<Figures>) {
        figures.clear();
        self.spread();
        self.prefetch_next(slot);
        let (token, context) = self.token(slot);
        token.settle(&context, end);
        token.tell(&context, figures);
    }

    /// Makes it quick to tell [panes](Self::pane) of a token, one after the other.
    pub fn gather(&mut self, slot: u32) {
        self.spread();
        if let Some(Some(token)) = self.tokens.get_mut(index(slot)) {
            token.order_waiting();
        }
    }

    /// Writes all that is known of a token's trades of one second to `pane`, for the checkpoint;
    /// false where that is nothing. `cursor` is of this token, and it has not changed since: no
    /// trade has come since it was [gathered](Self::gather).
    pub fn pane(
        &self,
        slot: u32,
        second: Second,
        cursor: &mut Cursor,
        pane: &mut ExtendedPane,
    ) -> bool {
        let token = self.tokens.get(index(slot)).and_then(Option::as_ref);
        token.is_some_and(|token| token.pane(second, cursor, pane))
    }

    /// Tells such panes of any token; soonest where each token's come one after the other.
    pub fn panes(&mut self) -> impl FnMut(u32, Second) -> Option<ExtendedPane> {
        self.spread();
        let mut cursors = vec![Cursor::default(); self.tokens.len()];
        move |slot, second| {
            let mut pane = ExtendedPane::unknown(0, Amount::ZERO);
            let cursor = cursors.get_mut(index(slot))?;
            self.pane(slot, second, cursor, &mut pane).then_some(pane)
        }
    }

    /// Puts a pane from the checkpoint in place of what is known of that token and second.
    pub fn restore(&mut self, slot: u32, second: Second, pane: ExtendedPane) {
        self.spread();
        let (token, context) = self.token(slot);
        token.restore(&context, second, &pane);
    }

    /// A token's panes that are not after `until` are gone.
    pub fn expire(&mut self, slot: u32, until: Second) {
        self.spread();
        let context = Context::new(&self.spans, &self.wallets);
        if let Some(Some(token)) = self.tokens.get_mut(index(slot)) {
            token.expire(&context, until);
        }
    }

    /// The token in a slot is gone; another may come.
    pub fn forget(&mut self, slot: u32) {
        self.spread();
        if let Some(token) = self.tokens.get_mut(index(slot)).and_then(Option::take) {
            self.wallets.release(token.wallets.len());
        }
        self.shorten();
    }

    /// A token has moved to another slot, which was free.
    pub fn moved(&mut self, from: u32, to: u32) {
        self.spread();
        let token = self.tokens.get_mut(index(from)).and_then(Option::take);
        if let Some(token) = token {
            *place(&mut self.tokens, to) = Some(token);
        }
        self.shorten();
    }

    /// The budget that it counts its wallets in.
    #[must_use]
    pub const fn wallets(&self) -> &Arc<WalletBudget> {
        &self.wallets
    }

    /// Bytes that there is memory for: of all, and of them those that its wallets take.
    #[must_use]
    pub fn bytes(&self) -> (usize, usize) {
        let tokens = || self.tokens.iter().flatten();
        let list = self.tokens.capacity() * size_of::<Option<Box<Token>>>();
        let all: usize = tokens().map(|token| token.bytes()).sum();
        (list + all + self.recent.bytes(), tokens().map(|token| token.pair_bytes()).sum())
    }

    /// Brings the trades that wait to their tokens.
    fn spread(&mut self) {
        if self.recent.len() == 0 {
            return;
        }
        let recent = std::mem::take(&mut self.recent);
        recent.prefetch();
        for (at, slot) in recent.slots().iter().enumerate() {
            self.prefetch(recent.slots().get(at + 1..).unwrap_or_default());
            let (token, context) = self.token(*slot);
            token.take(context.spans, recent.of(*slot));
        }
        self.recent = recent;
        self.recent.clear();
    }

    #[inline]
    fn token(&mut self, slot: u32) -> (&mut Token, Context<'_>) {
        let Self { spans, wallets, tokens, .. } = self;
        let token = place(tokens, slot).get_or_insert_with(|| Box::new(Token::new(spans)));
        (token, Context::new(spans, wallets))
    }

    /// Slots behind the last token are none.
    fn shorten(&mut self) {
        while self.tokens.pop_if(|token| token.is_none()).is_some() {}
        self.recent.shorten(self.tokens.len());
        if self.tokens.capacity() > 4 * self.tokens.len() + SPARE {
            self.tokens.shrink_to(2 * self.tokens.len());
        }
    }
}

/// What it held is free for others.
impl Drop for Extended {
    fn drop(&mut self) {
        let held = self.tokens.iter().flatten().map(|token| token.wallets.len()).sum();
        self.wallets.release(held);
    }
}

/// Slots to spare that are not given back.
const SPARE: usize = 64;

/// Where the token of a slot stands.
#[inline]
fn place(tokens: &mut Vec<Option<Box<Token>>>, slot: u32) -> &mut Option<Box<Token>> {
    if tokens.len() <= index(slot) {
        tokens.resize_with(index(slot) + 1, || None);
    }
    #[expect(clippy::indexing_slicing, reason = "it was made long enough")]
    &mut tokens[index(slot)]
}

const fn index(slot: u32) -> usize {
    slot as usize
}
