//! What will be touched, asked for in time: of trades and of figures some tokens ahead. Changes
//! nothing.

use super::token::Token;
use super::{Extended, index};

/// Tokens ahead of the one that gets its trades: itself, then where they go.
const TRADED_AHEAD: usize = 5;
const PLACES_AHEAD: usize = 2;
/// Slots ahead of the one whose figures are asked for: its token, then where its windows stand,
/// then what they will read.
const TOKEN_AHEAD: u32 = 20;
const WINDOWS_AHEAD: u32 = 12;
const ROWS_AHEAD: u32 = 8;
const WALLETS_AHEAD: u32 = 4;
/// Of so many waiting visits.
const VISITS: usize = 16;

impl Extended {
    /// Brings near what trades of the tokens in the next slots will touch.
    pub(super) fn prefetch(&self, next: &[u32]) {
        let ahead = |slots: usize| next.get(slots).and_then(|slot| self.get(*slot));
        if let Some(token) = ahead(TRADED_AHEAD) {
            memfn::prefetch(&token.panes);
            memfn::prefetch(&token.waiting);
            memfn::prefetch(&token.rows);
        }
        if let Some(token) = ahead(PLACES_AHEAD) {
            token.panes.back().into_iter().for_each(memfn::prefetch);
            token.rows.prefetch(token.rows.len().saturating_sub(1));
            token.waiting.last().into_iter().for_each(memfn::prefetch);
        }
    }

    /// Brings near what the figures of the next slots will touch.
    pub(super) fn prefetch_next(&self, slot: u32) {
        let ahead = |slots| self.get(slot.saturating_add(slots));
        ahead(TOKEN_AHEAD).into_iter().for_each(Token::prefetch_whole);
        if let Some(token) = ahead(WINDOWS_AHEAD) {
            token.windows.first().into_iter().chain(token.windows.last()).for_each(memfn::prefetch);
            token.waiting.first().into_iter().chain(token.waiting.last()).for_each(memfn::prefetch);
            token.rows.prefetch(token.rows.len());
            token.panes.back().into_iter().for_each(memfn::prefetch);
        }
        ahead(ROWS_AHEAD).into_iter().for_each(Token::prefetch_rows);
        ahead(WALLETS_AHEAD).into_iter().for_each(Token::prefetch_wallets);
    }

    fn get(&self, slot: u32) -> Option<&Token> {
        self.tokens.get(index(slot))?.as_deref()
    }
}

impl Token {
    fn prefetch_whole(&self) {
        memfn::prefetch(&self.panes);
        memfn::prefetch(&self.waiting);
        memfn::prefetch(&self.rows);
        memfn::prefetch(&self.gone);
        memfn::prefetch(&self.until);
        memfn::prefetch(&self.high);
        memfn::prefetch(&self.windows);
    }

    fn prefetch_rows(&self) {
        for window in &self.windows {
            for start in [window.start, window.start_before].map(index) {
                self.rows.prefetch(start);
                let before = start.checked_sub(1).and_then(|before| self.panes.get(before));
                before.into_iter().for_each(memfn::prefetch);
            }
        }
        let new = self.panes.range(self.settled..self.panes.len());
        new.chain(self.panes.back()).take(VISITS).for_each(memfn::prefetch);
        self.visits.back().into_iter().for_each(memfn::prefetch);
        self.high.prefetch();
        self.low.prefetch();
    }

    fn prefetch_wallets(&self) {
        let waiting = self.waiting.iter().map(|waiting| waiting.seen.hash());
        waiting.take(VISITS).for_each(|hash| self.wallets.prefetch(hash));
    }
}
