//! A shard from its checkpoint: panes in any order, then the windows' end, then it goes on as the
//! shard that wrote them.

use super::budget::Budget;
use super::extended::ExtendedPane;
use super::pane::{Pane, Running};
use super::shard::Shard;
use super::store::PaneRef;
use super::table::TokenTable;
use super::time::Second;
use super::token::TokenHash;

impl Shard {
    /// Puts a pane from the checkpoint in place of what is known of that token and second. The
    /// windows see it with the next [`open`](Self::open). A second that no trade can have is none.
    /// Where nothing `extended` was written of it, the extended figures of windows that hold it are
    /// unknown.
    pub fn restore(
        &mut self,
        address: &str,
        second: Second,
        pane: &Pane,
        extended: Option<ExtendedPane>,
    ) {
        let take = |budget: &Budget| {
            budget.restore_token();
            true
        };
        if PaneRef::new(second, 0).is_none() {
            return;
        }
        let Some(slot) = self.slot_of(TokenHash::of(address), address, take) else {
            return;
        };
        let Some(token) = self.tokens.get_mut(slot) else {
            return;
        };
        if let Some(place) = token.place(second) {
            self.panes.replace(place, pane);
        } else if let Some(place) = self.panes.push(second, slot, pane, false) {
            token.insert(place);
            self.budget.restore_pane();
        } else {
            return;
        }
        self.restore_beside(slot, second, &pane.sums, extended);
    }

    /// Begins after [`restore`](Self::restore) as the shard was when its windows ended at
    /// `published`, the last tick whose messages were acknowledged. What the longest window had
    /// lost by then has been closed.
    pub fn open(&mut self, published: Second) {
        self.end = published;
        for bucket in self.panes.between(Second(i64::MIN), Second(i64::MAX)) {
            self.tokens.each(bucket, TokenTable::prefetch_all, |tokens, index, stored| {
                let Some(token) = tokens.get_mut(stored.slot()) else { return };
                let Some(sums) = self.panes.sums(bucket.second, index, stored) else { return };
                // What a valid checkpoint holds was checked when it was counted.
                if let Some(total) = token.total.sums().checked_add(&sums) {
                    token.total = Running::from(&total);
                    let at = (bucket.second, published);
                    let lose = |lost: &mut Running| lost.add(&sums);
                    tokens.each_lost(stored.slot(), &self.windows, at, lose);
                }
            });
        }
        self.panes.tighten(Second(i64::MIN), Second(i64::MAX));
        self.expire();
        self.close_untold();
    }

    /// Goes on without telling anything, as its owner has it: all up to `published` is published,
    /// what closed by then is closed, and what changed is in the checkpoint, or will be. False
    /// where its windows end later: what they have dropped would be missing.
    pub fn follow(&mut self, published: Second) -> bool {
        if published < self.end() {
            return false;
        }
        self.advance(published);
        self.close_untold();
        self.acknowledge(published);
        self.forget_changes();
        true
    }

    /// What changed is in the checkpoint, or of no use to any.
    pub fn forget_changes(&mut self) {
        self.take_changes(|_, _, _, _| {});
    }

    fn close_untold(&mut self) {
        (0..self.tokens.slots()).for_each(|slot| self.closed(slot));
        self.compact();
    }
}
