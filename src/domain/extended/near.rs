//! What will be touched, asked for in time: of a trade some trades ahead, by who adds it; of
//! figures some slots ahead, since they are asked for slot by slot. Changes nothing.

use super::token::Token;
use super::{Extended, index};

/// Slots ahead of the one whose figures are asked for: its token, then where its windows stand,
/// then what they will read.
const TOKEN_AHEAD: u32 = 20;
const WINDOWS_AHEAD: u32 = 12;
const ROWS_AHEAD: u32 = 8;
const WALLETS_AHEAD: u32 = 4;
/// Of so many waiting visits.
const VISITS: usize = 16;

impl Extended {
    /// Brings near the token in a slot: many trades ahead.
    #[inline]
    pub fn prefetch(&self, slot: u32) {
        self.get(slot).into_iter().for_each(|token| memfn::prefetch(&token.recent));
    }

    /// Brings near what a trade of that token will touch, once it is near itself: fewer trades
    /// ahead.
    #[inline]
    pub fn prefetch_pane(&self, slot: u32) {
        if let Some(last) = self.get(slot).and_then(|token| token.recent.last()) {
            memfn::prefetch(last);
        }
    }

    /// Brings near what the figures of the next slots will touch.
    pub(super) fn prefetch_next(&self, slot: u32) {
        let ahead = |slots| self.get(slot.saturating_add(slots));
        ahead(TOKEN_AHEAD).into_iter().for_each(Token::prefetch_whole);
        if let Some(token) = ahead(WINDOWS_AHEAD) {
            token.windows.first().into_iter().chain(token.windows.last()).for_each(memfn::prefetch);
            token.waiting.first().into_iter().chain(token.waiting.last()).for_each(memfn::prefetch);
            token.recent.iter().take(VISITS).for_each(memfn::prefetch);
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
        memfn::prefetch(&self.recent);
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
        let new = self.panes.iter().skip(self.settled);
        new.chain(self.panes.back()).take(VISITS).for_each(memfn::prefetch);
        self.visits.back().into_iter().for_each(memfn::prefetch);
        self.high.prefetch();
        self.low.prefetch();
    }

    fn prefetch_wallets(&self) {
        let waiting = self.waiting.iter().map(|waiting| waiting.seen.hash());
        let recent = self.recent.iter().map(|trade| { trade.visit }.wallet.bits());
        waiting.chain(recent).take(VISITS).for_each(|hash| self.wallets.prefetch(hash));
    }
}
