//! At many tokens, what a trade costs is the way to memory: its token and its pane are elsewhere
//! for every trade. So whoever absorbs many asks for both some trades ahead, and a tick does so for
//! what it reads. Folding walks each chunk of panes twice instead, see `table`. Changes nothing.

use super::shard::Shard;
use super::time::Second;
use super::token::TokenHash;

/// A tick looks so many slots ahead for their tokens' lists of panes, and so many for the panes.
const PLACES_AHEAD: u32 = 16;
const PANES_AHEAD: u32 = 8;

impl Shard {
    /// Brings the token near that a trade of this hash will touch: some trades ahead.
    pub fn prefetch_token(&self, hash: TokenHash) {
        self.tokens.guess(hash).into_iter().for_each(memfn::prefetch);
    }

    /// Brings near what a trade of this hash and second will touch beside its token: once that is
    /// near, and fewer trades ahead.
    pub fn prefetch_pane(&self, hash: TokenHash, second: Second) {
        let Some(token) = self.tokens.guess(hash) else { return };
        match token.newest().filter(|newest| newest.second() >= second) {
            Some(newest) => self.panes.prefetch(newest),
            None => token.prefetch_places(),
        }
    }

    /// Brings near what some slots further on will be read of the panes: first the tokens' lists of
    /// them, then the oldest and the newest.
    pub(super) fn prefetch_due(&self, slot: u32) {
        if let Some(token) = self.tokens.get(slot.saturating_add(PLACES_AHEAD)) {
            token.prefetch_places();
        }
        if let Some(token) = self.tokens.get(slot.saturating_add(PANES_AHEAD)) {
            let ends = token.panes().next().into_iter().chain(token.newest());
            ends.for_each(|place| self.panes.prefetch(place));
        }
    }
}
