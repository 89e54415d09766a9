//! The extended figures of a shard's tokens: wallets, volumes of a side, highest and lowest prices,
//! and the window before. Beside the core and told of each trade that it counted: without it the
//! core is as it was. Pure: the windows' end is an argument.
//!
//! A wallet counts in a window while its last trade (on that side) is in it. Late trades count as
//! if they had come in time; trades ahead of the end do not count yet. Where wallets could not be
//! counted, nothing is told of them: never a wrong number.
//!
//! What it takes: 96 bytes a pane, 24 for its counts, and 8 for each window that has a preceding
//! one; a pair of token and wallet twelve in the table, which is full to seven eighths at most, and
//! eight for each second in which it traded. A trade takes 72 while it is kept, 32 of a token at
//! most, and 16 until the end has passed it.

mod apply;
mod extremes;
mod hash;
mod near;
mod pane;
mod rows;
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

use super::time::Second;
use super::window::Windows;
use spans::Spans;
use token::{Context, Token};

pub use types::{ExtendedPane, Figures, Sides, Visit, WalletBudget, WalletHash};

/// The extended figures of a shard's tokens, by the token's slot in the table.
#[derive(Debug)]
pub struct Extended {
    spans: Spans,
    wallets: Arc<WalletBudget>,
    tokens: Vec<Option<Box<Token>>>,
}

impl Extended {
    /// Of no token yet. A window's preceding one is told where the longest window holds both.
    #[must_use]
    pub fn new(windows: &Windows, wallets: Arc<WalletBudget>) -> Self {
        Self { spans: Spans::new(windows), wallets, tokens: Vec::new() }
    }

    /// Adds a trade that the core has counted, of this second, to the token in a slot.
    #[inline]
    pub fn add(&mut self, slot: u32, second: Second, visit: &Visit) {
        let (token, context) = self.token(slot);
        token.add(context.spans, second.0, visit);
    }

    /// The figures of a token's windows that end at `end`, one item for each configured window, in
    /// place of what `figures` held. An `end` that is before the last one asked for counts as that.
    /// A slot of which nothing is known has windows without trades.
    pub fn figures(&mut self, slot: u32, end: Second, figures: &mut Vec<Figures>) {
        figures.clear();
        self.prefetch_next(slot);
        let (token, context) = self.token(slot);
        token.settle(&context, end);
        token.tell(&context, figures);
    }

    /// Makes it quick to tell [panes](Self::pane) of a token, one after the other.
    pub fn gather(&mut self, slot: u32) {
        if let Some(Some(token)) = self.tokens.get_mut(index(slot)) {
            token.gather(&self.spans);
        }
    }

    /// All that is known of a token's trades of one second: for the checkpoint.
    #[must_use]
    pub fn pane(&self, slot: u32, second: Second) -> Option<ExtendedPane> {
        self.tokens.get(index(slot))?.as_ref()?.pane(second)
    }

    /// Puts a pane from the checkpoint in place of what is known of that token and second.
    pub fn restore(&mut self, slot: u32, second: Second, pane: ExtendedPane) {
        let (token, context) = self.token(slot);
        token.restore(&context, second, &pane);
    }

    /// A token's panes that are not after `until` are gone.
    pub fn expire(&mut self, slot: u32, until: Second) {
        let context = Context { spans: &self.spans, budget: &self.wallets };
        if let Some(Some(token)) = self.tokens.get_mut(index(slot)) {
            token.expire(&context, until);
        }
    }

    /// The token in a slot is gone; another may come.
    pub fn forget(&mut self, slot: u32) {
        if let Some(token) = self.tokens.get_mut(index(slot)).and_then(Option::take) {
            self.wallets.release(token.wallets.len());
        }
        self.shorten();
    }

    /// A token has moved to another slot, which was free.
    pub fn moved(&mut self, from: u32, to: u32) {
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
        (list + all, tokens().map(|token| token.pair_bytes()).sum())
    }

    #[inline]
    fn token(&mut self, slot: u32) -> (&mut Token, Context<'_>) {
        let Self { spans, wallets, tokens } = self;
        let token = place(tokens, slot).get_or_insert_with(|| Box::new(Token::new(spans)));
        (token, Context { spans, budget: wallets })
    }

    /// Slots behind the last token are none.
    fn shorten(&mut self) {
        while self.tokens.pop_if(|token| token.is_none()).is_some() {}
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
