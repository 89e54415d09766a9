//! At many tokens, what a trade costs is the way to memory: its token and its pane are elsewhere
//! for every trade. So whoever absorbs many asks for both some trades ahead, and a tick and a flush
//! do so for what they read. Moving the windows walks each chunk of panes twice instead, see
//! `table`. Changes nothing.

use super::held::Token;
use super::shard::Shard;
use super::store::PaneRef;
use super::time::Second;
use super::token::TokenHash;

/// A tick looks so many slots ahead for their tokens' lists of panes, and so many for the panes.
const PLACES_AHEAD: u32 = 16;
const PANES_AHEAD: u32 = 8;
/// A flush looks so many changes ahead for their tokens.
const CHANGES_AHEAD: usize = 12;

impl Shard {
    /// Brings near what tells where the token of a trade stands: many trades ahead.
    pub fn prefetch_index(&self, hash: TokenHash, _: Second) {
        self.tokens.prefetch_index(hash);
    }

    /// Brings the token of a trade near: once it is known where that stands, fewer trades ahead.
    pub fn prefetch_token(&self, hash: TokenHash, _: Second) {
        self.tokens.guess(hash).into_iter().for_each(|slot| self.tokens.prefetch_token(slot));
    }

    /// Brings near what a trade will touch beside its token, once that is near: the pane where it
    /// is the newest, else the list of panes; of a late trade what the windows have lost.
    pub fn prefetch_places(&self, hash: TokenHash, second: Second) {
        let Some((slot, token)) = self.near(hash) else { return };
        match token.newest().filter(|newest| newest.second() == second) {
            Some(newest) => self.panes.prefetch(newest),
            None => token.prefetch_places(),
        }
        for (at, window) in self.windows.shorter().enumerate() {
            if second <= window.left_by(self.end) {
                self.tokens.prefetch_lost(slot, at);
            }
        }
    }

    /// Brings the pane of a late trade near, once its token's list is: still fewer trades ahead.
    pub fn prefetch_pane(&self, hash: TokenHash, second: Second) {
        let Some((_, token)) = self.near(hash) else { return };
        if token.newest().is_some_and(|newest| newest.second() > second) {
            token.place(second).into_iter().for_each(|place| self.panes.prefetch(place));
        }
    }

    fn near(&self, hash: TokenHash) -> Option<(u32, &Token)> {
        let slot = self.tokens.guess(hash)?;
        Some((slot, self.tokens.get(slot)?))
    }

    /// Brings near what some changes further on will be read: the panes lie side by side, their
    /// tokens do not.
    pub(super) fn prefetch_change(&self, at: usize, changes: &[PaneRef]) {
        let ahead = changes.get(at.saturating_add(CHANGES_AHEAD));
        let slot = ahead.and_then(|place| self.panes.slot(*place));
        slot.into_iter().for_each(|slot| self.tokens.prefetch_token(slot));
    }

    /// Brings near what some slots further on will be read of the panes: first the tokens' lists of
    /// them, then the newest and those whose prices open the windows.
    pub(super) fn prefetch_due(&self, slot: u32) {
        if let Some(token) = self.tokens.get(slot.saturating_add(PLACES_AHEAD)) {
            token.prefetch_places();
        }
        if let Some(token) = self.tokens.get(slot.saturating_add(PANES_AHEAD)) {
            let opening =
                self.windows.iter().filter_map(|window| token.oldest_in(window, self.end));
            opening.chain(token.newest()).for_each(|place| self.panes.prefetch(place));
        }
    }
}
