//! At many tokens, what a trade costs is the way to memory: its token and its pane are elsewhere
//! for every trade. So whoever absorbs many asks for both some trades ahead, and a tick and a flush
//! do so for what they read. Moving the windows walks each chunk of panes twice instead, see
//! `table`. Changes nothing.

use super::shard::Shard;
use super::time::Second;
use super::token::TokenHash;

/// A tick looks so many slots ahead for their tokens' lists of panes, and so many for the panes.
const PLACES_AHEAD: u32 = 16;
const PANES_AHEAD: u32 = 8;

impl Shard {
    /// Brings near what tells where the token of a trade stands: many trades ahead.
    #[inline]
    pub fn prefetch_index(&self, hash: TokenHash) {
        self.tokens.prefetch_index(hash);
    }

    /// Brings the token of a trade near, once it is known where that stands: fewer trades ahead.
    /// Tells the slot, most likely the right one.
    #[inline]
    pub fn prefetch_token(&self, hash: TokenHash) -> Option<u32> {
        self.tokens.guess(hash).inspect(|slot| self.tokens.prefetch_token(*slot))
    }

    /// Brings near what a trade will touch beside its token, once that is near: the pane where it
    /// is the newest, else the list of panes; of a late trade what the windows have lost.
    #[inline]
    pub fn prefetch_places(&self, slot: u32, second: Second) {
        let Some(token) = self.tokens.get(slot) else { return };
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
    #[inline]
    pub fn prefetch_pane(&self, slot: u32, second: Second) {
        let Some(token) = self.tokens.get(slot) else { return };
        if token.newest().is_some_and(|newest| newest.second() > second) {
            token.place(second).into_iter().for_each(|place| self.panes.prefetch(place));
        }
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
            // Of a young token all windows begin with the same.
            let mut before = None;
            for place in opening.chain(token.newest()) {
                if before.replace(place) != Some(place) {
                    self.panes.prefetch(place);
                }
            }
        }
    }
}
